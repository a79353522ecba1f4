"""Running the real command line, and judging what a run came to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

import rflbuild
from rflbuild import sandbox
from rflbuild.kernel import Plan
from rflbuild.process import MARK
from rflbuild.verdict import Verdict

CHECKOUT = Path(rflbuild.__file__).resolve().parent.parent
MODULES = Path(__file__).resolve().parent.parent / "data" / "modules"
KERNEL = 3 * 3600.0  # seconds to fetch and to build a kernel; a quiet machine needs 600
GUEST = 240.0  # seconds for a module's build and a guest; a quiet machine needs three
_TOKEN = "RFLBUILD_TESTED"  # carried by a run itself, and not by its children
_PATIENCE = 5.0  # seconds for the watchdog to do its work after a kill
_SENTENCE = re.compile(rf"^(?:{'|'.join(Verdict)}): ")


@dataclass(frozen=True)
class BuiltKernel:
    """A kernel in the user's store, and the plan that it came from."""

    name: str
    out: Path
    plan: Plan


@dataclass(frozen=True)
class DebianImage:
    """The Debian guest's disk in the user's store, its key, and a root with disks' tools."""

    disk: Path
    identity: Path
    tools: Path

    def tool(self, *argv: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a tool, such as qemu-img or debugfs, that may write in a folder."""
        return subprocess.run(
            sandbox.enter(self.tools, argv, cwd=folder, read=[self.disk.parent], write=[folder]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )

    def raw(self, folder: Path, disk: Path | None = None) -> Path:
        """A raw copy, in a folder, of the image or of another disk there."""
        path = folder / "copy.raw"
        words = ["qemu-img", "convert", "--force-share", "-O", "raw", str(disk or self.disk)]
        done = self.tool(*words, str(path), folder=folder)
        assert done.returncode == 0, done.stdout
        return path

    def assert_clean(self, folder: Path, disk: Path | None = None) -> None:
        """Have e2fsck look through the image, or another disk in a folder, which is left there."""
        raw = self.raw(folder, disk)
        done = self.tool("e2fsck", "-f", "-n", str(raw), folder=folder)
        raw.unlink()
        assert done.returncode == 0, done.stdout


@dataclass(frozen=True)
class Run:
    """A command line that has ended."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def text(self) -> str:
        return f"{self.stdout}{self.stderr}"

    def came_to(self, verdict: Verdict) -> str:
        """Its one sentence, once it is sure that it came to this verdict and to no traceback."""
        assert "Traceback" not in self.text, self
        assert self.status == verdict.exit_code, self
        sentences = [line for line in self.text.splitlines() if _SENTENCE.match(line)]
        assert len(sentences) == 1, self
        assert sentences[0].startswith(f"{verdict}: "), self
        return sentences[0].removeprefix(f"{verdict}: ")

    def passed(self) -> str:
        """Its line of success."""
        assert "Traceback" not in self.text, self
        assert self.status == 0, self
        lines = [line for line in self.text.splitlines() if line.startswith("pass ")]
        assert len(lines) == 1, self
        return lines[0]

    def __str__(self) -> str:
        return (
            f"`{' '.join(self.argv)}` ended with {self.status} after {self.seconds:.1f} s\n"
            f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}---"
        )

    __repr__ = __str__


