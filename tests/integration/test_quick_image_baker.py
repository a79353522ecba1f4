"""An image as the Debian Quick Image Baker makes them: nothing of it comes from our builder.

One ext4 file system on the whole disk, labelled rootfs; Debian's own kernel, whose initrd lies
beside the image; sshd with root's key; DHCP; root and debian with passwords of the same name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from rflbuild import debian as archive
from rflbuild import rootfs, userns
from rflbuild.verdict import Verdict
from tests.integration.conftest import session_on
from tests.integration.harness import GUEST, BuiltKernel, DebianImage, Rfl

BAKING = 3600.0  # seconds; a quiet machine needs 300
PACKAGES = (
    "apt dbus dhcpcd-base ifupdown initramfs-tools iproute2 linux-image-arm64 openssh-server "
    "systemd-sysv udev"
)
# For mmdebstrap, whose $1 is the root. The kernel is ours, and the initrd's modules would not fit
# it; to copy hundreds of them by an emulator takes minutes.
NO_MODULES = """
mkdir -p "$1"/etc/initramfs-tools/conf.d
echo MODULES=list >"$1"/etc/initramfs-tools/conf.d/small
"""
CUSTOMIZE = """
set -e
cd "$1"
echo quick >etc/hostname
echo 'LABEL=rootfs / ext4 errors=remount-ro 0 1' >etc/fstab
printf 'auto eth0\\niface eth0 inet dhcp\\n' >etc/network/interfaces
chroot . useradd --create-home --shell /bin/bash debian
printf 'root:root\\ndebian:debian\\n' | chroot . chpasswd
mkdir -p -m 700 root/.ssh
cp {0}/key.pub root/.ssh/authorized_keys
cp --dereference initrd.img {0}/initrd.img
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BAKING + GUEST, func_only=False)]


@dataclass(frozen=True)
class Baked:
    image: Path
    initrd: Path
    key: Path


@pytest.fixture(scope="module")
def baked(
    rfl: Rfl,
    kernel: BuiltKernel,
    debian: DebianImage,
    user_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Baked:
    folder = tmp_path_factory.mktemp("baked")
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"]
    assert debian.tool(*words, folder=folder).returncode == 0
    argv = [
        *["mmdebstrap", "--mode=root", "--variant=minbase", "--architectures=arm64"],
        *[
            f"--keyring={archive.KEYRING}",
            "--skip=check/qemu",
            '--aptopt=APT::Sandbox::User "root"',
        ],
        *[f"--include={PACKAGES.replace(' ', ',')}"],
        f"--essential-hook={NO_MODULES}",
        *[f"--customize-hook={CUSTOMIZE.format(folder)}", "trixie", str(folder / "root.tar")],
        *filter(None, [os.environ.get("RFLBUILD_MIRROR")]),
    ]
    # The root of the user namespace is nobody of the host's, and writes into these.
    folder.chmod(0o777)
    scratch = folder / "scratch"
    scratch.mkdir(mode=0o777)
    with session_on(rfl, user_store) as session:
        done = userns.run(
            session,
            rootfs.emulated(kernel.plan.arch, debian.tools, argv),
            timeout=BAKING,
            env={"TMPDIR": str(scratch)},
            log=folder / "log",
        )
    assert done.status == 0, done.output[-3000:]
    for words in (
        ["mke2fs", "-q", "-t", "ext4", "-L", "rootfs", "-d", "root.tar", "image.raw", "4G"],
        ["qemu-img", "convert", "-O", "qcow2", "image.raw", "image.qcow2"],
    ):
        made = debian.tool(*words, folder=folder)
        assert made.returncode == 0, made.stdout
    (folder / "image.raw").unlink()
    (folder / "root.tar").unlink()
    return Baked(folder / "image.qcow2", folder / "initrd.img", folder / "key")


def test_hello_passes_by_the_consoles_login(rfl: Rfl, baked: Baked) -> None:
    rfl.test("hello", "--image", str(baked.image)).passed()


def test_hello_passes_with_the_images_initrd(rfl: Rfl, baked: Baked) -> None:
    rfl.test("hello", "--image", str(baked.image), "--initrd", str(baked.initrd)).passed()

    log = (rfl.results / "latest" / "console.log").read_text()
    assert "Run /init as init process" in log


def test_hello_passes_by_ssh_alone(rfl: Rfl, baked: Baked) -> None:
    words = ["--identity", str(baked.key), "--over-ssh"]

    rfl.test("hello", "--image", str(baked.image), *words).passed()


def test_an_initrd_that_finds_no_root_is_told(rfl: Rfl, baked: Baked) -> None:
    words = ["--initrd", str(baked.initrd), "--root", "LABEL=none"]

    run = rfl.test("hello", "--image", str(baked.image), *words)

    sentence = run.came_to(Verdict.ENVIRONMENT)
    assert f"is there a root on LABEL=none of {baked.image}?" in sentence
