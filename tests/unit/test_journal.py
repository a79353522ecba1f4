"""journal: a log that goes on in another folder loses nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rflbuild.journal import Journal


def test_what_was_written_is_there_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "log") as journal:
        journal.write(b"one\n")
        assert (tmp_path / "log").read_bytes() == b"one\n"


def test_a_log_that_moves_takes_along_what_it_has(tmp_path: Path) -> None:
    with Journal(tmp_path / "first") as journal:
        journal.write(b"one\n")
        journal.move_to(tmp_path / "second")
        journal.write(b"two\n")
        journal.move_to(tmp_path / "third")
        journal.write(b"three\n")

    assert (tmp_path / "first").read_bytes() == b"one\n"
    assert (tmp_path / "second").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "third").read_bytes() == b"one\ntwo\nthree\n"


def test_a_log_that_moves_while_it_is_written_has_every_line_in_order(tmp_path: Path) -> None:
    lines = [f"{number}\n".encode() for number in range(3000)]
    with Journal(tmp_path / "0") as journal:
        writer = threading.Thread(target=lambda: [journal.write(line) for line in lines])
        writer.start()
        for number in range(1, 50):
            journal.move_to(tmp_path / str(number))
        writer.join()

    assert (tmp_path / "49").read_bytes() == b"".join(lines)


def test_a_log_that_is_there_already_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path / "log") as journal:
        journal.write(b"one\n")
        journal.move_to(tmp_path / "log")
        journal.write(b"two\n")

    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_log_that_cannot_move_stays(tmp_path: Path) -> None:
    with Journal(tmp_path / "log") as journal:
        journal.write(b"one\n")
        with pytest.raises(FileNotFoundError):
            journal.move_to(tmp_path / "none" / "log")
        journal.write(b"two\n")

    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
