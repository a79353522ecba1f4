"""iperf3: knowing whether its server listens."""

from __future__ import annotations

import socket

from rflbuild.iperf3 import is_listened_to


def test_a_port_that_is_listened_to_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert is_listened_to(port)

    assert not is_listened_to(port)


def test_a_port_that_is_only_bound_is_not_listened_to() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        assert not is_listened_to(bound.getsockname()[1])
