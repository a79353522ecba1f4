"""How files come into a guest: by a disk of QEMU's, by SSH, by a shared folder, in the image.

All of them bring the files into the guest's /modules, modules without debug information.
`put` may come while the guest boots; `bring` comes when its shell answers.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rflbuild import payload, ssh
from rflbuild.boot import Boot
from rflbuild.console import DRAIN
from rflbuild.disk import Disk
from rflbuild.session import Session
from rflbuild.share import Share
from rflbuild.verdict import environment_error

if TYPE_CHECKING:
    from rflbuild.guest import Guest

PLACE = "/modules"
_TAG = "rfl-files"
_TIMEOUT = 60.0  # seconds for a copy


class Delivery(Protocol):
    """A way into a guest; it can be used again with other files."""

    def put(self, _guest: Guest, files: Mapping[str, Path]) -> None:
        """Make files ready to be brought in, by their names there."""

    def bring(self, _guest: Guest, _timeout: float) -> None:
        """Bring in what was put; RflError."""


class ByDisk:
    """A disk that is a memory file, which the guest reads past its page cache."""

    def __init__(self) -> None:
        self._number = 0

    def put(self, guest: Guest, files: Mapping[str, Path]) -> None:
        """Write the disk; see Emulator.put."""
        self._number = guest.fill_disk(files)

    def bring(self, guest: Guest, timeout: float) -> None:
        """Let the guest unpack the disk."""
        answer = guest.tell(f"unpack {self._number}", timeout)
        if answer.status:
            raise environment_error(f"the guest cannot read its disk: {answer.output.strip()}")


class BySsh:
    """scp, into a guest that runs."""

    def __init__(self, session: Session, boot: Boot) -> None:
        self._session = session
        self._toolchain = boot.toolchain
        self._files: Mapping[str, Path] = {}

    def put(self, _guest: Guest, files: Mapping[str, Path]) -> None:
        """Keep the files until sshd is there."""
        self._files = payload.without_debug_info(self._session, self._toolchain, files)

    def bring(self, guest: Guest, timeout: float) -> None:
        """Copy them, each under its name."""
        config = guest.reach_by_ssh(timeout)
        for name, path in self._files.items():
            target = f"{ssh.HOST}:{PLACE}/{name}"
            done = self._session.processes.run(
                ssh.copying(config, str(path), target, ssh.BATCH), timeout=max(timeout, _TIMEOUT)
            )
            if done.status:
                said = " ".join(done.output.split())
                guest.console.drain(DRAIN)  # of a guest that has just ended
                raise guest.trouble(0) or environment_error(
                    f"scp cannot copy {name} into the guest ({said})"
                )


class ByShare:
    """A folder of the host's that the guest mounts, and copies from."""

    def __init__(self, session: Session, boot: Boot, folder: Path) -> None:
        self._session = session
        self._toolchain = boot.toolchain
        self._folder = folder

    def put(self, _guest: Guest, files: Mapping[str, Path]) -> None:
        """Copy the files into the folder."""
        stripped = payload.without_debug_info(self._session, self._toolchain, files)
        for name, path in stripped.items():
            shutil.copy(path, self._folder / name)

    def bring(self, guest: Guest, timeout: float) -> None:
        """Let the guest copy them, since a step may change what is in its /modules."""
        if any(self._folder.iterdir()):
            answer = guest.run(f"cp -R /mnt/{_TAG}/. {PLACE}/", timeout)
            if answer.status:
                raise environment_error(
                    f"the guest cannot copy from the shared folder: {answer.output.strip()}"
                )


class InImage:
    """Files that `into_image` has written before the boot."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def put(self, _guest: Guest, files: Mapping[str, Path]) -> None:
        """They are there."""

    def bring(self, _guest: Guest, _timeout: float) -> None:
        """They are there. QEMU has the image open, which goes with it, however we end."""
        if self._disk.temporary:
            self._disk.image.unlink(missing_ok=True)


def of(session: Session, boot: Boot) -> Delivery:
    """The way that a boot has chosen."""
    if boot.files == "ssh":
        return BySsh(session, boot)
    if boot.files == "share":
        folder = next(share.directory for share in boot.shares if share.name == _TAG)
        return ByShare(session, boot, folder)
    if boot.files == "image":
        assert boot.disk  # noqa: S101 - userland.check saw to it
        return InImage(boot.disk)
    return ByDisk()


def with_share(boot: Boot, folder: Path) -> Boot:
    """The boot with a folder of its own from which the guest copies."""
    folder.mkdir()
    return replace(boot, shares=(*boot.shares, Share(_TAG, folder, read_only=True)))


@contextlib.contextmanager
def into_image(
    session: Session, boot: Boot, files: Mapping[str, Path], folder: Path
) -> Iterator[Boot]:
    """The boot with a copy of its image into which the files were written, where it is its way.

    By debugfs, without mounting anything (debugfs(8)). The copy is in `folder`, and goes.
    """
    if boot.files != "image":
        yield boot
        return
    from rflbuild import image_file

    assert boot.disk  # noqa: S101 - userland.check saw to it
    stripped = payload.without_debug_info(session, boot.toolchain, files)
    copied = folder / "image.raw"
    try:
        image_file.write_files(session, boot.disk.image, boot.disk.format, copied, stripped, PLACE)
        copy = replace(boot.disk, image=copied, format="raw", temporary=True)
        yield replace(boot, disk=copy)
    finally:
        copied.unlink(missing_ok=True)
