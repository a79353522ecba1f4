"""Files that hold a disk: overlays on them, and files written into them, without a mount."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rflbuild import image, sandbox
from rflbuild.session import Session
from rflbuild.verdict import environment_error

_TIMEOUT = 600.0
# debugfs goes on after an error, and ends with 0. What it echoes, and that the folder is
# there already, is none.
_NO_FAULT = re.compile(r"debugfs|Allocated inode|\w*mkdir: .*exists|$")


def lay_over(session: Session, base: Path, format_name: str, path: Path) -> None:
    """Make a qcow2 file on top of an image, which takes what is written."""
    words = ["create", "-q", "-f", "qcow2", "-F", format_name, "-b", str(base), str(path)]
    what = f"lay {path} over {base}"
    _qemu_img(session, words, what, read=base.parent, write=path.parent)


def write_files(
    session: Session,
    base: Path,
    format_name: str,
    path: Path,
    files: Mapping[str, Path],
    folder: str,
) -> None:
    """Copy an image to a raw one, and write files into a folder of its file system.

    The folder is made. By debugfs(8), which mounts nothing; the image holds one file
    system, and no partitions.
    """
    words = ["convert", "-f", format_name, "-O", "raw", str(base), str(path)]
    _qemu_img(session, words, f"copy {base}", read=base.parent, write=path.parent)
    commands = [f"mkdir {folder}"]
    commands += [f'write "{source}" "{folder}/{name}"' for name, source in files.items()]
    script = "\n".join(commands)
    shell = ["sh", "-c", 'printf "%s\\n" "$1" | debugfs -w -f - "$2" 2>&1', "sh", script, str(path)]
    argv = sandbox.enter(
        image.tools(session),
        shell,
        cwd=path.parent,
        read=sorted({source.parent for source in files.values()}),
        write=[path.parent],
    )
    done = session.processes.run(argv, timeout=_TIMEOUT)
    faults = [line for line in done.output.splitlines() if not _NO_FAULT.match(line)]
    if done.status or faults:
        said = (faults or done.output.strip().splitlines() or ["no output"])[-1]
        raise session.store.full_disk() or environment_error(
            f"debugfs cannot write into {base} ({said}): it has to hold a file system of ext4, "
            "and no partitions"
        )


def backing_file(session: Session, path: Path) -> Path | None:
    """What a qcow2 file lies on; None if it is none, or lies on nothing."""
    words = ["info", "--force-share", "--output=json", str(path)]
    told = json.loads(_qemu_img(session, words, f"read {path}", read=path.parent))
    name = told.get("backing-filename")
    return Path(name) if name else None


def _qemu_img(
    session: Session, words: Sequence[str], what: str, *, read: Path, write: Path | None = None
) -> str:
    """The output of qemu-img; RflError(environment) says that it cannot do `what`."""
    argv = sandbox.enter(
        image.tools(session),
        ["qemu-img", *words],
        cwd=Path("/"),
        read=[read],
        write=[write] if write else [],
    )
    done = session.processes.run(argv, timeout=_TIMEOUT)
    if done.status:
        said = (done.output.strip().splitlines() or ["no output"])[0]
        raise session.store.full_disk() or environment_error(
            f"qemu-img cannot {what} ({said.removeprefix('qemu-img: ')})"
        )
    return done.output
