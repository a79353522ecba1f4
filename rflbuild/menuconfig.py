"""The kernel's own menuconfig on the person's terminal."""

from __future__ import annotations

import contextlib
import curses
import os
import shutil
import signal
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

from rflbuild import dotconfig, kernel
from rflbuild.dotconfig import Dotconfig
from rflbuild.session import Session
from rflbuild.store import remove_tree, write_atomically
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, environment_error, usage_error

_COLUMNS, _LINES = 80, 19  # of scripts/kconfig/lxdialog/dialog.h
_TERMINFO = ("etc/terminfo", "lib/terminfo", "usr/lib/terminfo", "usr/share/terminfo")
_FALLBACK = "xterm"


def check_terminal(session: Session) -> None:
    """Raise RflError(usage) unless there is a terminal on which the menu can be shown."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise usage_error(
            "menuconfig needs a terminal; `./rfl config --set OPTION=VALUE` needs none"
        )
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    if columns and lines and (columns < _COLUMNS or lines < _LINES):
        raise usage_error(
            f"the terminal has {columns} columns and {lines} lines, and menuconfig needs "
            f"{_COLUMNS} and {_LINES}: make the window larger"
        )
    if session.processes.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        raise usage_error(
            "menuconfig moves the cursor, and TERM does not name a terminal that lets it: "
            "set TERM, as to xterm"
        )


@contextlib.contextmanager
def run(session: Session, start: Dotconfig) -> Iterator[Dotconfig | None]:
    """Let a person change a configuration; gives the one that was saved, None if none was.

    What was saved goes with the context, but if that ends by an error it is kept, and
    told where. Raises RflError(environment) for menuconfig's own end by an error,
    KeyboardInterrupt for a Ctrl-C after which nothing was saved.
    """
    folder = session.store.work("menuconfig", str(os.getpid()))
    remove_tree(folder)  # of one that was killed, and had our number
    folder.mkdir()
    saved = None
    try:
        saved = _run(session, start, folder)
        yield saved
    except BaseException:
        if saved:
            kept = session.store.work("menuconfig", "kept") / f"saved-{folder.name}.config"
            write_atomically(kept, saved.text)
            session.terminal.note(f"what you saved in the menu is kept: {kept}")
        raise
    finally:
        remove_tree(folder)


def _run(session: Session, start: Dotconfig, folder: Path) -> Dotconfig | None:
    plan = start.plan
    try:
        dotconfig.workspace(session, plan, "build_menuconfig", folder)
    except RflError as error:
        if "ncurses" in error.detail + error.sentence:
            raise environment_error(
                "menuconfig is compiled, and needs ncurses' headers for it: type `sudo apt install "
                "libncurses-dev pkg-config`, or use --toolchain debian",
                error.detail,
            ) from error
        raise
    (folder / ".config").write_text(start.text)
    status, interrupted = _show(
        session,
        plan.make(folder, "--silent", "menuconfig"),
        folder,
        {
            **kernel.build_environment(session),
            "LC_ALL": "C.UTF-8",
            **_terminfo(session, plan.toolchain, folder),
        },
    )
    saved = Dotconfig(plan, _newest(folder).read_text())
    if saved.values != start.values:
        return saved
    if interrupted:
        session.terminal.line("nothing was saved")
        raise KeyboardInterrupt
    if status:
        raise environment_error(f"menuconfig ended with {status}; what it said is above")
    return None


def _show(session: Session, argv: list[str], cwd: Path, env: Mapping[str, str]) -> tuple[int, bool]:
    """Run a program that has the terminal; its status, and whether Ctrl-C was pressed.

    Ctrl-C is the program's: menuconfig asks whether to save. Make, between it and us,
    does not wait for the answer; a pipe that all of them hold tells when the last has
    ended. However it ends, the terminal is as it was.
    """
    reader, writer = os.pipe()
    with _terminal_kept(), _ctrl_c_noted() as pressed:
        try:
            child = session.processes.start(
                argv, cwd=cwd, env=env, stdin=None, output=None, foreground=True, pass_fds=[writer]
            )
        finally:
            os.close(writer)
        try:
            status = child.wait()
            os.read(reader, 1)
        finally:
            os.close(reader)
    return status, bool(pressed)


@contextlib.contextmanager
def _ctrl_c_noted() -> Iterator[list[int]]:
    """Take note of SIGINT instead of ending by it."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """Give the terminal back as it was, also when the program on it was killed."""
    terminal = sys.stdin.fileno()
    modes = termios.tcgetattr(terminal)
    try:
        yield
    except BaseException:
        with contextlib.suppress(curses.error, OSError):
            curses.setupterm()
            for name in ("rmcup", "rmkx", "sgr0", "cnorm"):  # terminfo(5)
                os.write(sys.stdout.fileno(), curses.tigetstr(name) or b"")
        raise
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _terminfo(session: Session, toolchain: Toolchain, folder: Path) -> dict[str, str]:
    """What tells ncurses of a terminal that the private root has never heard of."""
    term = session.processes.environ["TERM"]
    entry = Path(term[0], term)
    root = toolchain.root
    if root is None or any((root / place / entry).exists() for place in _TERMINFO):
        return {}
    home = Path(session.processes.environ.get("HOME", "/"))
    for place in (home / ".terminfo", *(Path("/", place) for place in _TERMINFO)):
        if (place / entry).is_file():
            own = folder / ".terminfo"
            (own / entry).parent.mkdir(parents=True)
            shutil.copyfile(place / entry, own / entry)
            return {"TERMINFO": str(own)}
    return {"TERM": _FALLBACK}


def _newest(folder: Path) -> Path:
    """The configuration that was saved last; the menu can save one under another name."""
    written = [
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.name not in {".config", ".config.old"}
        and dotconfig.is_one(path.read_text(errors="replace"))
    ]
    return max([folder / ".config", *written], key=lambda path: path.stat().st_mtime_ns)
