"""The host's end of `./rfl bench e1000`; tests/bench/traffic.c is the guest's.

It does as little as it can for a byte or a packet, so that the guest is what is
measured.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BATCH = 64  # answers to a datagram; as in traffic.c
DISCARD, ANSWER = 9, 7  # UDP ports: the frames to the first are dropped, to the second answered
_BLOCK = 1 << 18
_LENGTH = struct.Struct(">I")  # goes before each frame on QEMU's `-netdev stream`
# Where things are in a frame of UDP over IPv4 without options (RFC 894, 791, 768).
_TO_MAC, _FROM_MAC, _KIND = slice(0, 6), slice(6, 12), slice(12, 26)
_FROM_IP, _TO_IP = slice(26, 30), slice(30, 34)
_FROM_PORT, _TO_PORT = slice(34, 36), slice(36, 38)
_REST = slice(38, None)


@dataclass(frozen=True)
class HostEnd:
    """The ports of the host's loopback: TCP to send to, TCP to read from, frames."""

    sink: int
    source: int
    wire: int


@contextlib.contextmanager
def serve() -> Iterator[HostEnd]:
    """The host's end for as long as the context lasts."""
    with contextlib.ExitStack() as stack:

        def port(job: Callable[[socket.socket], None]) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_accept, args=(listener, job), daemon=True).start()
            stack.callback(_end, listener)
            return int(listener.getsockname()[1])

        yield HostEnd(port(_take), port(_give), port(_answer_frames))


def _accept(listener: socket.socket, job: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):  # the listener was closed
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, job), daemon=True).start()


def _converse(connection: socket.socket, job: Callable[[socket.socket], None]) -> None:
    with connection, contextlib.suppress(OSError):  # the guest hangs up when it has enough
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        job(connection)


def _take(connection: socket.socket) -> None:
    block = bytearray(_BLOCK)
    while connection.recv_into(block):
        pass
    connection.sendall(b".")


def _give(connection: socket.socket) -> None:
    block = bytes(_BLOCK)
    while True:
        connection.sendall(block)


def _answer_frames(connection: socket.socket) -> None:
    """Answer each datagram to ANSWER with BATCH of them; all other frames are dropped."""
    wanted = struct.pack(">H", ANSWER)
    rest = b""
    while chunk := connection.recv(_BLOCK):
        rest += chunk
        begin = 0
        while len(rest) >= begin + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(rest, begin)
            end = begin + _LENGTH.size + length
            if len(rest) < end:
                break
            if rest[begin + 40 : begin + 42] == wanted:
                frame = _turned(rest[begin + _LENGTH.size : end])
                connection.sendall((_LENGTH.pack(length) + frame) * BATCH)
            begin = end
        rest = rest[begin:]


def _turned(frame: bytes) -> bytes:
    """The frame with sender and receiver exchanged; the checksums, being sums, still hold."""
    parts = (_FROM_MAC, _TO_MAC, _KIND, _TO_IP, _FROM_IP, _TO_PORT, _FROM_PORT, _REST)
    return b"".join(frame[part] for part in parts)


def _end(listener: socket.socket) -> None:
    """Wake the thread that accepts; closing the descriptor alone would not."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
