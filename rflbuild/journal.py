"""A log that can go on in another folder while it is being written."""

from __future__ import annotations

import io
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Journal(io.FileIO):
    """A new file whose every write is on the disk's side at once, and whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self._path = path
        self._lock = threading.Lock()

    def write(self, data: ReadableBuffer) -> int:
        """Write all of it; OSError if the disk is full."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        with self._lock:
            while rest:
                rest = rest[super().write(rest) :]
        return count

    def move_to(self, path: Path) -> None:
        """Go on in another file, which begins with what was written so far."""
        with self._lock:
            if path == self._path:  # a round that was ended had moved it there
                return
            shutil.copyfile(self._path, path)
            with path.open("ab") as file:
                os.dup2(file.fileno(), self.fileno(), inheritable=False)
            self._path = path
