"""What a save costs under `watch`, to the line after its verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEADLINE = 120.0  # seconds; a quiet machine needs two
_PUT_BACK = 1.0  # seconds in which the guest gets ready for the next save


class Watcher:
    """A `watch` on a folder; `save` saves a file of it and waits for the verdict."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self.made: list[float] = []  # seconds of make, and all around it that qemu-test has too
        self.stepped: list[float] = []  # seconds of the steps

    def wait(self) -> str:
        """The verdict's line of the round that comes next."""
        assert self._child.stdout
        verdict = ""
        begun = time.monotonic()
        for line in self._child.stdout:
            if line.startswith("watching "):
                return verdict
            verdict = line
            if time.monotonic() - begun > _DEADLINE:
                break
        raise SystemExit(f"watch has ended, or does not come to a verdict: {verdict}")

    def save(self, path: Path, text: str) -> float:
        """Seconds from the end of a save to the verdict, which has to be a pass."""
        time.sleep(_PUT_BACK)
        path.write_text(text)
        begun = time.monotonic()
        verdict = self.wait()
        seconds = time.monotonic() - begun
        if not verdict.startswith("pass "):
            raise SystemExit(verdict)
        result = json.loads(Path(verdict.split()[-1], "result.json").read_text())
        self.made.append(sum(link["seconds"] for link in result["links"]))
        self.stepped.append(sum(step["seconds"] for step in result["steps"]))
        return seconds


@contextmanager
def watching(folder: Path) -> Iterator[Watcher]:
    """A `watch` that has judged a folder once."""
    child = subprocess.Popen(
        [sys.executable, "-m", "rflbuild", "watch", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # how it was ended
        text=True,
    )
    try:
        watcher = Watcher(child)
        watcher.wait()
        yield watcher
    finally:
        child.terminate()
        child.wait(30)
