"""A booted guest, kept in the store; a later run goes on from there and need not boot.

QEMU writes the machine's state to a file (QEMU, docs/devel/migration: mapped-ram), and
what the guest had written to its disk is an overlay beside it. Both are never changed:
a run that goes on from them has an overlay of its own on top.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from rflbuild.boot import Boot
from rflbuild.console import CONSOLE_LOG
from rflbuild.machine import Wires
from rflbuild.qmp import Qmp
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import RflError, environment_error

STATE = "state"
_KIND = "booted"
_RECIPE = 1  # raise it when the way a guest is saved changes
_OVERLAY = "overlay.qcow2"
_TIMEOUT = 60.0  # seconds to write or read a machine's memory
_POLL = 0.01


def _can_be_saved(boot: Boot) -> bool:
    """Whether a guest is the same each time, and its state all of what it is.

    A person's terminal, folders of the host's, a debugger, an SSH connection and an overlay
    of the user's belong to one run, and what a host's CPU can do to one host. Of the devices
    that a test adds, QEMU says nothing of the state that it does not save (pci-testdev's).
    """
    disk = boot.disk
    owned = (
        boot.person,
        boot.shares,
        boot.gdb,
        boot.over_ssh,
        disk and disk.overlay,
        boot.machine.devices,
        boot.files in ("share", "image"),
    )
    return boot.accelerator == "tcg" and not any(owned)


def of(session: Session, boot: Boot, folder: Path) -> Boot:
    """The boot that goes on from where this one has booted to, which is done now if need be.

    The logs of doing so go to `folder`. Where it cannot be saved, the boot itself.
    """
    from rflbuild.guest import Guest

    if not _can_be_saved(boot):
        return boot
    its_key = key(boot)
    noted = f"unsaved-{its_key}"
    if session.store.noted(noted):
        return boot

    def make(into: Path) -> None:
        saving = replace(boot, saving=into / STATE)
        if boot.disk:
            overlay = into / _OVERLAY
            boot.disk.lay_over(session, overlay)
            saving = replace(saving, disk=replace(boot.disk, overlay=overlay))
        with Guest(session, saving, folder) as guest:
            guest.wait_until_ready()
            guest.run("sync", boot.patience)
            guest.save()
        shutil.copyfile(folder / CONSOLE_LOG, into / CONSOLE_LOG)

    try:
        saved = session.store.build(_KIND, its_key, make)
    except UnableError as error:
        if not session.store.full_disk():  # which may have room again by then
            session.store.note(noted, {"why": error.sentence})
        session.terminal.note(f"{error.sentence}: each run boots")
        return boot
    if boot.disk:
        image = saved / _OVERLAY
        disk = replace(boot.disk, image=image, format="qcow2", backing=boot.disk.image)
        return replace(boot, disk=disk, saved=saved)
    return replace(boot, saved=saved)


def key(boot: Boot) -> str:
    """A key of all that a booted guest depends on."""
    files = [boot.image, *([boot.initrd] if boot.initrd else [])]
    files += [boot.disk.image] if boot.disk else []
    stats = [(stat.st_mtime_ns, stat.st_size) for stat in (path.stat() for path in files)]
    script = boot.script() if boot.disk else ""
    return key_of(
        _KIND, _RECIPE, boot.command(Wires(0, 0, 0, 0)), boot.toolchain.key, stats, script
    )


def discard(session: Session, boot: Boot) -> None:
    """Remove from the store what a boot goes on from."""
    if boot.saved:
        session.store.remove(_KIND, boot.saved.name)


class UnableError(RflError):
    """QEMU cannot save a guest; it is too old, or a device of the machine's cannot."""


def save(qmp: Qmp, state: int) -> None:
    """Stop a guest and write its state to an open file of QEMU's; UnableError if it cannot."""
    try:
        qmp.execute("stop")
        _map_memory(qmp)
        qmp.execute("migrate", {"uri": _uri(state)})
        _wait(qmp)
    except RflError as error:
        raise UnableError(
            error.verdict, f"QEMU cannot save this guest ({error.sentence})"
        ) from error


def resume(qmp: Qmp, state: int) -> None:
    """Let a QEMU that waits for it go on from an open file of its own."""
    _map_memory(qmp)
    qmp.execute("migrate-incoming", {"uri": _uri(state)})
    _wait(qmp)
    qmp.execute("cont")


def _map_memory(qmp: Qmp) -> None:
    capability = {"capability": "mapped-ram", "state": True}
    qmp.execute("migrate-set-capabilities", {"capabilities": [capability]})


def _uri(descriptor: int) -> str:
    return f"file:/proc/self/fd/{descriptor}"


def _wait(qmp: Qmp) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        answer = qmp.execute("query-migrate")
        if answer.get("status") == "completed":
            return
        if answer.get("status") in ("failed", "cancelled"):
            raise environment_error(f"migration failed: {answer.get('error-desc', 'no reason')}")
        if time.monotonic() > deadline:
            raise environment_error(f"migration did not end within {_TIMEOUT:.0f} s")
        time.sleep(_POLL)
