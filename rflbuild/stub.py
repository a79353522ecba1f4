"""The socket at which a running guest waits for gdb, and how to find it.

It lies in the guest's results folder, so that no two guests share one and no other
user reaches it: who speaks to QEMU's gdb stub commands QEMU. A file beside it is
locked for as long as the guest runs, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

SOCKET = "gdb.sock"
_LOCK = "gdb.lock"


@contextlib.contextmanager
def listen(folder: Path) -> Iterator[socket.socket]:
    """A socket that listens in a results folder as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context((folder / _LOCK).open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.callback((folder / _LOCK).unlink, missing_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, opened)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        # By a short name: a socket's address has 107 bytes (unix(7)).
        listener.bind(f"/proc/self/fd/{opened}/{SOCKET}")
        stack.callback((folder / SOCKET).unlink, missing_ok=True)
        listener.listen(1)
        yield listener


def waiting(results: Path) -> list[Path]:
    """The results folders whose guests run and can be debugged, the newest first."""
    found = sorted((path.parent for path in results.glob(f"*/{SOCKET}")), reverse=True)
    return [folder for folder in found if not folder.is_symlink() and _is_locked(folder / _LOCK)]


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
