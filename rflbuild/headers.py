"""The kernel's C headers, by the names under which C includes them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rflbuild.arch import Arch
from rflbuild.source import Source

NAME = re.compile(r"\w[\w./+-]*\.h")
# What the kernel's build makes of arch/*/include/asm and in the build folder.
_MADE = ("asm/", "asm-generic/", "config/", "generated/")
_MOST = 3  # headers that are named at a time


def is_name(text: str) -> bool:
    """Whether a text is like linux/pci.h."""
    return bool(NAME.fullmatch(text)) and ".." not in text


def exists(header: str, source: Source, arch: Arch, beside: Iterable[Path] = ()) -> bool:
    """Whether a kernel has a header, in its source or `beside`; what its build makes counts."""
    tops = (source.path / top / "include" for top in ("", f"arch/{arch.srcarch}"))
    return header.startswith(_MADE) or any(
        (folder / kind / header).is_file() for folder in (*beside, *tops) for kind in ("", "uapi")
    )


def near(header: str, source: Source) -> str:
    """The header of a kernel that somebody may have meant; empty if none comes near."""
    include = source.path / "include"
    folder, _, name = header.rpartition("/")
    for other in ("linux", "net"):
        if other != folder and (include / other / name).is_file():
            return f"{other}/{name}"
    there = [path.name for path in (include / folder).glob("*.h")]
    found = difflib.get_close_matches(name, there, 1)
    return "/".join(filter(None, (folder, found[0]))) if found else ""


def declaring(name: str, source: Source) -> list[str]:
    """The headers whose text declares a function or defines a macro of that name; a few."""
    include = source.path / "include"
    word = re.compile(
        rb"^(?:[a-z_][^\n(]*?\b|\*?|#\s*define\s+)" + re.escape(name.encode()) + rb"\b\s*\(",
        re.MULTILINE,
    )
    found: list[str] = []
    for path in _all(include):
        text = path.read_bytes()
        if name.encode() in text and word.search(text):
            found.append(str(path.relative_to(include)).removeprefix("uapi/"))
            if len(found) == _MOST:
                break
    return found


def _all(include: Path) -> Iterator[Path]:
    """Every header below a folder; those of linux/ and net/ first."""
    first = [include / name for name in ("linux", "net")]
    rest = sorted(path for path in include.iterdir() if path.is_dir() and path not in first)
    for folder in (*first, *rest):
        yield from sorted(folder.rglob("*.h"))
