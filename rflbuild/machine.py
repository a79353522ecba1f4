"""QEMU's command line: the one place where it is put together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild.arch import Arch
from rflbuild.disk import MEMORY, Disk
from rflbuild.initramfs import PAYLOAD_SERIAL
from rflbuild.share import Share
from rflbuild.testspec import Machine


@dataclass(frozen=True)
class Wires:
    """File descriptors that QEMU inherits: two consoles, its control socket, a disk.

    `shares` are open folders, in the order of the machine's; `gdb` listens for a debugger.
    """

    serial: int
    shell: int
    control: int
    payload: int
    shares: tuple[int, ...] = ()
    gdb: int | None = None

    def all(self) -> tuple[int, ...]:
        """The descriptors to pass on."""
        debugger = () if self.gdb is None else (self.gdb,)
        return (self.serial, self.shell, self.control, self.payload, *self.shares, *debugger)


def kernel_arguments(
    arch: Arch,
    machine: Machine,
    variables: Mapping[str, str],
    *,
    person: bool,
    gdb: bool = False,
    disk: Disk | None = None,
) -> str:
    """The kernel's command line; `variables` come to be the environment of /init.

    A panic reboots at once, which -no-reboot turns into QEMU's end; every
    message reaches the console, and ours to /dev/kmsg are not rationed
    (Documentation/admin-guide/kernel-parameters.txt). For `gdb` the kernel stays
    where its symbols say (Documentation/process/debugging/gdb-kernel-debugging.rst).
    """
    fixed = [
        f"console={arch.qemu.console}",
        "panic=-1",
        "ignore_loglevel",
        "printk.devkmsg=on",
        "sysrq_always_enabled",
    ]
    if disk:
        fixed += disk.arguments(arch.qemu.console)
    elif person:
        columns, rows = os.get_terminal_size()
        fixed += ["rfl.person", f"rfl.size={rows}x{columns}"]
    if gdb:
        fixed.append("nokaslr")
    given = [f"{name}={value}" for name, value in variables.items()]
    own = [*arch.qemu.append.split(), *machine.append.split()]
    return " ".join([*fixed, *given, *own])


def qemu(
    arch: Arch,
    machine: Machine,
    accelerator: str,
    image: Path,
    initrd: Path | None,
    arguments: str,
    wires: Wires,
    *,
    person: bool,
    shares: Sequence[Share] = (),
    disk: Disk | None = None,
) -> list[str]:
    """QEMU's command line for a machine; `accelerator` is `kvm` or `tcg`.

    The shell of a `person` is on QEMU's own terminal, where Ctrl-A x ends it. With
    a wire for gdb the machine waits for the debugger before its first instruction.
    """
    shell = f"socket,id=shell,fd={wires.shell}"
    if person:
        shell = "stdio,id=shell,signal=off,mux=on"
    # Debian's QEMU packages lack the boot ROMs of network cards, and the guest
    # needs none.
    fixed = ["-nodefaults", "-display", "none", "-no-reboot", "-global", "pci-device.romfile="]
    command = [
        *[arch.qemu.binary, *fixed],
        *["-machine", arch.qemu.machine, "-accel", accelerator],
        *["-cpu", "host" if accelerator == "kvm" else arch.qemu.cpu],
        *["-smp", str(machine.cpus), "-m", memory(machine, disk)],
        *["-kernel", str(image), *(["-initrd", str(initrd)] if initrd else [])],
        *["-append", arguments],
        *["-chardev", f"socket,id=serial,fd={wires.serial}", "-serial", "chardev:serial"],
        *["-device", "virtio-serial-pci"],
        *["-chardev", shell, "-device", "virtconsole,chardev=shell"],
        *["-chardev", f"socket,id=control,fd={wires.control}"],
        *["-mon", "chardev=control,mode=control"],
        *(_root(disk) if disk else []),
        *["-drive", f"file=/proc/self/fd/{wires.payload},format=raw,if=none,id=payload"],
        *["-device", f"virtio-blk-pci,drive=payload,serial={PAYLOAD_SERIAL}"],
    ]
    if machine.network:
        forward = ",hostfwd=tcp:127.0.0.1:0-:22" if disk else ""
        command += ["-netdev", f"user,id=net{forward}", "-device", "virtio-net-pci,netdev=net"]
    for netdev in machine.netdevs:
        command += ["-netdev", netdev]
    for number, folder in enumerate(wires.shares):
        command += _share(f"share{number}", shares[number], folder)
    if wires.gdb is not None:
        command += ["-chardev", f"socket,id=gdb,fd={wires.gdb},server=on,wait=off"]
        command += ["-gdb", "chardev:gdb", "-S"]
    for device in machine.devices:
        command += ["-device", device]
    return command


def memory(machine: Machine, disk: Disk | None) -> str:
    """QEMU's -m: what the test names, and what a disk's userland needs at least."""
    sizes = [machine.memory, *([MEMORY] if disk else [])]
    return max(sizes, key=lambda size: int(size[:-1]) * {"M": 1, "G": 1024}[size[-1]])


def _root(disk: Disk) -> list[str]:
    """The disk with the root: the first, and so /dev/vda; written to in an overlay alone.

    With `snapshot` QEMU makes the overlay, and removes it before it begins (QEMU manual,
    "-drive"). What the guest flushes need not outlast the host's power either.
    """
    path = str(disk.overlay or disk.image).replace(",", ",,")  # QEMU manual, "-drive"
    image = f"file={path},format=qcow2"
    if disk.overlay is None:
        image = f"file={path},format={disk.format},snapshot=on,cache=unsafe"
    return ["-drive", f"{image},if=none,id=root", "-device", "virtio-blk-pci,drive=root"]


def _share(name: str, share: Share, folder: int) -> list[str]:
    """A folder over 9p. What the guest makes in it is QEMU's user's, who is ours.

    With `none` QEMU lets a change of owner that the host forbids pass (QEMU
    manual, "-fsdev"); `remap` keeps files of several file systems apart.
    """
    words = f"local,id={name},path=/proc/self/fd/{folder},security_model=none,multidevs=remap"
    words += ",readonly=on" if share.read_only else ""
    return ["-fsdev", words, "-device", f"virtio-9p-pci,fsdev={name},mount_tag={share.name}"]
