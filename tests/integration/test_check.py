"""`./rfl check`: the compiler's diagnostics, for editors and for people."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, BuiltKernel, Rfl, line_of, places, replace

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]


def test_warnings_are_there_again_when_nothing_changed(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    source = folder / "out_of_tree.rs"
    source.write_text(f"{source.read_text()}\nfn nobody_calls_it() {{}}\n")

    first, second = (rfl("check", str(folder), "--json", timeout=GUEST) for _ in range(2))

    assert first.status == second.status == 0, first
    line = line_of(source, "fn nobody_calls_it")
    assert places(first.stdout, "warning") == [(str(source), line)]
    assert second.stdout == first.stdout


def test_people_get_the_compilers_own_words_with_the_users_paths(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("does_not_compile")

    run = rfl("check", str(folder), timeout=GUEST)

    run.came_to(Verdict.BUILD_ERROR)
    assert f"  --> {folder}/does_not_compile.rs:" in run.stdout
    assert run.text.count("error[E") == 1
    assert '{"' not in run.text


def test_clippy_finds_what_the_compiler_lets_pass(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    source = folder / "out_of_tree.rs"
    replace(source, "Ok(OutOfTree { numbers })", "return Ok(OutOfTree { numbers });")

    plain = rfl("check", str(folder), "--json", timeout=GUEST)
    clippy = rfl("check", str(source), "--json", "--clippy", timeout=GUEST)

    assert places(plain.stdout, "warning") == []
    assert (str(source), line_of(source, "return Ok(")) in places(clippy.stdout, "warning")


def test_what_other_tools_complain_of_is_shown_in_the_rust_file(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("c_headers")
    main = folder / "main.rs"
    replace(main, "bindings::free_netdev(self.0)", "bindings::free_net(self.0)")
    of_bindings = rfl("check", str(folder), "--json", timeout=GUEST)
    replace(main, "bindings::free_net(self.0)", "bindings::free_netdev(self.0)")
    replace(folder / "helpers.c", "dev_kfree_skb_any(skb);", "no_such_function(skb);")
    of_c = rfl("check", str(folder), "--json", timeout=GUEST)

    of_bindings.came_to(Verdict.BUILD_ERROR)
    assert (str(main), line_of(main, "free_netdev(self.0)")) in places(of_bindings.stdout, "error")
    of_c.came_to(Verdict.BUILD_ERROR)
    assert (str(main), 1) in places(of_c.stdout, "error")
    assert str(folder / "helpers.c") in {file for file, _ in places(of_c.stdout, "error")}


def test_the_ordinary_build_is_not_disturbed_by_a_check(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    rfl("module", str(folder), timeout=GUEST)
    assert rfl("check", str(folder), timeout=GUEST).status == 0

    run = rfl("module", str(folder), timeout=GUEST)

    (line,) = (line for line in run.stdout.splitlines() if line.startswith("module "))
    assert line.endswith(" cached"), run


def test_a_file_of_the_users_own_tree_is_checked_by_the_command_that_built_it(
    rfl: Rfl, own_tree: Path
) -> None:
    sample = own_tree / "samples" / "rust" / "rust_minimal.rs"
    replace(sample, "numbers.push(72, GFP_KERNEL)?;", "numbers.push(72, GFP_KERNEL)?; 1 + None;")
    line = line_of(sample, "1 + None;")

    run = rfl("check", str(sample), "--json", "--kernel", str(own_tree), timeout=GUEST)

    run.came_to(Verdict.BUILD_ERROR)
    assert places(run.stdout, "error") == [(str(sample), line)]
    elsewhere = rfl("check", str(sample)).came_to(Verdict.USAGE)
    assert f"give --kernel {own_tree}" in elsewhere


def test_a_file_that_was_never_built_is_checked_until_it_builds(
    rfl: Rfl, user_store: Path, own_tree: Path
) -> None:
    samples = own_tree / "samples" / "rust"
    fresh = samples / "rust_fresh.rs"
    text = (samples / "rust_minimal.rs").read_text().replace("rust_minimal", "rust_fresh")
    with (samples / "Makefile").open("a") as makefile:
        makefile.write("obj-m += rust_fresh.o\n")
    words = ("check", str(fresh), "--json", "--kernel", str(own_tree))
    rfl = rfl.on(user_store)  # make would take the build's folder by another name for another
    try:
        fresh.write_text(text.replace("numbers.push(72, GFP_KERNEL)?;", "1 + None;"))
        broken = rfl(*words, timeout=GUEST)
        fresh.write_text(text)
        mended = [rfl(*words, timeout=GUEST) for _ in range(2)]
    finally:
        for left in (rfl.store / "work" / "kernel").glob("*/samples/rust/*rust_fresh.*"):
            left.unlink()

    broken.came_to(Verdict.BUILD_ERROR)
    assert [file for file, _ in places(broken.stdout, "error")] == [str(fresh)]
    assert [run.status for run in mended] == [0, 0], mended


def test_what_a_killed_check_left_half_written_does_not_count(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("c_headers")
    main = folder / "main.rs"
    main.write_text(f"{main.read_text()}\n// Not as any other test has it.\n")
    assert rfl("check", str(folder), timeout=GUEST).status == 0
    (work,) = (
        path.parent
        for path in (rfl.store / "work" / "module").glob("*/.main.o.cmd")
        if "--error-format=json" in path.read_text()
        and (path.parent / "main.rs").read_text() == main.read_text()
    )
    (work / "bindings_generated.rs").write_text("// and no more\n")
    (work / ".unfinished.cmd").touch()

    replace(main, "Not as any other", "Nor as this")
    run = rfl("check", str(folder), timeout=GUEST)

    assert run.status == 0, run


def test_a_module_that_is_not_for_the_kernel_does_not_hide_the_others(
    rfl: Rfl, kernel: BuiltKernel
) -> None:
    names = ("fits_it", "unfit")
    try:
        for name in names:
            assert rfl("new-module", name, "--kind", "minimal").status == 0
        (rfl.workspace / "modules" / "unfit" / "module.yaml").write_text('kernel: ">=99.0"\n')

        run = rfl("check", timeout=GUEST)

        assert "modules/unfit/module.yaml:1: it needs Linux 99.0" in run.came_to(Verdict.USAGE)
        assert "check      fits_it: 0 errors, 0 warnings" in run.stdout
        assert "check      unfit: not for this kernel" in run.stdout
    finally:
        for name in names:
            shutil.rmtree(rfl.workspace / "modules" / name, ignore_errors=True)