class Started:
    """A command line that runs, in a session and a process group of its own."""

    def __init__(self, process: subprocess.Popen[str], argv: Sequence[str], token: str) -> None:
        self.process = process
        self.pid = process.pid
        self._argv = tuple(argv)
        self._token = token
        self._begun = time.monotonic()

    def end(self, timeout: float, stdin: str | None = None) -> Run:
        """Wait for its end, and make sure that it leaves no process behind."""
        try:
            stdout, stderr = self.process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            shown = self.children()
            self.kill()
            stdout, stderr = self.process.communicate()
            run = Run(self._argv, -signal.SIGKILL, stdout, stderr, timeout)
            pytest.fail(f"it did not end within {timeout:.0f} s; running: {shown}\n{run}")
        seconds = time.monotonic() - self._begun
        run = Run(self._argv, self.process.returncode, stdout, stderr, seconds)
        left = left_behind(self.pid, self._token)
        assert not left, f"left behind: {left}\n{run}"
        return run

    def kill(self) -> None:
        """SIGKILL, for itself alone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def children(self) -> dict[int, str]:
        """What runs on its behalf: command names by process id."""
        return _children(self.pid)

    def handles(self, number: signal.Signals) -> bool:
        """Whether it has come so far as to handle a signal (proc(5), SigCgt)."""
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", text, re.MULTILINE)
        return bool(found and int(found[1], 16) >> (number - 1) & 1)


class Rfl:
    """The command line of a copy of the checkout; calling it runs it to its end."""

    def __init__(self, workspace: Path, store: Path) -> None:
        self.workspace = workspace
        self.store = store
        self.running: list[Started] = []

    @property
    def results(self) -> Path:
        return self.workspace / "results"

    def on(self, store: Path) -> Rfl:
        """The same command line with another store."""
        other = Rfl(self.workspace, store)
        other.running = self.running
        return other

    def environment(self) -> dict[str, str]:
        """What a run gets to see."""
        return {
            **os.environ,
            "RFLBUILD_CACHE": str(self.store),
            "PYTHONPATH": str(self.workspace),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(
        self,
        *args: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> Started:
        """Start a run; `wrapper` is a command that executes the one after it."""
        token = uuid.uuid4().hex
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "rflbuild", *args],
            cwd=cwd or self.workspace,
            env={**self.environment(), **(env or {}), _TOKEN: token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        started = Started(process, ["rfl", *args], token)
        self.running.append(started)
        return started

    @contextlib.contextmanager
    def nothing_runs_on(self) -> Iterator[None]:
        """Kill what was started meanwhile and not ended, as by a test that failed half-way."""
        before = len(self.running)
        yield
        for started in self.running[before:]:
            if started.process.returncode is None:
                started.kill()
                started.process.communicate()

    @contextlib.contextmanager
    def on_terminal(
        self,
        *args: str,
        cwd: Path | None = None,
        timeout: float = 90.0,
        size: tuple[int, int] = (40, 120),
    ) -> Iterator[pexpect.spawn[str]]:
        """A run on a terminal of its own; at the end it is over and has left nothing behind.

        `size` is the terminal's, in lines and columns.
        """
        token = uuid.uuid4().hex
        terminal: pexpect.spawn[str] = pexpect.spawn(
            sys.executable,
            ["-m", "rflbuild", *args],
            cwd=cwd or self.workspace,
            env={**self.environment(), "TERM": "xterm", _TOKEN: token},
            timeout=timeout,
            encoding="utf-8",
            dimensions=size,
        )
        try:
            yield terminal
        finally:
            terminal.close(force=True)
        assert not left_behind(terminal.pid, token)

    def __call__(
        self,
        *args: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        stdin: str = "",
        timeout: float = 60.0,
    ) -> Run:
        return self.start(*args, cwd=cwd, env=env, wrapper=wrapper).end(timeout, stdin)

    def test(self, *args: str, timeout: float = GUEST, cwd: Path | None = None) -> Run:
        """A run of qemu-test."""
        return self("qemu-test", *args, timeout=timeout, cwd=cwd)

    def read_only(self, folder: Path) -> Sequence[str]:
        """Make a folder read-only; for root, to whom modes are nothing, by this wrapper."""
        if os.geteuid():
            folder.chmod(0o555)
            return ()
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(folder)]

    def result(self, folder: Path | None = None) -> dict[str, Any]:
        """The result.json of the newest run, or of the one in a folder."""
        text = ((folder or self.results / "latest") / "result.json").read_text()
        value: dict[str, Any] = json.loads(text)
        return value


def examples(guide: str) -> list[list[str]]:
    """The words of each `./rfl …` that docs/GUIDE.md shows, without `./rfl` itself."""
    lines = (CHECKOUT / "docs" / f"{guide}.md").read_text().splitlines()
    shown = (line.strip().removeprefix("$ ") for line in lines)
    return [shlex.split(line, comments=True)[1:] for line in shown if line.startswith("./rfl ")]


def replace(path: Path, old: str, new: str) -> None:
    """Put one text, which must be there, in the place of another in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def line_of(path: Path, text: str) -> int:
    """The number, from 1, of the first line with a text in it."""
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def places(output: str, level: str) -> list[tuple[str, int]]:
    """The file and the line of each diagnostic of a level in the lines of JSON of a check."""
    return [
        (span["file_name"], span["line_start"])
        for line in output.splitlines()
        for each in [json.loads(line)]
        if each["level"] == level
        for span in each["spans"]
        if span["is_primary"]
    ]


