"""Modules in the kernel's own tree: laid over a kernel of the store, or in a tree of the user's."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rflbuild import jsonc
from rflbuild.verdict import Verdict
from tests.integration.harness import (
    GUEST,
    BuiltKernel,
    Rfl,
    examples,
    git,
    line_of,
    places,
    replace,
    snapshot,
)

pytestmark = pytest.mark.timeout(900, func_only=True)
BUILD = 1200.0  # seconds to link a kernel anew; a quiet machine needs ten
CHANGED = {
    "M\tsamples/rust/Kconfig",
    "M\tsamples/rust/Makefile",
    "A\tsamples/rust/rust_blinky.rs",
}


@pytest.fixture
def modules(rfl: Rfl) -> Iterator[Path]:
    """The workspace's modules/, whose blinky goes with the test."""
    folder = rfl.workspace / "modules"
    yield folder
    shutil.rmtree(folder / "blinky", ignore_errors=True)


def add(rfl: Rfl, *words: str) -> None:
    run = rfl("new-module", "blinky", "--in-tree", *words)
    assert run.status == 0, run


def changes(tree: Path) -> set[str]:
    """What git would commit; Debian's .gitignore ignores every new file."""
    git(tree, "add", "--all", "--force")
    return set(git(tree, "diff", "--cached", "--name-status").splitlines())


def steps(rfl: Rfl) -> list[str]:
    return [step["title"] for step in rfl.result()["steps"]]


# ---- over a kernel of the store -----------------------------------------------------------


def test_a_module_laid_over_the_kernel_passes_as_a_module_and_built_in(
    rfl: Rfl, kernel: BuiltKernel, modules: Path
) -> None:
    add(rfl)

    rfl.test("blinky", timeout=BUILD).passed()
    assert "insmod rust_blinky" in steps(rfl)

    again = rfl.test("blinky")
    again.passed()
    assert [line.split()[-1] for line in again.stdout.splitlines() if line[:7] == "kernel "] == [
        "cached"
    ]

    rfl.test("blinky", "--builtin", timeout=BUILD).passed()
    assert steps(rfl) == ["rust_blinky is built in, and the boot log has its messages"]

    rust = modules / "blinky" / "rust_blinky.rs"
    rust.write_text(rust.read_text().replace("Hello from Rust!", "Good evening!"))
    sentence = rfl.test("blinky", timeout=BUILD).came_to(Verdict.FAIL)
    assert "Hello from Rust!" in sentence


def test_the_kernel_without_it_is_still_there(rfl: Rfl, kernel: BuiltKernel, modules: Path) -> None:
    add(rfl)
    source = kernel.plan.source.path

    run = rfl("kernel", timeout=GUEST)

    assert run.status == 0, run
    assert f"/kernel/{kernel.out.name}\n" in run.stdout
    assert "rust_blinky" not in (source / "samples" / "rust" / "Makefile").read_text()


def test_removing_it_leaves_nothing_but_what_was_edited(
    rfl: Rfl, kernel: BuiltKernel, modules: Path
) -> None:
    before = snapshot(modules)
    add(rfl)
    run = rfl("new-module", "blinky", "--in-tree", "--remove")
    assert run.status == 0, run
    assert snapshot(modules) == before

    add(rfl)
    (modules / "blinky" / "rust_blinky.rs").write_text("// a day's work\n")
    run = rfl("new-module", "blinky", "--in-tree", "--remove")

    assert run.status == 0, run
    assert "rust_blinky.rs: it was edited since it was made" in run.stdout
    assert "modules/blinky/ stays, with what is yours: rust_blinky.rs" in run.stdout
    assert [path.name for path in (modules / "blinky").iterdir()] == ["rust_blinky.rs"]


def test_an_error_in_it_is_in_the_file_that_the_user_edits(
    rfl: Rfl, kernel: BuiltKernel, modules: Path
) -> None:
    add(rfl)
    rust = modules / "blinky" / "rust_blinky.rs"
    good = rust.read_text()
    bad = good.replace("Hello from Rust!", "{}")
    assert bad != good

    rust.write_text(bad)
    runs = [rfl("check", word, "--json", timeout=BUILD) for word in ("blinky", str(rust))]
    rust.write_text(good)
    mended = rfl("check", "blinky", timeout=BUILD)

    for run in runs:
        run.came_to(Verdict.BUILD_ERROR)
        assert places(run.stdout, "error") == [(str(rust), line_of(rust, "Hello from Rust!"))]
    assert mended.status == 0, mended


