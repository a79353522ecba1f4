"""checkpatch: what is looked at of a module, and of a tree's changes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch, checkpatch
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Plan
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

# Says what it is asked, and of each file its first line.
ECHO = """
printf 'WARNING:WORDS: %s\\n' "$*"
for file; do
    if [ -f "$file" ]; then
        printf '\\nCHECK:FIRST: %s\\n#1: FILE: %s:1:\\n' "$(head -n 1 "$file")" "$file"
    fi
done
exit 1
"""
Git = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A git checkout of two files whose checkpatch.pl repeats what it gets."""
    folder = tmp_path / "linux"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "checkpatch.pl").write_text(ECHO)
    (folder / "a.c").write_text("int a;\n")
    return folder


@pytest.fixture
def git(tree: Path, environ: dict[str, str]) -> Git:
    def run(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=tree, env=environ, check=True, capture_output=True, text=True
        ).stdout

    run("init", "--quiet")
    run("add", "--all")
    run("commit", "--quiet", "-m", "Begin")
    return run


@pytest.fixture
def plan(session: Session, tree: Path) -> Plan:
    """A plan in whose toolchain perl is a shell."""
    return Plan(
        arch.load(session.workspace.configs, "arm64"),
        Source("x", tree, (7, 3, 4), "7.3.4", "s", mutable=True),
        Toolchain("x", "t", (), lambda argv, *_: ["sh" if a == "perl" else a for a in argv]),
        Kconfig("virt", "allnoconfig", (), 1),
    )


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- a module -----------------------------------------------------------------------------


@pytest.fixture
def owner(tmp_path: Path) -> Module:
    folder = tmp_path / "card"
    (folder / "net").mkdir(parents=True)
    for name in ("main.rs", "net/rx.rs", "helpers.c", "helpers.h", "ping.c", "test.yaml"):
        (folder / name).write_text(f"// {name}\n")
    (folder / "Kbuild").write_text("obj-m := card.o\ncard-y := main.o helpers.o\n")
    return Module("card", folder, "modules/card")


def test_the_files_of_a_module_are_those_that_it_is_made_of(owner: Module) -> None:
    assert checkpatch.files(owner) == ["Kbuild", "helpers.c", "helpers.h", "main.rs", "net/rx.rs"]


def test_words_on_a_module_name_the_users_files(
    session: Session, plan: Plan, owner: Module
) -> None:
    words, *said = checkpatch.of_module(session, plan, owner)

    assert f"--root={plan.source.path} --strict" in words
    assert "--ignore=LINUX_VERSION_CODE --file Kbuild" in words
    assert said[-1] == "CHECK:FIRST: // net/rx.rs\n#1: FILE: modules/card/net/rx.rs:1:"


def test_a_name_that_a_shell_would_take_apart_is_refused(
    session: Session, plan: Plan, owner: Module
) -> None:
    (owner.directory / "a$(b).rs").touch()

    said = usage(lambda: checkpatch.of_module(session, plan, owner))

    assert "modules/card/a$(b).rs" in said


def test_silence_means_that_all_is_well(
    session: Session, plan: Plan, owner: Module, tree: Path
) -> None:
    (tree / "scripts" / "checkpatch.pl").write_text("echo total: 0 errors\n")
    assert checkpatch.of_module(session, plan, owner) == []


@pytest.mark.parametrize("script", ["exit 2", "echo WARNING:A: b; exit 0"])
def test_a_script_that_contradicts_itself_is_not_believed(
    session: Session, plan: Plan, owner: Module, tree: Path, script: str
) -> None:
    (tree / "scripts" / "checkpatch.pl").write_text(script)

    with pytest.raises(RflError) as caught:
        checkpatch.of_module(session, plan, owner)

    assert caught.value.verdict is Verdict.ENVIRONMENT


# ---- a tree -------------------------------------------------------------------------------


def test_a_tree_without_changes_has_nothing_to_look_at(
    session: Session, plan: Plan, git: Git
) -> None:
    assert checkpatch.of_changes(session, plan) == []


@pytest.mark.parametrize("staged", [True, False])
def test_what_was_changed_is_looked_at_staged_or_not(
    session: Session, plan: Plan, tree: Path, git: Git, staged: bool
) -> None:
    (tree / "a.c").write_text("int b;\n")
    if staged:
        git("add", "a.c")

    words, said = checkpatch.of_changes(session, plan)

    assert "--no-signoff" in words
    assert said.startswith("CHECK:FIRST: diff --git a/a.c b/a.c")


def test_a_new_file_is_looked_at_before_git_knows_it(
    session: Session, plan: Plan, tree: Path, git: Git
) -> None:
    (tree / "new file.c").write_text("int c;\n")

    _, said = checkpatch.of_changes(session, plan)

    assert "b/new file.c" in said


def test_settings_of_the_users_do_not_change_the_patch(
    session: Session, plan: Plan, tree: Path, git: Git
) -> None:
    for setting in ("diff.noprefix=true", "color.ui=always", "diff.external=false"):
        git("config", *setting.split("="))
    (tree / "a.c").write_text("int b;\n")

    _, said = checkpatch.of_changes(session, plan)

    assert said.startswith("CHECK:FIRST: diff --git a/a.c b/a.c")


def test_nothing_is_written_into_a_tree(session: Session, plan: Plan, tree: Path, git: Git) -> None:
    (tree / "a.c").write_text("int b;\n")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}

    checkpatch.of_changes(session, plan)

    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


@pytest.mark.parametrize("revisions", ["HEAD~2", "HEAD~2..HEAD", "HEAD~2.."])
def test_each_commit_of_a_range_is_looked_at(
    session: Session, plan: Plan, tree: Path, git: Git, revisions: str
) -> None:
    for subject in ("First", "Second"):
        (tree / "a.c").write_text(subject)
        git("commit", "--quiet", "--all", "-m", subject)

    said = checkpatch.of_commits(session, plan, revisions)

    commits = git("rev-list", "--reverse", "HEAD~2..HEAD").split()
    subjects = [name.split(" ", 1)[1] for name in said]
    assert subjects == ["First", "Second"]
    for (_, block), commit in zip(said.values(), commits, strict=True):
        assert block.startswith(f"CHECK:FIRST: From {commit}")


@pytest.mark.parametrize(
    ("revisions", "words"),
    [("no-such", "no-such"), ("HEAD..HEAD", "no commit"), ("--all", "HEAD~3")],
)
def test_a_range_that_means_nothing_is_refused(
    session: Session, plan: Plan, git: Git, revisions: str, words: str
) -> None:
    assert words in usage(lambda: checkpatch.of_commits(session, plan, revisions))


def test_a_tree_without_git_is_refused(session: Session, plan: Plan, tree: Path) -> None:
    said = usage(lambda: checkpatch.of_changes(session, plan))
    assert f"in {tree}: fatal: not a git repository" in said


def test_a_part_of_another_checkout_is_refused(
    session: Session, plan: Plan, tree: Path, git: Git
) -> None:
    (tree / ".git").rename(tree.parent / ".git")

    said = usage(lambda: checkpatch.of_changes(session, plan))

    assert f"a part of the git checkout {tree.parent}" in said
