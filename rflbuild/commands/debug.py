"""Looking inside: gdb at a running guest, and stack traces with files and lines."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rflbuild import decode as traces
from rflbuild import gdb as debugger
from rflbuild import stub, symbols
from rflbuild.klog import LogReader, Splat
from rflbuild.process import ignoring_interrupts
from rflbuild.session import Session
from rflbuild.symbols import Symbols
from rflbuild.verdict import usage_error

_LOG = "console.log"


def gdb(session: Session, wanted: str, commands: Sequence[str], files: Sequence[str]) -> int:
    """Attach gdb to a guest of `shell --gdb`; the exit code is gdb's.

    `commands` and `files` of commands are for gdb, which then, with no terminal, ends
    with them; without any it takes its standard input for such a file.
    """
    scripts = [Path(name).expanduser().absolute() for name in files]
    for path in scripts:
        if not path.is_file():
            raise usage_error(f"--command {path}: there is no such file")
    folder = _waiting(session, wanted)
    person = sys.stdin.isatty() and sys.stdout.isatty()
    with contextlib.ExitStack() as stack:
        stack.enter_context(debugger.alone(folder))
        if not person and not scripts and not commands:
            typed = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=folder, suffix=".gdb"))
            typed.write(sys.stdin.read())
            typed.flush()
            scripts = [Path(typed.name)]
        words = [word for path in scripts for word in ("-x", str(path))]
        words += [word for text in commands for word in ("-ex", text)]
        words = words if person else ["-batch", *words]
        argv = debugger.command(session, symbols.read(folder), folder, words, scripts)
        stack.enter_context(ignoring_interrupts())  # Ctrl-C stops the guest; gdb sees to it
        child = session.processes.start(argv, cwd=folder, stdin=None, output=None, foreground=True)
        return child.wait()


def _waiting(session: Session, wanted: str) -> Path:
    """The results folder of the newest guest that waits for gdb, or of the one that is wanted."""
    running = stub.waiting(session.workspace.results)
    if not running:
        raise usage_error(
            "no guest runs for gdb: start one by `./rfl shell --gdb` in another terminal"
        )
    if not wanted:
        return running[0]
    for folder in running:
        if _is_wanted(folder, wanted):
            return folder
    raise usage_error(
        f"no guest of `{wanted}` runs for gdb; there are: {', '.join(f.name for f in running)}"
    )


def _is_wanted(folder: Path, wanted: str) -> bool:
    """Whether a guest's results folder, or its module's name or folder, is the wanted one."""
    known = symbols.read(folder)
    places = [folder, *([Path(known.directory)] if known.directory else [])]
    names = [folder.name, known.shown, Path(known.shown).name]
    here = Path(wanted).expanduser().resolve()
    return wanted in names or here in [place.resolve() for place in places]


def decode(session: Session, what: str) -> int:
    """Print stack traces decoded: of the last crash, of a run's folder, of a log or of stdin."""
    if what == "-":
        lines = sys.stdin.read().splitlines()
        known = _symbols_near(session, None)
    elif what and Path(what).is_file():
        lines = Path(what).read_text(errors="replace").splitlines()
        known = _symbols_near(session, Path(what).parent)
    else:
        folder, splats = _crash(session, what)
        known = symbols.read(folder)
        lines = [message.text for splat in splats for message in splat.messages]
        print(f"{os.path.relpath(folder / _LOG)}:{splats[0].messages[0].line}", file=sys.stderr)
    if symbols.rebuilt(known):
        _note("the kernel has been built anew since this run: lines may be off")
    done = traces.decode(session, known, lines)
    print("\n".join(done.lines))
    if done.where:
        print(f"at {done.where}", file=sys.stderr)
    return 0


def _symbols_near(session: Session, folder: Path | None) -> Symbols:
    """The symbols of a log's own folder, else of the newest run."""
    if folder and (folder / symbols.FILE).is_file():
        return symbols.read(folder)
    for newest in _runs(session):
        if (newest / symbols.FILE).is_file():
            _note(f"taken for a log of the kernel and the modules of {os.path.relpath(newest)}")
            return symbols.read(newest)
    raise usage_error("there is no run in results/ whose kernel and modules the log could be of")


def _crash(session: Session, what: str) -> tuple[Path, tuple[Splat, ...]]:
    """The newest run with reports of the kernel, or the one that is named, and its reports."""
    folders = [_named(session, what)] if what else _runs(session)
    for folder in folders:
        reader = LogReader()
        if (folder / _LOG).is_file():
            reader.feed((folder / _LOG).read_bytes())
            reader.finish()
        if reader.splats:
            return folder, reader.splats
    if what:
        raise usage_error(f"the log of {what} has no report of the kernel")
    raise usage_error("no run in results/ has crashed: give a console.log, or `-` for stdin")


def _named(session: Session, what: str) -> Path:
    for folder in (Path(what).expanduser(), session.workspace.results / what):
        if (folder / _LOG).is_file():
            return folder
    raise usage_error(f"{what} is neither a log nor a folder of results/, nor `-` for stdin")


def _runs(session: Session) -> Iterator[Path]:
    """The folders of results/, the newest first; of one second's, what was written to last."""
    results = session.workspace.results
    found = results.iterdir() if results.is_dir() else iter(())
    folders = [path for path in found if path.is_dir() and not path.is_symlink()]
    second = len("20261124-194120")
    folders.sort(key=lambda path: (path.name[:second], path.stat().st_mtime_ns), reverse=True)
    return iter(folders)


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
