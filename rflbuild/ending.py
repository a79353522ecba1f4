"""Why a guest has ended: what QEMU and the guest's kernel said of it, as one sentence."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

from rflbuild.boot import Boot
from rflbuild.console import CONSOLE_LOG, DRAIN
from rflbuild.disk import Disk
from rflbuild.emulator import Emulator
from rflbuild.klog import Splat
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error

SSH_LOG = "ssh.log"  # what ssh says that brings a guest's shell
_LOCKED = "Is another process using the image"  # QEMU's, of a file that another one writes to
# The panics of init/do_mounts.c, of init/main.c and of kernel/exit.c.
_NO_ROOT = re.compile(r"Unable to mount root fs")
_NO_INIT = re.compile(r"No working init found|Requested init .* failed|Attempted to kill init")


def why(qemu: Emulator, boot: Boot, *, ready: bool) -> RflError:
    """The error for a guest, or a shell of it, that has ended.

    `ready` is whether the guest's shell had answered before.
    """
    qemu.console.drain(DRAIN)
    splats = qemu.console.splats()
    if splats:
        error = crash(splats[0], qemu.folder)
        return (not ready and boot.disk and _no_userland(boot.disk, splats[0], error)) or error
    with contextlib.suppress(subprocess.TimeoutExpired):
        qemu.process.wait(DRAIN)
    status = qemu.process.poll()
    log = qemu.folder / CONSOLE_LOG
    if status is None:
        return _ssh_ended(boot, log, ready=ready)
    words = qemu.log.read_text(errors="replace").strip()
    if words:
        return _qemu_ended(boot, words, qemu.log, refused=status == 1 and not qemu.console.mark())
    if status == 0:
        last = qemu.console.since(0)[-1:]
        said = f" ({last[0].text})" if last else ""
        if not ready:
            see = "; see"
            if boot.disk and boot.disk.initrd:  # which gives up if there is none
                see = f": is there a root on {boot.disk.root} of {boot.disk.image}? See"
            return environment_error(f"the guest ended itself while it booted{said}{see} {log}")
        sentence = f"the guest ended itself in the middle of the run{said}; see {log}"
        return RflError(Verdict.FAIL, sentence)
    number = -status if status < 0 else status - 128  # bubblewrap's, as shells have it
    how = f"by signal {number}" if number > 0 else f"with {status}"
    return environment_error(
        f"QEMU ended {how} in the middle of the run, and the kernel's log has no reason; see {log}"
    )


def crash(splat: Splat, folder: Path) -> RflError:
    """The error for a report in the kernel's log."""
    return RflError(
        Verdict.CRASH,
        f"the kernel reported {splat.kind}: {splat.headline}; see {folder / CONSOLE_LOG}"
        f":{splat.messages[0].line}",
        "\n".join(m.text for m in splat.messages),
    )


def _ssh_ended(boot: Boot, log: Path, *, ready: bool) -> RflError:
    """The error for a shell that is gone, where QEMU is not."""
    told = log.with_name(SSH_LOG)
    words = told.read_text(errors="replace").split() if told.exists() else []
    said = f" ({' '.join(words)})" if words else ""
    access = boot.disk and boot.disk.access
    if access and not ready:
        return environment_error(
            f"the guest does not let ssh in{said}: is {access.identity} a key of its root "
            f"user? See {log}"
        )
    return environment_error(f"the guest's shell ended, and the guest did not{said}; see {log}")


def _qemu_ended(boot: Boot, words: str, log: Path, *, refused: bool) -> RflError:
    """The error for a QEMU that ended with words of its own; `refused`, before the guest began."""
    last = words.splitlines()[-1]
    if not refused:
        return environment_error(f"QEMU ended ({last}); see {log}")
    return (boot.disk and _disk_refused(boot.disk, words)) or usage_error(
        f"QEMU refuses the machine ({last}): mend `machine` in the test; see {log}"
    )


def _disk_refused(disk: Disk, words: str) -> RflError | None:
    """The error for a QEMU that ended with these words before the guest began.

    None if they are not about the disk.
    """
    path = disk.overlay or disk.image
    last = words.splitlines()[-1]
    if _LOCKED in last and disk.overlay:
        return usage_error(
            f"--persist: another guest runs on {path}: wait for its end, or give another file"
        )
    if "id=root" in words or str(disk.image) in words:
        return environment_error(f"QEMU cannot use {path} ({last.rpartition('id=root: ')[2]})")
    return None


def _no_userland(disk: Disk, splat: Splat, error: RflError) -> RflError | None:
    """The error for a panic of a kernel that came to nothing that it could run.

    `error` is that for the panic alone. None if it is another panic.
    """
    _, _, where = error.sentence.rpartition("; ")
    if _NO_ROOT.search(splat.headline):
        return environment_error(
            f"the kernel finds no file system on {disk.root} of {disk.image}: give an image of "
            f"a whole disk or partition, and --root for a partition, as /dev/vda1; {where}",
            error.detail,
        )
    if _NO_INIT.search(splat.headline):
        return environment_error(
            f"{disk.image} has no init that runs ({splat.headline}): is a Debian for this "
            f"architecture on {disk.root}? {where.capitalize()}",
            error.detail,
        )
    return None