def until(seconds: float, pause: float = 0.02) -> Iterator[float]:
    """Go on, with pauses, until so much time has passed; yields the seconds that have."""
    begun = time.monotonic()
    while True:
        yield time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            return
        time.sleep(pause)


def waited_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    return any(condition() for _ in until(seconds))


def isolated(*flags: str) -> list[str]:
    """The command that runs another one in namespaces of its own."""
    wrapper = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), *flags]
    try:
        probe = subprocess.run([*wrapper, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here")
    if probe.returncode:
        pytest.skip(f"namespaces are not to be had here: {probe.stderr.strip()}")
    return wrapper


def with_disk(folder: Path, kilobytes: int, then: str = "true") -> Sequence[str]:
    """The command that runs another one with a small disk of its own in a folder."""
    script = f'mount -t tmpfs -o size={kilobytes}k none "$0" && {then} && exec "$@"'
    return [*isolated("--mount"), "sh", "-c", script, str(folder)]


def git(folder: Path, *words: str, **environ: str) -> str:
    """What git says in a folder; nothing of the user's own settings takes part."""
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    return subprocess.run(
        ["git", *words],
        cwd=folder,
        env={
            **os.environ,
            **dict.fromkeys(who, "tester@example.org"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **environ,
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    ).stdout


def restore(tree: Path) -> None:
    """Make a git checkout what its last commit says, and nothing else."""
    git(tree, "reset", "--quiet", "--hard")
    git(tree, "clean", "--quiet", "--force", "-d", "-x")


@contextlib.contextmanager
def restored(tree: Path, is_built: Callable[[], bool]) -> Iterator[None]:
    """Make a git checkout what its last commit says, now and when the context ends.

    Make takes a file that went back for a new one, which costs all Rust of a kernel if it is
    a header of bindgen's. So unless it `is_built` by then, times of change go back as well.
    """
    restore(tree)
    index = tree / ".git" / "index.before"  # has each file's time
    shutil.copyfile(tree / ".git" / "index", index)
    try:
        yield
    finally:
        changed = git(tree, "diff", "--name-only", "HEAD").splitlines()
        restore(tree)
        if changed and not is_built():
            told = git(tree, "ls-files", "--debug", "--", *changed, GIT_INDEX_FILE=str(index))
            for name, seconds, rest in re.findall(
                r"^(\S.*)\n.*\n +mtime: (\d+):(\d+)$", told, re.MULTILINE
            ):
                if name in changed:
                    time_ns = int(seconds) * 10**9 + int(rest)
                    os.utime(tree / name, ns=(time_ns, time_ns))
            git(tree, "update-index", "-q", "--refresh")  # or `reset` would write them again


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """What is below a folder, such that any change to it changes this."""
    found: dict[str, tuple[int, ...]] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            stat = path.lstat()
            row = (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns)
            found[str(path.relative_to(folder))] = row
    return found


def left_behind(pid: int | None, token: str) -> dict[int, str]:
    """What is there of a run that has ended, after the time that its watchdog may take."""
    own = f"{_TOKEN}={token}".encode()
    left: dict[int, str] = {}
    for _ in until(_PATIENCE):
        left = _children(pid) | _processes(lambda pair: pair == own)
        if not left:
            break
    return left


def _children(pid: int | None) -> dict[int, str]:
    name = f"{MARK}=".encode()
    mark = f"{pid}-".encode()

    def marked(pair: bytes) -> bool:
        # A run within a run, as ours within `./rfl test`, has the marks of both.
        return pair.startswith(name) and any(
            one.startswith(mark) for one in pair.removeprefix(name).split(b":")
        )

    return _processes(marked)


def _processes(has: Callable[[bytes], bool]) -> dict[int, str]:
    """The processes with a variable in their environment that is as `has` wants it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if any(has(pair) for pair in environment):
                found[int(entry.name)] = (entry / "comm").read_text().strip()
    return found
