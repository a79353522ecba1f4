"""ssh: the port that QEMU has forwarded, ssh_config, and waiting for sshd."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rflbuild import ssh
from rflbuild.ssh import Access

# What QEMU 10 says to `info usernet`, with two networks and a connection that is open.
USERNET = """\
Hub -1 (net):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   31       127.0.0.1 40112       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]  22       127.0.0.1 38741       10.0.2.15    22     0     0
  UDP[236 sec]       30       10.0.2.15 38741        10.0.2.3    53     0     0
"""
ACCESS = Access(Path("/store/image/id_ed25519"), Path("/store/image/known_hosts"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def answer(listener: socket.socket, words: bytes) -> None:
    """Say something to who comes first, and hang up."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(words)

    threading.Thread(target=serve, daemon=True).start()


def test_the_port_is_the_one_that_qemu_has_forwarded() -> None:
    assert ssh.forwarded_port(USERNET) == 38741


def test_a_guest_without_a_network_has_no_port() -> None:
    assert ssh.forwarded_port("") is None


@pytest.mark.parametrize("folder", ["/store/image", "/home/me/100% my keys"])
def test_ssh_understands_the_config(tmp_path: Path, folder: str) -> None:
    access = Access(Path(folder, "id_ed25519"), Path(folder, "known_hosts"))
    path = tmp_path / "ssh_config"
    path.write_text(ssh.config(access, 38741))

    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), ssh.HOST], capture_output=True, text=True, check=True
    )

    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (told["hostname"], told["port"], told["user"]) == ("127.0.0.1", "38741", "root")
    assert told["identityfile"].replace("%%", "%") == str(access.identity)
    assert told["userknownhostsfile"].replace("%%", "%") == str(access.known_hosts)
    assert told["hostkeyalias"] == access.alias
    assert told["stricthostkeychecking"] in ("true", "yes")


def test_sshd_is_there_when_it_says_its_version(listener: socket.socket) -> None:
    answer(listener, b"SSH-2.0-OpenSSH_10.0\r\n")

    assert ssh.has_banner(port_of(listener), 5.0)


def test_a_connection_alone_is_no_sshd(listener: socket.socket) -> None:
    assert not ssh.has_banner(port_of(listener), 0.2)  # taken, and nothing said


def test_one_that_hangs_up_is_no_sshd(listener: socket.socket) -> None:
    answer(listener, b"")

    assert not ssh.has_banner(port_of(listener), 0.2)


def test_the_guest_that_runs_is_the_newest_that_answers(
    tmp_path: Path, listener: socket.socket
) -> None:
    dead = socket.create_server(("127.0.0.1", 0))
    for name, port in (("1-old", port_of(listener)), ("2-new", port_of(dead))):
        (tmp_path / name).mkdir()
        (tmp_path / name / ssh.CONFIG).write_text(ssh.config(ACCESS, port))
    dead.close()
    answer(listener, b"SSH-2.0-x\r\n")

    assert ssh.running(tmp_path) == tmp_path / "1-old" / ssh.CONFIG
    assert not (tmp_path / "2-new" / ssh.CONFIG).exists()  # of a run that was killed


def test_there_may_be_no_guest_that_runs(tmp_path: Path) -> None:
    assert ssh.running(tmp_path) is None
