"""Modules of the user's own: made from a kind, or brought along from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, BuiltKernel, Rfl, snapshot

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]


@pytest.fixture
def new_module(rfl: Rfl) -> Iterator[Path]:
    """A new module of the default kind."""
    run = rfl("new-module", "first_steps")
    assert run.status == 0, run
    folder = rfl.workspace / "modules" / "first_steps"
    yield folder
    shutil.rmtree(folder)


def test_a_new_module_passes(rfl: Rfl, kernel: BuiltKernel, new_module: Path) -> None:
    assert "first_steps" in rfl.test("first_steps").passed()


def test_a_new_module_for_an_older_kernel_passes_there(rfl: Rfl, kernel_6_12: BuiltKernel) -> None:
    try:
        run = rfl("new-module", "older_steps", "--kernel", "6.12")
        assert run.status == 0, run
        assert "older_steps" in rfl.test("older_steps", "--kernel", "6.12").passed()
    finally:
        shutil.rmtree(rfl.workspace / "modules" / "older_steps", ignore_errors=True)


def test_a_new_module_overwrites_nothing(rfl: Rfl, new_module: Path) -> None:
    (new_module / "first_steps.rs").write_text("// a day's work\n")
    before = snapshot(rfl.workspace / "modules")

    sentence = rfl("new-module", "first_steps").came_to(Verdict.USAGE)

    assert "modules/first_steps is there already" in sentence
    assert snapshot(rfl.workspace / "modules") == before


def test_plain_make_builds_a_new_module(kernel: BuiltKernel, new_module: Path) -> None:
    out = kernel.out.resolve()
    command = kernel.plan.toolchain.command(
        ["make", f"KDIR={out}"],
        cwd=new_module,
        read=[out, kernel.plan.source.path.resolve()],
        write=[new_module],
    )

    made = subprocess.run(
        command, cwd=new_module, capture_output=True, text=True, timeout=GUEST, check=False
    )

    assert made.returncode == 0, made
    assert (new_module / "first_steps.ko").is_file()
    assert "warning" not in made.stdout + made.stderr


def test_what_plain_make_left_does_not_matter(
    rfl: Rfl, kernel: BuiltKernel, new_module: Path
) -> None:
    (new_module / "first_steps.o").write_text("of another compiler\n")
    (new_module / "first_steps.ko").write_text("of another kernel\n")
    (new_module / ".first_steps.o.cmd").write_text("savedcmd_first_steps.o := true\n")
    before = snapshot(new_module)

    run = rfl("module", "first_steps", timeout=GUEST)

    assert run.status == 0, run
    assert snapshot(new_module) == before


def test_a_module_from_elsewhere_passes_untouched(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at(folder="a module from elsewhere")
    before = snapshot(folder)

    rfl.test(str(folder)).passed()

    assert snapshot(folder) == before
    assert [step["title"] for step in rfl.result()["steps"]] == [
        "insmod out_of_tree",
        "rmmod out_of_tree",
    ]


def test_a_module_is_found_by_any_path_to_it(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    (folder.parent / "link").symlink_to(folder)
    before = snapshot(folder.parent)

    for path, cwd in (
        ("./mine", folder.parent),
        ("mine", folder.parent),
        ("link", folder.parent),
        (".", folder),
        ("../mine/", folder),
        (str(folder), Path("/")),
    ):
        run = rfl("module", path, cwd=cwd, timeout=GUEST)
        assert run.status == 0, run
        assert "/out_of_tree.ko" in run.stdout, run
    assert snapshot(folder.parent) == before


def test_a_read_only_module_passes(rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt) -> None:
    folder = module_at()

    run = rfl("qemu-test", ".", cwd=folder, wrapper=rfl.read_only(folder), timeout=GUEST)

    run.passed()


def test_an_edit_is_seen_and_an_unchanged_module_is_not_built_again(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    source = folder / "out_of_tree.rs"
    with source.open("a") as file:
        file.write("// Not as any other test has it.\n")

    def build() -> tuple[bool, bytes]:
        run = rfl("module", str(folder), timeout=GUEST)
        assert run.status == 0, run
        (line,) = (line for line in run.stdout.splitlines() if line.startswith("module "))
        return line.endswith(" cached"), Path(run.stdout.split()[-1]).read_bytes()

    first = build()
    os.utime(source)
    second = build()
    source.write_text(source.read_text().replace("loaded with", "brought up with"))
    third = build()

    assert [cached for cached, _ in (first, second, third)] == [False, True, False]
    assert b"brought up with" not in first[1]
    assert b"brought up with" in third[1]


def test_a_removed_file_is_gone_from_the_build(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    shutil.copy2(MODULES / "warns" / "warns.rs", folder)
    kbuild = (folder / "Kbuild").read_text()
    (folder / "Kbuild").write_text(kbuild + "obj-m += warns.o\n")
    both = rfl("module", str(folder), timeout=GUEST)
    (folder / "Kbuild").write_text(kbuild)
    (folder / "warns.rs").unlink()
    one = rfl("module", str(folder), timeout=GUEST)

    assert [line.split("/")[-1] for line in both.stdout.splitlines() if ".ko" in line] == [
        "out_of_tree.ko",
        "warns.ko",
    ]
    assert [line.split("/")[-1] for line in one.stdout.splitlines() if ".ko" in line] == [
        "out_of_tree.ko"
    ]
