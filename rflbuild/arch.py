"""An architecture: one file of configs/arch/, read into values."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from rflbuild import document
from rflbuild.verdict import usage_error


class Qemu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How QEMU emulates the architecture (qemu-system documentation, "Targets")."""

    binary: str  # qemu-system-…
    package: str  # Debian's package that holds it
    machine: str  # -machine
    cpu: str  # -cpu under TCG; under KVM it is `host`
    console: str  # the kernel's console on the first serial port
    kvm_host: str  # `uname -m` of hosts whose KVM can run it
    kvm_probe: tuple[str, ...]  # arguments that boot the probe below
    kvm_probe_code: str  # machine code, hexadecimal, that makes QEMU end at once
    append: str = ""  # words that the kernel's command line needs on this machine


class QemuUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How the architecture's programs run on another.

    `magic` and `mask` are of the first bytes of an ELF file, as the kernel takes them
    (Documentation/admin-guide/binfmt-misc.rst) and QEMU's scripts/qemu-binfmt-conf.sh
    has them.
    """

    binary: str  # qemu-…, of Debian's package qemu-user
    magic: str
    mask: str


class Arch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What differs between architectures, and nothing that does not."""

    summary: str
    make_arch: str  # ARCH=
    srcarch: str  # arch/<srcarch>/
    image: str  # what QEMU's -kernel takes, in the build folder
    debian: str  # Debian's name, for the guest's busybox
    qemu: Qemu
    qemu_user: QemuUser
    kconfig: str  # the options of the machine itself, as a Kconfig fragment
    name: str = ""

    def native(self) -> bool:
        """Whether this host could run it by KVM."""
        return platform.machine() == self.qemu.kvm_host


def names(configs: Path) -> list[str]:
    """The architectures that configs/arch/ has, sorted."""
    return sorted(path.stem for path in (configs / "arch").glob("*.yaml"))


def load(configs: Path, name: str) -> Arch:
    """The architecture of that name; RflError(usage) names the others."""
    if name not in names(configs):
        known = ", ".join(names(configs))
        raise usage_error(f"unknown architecture `{name}`; configs/arch/ has: {known}")
    return msgspec.structs.replace(
        document.read(configs / "arch" / f"{name}.yaml", Arch), name=name
    )