def test_clippy_reads_it_too(rfl: Rfl, kernel: BuiltKernel, modules: Path) -> None:
    add(rfl)
    rust = modules / "blinky" / "rust_blinky.rs"
    rust.write_text(f"{rust.read_text()}\n/// One.\npub fn one() -> u32 {{\n    return 1;\n}}\n")

    plain, clippy = (rfl("check", "blinky", *word, timeout=BUILD) for word in ((), ("--clippy",)))

    assert "return" not in plain.stdout
    assert f"--> modules/blinky/rust_blinky.rs:{line_of(rust, 'return 1')}:" in clippy.stdout


def test_an_editor_opens_its_folder(rfl: Rfl, kernel: BuiltKernel, modules: Path) -> None:
    add(rfl)
    folder = modules / "blinky"

    run = rfl("rust-analyzer", "blinky", timeout=GUEST)

    assert run.status == 0, run
    crates = json.loads((folder / "rust-project.json").read_text())["crates"]
    assert [folder / crate["root_module"] for crate in crates][-1] == folder / "rust_blinky.rs"
    told = jsonc.read((folder / ".vscode" / "settings.json").read_text())
    assert told["rust-analyzer.check.overrideCommand"][-3:] == ["check", str(folder), "--json"]


def test_its_option_is_explained_as_the_kernel_with_it_has_it(
    rfl: Rfl, kernel: BuiltKernel, modules: Path
) -> None:
    add(rfl)
    told = rfl("config", "--why", "SAMPLE_RUST_BLINKY", timeout=GUEST)
    in_tree = modules / "blinky" / "in-tree.yaml"
    replace(in_tree, "prompt:", "depends: [USB_STORAGE]\nprompt:")
    dropped = rfl("config", "--why", "SAMPLE_RUST_BLINKY", timeout=GUEST)
    values = rfl("config", "--get", "SAMPLE_RUST_BLINKY", "--get", "HZ", timeout=GUEST)
    refused = rfl("config", "--set", "SAMPLE_RUST_BLINKY=y", timeout=GUEST)

    assert told.stdout.startswith(
        "SAMPLE_RUST_BLINKY is m: asked for in modules/blinky/in-tree.yaml\n"
    )
    assert "but it needs USB_STORAGE [=n] (samples/rust/Kconfig:" in dropped.stdout
    assert values.stdout == "n\n250\n"
    assert "modules/blinky" in refused.came_to(Verdict.USAGE)


# ---- in a tree of the user's --------------------------------------------------------------


def test_a_module_in_an_own_tree_passes_as_a_module_and_built_in(
    rfl: Rfl, own_tree: Path, modules: Path
) -> None:
    add(rfl, "--kernel", str(own_tree))
    assert changes(own_tree) == CHANGED

    rfl.test("blinky", timeout=BUILD).passed()
    checked = rfl("check", "blinky", timeout=GUEST)
    value = rfl("config", "--get", "SAMPLE_RUST_BLINKY", timeout=GUEST)
    rfl.test("blinky", "--builtin", timeout=BUILD).passed()

    assert checked.status == 0, checked
    assert value.stdout == "m\n", value
    assert "check      samples/rust/rust_blinky.rs: 0 errors, 0 warnings" in checked.stdout
    assert changes(own_tree) == CHANGED


def test_the_edit_is_ready_to_be_committed(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path, modules: Path
) -> None:
    add(rfl, "--kernel", str(own_tree))
    changes(own_tree)
    diff = git(own_tree, "diff", "--cached")
    who = "T <t@example.org>"
    head = f"From: {who}\nSubject: samples: rust: add blinky\n"
    words = f"{head}\nIt says hello.\n\nSigned-off-by: {who}\n---\n"
    # A new file wants an entry in MAINTAINERS, which only its author can write.
    options = ["--strict", "--no-tree", "--ignore=FILE_PATH_CHANGES"]
    command = kernel.plan.toolchain.command(
        ["perl", str(own_tree / "scripts/checkpatch.pl"), *options, "-"],
        cwd=own_tree,
        read=[own_tree],
    )

    checked = subprocess.run(
        command, input=f"{words}\n{diff}", capture_output=True, text=True, timeout=60, check=False
    )

    assert checked.returncode == 0, checked.stdout


