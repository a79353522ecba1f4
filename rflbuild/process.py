"""Child processes: run with a time-out, logged, and never left behind.

Each child leads a process group of its own, so that Ctrl-C reaches us alone and
we end the children in order (make deletes half-written targets on SIGTERM).
For the case in which we cannot (SIGKILL, a crash), a watchdog process waits for
our end of a pipe to close and then kills every process that carries our mark in
its environment.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rflbuild.verdict import RflError, Verdict, environment_error

MARK = "RFLBUILD_WATCH"
GRACE = 5.0  # seconds between SIGTERM and SIGKILL; make needs a moment to tidy


@dataclass(frozen=True)
class Completed:
    """What a child left: its exit status (negative: a signal) and its output."""

    argv: tuple[str, ...]
    status: int
    output: str
    seconds: float


class Processes:
    """All children of one invocation; leaving the context ends what still runs."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        # An invocation within another one, as in our own tests, carries both marks.
        marks = ":".join(filter(None, (environ.get(MARK), self._mark)))
        # git must fail rather than ask for a password that nobody will type.
        self.environ = {**environ, "GIT_TERMINAL_PROMPT": "0", MARK: marks}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._foreground: set[subprocess.Popen[bytes]] = set()
        self._waited_for: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._watchdog_pipe = -1

    def __enter__(self) -> Self:
        self._watchdog_pipe = _start_watchdog(self._mark)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()
        os.close(self._watchdog_pipe)

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        output: int | IO[bytes] | None = subprocess.DEVNULL,
        errors: int | IO[bytes] = subprocess.STDOUT,
        pass_fds: Sequence[int] = (),
        foreground: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a child with stdout on `output`, and stderr too unless `errors` says otherwise.

        A `foreground` child keeps our terminal and process group, for sudo and
        for a guest's interactive shell. Raises RflError(environment) when the
        program is not there.
        """
        with self._lock:
            if self._stopping:
                raise environment_error(f"{argv[0]} was not started: the run is being stopped")
            try:
                child = subprocess.Popen(
                    list(argv),
                    cwd=cwd,
                    env={**self.environ, **(env or {})},
                    stdin=stdin,
                    stdout=output,
                    stderr=None if foreground else errors,
                    pass_fds=pass_fds,
                    process_group=None if foreground else 0,
                )
            except OSError as error:
                what = f"{cwd}" if cwd and not cwd.is_dir() else argv[0]
                raise environment_error(f"cannot run {what}: {error.strerror}") from error
            self._running.add(child)
            if foreground:
                self._foreground.add(child)
            return child

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[subprocess.Popen[bytes]], None] | None = None,
    ) -> Completed:
        """Run a child to its end and return it, whatever its exit status.

        `timeout` is in seconds; past it the child is ended and
        RflError(timeout) raised. Output goes to `log` as it comes, and each
        line to `on_line`. `on_start` gets the child first, with a pipe for its stdin.
        """
        begun = time.monotonic()
        stdin = subprocess.PIPE if on_start else subprocess.DEVNULL
        child = self.start(argv, cwd=cwd, env=env, stdin=stdin, output=subprocess.PIPE)
        self._waited_for.add(child)
        chunks: list[bytes] = []
        try:
            if on_start:
                on_start(child)
            with contextlib.ExitStack() as stack:
                sink = stack.enter_context(log.open("ab")) if log else None
                for chunk in _read(child, begun + timeout):
                    chunks.append(chunk)
                    if sink:
                        sink.write(chunk)
                        sink.flush()
                    if on_line:
                        for line in chunk.decode(errors="replace").splitlines():
                            on_line(line)
            child.wait(max(begun + timeout - time.monotonic(), 1.0))
        except (TimeoutError, subprocess.TimeoutExpired):
            if self._stopping:
                raise environment_error(f"{argv[0]} was ended: the run is being stopped") from None
            where = f"; see {log}" if log else ""
            raise RflError(
                Verdict.TIMEOUT, f"{argv[0]} did not end within {timeout:.0f} s{where}"
            ) from None
        finally:
            self._waited_for.discard(child)
            self.stop(child)
            for pipe in filter(None, (child.stdin, child.stdout)):
                pipe.close()
        if self._stopping:
            raise environment_error(f"{argv[0]} was ended: the run is being stopped")
        output = b"".join(chunks).decode(errors="replace")
        return Completed(tuple(argv), child.returncode, output, time.monotonic() - begun)

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """End a child and its process group: SIGTERM, a grace period, SIGKILL."""
        with self._lock:
            self._running.discard(child)
        if child in self._foreground:
            for end in (child.terminate, child.kill):
                end()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(GRACE)
                    return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _group_ended(child, number):
                return

    def interrupt(self) -> None:
        """End the children that a `run` waits for, which then returns; for another thread."""
        for child in self._waited_for.copy():
            self.stop(child)

    def stop_all(self) -> None:
        """End every child; whatever waits for one gets an RflError."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for child in running:
            self.stop(child)


@contextlib.contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Leave Ctrl-C to the children started meanwhile; a program that wants it takes it back."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _group_ended(child: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Signal a child's group and wait until it is empty; True when nothing is left of it."""
    deadline = time.monotonic() + GRACE
    pause = 0.001
    sent = False
    while True:
        child.poll()  # a zombie keeps its group alive
        try:
            os.killpg(child.pid, 0 if sent else number)
        except (ProcessLookupError, PermissionError):
            return child.poll() is not None
        if sent and child.poll() is not None and not _has_living(child.pid):
            return True  # what is left are zombies, which somebody else has to reap
        sent = True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _has_living(group: int) -> bool:
    """Whether a process group has a process that is no zombie (proc_pid_stat(5))."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in "ZX":
                    return True
    return False


def _read(child: subprocess.Popen[bytes], deadline: float) -> Iterator[bytes]:
    """Yield whole lines of a child's output until it ends; TimeoutError past the deadline."""
    assert child.stdout is not None  # noqa: S101 - `run` always opens the pipe
    descriptor = child.stdout.fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                yield whole + newline
    if rest:
        yield rest


def _start_watchdog(mark: str) -> int:
    """Fork the watchdog; returns our end of its pipe, to hold until we end.

    It is in a session of its own by then, so that what kills our group spares it.
    """
    reader, writer = os.pipe()
    is_set_up, set_up = os.pipe()
    if os.fork():
        os.close(reader)
        os.close(set_up)
        os.read(is_set_up, 1)  # returns when the watchdog has closed its end
        os.close(is_set_up)
        return writer
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(reader, 3)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(4, 1024)
        os.read(3, 1)  # returns when the last writer, this invocation, is gone
        _kill_marked(mark.encode())
    finally:
        os._exit(0)


def _kill_marked(mark: bytes) -> None:
    """Kill every process with the mark in its environment, until none is left."""
    for _ in range(20):
        found = False
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in _marks((entry / "environ").read_bytes()):
                    found = True
                    os.kill(int(entry.name), signal.SIGKILL)
        if not found:
            return
        time.sleep(0.05)


def _marks(environ: bytes) -> list[bytes]:
    """The marks in a process's environment as /proc has it."""
    name = MARK.encode() + b"="
    for pair in environ.split(b"\0"):
        if pair.startswith(name):
            return pair.removeprefix(name).split(b":")
    return []
