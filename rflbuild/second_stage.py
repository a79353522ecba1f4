"""The packages' own scripts, run in a guest: for hosts that cannot run them by emulation.

A tar with the packages unpacked becomes a disk; a guest boots from it, with
templates/second-stage/init as PID 1, and writes the finished root to a second disk,
again as a tar. So what comes of it is what rootfs.py makes on the host.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from rflbuild import accelerator, sandbox
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.verdict import environment_error

FOLDER = "second-stage"  # in the root, for the packages and for what runs there
DONE = "second stage: done"
_SIZE = 8 << 30  # bytes of either disk, of which the host holds what is used
_TIMEOUT = 3600.0
_MEMORY = "1G"  # dpkg and perl, in a guest without swap


def lay_out(session: Session, tools: Path, tar: Path, disk: Path) -> None:
    """Make a disk with the files of a tar; `tools` is a private root with mke2fs."""
    argv = ["mke2fs", "-q", "-t", "ext4", "-d", str(tar), str(disk), f"{_SIZE >> 20}M"]
    command = sandbox.enter(tools, argv, cwd=disk.parent, write=[disk.parent])
    done = session.processes.run(command, timeout=600.0)
    if done.status:
        raise session.store.full_disk(done.output) or environment_error(
            f"mke2fs cannot make the second stage's disk: {' '.join(done.output.split())}"
        )


def run(session: Session, kernel: Kernel, disk: Path, tar: Path) -> None:
    """Boot the root of `disk`, let it finish, and have its files in `tar`.

    Raises RflError(environment) with the last words of the guest if it does not end well.
    """
    tar.touch()
    os.truncate(tar, _SIZE)
    log = session.store.work("logs", "image") / f"second-stage-{kernel.arch.debian}.log"
    log.unlink(missing_ok=True)
    folder = tar.parent
    argv = kernel.toolchain.command(
        qemu(kernel, accelerator.choose(session, kernel.toolchain, kernel.arch).name, disk, tar),
        cwd=folder,
        read=[kernel.image.parent],
        write=[folder],
    )
    with session.terminal.progress("second stage in a guest", None) as meter:
        done = session.processes.run(
            argv, timeout=_TIMEOUT, log=log, on_line=lambda _: meter.step()
        )
    if DONE not in done.output:
        lines = [line.strip() for line in done.output.splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line or "panic" in line]
        words = (telling or lines or ["no output"])[-1]
        raise session.store.full_disk(done.output) or environment_error(
            f"the packages' second stage failed in the guest ({words}); see {log}"
        )
    cut(tar)


def qemu(kernel: Kernel, accelerator_name: str, disk: Path, tar: Path) -> Sequence[str]:
    """QEMU's command line: two disks, no network, the log on the output."""
    arch = kernel.arch
    words = [f"console={arch.qemu.console}", "panic=-1", "root=/dev/vda", "rw", "quiet"]
    words += [f"init=/{FOLDER}/init", "sysrq_always_enabled", arch.qemu.append]
    command = [arch.qemu.binary, "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-machine", arch.qemu.machine, "-accel", accelerator_name]
    command += ["-cpu", "host" if accelerator_name == "kvm" else arch.qemu.cpu]
    command += ["-smp", "2", "-m", _MEMORY, "-serial", "stdio"]
    command += ["-kernel", str(kernel.image), "-append", " ".join(filter(None, words))]
    for name, path in (("root", disk), ("tar", tar)):
        command += ["-drive", f"file={path},format=raw,if=none,id={name},cache=unsafe"]
        command += ["-device", f"virtio-blk-pci,drive={name}"]
    return command


def cut(tar: Path) -> None:
    """Take from a tar on a disk what comes after its end, where tarfile stops to read."""
    with tarfile.open(tar) as archive:
        for _ in archive:
            pass
        end = archive.offset
    os.truncate(tar, end + 2 * tarfile.BLOCKSIZE)