def test_it_is_made_once_and_undone_exactly(rfl: Rfl, own_tree: Path, modules: Path) -> None:
    add(rfl, "--kernel", str(own_tree))
    before = {
        name: (own_tree / "samples/rust" / name).read_text() for name in ("Kconfig", "Makefile")
    }
    again = rfl("new-module", "blinky", "--in-tree", "--kernel", str(own_tree))
    after = {name: (own_tree / "samples/rust" / name).read_text() for name in before}

    undone = rfl("new-module", "blinky", "--in-tree", "--remove")

    assert "nothing was changed" in again.stdout
    assert after == before
    assert undone.status == 0, undone
    assert git(own_tree, "status", "--porcelain") == ""
    assert not (modules / "blinky").exists()


def test_work_in_the_tree_is_not_lost(rfl: Rfl, own_tree: Path, modules: Path) -> None:
    mine = own_tree / "samples" / "rust" / "rust_blinky.rs"
    mine.write_text("// a day's work\n")
    with (own_tree / "samples" / "rust" / "Kconfig").open("a") as kconfig:
        kconfig.write("# a word of mine\n")

    add(rfl, "--kernel", str(own_tree))
    run = rfl("new-module", "blinky", "--in-tree", "--remove")

    assert run.status == 0, run
    assert mine.read_text() == "// a day's work\n"
    assert git(own_tree, "diff", "--stat").count("|") == 1
    assert git(own_tree, "diff", "--unified=0").splitlines()[-1] == "+# a word of mine"


# ---- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--into", "no/such/folder"], "has no folder no/such/folder"),
        (["--into", "../elsewhere"], "has no folder ../elsewhere"),
        (["--into", "include/linux"], "has no Makefile"),
        (["--into", "usr"], "choose another --into"),
        (["--kind", "e1000"], "more than one file of Rust"),
        (["--kernel", "/nowhere"], "`/nowhere` is no kernel"),
    ],
)
def test_a_place_that_does_not_fit_changes_nothing(
    rfl: Rfl, kernel: BuiltKernel, modules: Path, words: list[str], told: str
) -> None:
    before = snapshot(modules)

    sentence = rfl("new-module", "blinky", "--in-tree", *words).came_to(Verdict.USAGE)

    assert told in sentence
    assert snapshot(modules) == before


def test_a_tree_of_another_shape_is_left_as_it_was(rfl: Rfl, own_tree: Path, modules: Path) -> None:
    (own_tree / "samples" / "rust" / "Kconfig").write_text("# all mine\n")

    run = rfl("new-module", "blinky", "--in-tree", "--kernel", str(own_tree))

    assert "samples/rust/Kconfig stays as it is: looked for no `config`" in (
        run.came_to(Verdict.USAGE)
    )
    assert git(own_tree, "status", "--porcelain").splitlines() == [" M samples/rust/Kconfig"]
    assert not (modules / "blinky").exists()


def test_a_read_only_tree_is_said_to_be_one(rfl: Rfl, own_tree: Path, modules: Path) -> None:
    run = rfl(
        "new-module",
        *("blinky", "--in-tree", "--kernel", str(own_tree)),
        wrapper=rfl.read_only(own_tree),
    )

    assert str(own_tree) in run.came_to(Verdict.ENVIRONMENT)
    assert git(own_tree, "status", "--porcelain") == ""
    assert not (modules / "blinky").exists()


def test_a_module_outside_the_tree_cannot_be_built_in(rfl: Rfl, kernel: BuiltKernel) -> None:
    assert "not in the kernel's tree" in rfl.test("hello", "--builtin").came_to(Verdict.USAGE)


def test_the_guides_examples_are_those_that_are_tested() -> None:
    assert examples("in-tree") == [
        ["new-module", "blinky", "--in-tree"],
        ["qemu-test", "blinky"],
        ["qemu-test", "blinky", "--builtin"],
        ["check", "blinky"],
        ["rust-analyzer", "blinky"],
        ["config", "--why", "SAMPLE_RUST_BLINKY"],
        ["new-module", "blinky", "--in-tree", "--remove"],
        ["new-module", "blinky", "--in-tree", "--kernel", "~/src/linux"],
    ]
