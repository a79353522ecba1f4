"""menuconfig: the terminal that it needs, and which of the files that it wrote counts."""

from __future__ import annotations

import io
import os
import pty
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import menuconfig
from rflbuild.process import Processes
from rflbuild.session import Session
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

WRITTEN = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/arm64 Kernel Configuration\n#\n"


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], None]]:
    """Puts stdin and stdout on a terminal of so many columns and lines."""
    opened = pty.openpty()
    with open(opened[1], "w+b", buffering=0, closefd=False) as end:

        def make(columns: int, lines: int) -> None:
            text = io.TextIOWrapper(end, write_through=True)
            monkeypatch.setattr(sys, "stdin", text)
            monkeypatch.setattr(sys, "stdout", text)
            termios.tcsetwinsize(end, (lines, columns))

        yield make
        monkeypatch.undo()
    for descriptor in opened:
        os.close(descriptor)


def with_term(session: Session, term: str | None) -> Session:
    environ = {**session.processes.environ, **({"TERM": term} if term is not None else {})}
    return replace(session, processes=Processes(environ))


def refused(session: Session) -> str:
    with pytest.raises(RflError) as caught:
        menuconfig.check_terminal(session)
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def test_without_a_terminal_the_other_way_is_named(session: Session) -> None:
    assert "config --set" in refused(session)


@pytest.mark.parametrize("size", [(79, 40), (120, 18)])
def test_a_small_window_is_refused_with_both_sizes(
    session: Session, on: Callable[[int, int], None], size: tuple[int, int]
) -> None:
    on(*size)
    sentence = refused(with_term(session, "xterm"))
    assert all(str(number) in sentence for number in (*size, 80, 19))


@pytest.mark.parametrize("size", [(80, 19), (0, 0)])
def test_a_window_that_is_large_enough_or_of_unknown_size_will_do(
    session: Session, on: Callable[[int, int], None], size: tuple[int, int]
) -> None:
    on(*size)
    menuconfig.check_terminal(with_term(session, "xterm"))


@pytest.mark.parametrize("term", [None, "", "dumb"])
def test_a_terminal_without_a_cursor_is_refused(
    session: Session, on: Callable[[int, int], None], term: str | None
) -> None:
    on(120, 40)
    assert "TERM" in refused(with_term(session, term))


# ---- terminals that the private root does not know ----------------------------------------


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    """One with a root that knows xterm alone."""
    root = tmp_path / "root"
    (root / "usr/share/terminfo/x").mkdir(parents=True)
    (root / "usr/share/terminfo/x/xterm").write_text("xterm's")
    return Toolchain("debian", "", (), lambda argv, *_: list(argv), root)


def test_a_terminal_that_the_root_knows_needs_nothing(
    session: Session, toolchain: Toolchain, tmp_path: Path
) -> None:
    assert menuconfig._terminfo(with_term(session, "xterm"), toolchain, tmp_path) == {}


def test_a_terminal_of_the_users_own_is_brought_along(
    session: Session, toolchain: Toolchain, tmp_path: Path
) -> None:
    own = Path(session.processes.environ["HOME"]) / ".terminfo" / "m" / "mine"
    own.parent.mkdir(parents=True)
    own.write_text("mine's")
    found = menuconfig._terminfo(with_term(session, "mine"), toolchain, tmp_path)
    assert (Path(found["TERMINFO"]) / "m" / "mine").read_text() == "mine's"


def test_a_terminal_that_nobody_knows_is_taken_for_an_xterm(
    session: Session, toolchain: Toolchain, tmp_path: Path
) -> None:
    assert menuconfig._terminfo(with_term(session, "no-such"), toolchain, tmp_path) == {
        "TERM": "xterm"
    }


def test_the_systems_tools_know_the_systems_terminals(
    session: Session, toolchain: Toolchain, tmp_path: Path
) -> None:
    system = replace(toolchain, root=None)
    assert menuconfig._terminfo(with_term(session, "no-such"), system, tmp_path) == {}


# ---- what was saved -----------------------------------------------------------------------


def write(path: Path, text: str, seconds: int) -> Path:
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def test_what_was_saved_under_another_name_later_counts(tmp_path: Path) -> None:
    write(tmp_path / ".config", WRITTEN, 1)
    assert menuconfig._newest(tmp_path) == tmp_path / ".config"
    other = write(tmp_path / "mine", WRITTEN, 2)
    assert menuconfig._newest(tmp_path) == other
    write(tmp_path / ".config", WRITTEN, 3)
    assert menuconfig._newest(tmp_path) == tmp_path / ".config"


@pytest.mark.parametrize(("name", "text"), [("Makefile", "all:\n"), (".config.old", WRITTEN)])
def test_what_else_is_written_does_not_count(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / ".config", WRITTEN, 1)
    write(tmp_path / name, text, 2)
    assert menuconfig._newest(tmp_path) == tmp_path / ".config"
