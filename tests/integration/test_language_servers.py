"""rust-analyzer and clangd as Debian has them, in a folder that was set up for them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import GUEST, MODULES, BuiltKernel, Rfl, line_of, replace
from tests.integration.language_server import LanguageServer, position

pytestmark = pytest.mark.timeout(900, func_only=True)

INDEXING = 600.0  # seconds for rust-analyzer to read core and the kernel crate; usually ten


@dataclass(frozen=True)
class Desk:
    """A module's folder that has been set up, and what `--json` said of it."""

    folder: Path
    told: dict[str, Any]

    @property
    def main(self) -> Path:
        return self.folder / "main.rs"


@pytest.fixture(scope="module", autouse=True)
def _script(rfl: Rfl) -> None:
    """The copy of the checkout has an `rfl` that needs no environment of its own."""
    script = rfl.workspace / "rfl"
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="{rfl.workspace}" exec "{sys.executable}" -m rflbuild "$@"\n'
    )
    script.chmod(0o755)


@pytest.fixture(scope="module")
def desk(rfl: Rfl, kernel: BuiltKernel, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk") / "c_headers"
    shutil.copytree(MODULES / "c_headers", folder)
    replace(
        folder / "main.rs",
        '        pr_info!("frames',
        "        let mut numbers: KVec<u32> = KVec::new();\n"
        "        numbers.push(1, GFP_KERNEL)?;\n"
        '        pr_info!("frames',
    )
    run = rfl("rust-analyzer", str(folder), "--json", timeout=GUEST)
    assert run.status == 0, run
    return Desk(folder, json.loads(run.stdout))


@pytest.fixture(scope="module")
def server(rfl: Rfl, desk: Desk) -> Iterator[LanguageServer]:
    """The rust-analyzer of the toolchain's root with the module's main file open."""
    started = LanguageServer(
        [desk.told["server"]],
        desk.folder,
        settings={**desk.told["settings"], "cachePriming": {"enable": False}},
        env=rfl.environment(),
    )
    with started:
        started.open(desk.main, "rust")
        started.wait_for(lambda: started.status.get("quiescent"), INDEXING, "quiescence")
        yield started


def test_the_project_loads_without_a_complaint(server: LanguageServer) -> None:
    assert server.status["health"] == "ok", server.status
    assert not [line for line in server.shown if "ERROR" in line]


@pytest.mark.parametrize(
    ("text", "word", "file", "line"),
    [
        ('pr_info!("frames', "pr_info", "rust/kernel/print.rs", "macro_rules! pr_info"),
        ("numbers: KVec<u32>", "KVec", "rust/kernel/alloc/kvec.rs", "pub type KVec<T>"),
        ("size_of::<Private>()", "size_of", "library/core/src/mem/mod.rs", "fn size_of<T>"),
        (
            "skb: *mut bindings::sk_buff",
            "sk_buff",
            "rust/bindings/bindings_generated.rs",
            "struct sk_buff {",
        ),
        (
            "bindings::register_netdev",
            "register_netdev",
            "c_headers/bindings_generated.rs",
            "fn register_netdev(",
        ),
    ],
)
def test_go_to_definition_leads_to_files_of_this_machine(
    server: LanguageServer, desk: Desk, text: str, word: str, file: str, line: str
) -> None:
    found = server.definition(desk.main, position(desk.main, text, word), INDEXING)

    assert found is not None
    path, number = found
    assert str(path).endswith(f"/{file}"), found
    assert line in path.read_text().splitlines()[number - 1]


@pytest.mark.parametrize(
    ("text", "word", "shown"),
    [
        ('pr_info!("frames', "pr_info", "Prints an info-level message"),
        ("numbers: KVec<u32>", "KVec", "Vec<T, Kmalloc>"),
        ("numbers.push(1", "push", "Result<(), AllocError>"),
        (
            "bindings::register_netdev",
            "register_netdev",
            "fn register_netdev(dev: *mut net_device)",
        ),
    ],
)
def test_a_hover_shows_what_a_name_is(
    server: LanguageServer, desk: Desk, text: str, word: str, shown: str
) -> None:
    assert shown in server.hover(desk.main, position(desk.main, text, word), INDEXING)


def test_a_module_that_is_laid_over_the_kernel_leads_to_the_file_that_the_user_edits(
    rfl: Rfl, kernel: BuiltKernel
) -> None:
    folder = rfl.workspace / "modules" / "signpost"
    try:
        assert rfl("new-module", "signpost", "--in-tree").status == 0
        run = rfl("rust-analyzer", "signpost", "--json", timeout=GUEST)
        assert run.status == 0, run
        told = json.loads(run.stdout)
        main = folder / "rust_signpost.rs"
        settings = {**told["settings"], "cachePriming": {"enable": False}}
        with LanguageServer(
            [told["server"]], folder, settings=settings, env=rfl.environment()
        ) as server:
            server.open(main, "rust")
            server.wait_for(lambda: server.status.get("quiescent"), INDEXING, "quiescence")
            own = server.definition(
                main, position(main, "Drop for RustSignpost", "RustSignpost"), INDEXING
            )
            kernels = server.definition(main, position(main, "pr_info!", "pr_info"), INDEXING)
        assert own == (main, line_of(main, "struct RustSignpost"))
        assert kernels
        assert str(kernels[0]).endswith("/rust/kernel/print.rs")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_procedural_macros_are_expanded_by_the_kernels_own_compiler(
    server: LanguageServer, desk: Desk
) -> None:
    where = {
        "textDocument": {"uri": desk.main.as_uri()},
        "position": position(desk.main, "module! {", "module"),
    }

    expanded = server.request("rust-analyzer/expandMacro", where, INDEXING)

    assert 'c"c_headers"' in expanded["expansion"]


def test_an_editor_formats_as_the_kernel_does(server: LanguageServer, desk: Desk) -> None:
    untidy = desk.folder / "untidy.rs"
    untidy.write_text("fn  main( ) { }\n")
    server.open(untidy, "rust")

    edits = server.request(
        "textDocument/formatting",
        {
            "textDocument": {"uri": untidy.as_uri()},
            "options": {"tabSize": 4, "insertSpaces": True},
        },
    )

    assert edits


def test_an_error_arrives_on_its_line_when_the_file_is_saved_and_goes_when_it_is_mended(
    server: LanguageServer, desk: Desk
) -> None:
    def errors() -> list[tuple[int, str]] | None:
        """The line, from 1, and the code of each error of the compiler's; None before any word."""
        found = server.diagnostics(desk.main)
        if found is None:
            return None
        return [
            (each["range"]["start"]["line"] + 1, str(each.get("code")))
            for each in found
            if each["source"] == "rustc" and each["severity"] == 1
        ]

    good = desk.main.read_text()
    # rust-analyzer's own analysis knows nothing of moves.
    bad = good.replace(
        '        pr_info!("frames', '        drop(numbers);\n        pr_info!("frames'
    )
    bad = bad.replace(
        "        Ok(CHeaders(dev))", "        numbers.len();\n        Ok(CHeaders(dev))"
    )
    server.save(desk.main, bad, 2)
    line = line_of(desk.main, "numbers.len();")
    server.wait_for(lambda: errors() == [(line, "E0382")], GUEST, f"error in line {line}")

    server.save(desk.main, good, 3)
    server.wait_for(lambda: errors() == [], GUEST, "silence")


def test_clangd_reads_the_modules_c_without_a_complaint_and_finds_the_kernels(
    rfl: Rfl, desk: Desk
) -> None:
    path = desk.folder / "helpers.c"
    source = rfl.environment()
    with LanguageServer(desk.told["clangd"], desk.folder, env=source) as clangd:
        clangd.open(path, "c")
        clangd.wait_for(lambda: clangd.diagnostics(path) is not None, GUEST, "diagnostics")
        found = clangd.definition(path, position(path, "return netdev_priv(", "netdev_priv"))

    assert clangd.diagnostics(path) == []
    assert found is not None
    assert str(found[0]).endswith("/include/linux/netdevice.h")
    assert "netdev_priv(" in found[0].read_text().splitlines()[found[1] - 1]


def test_clangd_needs_no_more_than_the_file_in_the_folder(rfl: Rfl, desk: Desk) -> None:
    path = desk.folder / "helpers.c"
    with LanguageServer(desk.told["clangd"][:1], desk.folder, env=rfl.environment()) as clangd:
        clangd.open(path, "c")
        clangd.wait_for(lambda: clangd.diagnostics(path) is not None, GUEST, "diagnostics")

    assert clangd.diagnostics(path) == []
