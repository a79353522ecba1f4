"""Watched files: that one was saved, once its editor is done with it, and whether it differs.

The kernel tells of every write (inotify(7), through watchdog). A look at sizes and times,
once a second, finds what inotify(7) is not told of: a save on another machine of a network's
file system, behind a symbolic link, or past the limits that it has.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rflbuild import module
from rflbuild.store import key_of

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

QUIET = 0.02  # seconds without an event until a save counts as done
_LONGEST = 0.3  # seconds that a save may take: after that, what is there is taken
_LOOK = 1.0  # seconds between two looks at sizes and times
_MOST_BYTES = 64_000_000  # of files whose content is compared; the build refuses larger ones


@dataclass(frozen=True)
class Place:
    """A folder that is watched: a module's sources, or the files of these names alone."""

    folder: Path
    names: frozenset[str] | None = None

    def files(self) -> list[Path]:
        """What is there of them, relative to the folder; nothing if it cannot be looked at."""
        if self.names is None:
            try:
                return list(module.files(self.folder))
            except OSError:  # which the build says as well
                return []
        return [Path(name) for name in sorted(self.names) if (self.folder / name).is_file()]

    def relative(self, path: Path) -> Path | None:
        """The path below this folder of a file that matters here."""
        if not path.is_relative_to(self.folder):
            return None
        below = path.relative_to(self.folder)
        if self.names is not None:
            return below if str(below) in self.names else None
        return below if below.parts and module.is_source(below) else None


@dataclass(frozen=True)
class Save:
    """One save or several at once: which files, and when, by the monotonic clock.

    `changed` is whether their content is another than before.
    """

    names: tuple[str, ...]
    at: float
    changed: bool


class Watch:
    """Watches places as long as its context lasts.

    `on_change` is called in the watch's own thread when there is a save for `wait` to
    take that changed something.
    """

    def __init__(self, places: Sequence[Place], on_change: Callable[[], None]) -> None:
        self._places = tuple(places)
        self._on_change = on_change
        self._news = threading.Condition()
        self._events: dict[str, float] = {}
        self._open: set[str] = set()  # files that are being written to
        self._save: Save | None = None
        self._closing = False
        self._observer: BaseObserver | None = None
        self.fault = ""  # why inotify(7) cannot be used here
        self._content = _content(self._places)
        self._stats = _stats(self._places)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._observe()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join()
        self._unobserve()

    def has_news(self) -> bool:
        """Whether there is a save that changed something and was not taken yet."""
        return self._save is not None and self._save.changed

    def wait(self, seconds: float) -> Save | None:
        """Take the newest save since the last call, if one comes in time."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that watches has died: see above")
        with self._news:
            self._news.wait_for(lambda: self._save, seconds)
            save, self._save = self._save, None
            return save

    # ---- in the watch's thread -----------------------------------------------------------

    def _run(self) -> None:
        folders = _identities(self._places)
        while True:
            with self._news:
                self._news.wait_for(lambda: self._events or self._closing, _LOOK)
                if self._closing:
                    return
                names, at = self._settled()
            stats = _stats(self._places)
            if not names:
                names = tuple(sorted({name for name, *_ in stats ^ self._stats}))
            self._stats = stats
            if folders != _identities(self._places):
                # A folder that was removed and made again is another one to inotify(7).
                self._unobserve()
                self._observe()
                folders = _identities(self._places)
            if names:
                self._compare(names, at)

    def _settled(self) -> tuple[tuple[str, ...], float]:
        """What was saved, as soon as nothing more comes, and when; called with the lock."""
        if not self._events:
            return (), time.monotonic()
        begun = time.monotonic()
        while not self._closing:
            now = time.monotonic()
            end = begun + _LONGEST
            if not self._open:
                end = min(end, max(self._events.values()) + QUIET)
            if now >= end:
                break
            self._news.wait(end - now)
        events, self._events = self._events, {}
        self._open.clear()
        return tuple(sorted(filter(None, events))), max(events.values())

    def _compare(self, names: tuple[str, ...], at: float) -> None:
        """Tell of a save, after a comparison of what there is with what there was."""
        content = _content(self._places)
        changed = content != self._content
        self._content = content
        there = tuple(filter(self._is_there, names))  # without the editor's temporary ones
        with self._news:
            if changed:
                older = self._save.names if self._save and self._save.changed else ()
                self._save = Save(tuple(sorted({*older, *(there or names)})), at, changed=True)
            elif there and not self._save:
                self._save = Save(there, at, changed=False)
            self._news.notify_all()
        if changed:
            self._on_change()

    def _is_there(self, name: str) -> bool:
        return any((place.folder / name).is_file() for place in self._places)

    # ---- inotify -------------------------------------------------------------------------

    def _observe(self) -> None:
        from watchdog import events
        from watchdog.observers import Observer

        kinds = [
            *(events.FileModifiedEvent, events.FileAttribEvent, events.FileClosedEvent),
            *(events.FileCreatedEvent, events.FileDeletedEvent, events.FileMovedEvent),
            *(events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent),
        ]
        handler = events.FileSystemEventHandler()
        handler.on_any_event = self._take  # type: ignore[method-assign]
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            for place in self._places:
                deep = place.names is None
                observer.schedule(handler, str(place.folder), recursive=deep, event_filter=kinds)
            observer.start()
        except OSError as error:
            self.fault = error.strerror or str(error)
            if observer:
                observer.stop()
        else:
            self.fault = ""
            self._observer = observer

    def _unobserve(self) -> None:
        if self._observer:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _take(self, event: FileSystemEvent) -> None:
        """An event of watchdog's, in a thread of its own."""
        with self._news:
            for raw in (event.src_path, event.dest_path):
                for place in self._places:
                    below = place.relative(Path(os.fsdecode(raw))) if raw else None
                    if below:
                        self._note(str(below), event)

    def _note(self, name: str, event: FileSystemEvent) -> None:
        self._events[name] = time.monotonic()
        if event.event_type == "modified":
            self._open.add(name)  # "closed" follows
        else:
            self._open.discard(name)
        self._news.notify_all()


def _content(places: Sequence[Place]) -> str:
    """A key of all that the places hold; another one each time if that cannot be read."""
    rows: list[tuple[str, str, bool]] = []
    total = 0
    for place in places:
        for name in place.files():
            path = place.folder / name
            try:
                content = path.read_bytes()
            except OSError:  # it has just gone, which the next event tells
                continue
            total += len(content)
            if total > _MOST_BYTES:
                return f"too much at {time.monotonic()}"
            executable = os.access(path, os.X_OK)
            rows.append((str(path), hashlib.sha256(content).hexdigest(), executable))
    return key_of(rows)


def _stats(places: Sequence[Place]) -> set[tuple[str, str, int, int]]:
    """The name, folder, size and time of each file."""
    return set(_stat_rows(places))


def _stat_rows(places: Sequence[Place]) -> Iterator[tuple[str, str, int, int]]:
    for place in places:
        for name in place.files():
            try:
                stat = (place.folder / name).stat()
            except OSError:
                continue
            yield str(name), str(place.folder), stat.st_size, stat.st_mtime_ns


def _identities(places: Sequence[Place]) -> list[tuple[int, int]]:
    """Which folders these are, for the kernel."""
    found = []
    for place in places:
        try:
            stat = place.folder.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((stat.st_dev, stat.st_ino))
    return found
