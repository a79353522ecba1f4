"""A kernel's build folder, make's O=: what is built in it, and taking it to another place."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from rflbuild.session import Session
from rflbuild.store import key_of, remove_tree
from rflbuild.verdict import environment_error

BUILT = ".rflbuild-built"  # in one with an overlay: the key that was last built to its end
PREPARED = ".rflbuild-prepared"  # likewise: what the last of its Rust is compiled against
FIGURES = "rflbuild.json"
_SEEDED = ".rflbuild-seeded"  # the whole of another build folder is here
_COPY_TIMEOUT = 600.0


def state(out: Path) -> str:
    """The key of a kernel that may change: from what its modules are built against."""
    names = ("vmlinux", "Module.symvers", ".config", "rust/kernel.o")
    stats = [(out / name).stat() for name in names if (out / name).exists()]
    return key_of("mutable", str(out), [(s.st_mtime_ns, s.st_size) for s in stats])


def holds(out: Path, key: str, *, mutable: bool) -> bool:
    """Whether a build folder still has the kernel of a key; a work folder may have another."""
    if mutable:
        return state(out) == key
    built = out / BUILT
    return not built.is_file() or built.read_text() == key


def unmark(out: Path) -> None:
    """Say of a build folder with an overlay that it will not be what it was."""
    for mark in (BUILT, PREPARED):
        (out / mark).unlink(missing_ok=True)


def figures(kernel_out: Path) -> dict[str, object]:
    """What a kernel in the store took to build: objects, seconds, cpu_minutes."""
    try:
        value = json.loads((kernel_out / FIGURES).read_text())
    except FileNotFoundError:
        return {}
    return value if isinstance(value, dict) else {}


def is_seeded(out: Path) -> bool:
    """Whether a folder has the whole of the one that it was made from."""
    return (out / _SEEDED).is_file()


def seed(session: Session, origin: Path, out: Path) -> None:
    """Make a build folder from another, times of change and all."""
    remove_tree(out)
    out.mkdir()
    done = session.processes.run(
        ["cp", "--archive", "--reflink=auto", f"{origin}/.", str(out)], timeout=_COPY_TIMEOUT
    )
    if done.status:
        raise session.store.full_disk() or environment_error(
            f"cannot copy {origin} to {out}: {done.output.strip()}"
        )
    rename(out / "Makefile", origin, out)
    _rename_in_commands(out)
    (out / _SEEDED).touch()


def rename(file: Path, before: Path | str, after: Path) -> None:
    """Rewrite a file that names its build folder for another place."""
    file.write_text(file.read_text().replace(str(before), str(after)))


def _rename_in_commands(out: Path) -> None:
    """Rewrite the commands that Kbuild has saved for the folder in which they were run.

    Those of Rust name it (OBJTREE in rust/Makefile), and one that differs from its
    saved words is run again.
    """
    core = out / "rust" / ".core.o.cmd"
    found = re.search(r"\bOBJTREE=(\S+)", core.read_text()) if core.is_file() else None
    if not found:
        return
    for folder, _, names in os.walk(out):
        for name in names:
            if name.endswith(".cmd") and found[1] in (Path(folder, name)).read_text():
                rename(Path(folder, name), found[1], out)
