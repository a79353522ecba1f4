"""A Debian of the user's own, made by other means than our builder's, and reached by SSH.

The quick one is a copy of ours from which everything of ours is taken: other name, other network,
other keys. The slow one is made as the Debian Quick Image Baker makes its images.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, DebianImage, Rfl, waited_for

pytestmark = pytest.mark.timeout(GUEST + 120, func_only=True)
OURS = (
    "/etc/ssh/sshd_config.d/guest.conf",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/systemd/network/99-default.link",
    "/etc/systemd/system/serial-getty@.service.d/guest.conf",
    "/etc/systemd/system/ssh.service.d/guest.conf",
    "/etc/udev/rules.d/90-guest-network.rules",
    "/root/.ssh/authorized_keys",
)
DHCP = "[Match]\nDriver=virtio_net\n[Network]\nDHCP=yes\n"
UNITS = "/usr/lib/systemd/system"
WANTED = "/etc/systemd/system/multi-user.target.wants"
FOLDERS = (WANTED, "/etc/systemd/network", "/root/.ssh")
# Stands for scp's other end: the guest is reset in the middle of a copy.
DIES = "#!/bin/sh\nsleep 1\nreboot -f\n"


@dataclass(frozen=True)
class Own:
    """An image of the user's, and a key of its root user."""

    debian: DebianImage
    image: Path
    identity: Path

    @property
    def words(self) -> list[str]:
        return ["--image", str(self.image), "--identity", str(self.identity)]

    def change(self, *commands: str) -> None:
        """Have debugfs change the image."""
        folder = self.image.parent
        (folder / "commands").write_text("\n".join(commands) + "\n")
        done = self.debian.tool("debugfs", "-w", "-f", "commands", self.image.name, folder=folder)
        assert done.returncode == 0, done.stdout

    def variant(self, folder: Path, *commands: str) -> Own:
        """A copy that is changed."""
        folder.mkdir()
        subprocess.run(
            ["cp", "--sparse=always", str(self.image), str(folder)], check=True, timeout=60
        )
        made = Own(self.debian, folder / self.image.name, self.identity)
        made.change(*commands)
        return made


@pytest.fixture(scope="module")
def own(debian: DebianImage, tmp_path_factory: pytest.TempPathFactory) -> Own:
    folder = tmp_path_factory.mktemp("own")
    made = Own(debian, debian.raw(folder), folder / "key")
    for name in ("key", "host"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name]
        assert debian.tool(*words, folder=folder).returncode == 0
    (folder / "hostname").write_text("stranger\n")
    (folder / "network").write_text(DHCP)
    made.change(
        *(f"rm {path}" for path in (*OURS, "/etc/hostname")),
        *(f"mkdir {path}" for path in FOLDERS),
        "write hostname /etc/hostname",
        "write network /etc/systemd/network/all.network",
        "write host /etc/ssh/ssh_host_ed25519_key",
        "sif /etc/ssh/ssh_host_ed25519_key mode 0100600",
        "write key.pub /root/.ssh/authorized_keys",
        f"symlink {WANTED}/systemd-networkd.service {UNITS}/systemd-networkd.service",
    )
    return made


def test_it_is_logged_into_at_its_console(rfl: Rfl, own: Own) -> None:
    rfl.test("hello", "--image", str(own.image)).passed()


def test_it_is_reached_by_ssh_with_a_key_of_the_users(rfl: Rfl, own: Own) -> None:
    rfl.test("hello", *own.words, "--over-ssh").passed()


def test_a_command_by_ssh_is_run_in_it(rfl: Rfl, own: Own) -> None:
    run = rfl("ssh", "cat /etc/hostname; exit 4", *own.words, timeout=GUEST)

    assert run.status == 4, run
    assert run.stdout.splitlines()[-1] == "stranger"


def test_another_key_is_refused_in_sshs_words(rfl: Rfl, debian: DebianImage, own: Own) -> None:
    words = ["--image", str(own.image), "--identity", str(debian.identity)]

    sentence = rfl.test("hello", *words, "--over-ssh").came_to(Verdict.ENVIRONMENT)

    assert sentence.startswith("the guest does not let ssh in (")
    assert "Permission denied" in sentence
    assert f"is {debian.identity} a key of its root user?" in sentence


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    rfl: Rfl, own: Own, tmp_path: Path
) -> None:
    folder = tmp_path / "my 100% keys"
    folder.mkdir()
    key = shutil.copy2(own.identity, folder / "key")
    words = ["ssh-keygen", "-q", "-p", "-N", "a word", "-f", "key"]
    assert own.debian.tool(*words, folder=folder).returncode == 0

    words = ["--image", str(own.image), "--identity", str(key), "--over-ssh"]
    # On a terminal, where ssh could ask.
    with rfl.on_terminal("qemu-test", "hello", *words, timeout=GUEST) as terminal:
        terminal.expect("the guest does not let ssh in .*Permission denied")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == Verdict.ENVIRONMENT.exit_code


def test_no_sshd_is_a_time_out_that_says_so(rfl: Rfl, own: Own, tmp_path: Path) -> None:
    mask = "symlink /etc/systemd/system/ssh.service /dev/null"
    masked = own.variant(tmp_path / "masked", mask)

    run = rfl.test("hello", *masked.words, "--over-ssh", "--timeout", "12")

    assert "no sshd answered in the guest" in run.came_to(Verdict.TIMEOUT)


def test_a_guest_that_is_reset_during_a_copy_is_told(rfl: Rfl, own: Own, tmp_path: Path) -> None:
    folder = tmp_path / "dies"
    (tmp_path / "sftp").write_text(DIES)
    server = "/usr/lib/openssh/sftp-server"
    dying = own.variant(folder)
    shutil.move(tmp_path / "sftp", folder / "sftp")
    dying.change(f"rm {server}", f"write sftp {server}", f"sif {server} mode 0100755")

    run = rfl.test("hello", *dying.words, "--files", "ssh")

    sentence = run.came_to(Verdict.ENVIRONMENT)
    assert sentence.startswith("the guest has ended by itself")
    assert not list((rfl.results / "latest").glob("ssh_config"))


def test_qemu_that_is_killed_during_a_copy_ends_the_copy(
    rfl: Rfl, own: Own, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    guest = rfl.start("shell", *own.words)
    assert guest.process.stdin
    guest.process.stdin.write("sleep 300\n")
    guest.process.stdin.close()
    guest.process.stdin = None
    assert waited_for(lambda: list(rfl.results.glob("*/ssh_config")), GUEST)
    assert waited_for(lambda: rfl("ssh", "true", timeout=GUEST).status == 0, GUEST)
    copy = rfl.start("scp", str(big), "guest:/root/")
    assert waited_for(lambda: "ssh" in copy.children().values(), GUEST)

    for pid, name in guest.children().items():
        if name.startswith("qemu-system"):
            os.kill(pid, signal.SIGKILL)

    assert copy.end(30).status == 255
    sentence = guest.end(30).came_to(Verdict.ENVIRONMENT)
    assert sentence.startswith("QEMU ended by signal 9 in the middle of the run")
