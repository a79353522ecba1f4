"""emulator: the socket between QEMU and who reads a guest's shell."""

from __future__ import annotations

from rflbuild.emulator import roomy_pair

_PIECE = b"0123456789abcdef"  # as much as the kernel's hvc driver hands over at once
_COUNT = 20_000  # of them; a local pair of sockets is full after some three hundred


def test_much_fits_between_a_guest_and_a_reader_that_is_late() -> None:
    reader, writer = roomy_pair()
    with reader, writer:
        writer.setblocking(False)
        for _ in range(_COUNT):
            assert writer.send(_PIECE) == len(_PIECE)  # BlockingIOError where it is full

        received = 0
        while received < _COUNT * len(_PIECE):
            received += len(reader.recv(1 << 20))
