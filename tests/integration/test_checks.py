"""clippy, fmt, checkpatch and rustdoc: on modules, the kernel, and a tree of the user's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import scaffold
from rflbuild.session import Workspace
from rflbuild.verdict import Verdict
from tests.integration.harness import (
    CHECKOUT,
    GUEST,
    KERNEL,
    MODULES,
    BuiltKernel,
    Rfl,
    examples,
    git,
    snapshot,
)

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]
KINDS = scaffold.kind_names(Workspace(CHECKOUT))
SAMPLE = Path("samples/rust/rust_minimal.rs")
# A lint of clippy's, a layout that is not rustfmt's, and a line that is too long.
LINT = "\n/// One.\npub fn one() -> u32 {\n    return 1;\n}\n"
MESSY = "\nfn   messy( )  { }\n"
LONG = f"\n// {'long ' * 30}\n"


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# ---- clippy -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_clippy_finds_nothing_in_a_kind(rfl: Rfl, kernel: BuiltKernel, kind: str) -> None:
    run = rfl("clippy", kind, timeout=GUEST)
    assert run.status == 0, run


def test_clippy_shows_a_lint_with_the_users_path_each_time(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", LINT)
    before = snapshot(folder)

    for _ in range(2):
        run = rfl("clippy", str(folder), timeout=GUEST)

        assert f"clippy complains of {folder}" in run.came_to(Verdict.FAIL)
        assert "unneeded `return` statement" in run.stdout
        assert f"--> {folder}/out_of_tree.rs:" in run.stdout
    assert snapshot(folder) == before


def test_clippy_finds_nothing_in_bindings(rfl: Rfl, kernel: BuiltKernel, tmp_path: Path) -> None:
    shutil.copytree(MODULES / "c_headers", tmp_path / "mine")

    run = rfl("clippy", str(tmp_path / "mine"), timeout=GUEST)

    assert run.status == 0, run


def test_clippy_reads_all_modules_that_there_are(
    rfl: Rfl, kernel: BuiltKernel, two_modules: list[Path]
) -> None:
    add(two_modules[1] / "second.rs", LINT)

    run = rfl("clippy", timeout=GUEST)

    assert "complains of modules/second," in run.came_to(Verdict.FAIL)
    assert re.search(r"modules/first +nothing to say", run.stdout)


def test_clippy_reads_a_file_of_the_kernel_and_writes_nothing(
    rfl: Rfl, kernel: BuiltKernel
) -> None:
    before = snapshot(kernel.out.resolve())

    run = rfl("clippy", "--file", str(SAMPLE), timeout=GUEST)

    assert run.status == 0, run
    assert snapshot(kernel.out.resolve()) == before


def test_clippy_reads_the_rust_of_a_tree_of_the_users_own(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path
) -> None:
    add(own_tree / SAMPLE, LINT)

    run = rfl("clippy", "--kernel", str(own_tree), timeout=KERNEL)

    assert f"complains of {SAMPLE}," in run.came_to(Verdict.FAIL)
    assert re.search(r"rust/kernel/lib.rs +nothing to say", run.stdout)
    assert f"--> {SAMPLE}:" in run.stdout


def test_what_does_not_compile_is_a_build_error_for_clippy(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    run = rfl("clippy", str(module_at("does_not_compile")), timeout=GUEST)

    run.came_to(Verdict.BUILD_ERROR)
    assert "mine/does_not_compile.rs:19:27" in run.text


# ---- fmt ----------------------------------------------------------------------------------


def test_check_shows_what_would_change_and_changes_nothing(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", MESSY)
    before = snapshot(folder)

    run = rfl("fmt", str(folder), "--check")

    assert f"1 of 1 files are to be changed, as above: {folder}/out_of_tree.rs" in run.came_to(
        Verdict.FAIL
    )
    assert f"--- {folder}/out_of_tree.rs\n" in run.stdout
    assert "\n-fn   messy( )  { }\n+fn messy() {}\n" in run.stdout
    assert snapshot(folder) == before


def test_files_are_laid_out_in_place_and_once_is_enough(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    source = folder / "out_of_tree.rs"
    text = source.read_text()
    add(source, MESSY)
    source.chmod(0o640)

    assert rfl("fmt", ".", cwd=folder).status == 0
    first = snapshot(folder)
    assert rfl("fmt", ".", cwd=folder).status == 0

    assert source.read_text() == text + "\nfn messy() {}\n"
    assert source.stat().st_mode & 0o777 == 0o640
    assert snapshot(folder) == first
    assert rfl("fmt", ".", "--check", cwd=folder).status == 0


def test_what_cannot_be_read_leaves_all_as_it_is(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", MESSY)
    (folder / "part.rs").write_text("fn unfinished( {\n")
    before = snapshot(folder)

    run = rfl("fmt", str(folder))

    assert f"cannot read {folder}/part.rs; nothing was changed" in run.came_to(Verdict.BUILD_ERROR)
    assert f"--> {folder}/part.rs:" in run.text
    assert snapshot(folder) == before


def test_a_folder_that_cannot_be_written_to_is_told(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", MESSY)
    before = snapshot(folder)

    run = rfl("fmt", str(folder), wrapper=rfl.read_only(folder))

    assert str(folder) in run.came_to(Verdict.ENVIRONMENT)
    assert snapshot(folder) == before


def test_c_is_left_alone_by_name_where_there_is_no_clang_format(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    shutil.copytree(MODULES / "c_headers", tmp_path / "mine")

    run = rfl("fmt", ".", "--check", cwd=tmp_path / "mine")

    assert run.status == 0, run
    assert "no clang-format in the toolchain; left alone: ./helpers.c" in run.stdout


def test_a_kind_is_no_folder_to_be_changed(rfl: Rfl, kernel: BuiltKernel) -> None:
    assert "templates/hello" in rfl("fmt", "hello").came_to(Verdict.USAGE)


def test_a_tree_of_the_users_own_is_laid_out_as_its_make_has_it(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path
) -> None:
    add(own_tree / SAMPLE, MESSY)
    (own_tree / "rust" / "mine_generated.rs").write_text(MESSY)
    add(own_tree / "rust" / "syn" / "lib.rs", MESSY)

    rfl("fmt", "--check", "--kernel", str(own_tree), timeout=GUEST).came_to(Verdict.FAIL)
    run = rfl("fmt", "--kernel", str(own_tree), timeout=GUEST)

    assert run.status == 0, run
    assert [line for line in run.stdout.splitlines() if line.startswith("formatted")] == [
        f"formatted  {own_tree / SAMPLE}"
    ]
    assert "+fn messy() {}\n" in git(own_tree, "diff", str(SAMPLE))


# ---- checkpatch ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_checkpatch_finds_nothing_in_a_kind(rfl: Rfl, kernel: BuiltKernel, kind: str) -> None:
    run = rfl("checkpatch", kind, timeout=GUEST)
    assert run.status == 0, run


def test_checkpatch_names_the_users_files_and_writes_nothing(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", LONG)
    (folder / "Kbuild").write_text("obj-m := out_of_tree.o helpers.o\n")
    (folder / "helpers.c").write_text("int  someThing;\n")
    before = snapshot(folder)

    run = rfl("checkpatch", ".", cwd=folder, timeout=GUEST)

    assert "checkpatch complains of .," in run.came_to(Verdict.FAIL)
    assert re.search(r"LONG_LINE: .*\n.*FILE: \./out_of_tree.rs:\d+:", run.stdout)
    assert re.search(r"SPDX_LICENSE_TAG: .*\n.*FILE: \./helpers.c:1:", run.stdout)
    assert "CAMELCASE" in run.stdout
    assert snapshot(folder) == before


def test_checkpatch_knows_the_names_that_the_kernel_has_in_camel_case(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    (folder / "Kbuild").write_text("obj-m := out_of_tree.o helpers.o\n")
    (folder / "helpers.c").write_text(
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/mm.h>\n\n"
        "int known(struct page *page)\n{\n\treturn LINUX_VERSION_CODE && PageHead(page);\n}\n"
    )

    run = rfl("checkpatch", ".", cwd=folder, timeout=GUEST)

    assert run.status == 0, run


def test_checkpatch_sees_what_is_new_in_a_tree(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path
) -> None:
    assert rfl("checkpatch", "--kernel", str(own_tree), timeout=GUEST).status == 0
    add(own_tree / "kernel" / "panic.c", f"\nint x ;{LONG}")
    (own_tree / "kernel" / "mine.c").write_text("int y ;\n")
    git(own_tree, "add", "--force", "kernel/mine.c")  # Debian's .gitignore has all but debian/
    before = snapshot(own_tree / ".git")

    run = rfl("checkpatch", "--kernel", str(own_tree), timeout=GUEST)

    run.came_to(Verdict.FAIL)
    assert re.search(r"FILE: kernel/panic.c:\d+:\n\+int x ;", run.stdout)
    assert re.search(r"FILE: kernel/mine.c:1:\n\+int y ;", run.stdout)
    assert "SIGN_OFF" not in run.stdout
    assert snapshot(own_tree / ".git") == before


def test_checkpatch_judges_each_commit_of_a_range(
    rfl: Rfl, kernel: BuiltKernel, commits: Path
) -> None:
    run = rfl("checkpatch", "--kernel", str(commits), "--range", "HEAD~2..HEAD", timeout=GUEST)

    sentence = run.came_to(Verdict.FAIL)
    assert "panic: Say it plainly" not in sentence
    assert "Bad" in sentence
    assert re.search(r"panic: Say it plainly +nothing to say", run.stdout)
    assert "MISSING_SIGN_OFF" in run.stdout


@pytest.fixture
def commits(own_tree: Path) -> Iterator[Path]:
    """A tree with a good commit and a bad one on top; they are gone afterwards."""
    before = git(own_tree, "rev-parse", "HEAD").strip()
    add(own_tree / "kernel" / "panic.c", "\n/* As it is. */\n")
    git(own_tree, "tag", "v7.3")
    message = "panic: Say it plainly\n\nThat is all that there is to say of it.\n"
    git(own_tree, "commit", "--quiet", "--all", "--signoff", "-m", message)
    add(own_tree / "kernel" / "panic.c", "int x ;\n")
    git(own_tree, "commit", "--quiet", "--all", "-m", "Bad")
    yield own_tree
    git(own_tree, "tag", "--delete", "v7.3")
    git(own_tree, "reset", "--quiet", "--soft", before)  # the rest is for who lent it to us


@pytest.mark.parametrize("words", [["--range", "HEAD~1..HEAD"], ["hello", "--range", "HEAD"]])
def test_a_range_is_of_a_tree_of_the_users_own(
    rfl: Rfl, kernel: BuiltKernel, words: list[str]
) -> None:
    assert "--kernel" in rfl("checkpatch", *words).came_to(Verdict.USAGE)


# ---- rustdoc ------------------------------------------------------------------------------


def test_a_modules_documentation_leads_to_the_kernels_and_is_searched_with_it(
    rfl: Rfl, documented: Path, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", "\n/// As [here](srctree/include/linux/mm.h).\nfn one() {}\n")
    before = snapshot(folder)

    run = rfl("rustdoc", str(folder), timeout=GUEST)

    assert run.status == 0, run
    index = Path(run.stdout.split()[-1])
    assert index.parts[-2:] == ("out_of_tree", "index.html")
    page = index.with_name("struct.OutOfTree.html").read_text()  # private, as all in a module
    links = set(re.findall(r'href="(\.\./kernel/[^"#]*)', page))
    assert "../kernel/module/trait.Module.html" in links
    assert all((index.parent / link).is_file() for link in links)
    assert 'linux/mm.h">here' in index.with_name("fn.one.html").read_text()
    assert 'href="srctree' not in index.with_name("fn.one.html").read_text()
    crates = (index.parent.parent / "crates.js").read_text()
    assert '"kernel"' in crates
    assert '"out_of_tree"' in crates
    assert snapshot(folder) == before


def test_documentation_is_made_anew_after_an_edit_and_else_not(
    rfl: Rfl, documented: Path, module_at: ModuleAt
) -> None:
    folder = module_at()

    def document() -> tuple[Path, int]:
        run = rfl("rustdoc", str(folder), timeout=GUEST)
        assert run.status == 0, run
        index = Path(run.stdout.split()[-1])
        return index, index.stat().st_mtime_ns

    first, second = document(), document()
    source = (folder / "out_of_tree.rs").read_text()
    (folder / "out_of_tree.rs").write_text(source.replace("A module as others", "One as others"))
    third = document()

    assert first == second
    assert third[0] == first[0]
    assert "One as others" in third[0].read_text()


def test_what_rustdoc_warns_of_is_shown_each_time(
    rfl: Rfl, documented: Path, module_at: ModuleAt
) -> None:
    folder = module_at()
    add(folder / "out_of_tree.rs", "\n/// See [`Nothing`].\nfn one() {}\n")

    for _ in range(2):
        run = rfl("rustdoc", str(folder), timeout=GUEST)
        assert run.status == 0, run
        assert "unresolved link to `Nothing`" in run.stdout
        assert f"--> {folder}/out_of_tree.rs:" in run.stdout


def test_open_shows_it_in_a_browser(rfl: Rfl, documented: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/shown\n')
    browser.chmod(0o755)

    run = rfl("rustdoc", "--open", env={"BROWSER": f"{browser} %s"})

    assert run.status == 0, run
    assert (tmp_path / "shown").read_text().strip() == documented.as_uri()


def test_the_kernels_documentation_is_its_own(documented: Path) -> None:
    assert documented.parts[-2:] == ("kernel", "index.html")
    assert "pr_info" in (documented.parent / "all.html").read_text()
    assert (documented.parents[1] / "core" / "index.html").is_file()


# ---- mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["clippy", "fmt", "checkpatch", "rustdoc"])
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["helo"], ["`helo`", "`hello`"]),
        (["samples"], ["samples", "no files"]),
        (["/no/such/folder"], ["/no/such/folder"]),
        (["hello", "--kernel", "/no/such/tree"], ["/no/such/tree"]),
        (["hello", "--kernel", "{foreign}"], ["holds no Linux source"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_a_sentence(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path, task: str, args: list[str], words: list[str]
) -> None:
    sentence = rfl(task, *(word.format(foreign=tmp_path) for word in args)).came_to(Verdict.USAGE)

    for word in words:
        assert word in sentence


@pytest.mark.parametrize("task", ["clippy", "fmt", "checkpatch"])
def test_without_a_module_one_must_be_named(rfl: Rfl, kernel: BuiltKernel, task: str) -> None:
    assert "modules/ has none" in rfl(task).came_to(Verdict.USAGE)


def test_a_module_of_c_alone_has_nothing_for_clippy_and_rustdoc(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := a.o\n")
    (tmp_path / "a.c").touch()

    for task in ("clippy", "rustdoc"):
        assert "compiles no Rust" in rfl(task, ".", cwd=tmp_path).came_to(Verdict.USAGE)


# ---- the guide ----------------------------------------------------------------------------


@pytest.fixture
def two_modules(rfl: Rfl) -> Iterator[list[Path]]:
    names = ("first", "second")
    for name in names:
        assert rfl("new-module", name).status == 0
    folders = [rfl.workspace / "modules" / name for name in names]
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def blinky(rfl: Rfl) -> Iterator[None]:
    assert rfl("new-module", "blinky").status == 0
    yield
    shutil.rmtree(rfl.workspace / "modules" / "blinky")


@pytest.mark.parametrize("words", examples("checks"), ids=" ".join)
def test_the_guides_examples_work(
    rfl: Rfl,
    documented: Path,
    blinky: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    words: list[str],
) -> None:
    home = {"HOME": str(tmp_path), "BROWSER": "true %s"}
    if "~/src/linux" in words:
        tree = request.getfixturevalue("commits" if "--range" in words else "own_tree")
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "linux").symlink_to(tree)

    run = rfl(*words, cwd=tmp_path, env=home, timeout=KERNEL)

    wanted = Verdict.FAIL if "--range" in words else Verdict.PASS  # one of its commits is bad
    assert run.status == wanted.exit_code, run
