"""What stands between tasks.py and the rooms: a session, and an exit code for each end."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rflbuild.process import Processes
from rflbuild.session import Session, Workspace
from rflbuild.store import Store, explain_os_error
from rflbuild.terminal import Terminal
from rflbuild.verdict import RflError, usage_error

# What children get of our environment. Anything else, such as a KCFLAGS or an
# ARCH that is set, would change what make yields without changing its key.
_PASSED_ON = (
    "RFLBUILD_CACHE RFLBUILD_MIRROR RFLBUILD_WATCH XDG_CACHE_HOME "
    "PATH HOME USER LOGNAME SHELL TERM COLUMNS LINES TMPDIR LANG LC_ALL TZ "
    "SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR RUSTUP_HOME CARGO_HOME RUSTUP_TOOLCHAIN LIBCLANG_PATH"
).split()
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PASSED_ON_SUFFIXES = ("_proxy", "_PROXY")


@dataclass(frozen=True)
class Options:
    """How a command is run, whatever it does; 0 jobs means one for each CPU."""

    jobs: int = 0
    json: bool = False
    debug: bool = False


class Terminated(BaseException):
    """A signal to end came; raised where the program is, so that contexts end in order."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(command: str, *arguments: Any, options: Options | None = None, **more: Any) -> None:
    """Run `ROOM.FUNCTION` of rflbuild.commands in a session; ends the program with its exit code.

    An RflError becomes one sentence on stderr and its verdict's exit code; a
    signal becomes 128 plus its number, as shells have it.
    """
    options = options or Options()
    room, _, name = command.partition(".")
    action = getattr(importlib.import_module(f"rflbuild.commands.{room}"), name)
    if options.json:
        more["json"] = True
    sys.exit(
        _run(
            lambda session: action(session, *arguments, **more),
            options.json,
            options.debug,
            options.jobs,
        )
    )


def _run(action: Callable[[Session], int], json: bool, debug: bool, jobs: int) -> int:
    code = _judge(action, json, debug, jobs)
    for number in _ENDING:  # it has ended; Python's own end would let a late one kill it
        signal.signal(number, signal.SIG_IGN)
    return code if _flushed() else 128 + signal.SIGPIPE


def _judge(action: Callable[[Session], int], json: bool, debug: bool, jobs: int) -> int:
    for number in _ENDING:
        signal.signal(number, _on_signal)
    terminal = Terminal(sys.stderr if json else sys.stdout)
    store = Store(cache_folder(os.environ), on_wait=terminal.note)
    try:
        if jobs < 0:
            raise usage_error(f"--jobs is a number above 0, not {jobs}")
        with session(terminal, store, jobs) as opened:
            return action(opened)
    except RflError as error:
        if debug:
            traceback.print_exc()
        return _say(error)
    except KeyboardInterrupt:  # before our handler was there
        return _interrupted(signal.SIGINT)
    except Terminated as end:
        return _interrupted(end.number)
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except OSError as error:
        if debug:
            traceback.print_exc()
        return _say(explain_os_error(error, store.root))


@contextlib.contextmanager
def session(terminal: Terminal, store: Store, jobs: int) -> Iterator[Session]:
    """A session for as long as the context lasts; 0 jobs means one for each CPU."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.endswith(_PASSED_ON_SUFFIXES)
    }
    with Processes(environ) as processes, store.in_use():
        store.root.mkdir(parents=True, exist_ok=True)
        yield Session(
            workspace=Workspace(Path(__file__).resolve().parent.parent),
            store=store,
            processes=processes,
            terminal=terminal,
            jobs=jobs or len(os.sched_getaffinity(0)),
            mirror=os.environ.get("RFLBUILD_MIRROR") or None,
        )


def cache_folder(environ: dict[str, str] | os._Environ[str]) -> Path:
    """Where the store is: $RFLBUILD_CACHE, else rflbuild in the user's cache folder."""
    home = environ.get("HOME") or str(Path.home())
    if environ.get("RFLBUILD_CACHE"):
        return Path(re.sub(r"^~(?=/|$)", home, environ["RFLBUILD_CACHE"])).absolute()
    return Path(environ.get("XDG_CACHE_HOME") or Path(home, ".cache"), "rflbuild").absolute()


def _flushed() -> bool:
    """Write what is buffered; False if the reader is gone, which is no reason for noise."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _say(error: RflError) -> int:
    if error.detail:
        print(error.detail, file=sys.stderr)
    print(f"{error.verdict}: {error.sentence}", file=sys.stderr)
    return error.verdict.exit_code


def _interrupted(number: int) -> int:
    name = signal.Signals(number).name
    print(f"interrupted by {name}; what was half-built is resumed or removed", file=sys.stderr)
    return 128 + number


def _on_signal(number: int, _frame: FrameType | None) -> None:
    for further in _ENDING:  # what is under way ends in order, within a time-out of its own
        signal.signal(further, signal.SIG_IGN)
    raise Terminated(number)
