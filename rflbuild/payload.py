"""What a guest gets over its disk: files by name, in a tar behind a block that counts it."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from rflbuild.initramfs import PAYLOAD_BLOCK, PAYLOAD_OFFSET
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import environment_error

PAYLOAD_BYTES = 1 << 30  # of a sparse memory file; what is not written costs nothing
_TIMEOUT = 60.0


def pack(files: Mapping[str, Path], number: int) -> bytes:
    """The disk's content from PAYLOAD_OFFSET on; RflError(environment) if it is too large.

    `number` tells the guest which payload it is.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in files.items():
            tar.add(path, arcname=name, recursive=False, filter=_plain)
    blocks = -(-len(archive.getbuffer()) // PAYLOAD_BLOCK)
    content = f"{blocks} {number}\n".encode().ljust(PAYLOAD_BLOCK) + archive.getbuffer()
    if len(content) + PAYLOAD_OFFSET > PAYLOAD_BYTES:
        raise environment_error(f"the files for the guest are larger than {PAYLOAD_BYTES} bytes")
    return content


def without_debug_info(
    session: Session, toolchain: Toolchain, files: Mapping[str, Path]
) -> dict[str, Path]:
    """The files, with modules as they work without what is for debuggers alone.

    That is nine tenths of a module, which an emulated guest would have to unpack
    and read. A .ko that llvm-strip does not take stays as it is.
    """
    objects = {name: path for name, path in files.items() if path.suffix == ".ko"}
    if not objects:
        return dict(files)
    stats = [(name, str(path), path.stat()) for name, path in sorted(objects.items())]
    key = key_of("stripped", [(*row, stat.st_mtime_ns, stat.st_size) for *row, stat in stats])

    def make(into: Path) -> None:
        _copy(objects, into)
        argv = [toolchain.llvm("llvm-strip"), "--strip-debug", *objects]
        done = session.processes.run(
            toolchain.command(argv, cwd=into, write=[into]), timeout=_TIMEOUT, cwd=into
        )
        if done.status:
            _copy(objects, into)

    place = session.store.build("stripped", key, make)
    return {**files, **{name: place / name for name in objects}}


def _copy(files: Mapping[str, Path], into: Path) -> None:
    for name, path in files.items():
        shutil.copy(path, into / name)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A tar entry that says nothing of the host's users and times."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
