"""The kernel's scripts/checkpatch.pl, on a module's files or on a tree's changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rflbuild import module
from rflbuild.kernel import Plan
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.verdict import environment_error, usage_error

# What makes no sense outside the tree: a module may well ask for the kernel's version.
IGNORED = ("LINUX_VERSION_CODE",)
# Whatever the user's own settings are, checkpatch wants a plain patch.
_SETTINGS = (
    *("color.ui=never", "core.quotePath=false"),
    *("diff.noprefix=false", "diff.mnemonicPrefix=false"),
)
_DIFF = ("diff", "--no-ext-diff")
_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)  # names that it hands to a shell as they are
_TIMEOUT = 600.0
_READ_ONLY = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}  # git(1): not even the index is written
_WORD = re.compile(r"^(?:ERROR|WARNING|CHECK):[A-Z0-9_]+: (?:.+\n)*.+", re.MULTILINE)


def of_module(session: Session, plan: Plan, owner: Module) -> list[str]:
    """What checkpatch says of a module's files, with the user's paths."""
    return of_files(
        session, plan, owner.directory, files(owner), owner.shown, [f"--ignore={','.join(IGNORED)}"]
    )


def files(owner: Module) -> list[str]:
    """The files of a module that the kernel's style is for, by their paths in it.

    Programs beside it that the module is not made of are left out.
    """
    units = module.units(owner.directory)
    return [
        str(path)
        for path in module.files(owner.directory)
        if path.suffix in (".rs", ".h")
        or str(path) in units
        or path.name in ("Kbuild", "Makefile", "Kconfig")
    ]


def of_files(
    session: Session,
    plan: Plan,
    folder: Path,
    names: Sequence[str],
    shown: str,
    words: Sequence[str] = (),
) -> list[str]:
    """What checkpatch says of files below a folder, which people know as `shown`."""
    for name in names:
        if not _PLAIN.fullmatch(name):
            raise usage_error(f"checkpatch.pl cannot read a file of this name: {shown}/{name}")
    contents = {name: (folder / name).read_bytes() for name in names}
    said = _run(session, plan, [*words, "--file"], contents)
    return [re.sub(r"(?<=: FILE: )", f"{shown}/", each) for each in said]


def of_changes(session: Session, plan: Plan) -> list[str]:
    """What checkpatch says of what was changed in a tree since its last commit."""
    tree = _checkout(session, plan)
    new = _git(session, tree, "ls-files", "--others", "--exclude-standard").splitlines()
    patch = _git(session, tree, *_DIFF, "HEAD")
    for path in new:  # ends with 1, as diff does
        patch += _git(session, tree, *_DIFF, "--no-index", "--", "/dev/null", path, good=(0, 1))
    # There is no commit yet whose message could be looked at.
    words = ["--no-signoff", "--ignore=COMMIT_MESSAGE"]
    return _run(session, plan, words, {"changes": patch.encode()}) if patch else []


def of_commits(session: Session, plan: Plan, revisions: str) -> dict[str, list[str]]:
    """What checkpatch says of each commit of a range such as `main..HEAD`, by its subject.

    A single revision is the commits since then, as in git-format-patch(1).
    """
    tree = _checkout(session, plan)
    if revisions.startswith("-"):
        raise usage_error(f"--range is like main..HEAD or HEAD~3, not {revisions}")
    span = revisions if ".." in revisions else f"{revisions}..HEAD"
    log = _git(session, tree, "log", "--reverse", "--no-merges", "--format=%H %h %s", span, "--")
    if not log:
        raise usage_error(f"--range {revisions} has no commit of {tree} in it")
    said = {}
    for line in log.splitlines():
        commit, subject = line.split(" ", 1)
        patch = _git(session, tree, "format-patch", "--find-renames", "--stdout", "-1", commit)
        said[subject] = _run(session, plan, [], {commit[:12]: patch.encode()})
    return said


def _run(
    session: Session, plan: Plan, words: Sequence[str], files: Mapping[str, bytes]
) -> list[str]:
    """What the kernel's checkpatch.pl says of files, each with the place that it is about.

    It runs in a folder of its own, where it leaves a list of the names that it saw.
    """
    tree = plan.source.path
    argv = ["perl", str(tree / "scripts" / "checkpatch.pl"), f"--root={tree}"]
    argv += ["--strict", "--show-types", "--color=never", *words, *files]
    with session.store.scratch("checkpatch") as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        done = session.processes.run(
            plan.toolchain.command(argv, cwd=folder, read=[tree], write=[folder]),
            timeout=_TIMEOUT,
            cwd=folder,
        )
    said = [each.rstrip() for each in _WORD.findall(done.output)]
    if bool(done.status) != bool(said):
        raise environment_error(f"{tree}/scripts/checkpatch.pl does not run here", done.output)
    return said


def _checkout(session: Session, plan: Plan) -> Path:
    """The tree of a plan; RflError(usage) unless it is a git checkout."""
    tree = plan.source.path
    top = _git(session, tree, "rev-parse", "--show-toplevel").strip()
    if Path(top).resolve() != tree.resolve():
        raise usage_error(f"{tree} is a part of the git checkout {top}, and not one itself")
    return tree


def _git(session: Session, tree: Path, *words: str, good: Sequence[int] = (0,)) -> str:
    """What git, which is the host's, says of a tree of the user's own."""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    done = session.processes.run(
        ["git", "-C", str(tree), *settings, *words],
        timeout=_TIMEOUT,
        env=_READ_ONLY,
    )
    if done.status not in good:
        what = (done.output.strip().splitlines() or ["no reason given"])[0]
        raise usage_error(f"git cannot tell what was changed in {tree}: {what}")
    return done.output
