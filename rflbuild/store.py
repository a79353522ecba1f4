"""The store: everything that was built, each thing under its key, made once.

A thing is made in a temporary folder and moved into place in one rename, under
a file lock, and never changed afterwards. So two runs at once build it once,
and a run killed at any moment leaves either nothing or the whole.

    <store>/<kind>/<key>/        what was built
    <store>/tmp/<kind>-<key>/    what is being built
    <store>/locks/<name>         file locks; they stay, being empty
    <store>/runs/<name>          a file for each of those who use the store now, locked by them
    <store>/work/<kind>/<name>/  folders that change: incremental builds, apt's lists
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rflbuild.verdict import RflError, Verdict, environment_error

RESUMABLE = ".resumable"
LOCK = ".lock"  # of a work folder to which other stores may have links, beside it
_FULL = 1_000_000  # bytes; with less, a failed write may have made room again


def key_of(*parts: object) -> str:
    """A key of 16 hexadecimal digits for JSON-able parts, equal for equal parts."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one.

    A file that was there keeps its mode.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Store:
    """A folder of immutable things by key; see the module's text for its layout."""

    root: Path
    on_wait: Callable[[str], None] = field(default=lambda _: None, compare=False)

    def path(self, kind: str, key: str) -> Path:
        """Where a thing is, or will be."""
        return self.root / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Whether a thing has been built; if so, it was used now."""
        path = self.path(kind, key)
        with contextlib.suppress(OSError):  # not there, or not ours to write to
            os.utime(path)
        return path.is_dir()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let everything that is used from now on stay for as long as the context lasts.

        A file that we hold locked says so, and its time of change since when.
        """
        half = self.root / "runs" / f".{os.getpid()}"
        path = half.with_name(f"{os.getpid()}-{time.time_ns()}")
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # a store that cannot be written to loses nothing
                half.parent.mkdir(parents=True, exist_ok=True)
                held.callback(path.unlink, missing_ok=True)
                fcntl.flock(held.enter_context(half.open("w")), fcntl.LOCK_EX)
                half.rename(path)
            yield

    def runs(self) -> list[float]:
        """Since when each of the contexts of `in_use` lasts that there are."""
        begun = []
        for path in (self.root / "runs").glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError), path.open() as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()  # of one that was killed
                except BlockingIOError:
                    begun.append(path.stat().st_mtime)
        return begun

    def remove_unused(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Remove what was not used for so long, and yield the kind and key of each thing.

        What was used since any of those began that are running now stays.
        """
        second = 1.0  # by which the clock of a file system may be late
        before = min([time.time() - seconds, *(begun - second for begun in self.runs())])
        kept = {"locks", "notes", "runs", "tmp"}
        for kind in sorted(p for p in self.root.glob("*") if p.is_dir() and p.name not in kept):
            depth = "*/*" if kind.name == "work" else "*"
            for path in sorted(p for p in kind.glob(depth) if p.is_dir()):
                if path.stat().st_mtime > before:
                    continue  # nor wait for who may be busy with it
                name = f"{path.parent.name}-{path.name}"
                beside = path.with_suffix(LOCK)
                with self.lock(name, at=beside if beside.exists() else None):
                    if path.is_dir() and path.stat().st_mtime <= before:
                        self._remove(path)
                        yield path.parent.name, path.name

    def remove(self, kind: str, key: str) -> None:
        """Remove a thing that will hardly be asked for again; `build` makes it anew."""
        with self.lock(f"{kind}-{key}"):
            if self.path(kind, key).is_dir():
                self._remove(self.path(kind, key))

    def _remove(self, path: Path) -> None:
        doomed = self.root / "tmp" / f"removed-{path.parent.name}-{path.name}"
        doomed.parent.mkdir(exist_ok=True)
        remove_tree(doomed)
        path.rename(doomed)
        remove_tree(doomed)

    def work(self, kind: str, name: str) -> Path:
        """A folder that may change, made if missing; lock `kind-name` to use it."""
        path = self.root / "work" / kind / name
        path.mkdir(parents=True, exist_ok=True)
        os.utime(path)
        return path

    @contextlib.contextmanager
    def scratch(self, kind: str) -> Iterator[Path]:
        """An empty folder of our own for as long as the context lasts."""
        path = self.root / "work" / kind / str(os.getpid())
        remove_tree(path)  # of a process that was killed
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            remove_tree(path)

    def build(
        self, kind: str, key: str, make: Callable[[Path], None], *, resumable: bool = False
    ) -> Path:
        """The thing's folder, made by `make(folder)` if it is not there yet.

        With `resumable`, a folder in which `make` ended in an orderly way, by an
        error or by Ctrl-C, is handed to the next `make` to go on with; after
        a kill it is not, since a file may be half-written, nor after `usage`,
        since what was asked for could not be.
        """
        path = self.path(kind, key)
        if self.has(kind, key):
            return path
        with self.lock(f"{kind}-{key}"):
            if path.is_dir():
                return path
            temporary = self.root / "tmp" / f"{kind}-{key}"
            mark = temporary / RESUMABLE
            if not mark.exists():
                remove_tree(temporary)
            temporary.mkdir(parents=True, exist_ok=True)
            mark.unlink(missing_ok=True)
            try:
                make(temporary)
            except BaseException as error:
                refused = isinstance(error, RflError) and error.verdict is Verdict.USAGE
                if resumable and not refused:
                    with contextlib.suppress(OSError):
                        mark.touch()
                else:
                    remove_tree(temporary)
                raise
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(path)
        return path

    @contextlib.contextmanager
    def lock(self, name: str, *, quiet: bool = False, at: Path | None = None) -> Iterator[None]:
        """Hold a file lock; the kernel releases it however the holder ends.

        A wait is told of unless it is `quiet`, for what our own threads share. The lock
        is the file `at`, for what several stores may have, else one of this store's.
        """
        path = at or self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not quiet:
                    self.on_wait(f"another rflbuild is busy with {name}; waiting for it")
                while True:  # polled, so that Ctrl-C and a run's time-out get a turn
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    time.sleep(0.05)
            yield

    def note(self, name: str, value: dict[str, object]) -> None:
        """Remember a small JSON value, such as how long a build took."""
        path = self.root / "notes" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(value, indent=1))

    def noted(self, name: str) -> dict[str, object] | None:
        """The value remembered under a name, if there is one."""
        try:
            value = json.loads((self.root / "notes" / f"{name}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def full_disk(self) -> RflError | None:
        """The error for a full disk if the store's is full, whatever a tool said of it."""
        if shutil.disk_usage(self.root).free >= _FULL:
            return None
        return explain_os_error(OSError(errno.ENOSPC, ""), self.root)

    def require_space(self, gigabytes: float, what: str) -> None:
        """Raise RflError(environment) unless the store's disk has that much free."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free / 1e9
        if free < gigabytes:
            raise environment_error(
                f"{what} needs {gigabytes:.1f} GB, but {self.root} has {free:.1f} GB free: "
                "make room, or set RFLBUILD_CACHE to a folder on a larger disk"
            )


def remove_tree(path: Path) -> None:
    """Remove a folder, read-only sub-folders included; nothing if it is not there.

    What is mounted in it, as a killed mmdebstrap leaves the host's /dev, is let go
    first. Raises RflError(environment) if that cannot be.
    """
    if not path.exists():
        return
    for place in _mounted_below(path):
        done = subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
        if done.returncode:
            raise environment_error(
                f"{place} is mounted in what has to be removed: type `sudo umount {place}`"
            )

    def retry(function: Callable[[str], object], name: str, found: tuple[Any, ...]) -> None:
        folder = Path(name).parent
        if not folder.is_relative_to(path):
            raise found[1]
        folder.chmod(0o700)
        function(name)

    shutil.rmtree(path, onerror=retry)


def _mounted_below(path: Path) -> list[str]:
    """The mount points below a folder, the deepest first (proc_pid_mountinfo(5), field 5)."""
    points = [
        re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    below = [point for point in points if Path(point).is_relative_to(path.resolve())]
    return sorted(below, key=len, reverse=True)


def explain_os_error(error: OSError, store: Path) -> RflError:
    """A full disk or a forbidden folder as the sentence that the user gets."""
    where = error.filename or store
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return environment_error(
            f"the disk of {where} is full: make room, or set RFLBUILD_CACHE to a folder elsewhere"
        )
    return environment_error(f"cannot use {where}: {error.strerror or error}")
