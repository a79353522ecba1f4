"""iperf3's server on the host's loopback, for as long as a guest runs.

The guest reaches it at 10.0.2.2, as it does the peer (peer.py).
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Self

from rflbuild.session import Session
from rflbuild.verdict import environment_error

_TIMEOUT = 10.0  # seconds until it listens
_ATTEMPTS = 3  # a port that was free may be another's by then


class Iperf3:
    """The server; leaving the context ends it."""

    def __init__(self, session: Session, log: Path) -> None:
        self._session = session
        self._log = log
        self._stack = contextlib.ExitStack()
        self.port = 0

    def __enter__(self) -> Self:
        for _ in range(_ATTEMPTS):
            if self._listens():
                return self
        raise environment_error(f"iperf3's server does not listen; see {self._log}")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def variables(self) -> dict[str, str]:
        """How a guest learns where it is: an environment variable of its commands."""
        return {"RFL_IPERF3": str(self.port)}

    def _listens(self) -> bool:
        from rflbuild import image, sandbox  # its program is one of the image's tools

        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(self.port)]
        argv = sandbox.enter(image.tools(self._session), words, cwd=Path("/"))
        with self._log.open("wb") as log:
            child = self._session.processes.start(argv, output=log)
        deadline = time.monotonic() + _TIMEOUT
        while child.poll() is None and time.monotonic() < deadline:
            # A connection would be taken for a client, so the kernel's list is looked at.
            if is_listened_to(self.port):
                self._stack.callback(self._session.processes.stop, child)
                return True
            time.sleep(0.02)
        self._session.processes.stop(child)
        return False


def is_listened_to(port: int) -> bool:
    """Whether somebody listens on a TCP port of the host's loopback (proc_net_tcp.rst)."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = (row.split() for row in rows)
    return any(row[1] == f"0100007F:{port:04X}" and row[3] == "0A" for row in fields)
