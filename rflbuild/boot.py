"""What a guest is made of, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rflbuild.arch import Arch
from rflbuild.disk import Disk, script
from rflbuild.machine import Wires, kernel_arguments, memory, qemu
from rflbuild.share import Share
from rflbuild.testspec import Machine
from rflbuild.toolchain import Toolchain

BOOT_TIMEOUT = 60.0  # seconds; the small kernel needs one, a debug kernel under load ten
_DISK_TIMEOUT = 240.0  # a Debian needs ten, and on a loaded machine many


@dataclass(frozen=True)
class Boot:
    """A kernel, the root above it, and the machine.

    `initrd` is our initramfs, or the one that an image on `disk` brings. The shell of a
    `person` is at our terminal; with `gdb` the guest waits for a debugger at its folder's
    gdb.sock; `over_ssh` says that commands go by SSH, and `files` how files come in, one of
    userland's WAYS. `saving` is a file for the state of a guest that is booted to be saved;
    with `saved`, a folder of snapshot's, it does not boot but goes on from there.
    """

    arch: Arch
    machine: Machine
    toolchain: Toolchain
    image: Path
    initrd: Path | None
    accelerator: str
    templates: Path  # with the script that serves us in a guest on a disk
    person: bool = False
    shares: tuple[Share, ...] = ()
    gdb: bool = False
    disk: Disk | None = None
    over_ssh: bool = False
    files: str = "disk"
    saving: Path | None = None
    saved: Path | None = None

    @property
    def shown(self) -> str:
        """The machine in a few words."""
        words = [self.disk.name] if self.disk else []
        words += [self.accelerator.upper(), f"{self.machine.cpus} CPUs"]
        words += [memory(self.machine, self.disk), *(["resumed"] if self.saved else [])]
        return ", ".join(words)

    @property
    def patience(self) -> float:
        """Seconds that its boot may take."""
        return _DISK_TIMEOUT if self.disk else BOOT_TIMEOUT

    def script(self) -> str:
        """What serves us in a guest on a disk."""
        return script(self.templates)

    def command(self, wires: Wires, variables: Mapping[str, str] | None = None) -> list[str]:
        """QEMU's command line; a person at an initramfs's shell has the variables there."""
        arguments = kernel_arguments(
            self.arch,
            self.machine,
            variables or {},
            person=self.person,
            gdb=self.gdb,
            disk=self.disk,
        )
        return qemu(
            self.arch,
            self.machine,
            self.accelerator,
            self.image,
            self.initrd,
            arguments,
            wires,
            person=self.person,
            shares=self.shares,
            disk=self.disk,
        )

    def folders(self) -> list[Path]:
        """The folders that QEMU reads."""
        files = [self.image, *([self.initrd] if self.initrd else [])]
        if self.disk:
            files += [self.disk.image, *([self.disk.backing] if self.disk.backing else [])]
        return [*(path.parent for path in files), *([self.saved] if self.saved else [])]
