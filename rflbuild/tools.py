"""The tools on the PATH that can build a Rust kernel, versioned names included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rflbuild.store import key_of

# What LLVM=1 makes the kernel's Makefile call (Documentation/kbuild/llvm.rst).
LLVM_TOOLS = (
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-objdump",
    "llvm-readelf",
    "llvm-strip",
)
# Make's variable for each tool that may have a versioned name.
VARIABLES = {
    "rustc": "RUSTC",
    "rustdoc": "RUSTDOC",
    "rustfmt": "RUSTFMT",
    "clippy-driver": "CLIPPY_DRIVER",
    "bindgen": "BINDGEN",
    "pahole": "PAHOLE",
}
# Needed on the host whatever the kernel; the package is Debian's.
HOST_TOOLS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "perl": "perl",
    "openssl": "openssl",
    "cpio": "cpio",
}

Version = tuple[int, ...]


def parse_version(text: str) -> Version | None:
    """The first dotted number in a tool's answer: `rustc 1.85.1 (…)` as (1, 85, 1)."""
    match = re.search(r"(?<![\w.])v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else None


def dotted(version: Version | None) -> str:
    """A version as people write it."""
    return ".".join(str(part) for part in version) if version else "?"


@dataclass(frozen=True)
class SystemTools:
    """Where each tool is, by its plain name, and LLVM's suffix such as `-19`."""

    paths: Mapping[str, Path]
    llvm_suffix: str

    def make_variables(self) -> tuple[str, ...]:
        """What make is told, so that it calls just these."""
        variables = [f"LLVM={self.llvm_suffix or '1'}"]
        for tool, variable in VARIABLES.items():
            if tool in self.paths and self.paths[tool].name != tool:
                variables.append(f"{variable}={self.paths[tool].name}")
        return tuple(variables)

    def fingerprint(self) -> str:
        """A key that changes when a tool is replaced, from stat calls alone."""
        rows = []
        for name, path in sorted(self.paths.items()):
            stat = path.stat()
            rows.append((name, str(path), stat.st_mtime_ns, stat.st_size))
        return key_of(rows, self.llvm_suffix)


def find(search_path: str, qemu: str) -> SystemTools:
    """Look for every tool on a PATH-like string; what is not there is left out.

    An unversioned name is taken first, and among versioned ones the highest:
    with only `clang-18` and `clang-19` on the path, LLVM's suffix is `-19`.
    """
    programs = _programs(search_path)
    paths: dict[str, Path] = {}
    suffix = _llvm_suffix(programs)
    for tool in LLVM_TOOLS:
        if tool + suffix in programs:
            paths[tool] = programs[tool + suffix]
    for tool in VARIABLES:
        name = _best(tool, programs)
        if name:
            paths[tool] = programs[name]
    for tool in (*HOST_TOOLS, qemu):
        if tool in programs:
            paths[tool] = programs[tool]
    return SystemTools(paths, suffix)


def _programs(search_path: str) -> dict[str, Path]:
    """Every executable of interest on the path; the first of a name wins."""
    wanted = {*LLVM_TOOLS, *VARIABLES, *HOST_TOOLS}
    found: dict[str, Path] = {}
    for folder in search_path.split(os.pathsep):
        for entry in _entries(folder):
            base = re.sub(r"-\d+(\.\d+)*$", "", entry.name)
            known = base in wanted or entry.name.startswith("qemu-system-")
            if not known or entry.name in found:
                continue
            if entry.is_file() and os.access(entry.path, os.X_OK):
                found[entry.name] = Path(entry.path)
    return found


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            yield from entries
    except OSError:
        return  # PATH may name folders that are not there


def _llvm_suffix(programs: Mapping[str, Path]) -> str:
    """The suffix with which most of LLVM is there; plain names first, then the newest."""
    suffixes = {""} | {name[len("clang") :] for name in programs if re.match(r"clang-\d+$", name)}
    return max(
        suffixes,
        key=lambda suffix: (
            sum(tool + suffix in programs for tool in LLVM_TOOLS),
            not suffix,
            int(suffix[1:] or 0),
        ),
    )


def _best(tool: str, programs: Mapping[str, Path]) -> str | None:
    if tool in programs:
        return tool
    versions = [
        (parse_version(name[len(tool) :].replace("-", " ") + ".0") or (), name)
        for name in programs
        if re.fullmatch(re.escape(tool) + r"-\d+(\.\d+)*", name)
    ]
    return max(versions)[1] if versions else None
