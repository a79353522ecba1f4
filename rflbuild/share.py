"""A folder of the host's in a guest: 9p over virtio, which /init mounts at /mnt/NAME."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import kconfig
from rflbuild.kernel import Kernel
from rflbuild.verdict import usage_error

_NEEDED = ("NET_9P_VIRTIO", "9P_FS")
_LONGEST_TAG = 31  # QEMU: MAX_TAG_LEN of hw/9pfs/9p.h, without the last NUL


@dataclass(frozen=True)
class Share:
    """A folder, and the NAME under which the guest has it."""

    name: str
    directory: Path
    read_only: bool = False

    @property
    def place(self) -> str:
        """Where it is in the guest."""
        return f"/mnt/{self.name}"


def parse(wanted: Sequence[str]) -> tuple[Share, ...]:
    """The folders of `--share DIR` or `DIR:ro`, in their order; RflError(usage) for others."""
    shares: list[Share] = []
    for text in wanted:
        directory, read_only = _split(text)
        if not directory.exists():
            raise usage_error(f"--share {text}: there is no folder {directory}")
        if not directory.is_dir():
            raise usage_error(f"--share {text}: {directory} is a file; share the folder it is in")
        if not os.access(directory, os.R_OK | os.X_OK):
            raise usage_error(f"--share {text}: {directory} is not yours to read")
        resolved = directory.resolve()
        shares.append(Share(_name(resolved, [s.name for s in shares]), resolved, read_only))
    return tuple(shares)


def require(kernel: Kernel) -> None:
    """Raise RflError(usage) if a kernel cannot mount a shared folder by itself."""
    config = kconfig.read(kernel.out / ".config")
    missing = [f"CONFIG_{name}=y" for name in _NEEDED if config.get(name) != "y"]
    if missing:
        raise usage_error(
            f"the kernel (Linux {kernel.source.release} {kernel.label}) has no 9p, by which a "
            f"folder is shared: give --fragment share, or build it with {' and '.join(missing)}"
        )


def _split(text: str) -> tuple[Path, bool]:
    path = Path(text).expanduser()
    if text.endswith((":ro", ":rw")) and not path.exists():
        return Path(text[:-3]).expanduser(), text.endswith(":ro")
    return path, False


def _name(directory: Path, taken: Sequence[str]) -> str:
    """The folder's own name, as far as a tag and a shell take it without quotes."""
    stem = re.sub(r"[^\w.+-]+", "-", directory.name, flags=re.ASCII).strip("-.") or "share"
    name, number = stem[:_LONGEST_TAG], 1
    while name in taken:
        number += 1
        name = f"{stem[: _LONGEST_TAG - 4]}-{number}"
    return name
