"""KVM where it has been seen to run a guest, else TCG.

/dev/kvm may be there, open and create a machine, and the guest may still hang
without a word; so a guest of a few instructions, which ends QEMU at once, is
run before KVM is believed.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rflbuild.arch import Arch
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError

_DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMEOUT = 5.0  # seconds; a working KVM needs a tenth of one


@dataclass(frozen=True)
class Accelerator:
    """`kvm` or `tcg`, as QEMU's -accel takes it, and why."""

    name: str
    why: str


def choose(session: Session, toolchain: Toolchain, arch: Arch) -> Accelerator:
    """The accelerator for guests of an architecture on this host.

    What the probe found is kept until the host boots anew.
    """
    if not arch.native():
        return Accelerator("tcg", f"{arch.name} guests are emulated on this host")
    if not _DEVICE.exists():
        return Accelerator("tcg", f"{_DEVICE} is not there")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Accelerator(
            "tcg", f"{_DEVICE} is not yours to use: `sudo usermod -aG kvm $USER`, log in anew"
        )
    name = f"kvm-{key_of(_BOOT_ID.read_text(), arch.name, toolchain.key)}"
    noted = session.store.noted(name)
    if noted is None:
        noted = {"fault": _probe(session, toolchain, arch)}
        session.store.note(name, noted)
    if noted["fault"]:
        return Accelerator("tcg", f"{_DEVICE} is there, but {noted['fault']}")
    return Accelerator("kvm", "KVM has run a guest")


def _probe(session: Session, toolchain: Toolchain, arch: Arch) -> str:
    """What is wrong with KVM here; empty when a guest ran to its end."""
    folder = session.store.work("kvm", arch.name)
    with tempfile.NamedTemporaryFile(dir=folder) as code:
        # Padded to a boot sector, which a PC's BIOS wants and other boards ignore.
        code.write(bytes.fromhex(arch.qemu.kvm_probe_code).ljust(510, b"\0") + b"\x55\xaa")
        code.flush()
        argv = [
            arch.qemu.binary,
            *["-nodefaults", "-display", "none", "-no-reboot", "-accel", "kvm"],
            *arch.qemu.kvm_probe,
            code.name,
        ]
        try:
            done = session.processes.run(
                toolchain.command(argv, cwd=folder, read=[folder]), timeout=_TIMEOUT
            )
        except RflError:
            return f"a guest of a few instructions hung for {_TIMEOUT:.0f} s"
    # isa-debug-exit ends QEMU with an odd status (qemu: hw/misc/debugexit.c).
    if done.status in (0, 1) and "kvm" not in done.output.lower():
        return ""
    return f"QEMU says: {(done.output.strip().splitlines() or ['nothing'])[-1]}"
