"""peer: what it takes and gives, and that it ends with its context."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rflbuild import peer
from rflbuild.peer import Peer

MEGABYTE = 1 << 20


@pytest.fixture
def server() -> Iterator[Peer]:
    with Peer() as opened:
        yield opened


def connect(server: Peer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.tcp_port))
    connection.settimeout(60)
    return connection


def everything(connection: socket.socket) -> bytes:
    came = bytearray()
    while block := connection.recv(MEGABYTE):
        came += block
    return bytes(came)


def ask(server: Peer, line: bytes, more: bytes = b"") -> bytes:
    """The whole answer to a line and what follows it, sent and received at once."""
    with connect(server) as connection:

        def send() -> None:
            connection.sendall(line + more)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        answer = everything(connection)
        sender.join()
    return answer


@pytest.fixture(scope="module")
def data() -> bytes:
    return random.Random(1).randbytes(5 * MEGABYTE + 7)  # noqa: S311


def test_what_was_taken_is_told_by_count_and_checksum(server: Peer, data: bytes) -> None:
    answer = ask(server, b"take\n", data)

    assert answer.decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}\n"


@pytest.mark.parametrize("count", [0, 1, MEGABYTE - 1, MEGABYTE, 3 * MEGABYTE + 5])
def test_what_is_given_has_the_length_and_the_checksum_that_were_told(
    server: Peer, count: int
) -> None:
    given = ask(server, b"give %d\n" % count)
    told = ask(server, b"digest %d\n" % count)

    assert len(given) == count
    assert told.decode() == f"{hashlib.sha256(given).hexdigest()}\n"


def test_what_is_given_never_repeats_itself() -> None:
    blocks = list(peer.blocks(4 * MEGABYTE))

    assert len(set(blocks)) == len(blocks) > 1


def test_an_echo_is_what_was_sent(server: Peer, data: bytes) -> None:
    assert ask(server, b"echo\n", data) == data


def test_an_echo_waits_for_a_reader_that_first_sends_all(server: Peer, data: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(b"echo\n" + data)
        connection.shutdown(socket.SHUT_WR)

        assert everything(connection) == data


@pytest.mark.parametrize(
    "line", [b"\n", b"tkae\n", b"give\n", b"give x\n", b"give -1\n", b"take 5\n", b"\xff" * 200]
)
def test_a_line_that_is_not_understood_is_answered_with_what_would_be(
    server: Peer, line: bytes
) -> None:
    assert b"`take`, `give N`, `digest N` or `echo`" in ask(server, line)


@pytest.mark.parametrize("size", [0, 1, 1472, 65507])
def test_a_datagram_comes_back(server: Peer, size: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.settimeout(60)
        ours.connect(("127.0.0.1", server.udp_port))
        ours.send(b"x" * size)

        assert ours.recv(65536) == b"x" * size


def test_a_sender_that_is_gone_does_not_end_the_echo_of_others(server: Peer) -> None:
    for _ in range(3):
        with socket.socket(type=socket.SOCK_DGRAM) as gone:
            gone.sendto(b"gone", ("127.0.0.1", server.udp_port))
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.settimeout(60)
        ours.connect(("127.0.0.1", server.udp_port))
        ours.send(b"here")

        assert ours.recv(65536) == b"here"


def test_connections_are_served_at_once(server: Peer) -> None:
    with connect(server) as idle:
        assert ask(server, b"take\n", b"x").startswith(b"1 ")
        idle.sendall(b"give 1\n")
        assert len(everything(idle)) == 1


def test_it_can_be_reached_from_this_machine_alone(server: Peer) -> None:
    with connect(server) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.tcp_port))


@pytest.mark.parametrize("line", [b"", b"take\nabc", b"echo\nabc", b"give 1000000000\n"])
def test_its_end_ends_every_connection_and_thread(line: bytes) -> None:
    with Peer() as server:
        connection = connect(server)
        connection.sendall(line)
        deadline = time.monotonic() + 60
        while not server._connections and time.monotonic() < deadline:
            time.sleep(0.01)
    with connection, contextlib.suppress(ConnectionResetError):
        everything(connection)
    deadline = time.monotonic() + 60
    while peers_threads() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not peers_threads()
    with pytest.raises(OSError, match="refused"):
        connect(server)


def peers_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("peer")]
