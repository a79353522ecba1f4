"""The checkout itself: its benchmarks and its tests."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rflbuild import targets
from rflbuild.session import Session
from rflbuild.verdict import usage_error

_ROUNDS, _GUESTS = "edit_to_verdict", "guests"  # modules of tests/bench


def bench(session: Session, target: str | None, rounds: int) -> int:
    """Run tests/bench, which prints figures and judges nothing."""
    if rounds < 1:
        raise usage_error(f"--rounds is a number above 0, not {rounds}")
    words = [_ROUNDS]
    if target == _GUESTS:
        words = [_GUESTS]
    elif target:
        found = targets.find(session, target)
        words = ["e1000", str(found.module.directory) if found.module else target]
    child = session.processes.start(
        [sys.executable, "-m", f"tests.bench.{words[0]}", *words[1:], str(rounds)],
        cwd=session.workspace.root,
        output=None,
        foreground=True,
    )
    return child.wait()


def run_tests(session: Session, words: Sequence[str]) -> int:
    """Everything that CI runs, in its order, until something fails."""
    root = session.workspace.root
    tools = Path(sys.executable).parent
    for argv in (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *_workflows(root)],
        ["zizmor", "--offline", "--quiet", *_workflows(root)],
        ["pytest", *words],
    ):
        session.terminal.line(f"$ {shlex.join(argv)}")
        child = session.processes.start(
            [str(tools / argv[0]), *argv[1:]], cwd=root, output=None, foreground=True
        )
        status = child.wait()
        if status:
            return 1
    return 0


def _workflows(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for folder in ("workflows", ".github/workflows")
        for path in sorted((root / folder).glob("*.yml"))
    ]
