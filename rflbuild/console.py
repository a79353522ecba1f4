"""A guest's serial port: the kernel's log, kept in a file and read as it comes."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import IO

from rflbuild.klog import LogReader, Message, Splat

OWN = "rfl: "  # begins the messages by which a Guest frames its commands
CONSOLE_LOG = "console.log"
DRAIN = 2.0  # seconds for the last messages to come through after an end


class Console:
    """The serial port: every byte goes to a file as it comes, and to a LogReader.

    `before` is what the port has said before it was ours.
    """

    def __init__(self, port: socket.socket, log: IO[bytes], before: bytes = b"") -> None:
        self._port = port
        self._log = log
        self._changed = threading.Condition()
        self.reader = LogReader()
        self.ended = False
        self.fault: OSError | None = None  # why the log is not written any more
        if before:
            self._keep(before)
            self.reader.feed(before)
        self._thread = threading.Thread(target=self._pump, name="console", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        while True:
            try:
                chunk = self._port.recv(65536)
            except OSError:
                chunk = b""
            with self._changed:
                if chunk:
                    self._keep(chunk)
                    self.reader.feed(chunk)
                else:
                    self.ended = True
                self._changed.notify_all()
            if not chunk:
                return

    def _keep(self, chunk: bytes) -> None:
        """Write to the log; a full disk must not stop the reading, or the guest would hang."""
        if self.fault is None:
            try:
                self._log.write(chunk)
                self._log.flush()
            except OSError as error:
                self.fault = error

    def wait_for(self, pattern: re.Pattern[str], mark: int, seconds: float) -> bool:
        """Whether a message that matches comes, or has come since the mark, in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                messages = self.reader.messages
                while mark < len(messages):
                    if pattern.search(messages[mark].text):
                        return True
                    mark += 1
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    return False
                self._changed.wait(left)

    def mark(self) -> int:
        """Where messages that come from now on begin."""
        with self._changed:
            return len(self.reader.messages)

    def since(self, mark: int) -> list[Message]:
        """The kernel's messages since a mark, without our own framing."""
        with self._changed:
            return [m for m in self.reader.messages[mark:] if not m.text.startswith(OWN)]

    def splats(self) -> list[Splat]:
        """Reports of trouble so far."""
        with self._changed:
            return list(self.reader.splats)

    def drain(self, seconds: float) -> None:
        """Wait until QEMU has closed the port, for so long at most."""
        self._thread.join(seconds)

    def close(self) -> None:
        """Take what still comes of an ended QEMU, then read and write no more."""
        self.drain(DRAIN)
        with contextlib.suppress(OSError):
            self._port.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def send(self, text: bytes) -> None:
        """Type on the serial port."""
        self._port.sendall(text)
