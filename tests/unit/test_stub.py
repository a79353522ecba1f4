"""stub: the socket of a guest that waits for gdb, and which guests do."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import stub

_HOLD = """
import sys, pathlib
from rflbuild import stub
with stub.listen(pathlib.Path(sys.argv[1])):
    print("listening", flush=True)
    sys.stdin.read()
    import time; time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "20260101-120000-shell-blinky"
    path.mkdir()
    return path


def test_who_comes_to_the_socket_is_served(folder: Path) -> None:
    with stub.listen(folder) as listener, socket.socket(socket.AF_UNIX) as comer:
        comer.connect(str(folder / stub.SOCKET))
        served, _ = listener.accept()
        served.close()


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()

    with stub.listen(folder):
        assert (folder / stub.SOCKET).is_socket()


def test_others_cannot_come(folder: Path) -> None:
    with stub.listen(folder):
        assert (folder / stub.SOCKET).stat().st_mode & 0o022 == 0


def test_nothing_is_left_of_it(folder: Path) -> None:
    with stub.listen(folder):
        pass

    assert not list(folder.iterdir())


def test_guests_wait_the_newest_first(tmp_path: Path) -> None:
    names = ["20260101-120000-shell-a", "20260101-120001-shell-b"]
    for name in names:
        (tmp_path / name).mkdir()

    with stub.listen(tmp_path / names[0]), stub.listen(tmp_path / names[1]):
        (tmp_path / "latest").symlink_to(names[1])
        assert [folder.name for folder in stub.waiting(tmp_path)] == names[::-1]

    assert stub.waiting(tmp_path) == []


def test_a_guest_of_a_run_that_was_killed_waits_no_more(
    folder: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = start_python(_HOLD, str(folder))
    assert holder.stdout
    assert holder.stdout.readline() == "listening\n"
    assert stub.waiting(folder.parent) == [folder]

    holder.kill()
    holder.wait()

    assert (folder / stub.SOCKET).is_socket()
    assert stub.waiting(folder.parent) == []


def test_where_nothing_ever_ran_nothing_waits(tmp_path: Path) -> None:
    assert stub.waiting(tmp_path / "results") == []
