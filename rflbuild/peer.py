"""A server on the host's loopback for a guest's network tests (docs/test-yaml.md, "The peer").

The guest reaches it at 10.0.2.2 through QEMU's user network. A TCP connection
begins with one line that says what it is for; a UDP datagram is sent back.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import random
import socket
import threading
from collections.abc import Iterator
from typing import Self

_IDLE = 60.0  # seconds after which a connection without a byte is closed
_BLOCK = 1 << 20
_MOST_BYTES = 1 << 40
_LONGEST_LINE = 80
_LARGEST_DATAGRAM = 65536


class Peer:
    """The server as long as the context lasts; its ports are the kernel's choice."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self.tcp_port = 0
        self.udp_port = 0

    def __enter__(self) -> Self:
        with self._stack as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            datagrams = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            datagrams.bind(("127.0.0.1", 0))
            self.tcp_port = listener.getsockname()[1]
            self.udp_port = datagrams.getsockname()[1]
            for work, port in ((self._accept, listener), (_send_back, datagrams)):
                threading.Thread(target=work, args=(port,), name="peer", daemon=True).start()
                stack.callback(_wake, port)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        with self._lock:
            self._closing = True
            for connection in self._connections:
                _wake(connection)

    def variables(self) -> dict[str, str]:
        """How a guest learns where the peer is: environment variables of its commands."""
        return {"RFL_PEER_TCP": str(self.tcp_port), "RFL_PEER_UDP": str(self.udp_port)}

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed: the run is over
            while True:
                connection, _ = listener.accept()
                name = "peer connection"
                threading.Thread(
                    target=self._serve, args=(connection,), name=name, daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            with self._lock:
                if self._closing:
                    return
                self._connections.add(connection)
            try:
                connection.settimeout(_IDLE)
                # A guest may go away, and a connection may be cut, at any time.
                with contextlib.suppress(OSError):
                    _converse(connection)
                    # Closing with bytes unread would cut off the answer (RFC 1122, 4.2.2.13).
                    connection.shutdown(socket.SHUT_WR)
                    _take(connection)
            finally:
                with self._lock:
                    self._connections.discard(connection)


def blocks(count: int) -> Iterator[bytes]:
    """The `count` pseudo-random bytes that `give` sends; the same ones each time."""
    for number in range(0, count, _BLOCK):
        yield random.Random(number).randbytes(min(_BLOCK, count - number))  # noqa: S311 - no secret


def digest(count: int) -> str:
    """The SHA-256 of what `give` sends."""
    total = hashlib.sha256()
    for block in blocks(count):
        total.update(block)
    return total.hexdigest()


def _converse(connection: socket.socket) -> None:
    words = _first_line(connection).split()
    match words:
        case ["take"]:
            count, total = _take(connection)
            connection.sendall(f"{count} {total}\n".encode())
        case ["echo"]:
            _echo(connection)
        case ["give" | "digest" as word, number] if _is_count(number):
            if word == "digest":
                connection.sendall(f"{digest(int(number))}\n".encode())
            else:
                for block in blocks(int(number)):
                    connection.sendall(block)
        case _:
            said = " ".join(words)
            connection.sendall(f"no `take`, `give N`, `digest N` or `echo`: {said}\n".encode())


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdecimal() and int(word) <= _MOST_BYTES


def _first_line(connection: socket.socket) -> str:
    """The first line, read byte by byte, so that what follows it is left in the socket."""
    line = b""
    while len(line) < _LONGEST_LINE:
        byte = connection.recv(1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return line.decode(errors="replace")


def _take(connection: socket.socket) -> tuple[int, str]:
    """Read to the end; how many bytes came, and their SHA-256."""
    count, total, buffer = 0, hashlib.sha256(), memoryview(bytearray(_BLOCK))
    while got := connection.recv_into(buffer):
        total.update(buffer[:got])
        count += got
    return count, total.hexdigest()


def _echo(connection: socket.socket) -> None:
    """Send back whatever comes, however late the other side reads it."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        block = b"begin"
        while block:
            try:
                block = connection.recv(_BLOCK)
            except OSError:
                block = b""
            waiting.put(block)

    reader = threading.Thread(target=read, name="peer echo", daemon=True)
    reader.start()
    try:
        while block := waiting.get():
            connection.sendall(block)
    finally:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        reader.join()


def _send_back(datagrams: socket.socket) -> None:
    buffer = memoryview(bytearray(_LARGEST_DATAGRAM))
    with contextlib.suppress(OSError):  # closed: the run is over
        while True:
            # An ICMP error for an answer that nobody took comes with a later call.
            with contextlib.suppress(ConnectionError):
                count, sender = datagrams.recvfrom_into(buffer)
                if sender is None:  # shut down
                    return
                datagrams.sendto(buffer[:count], sender)


def _wake(port: socket.socket) -> None:
    """End the calls that threads are in; closing the descriptor alone would not."""
    with contextlib.suppress(OSError):
        port.shutdown(socket.SHUT_RDWR)
