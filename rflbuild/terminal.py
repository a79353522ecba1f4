"""What a person sees while the chain runs: a line for each link and each step.

With `--json` these lines go to stderr, so that stdout holds the JSON alone.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY = 10.0  # seconds between progress lines where there is no terminal
_COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}


class Terminal:
    """Lines and progress on one stream; several threads may report at once."""

    def __init__(self, stream: TextIO, *, colour: bool | None = None) -> None:
        self._stream = stream
        self.is_tty = stream.isatty()
        self._colour = self.is_tty if colour is None else colour
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._bars = 0

    def line(self, text: str = "") -> None:
        """Write one line."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            if self._progress:
                self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                self._stream.write(text + "\n")
                self._stream.flush()

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where the stream shows colours."""
        if not self._colour or self._progress:
            return text
        return f"\033[{_COLOURS[colour]}m{text}\033[0m"

    def link(self, name: str, what: str, how: str, seconds: float | None = None) -> None:
        """One link of the chain is ready: its name, what it is, built or cached."""
        took = f"  {duration(seconds)}" if seconds is not None and seconds >= 0.05 else ""
        self.line(f"{self.paint(f'{name:<10}', 'bold')} {what:<44} {how}{took}")

    def note(self, text: str) -> None:
        """Something that the user should know, and need not act on."""
        self.line(f"{self.paint('note', 'yellow'):<10} {text}")

    @contextlib.contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Meter]:
        """A meter for a long job: a bar on a terminal, else a plain line now and then."""
        meter = Meter(self, what, total)
        if not self.is_tty:
            yield meter
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description:<28}"),
                    BarColumn(),
                    TextColumn("{task.fields[count]:>11}"),
                    TimeElapsedColumn(),
                    console=Console(file=self._stream),
                    transient=True,
                )
                self._progress.start()
            self._bars += 1
            meter.bar = self._progress.add_task(what, total=total, count="")
        try:
            yield meter
        finally:
            with self._lock:
                progress = self._progress
                progress.remove_task(meter.bar)
                self._bars -= 1
                if not self._bars:
                    progress.stop()
                    self._progress = None

    def _advance(self, meter: Meter) -> None:
        with self._lock:
            if self._progress and meter.bar is not None:
                count = f"{meter.done}/{meter.total}" if meter.total else f"{meter.done or ''}"
                self._progress.update(
                    meter.bar, completed=meter.done, total=meter.total, count=count
                )
                return
        now = time.monotonic()
        if not self.is_tty and now - meter.shown >= PLAIN_EVERY:
            meter.shown = now
            part = f"{meter.done} of about {meter.total}" if meter.total else f"{meter.done}"
            self.line(f"  … {meter.what}: {part}, {duration(now - meter.begun)}")


class Meter:
    """Counts what a long job has done; `step()` may be called from any thread."""

    def __init__(self, terminal: Terminal, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.begun = self.shown = time.monotonic()
        self.bar: TaskID | None = None
        self._terminal = terminal

    def step(self, count: int = 1) -> None:
        """That many more are done."""
        self.done += count
        if self.total is not None and self.done > self.total:
            self.total = self.done
        self._terminal._advance(self)  # noqa: SLF001 - the meter is the terminal's hand


def duration(seconds: float) -> str:
    """Seconds as people write them: `12 ms`, `1.3 s`, `2 min 05 s`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def without_repeats(lines: Iterable[str]) -> list[str]:
    """The lines, with those that are the same one after the other as one that says how often."""
    runs = ((line, len(list(same))) for line, same in itertools.groupby(lines))
    return [line if times == 1 else f"{line} ({times} times)" for line, times in runs]


def table(
    stream: TextIO, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table; the first column is kept whole."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        view.add_column(name, no_wrap=number == 0, overflow="fold")
    for row in rows:
        view.add_row(*(Text(cell) for cell in row))
    width = None if stream.isatty() else 160
    Console(file=stream, width=width, highlight=False).print(view)
