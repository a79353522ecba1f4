"""What the addresses in a run's messages stand for: functions, files and lines.

A run leaves `symbols.json`, which says where its kernel and modules with their debug
information are; llvm-symbolizer reads these.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rflbuild import arch as arches
from rflbuild import build_folder, elf, toolchain
from rflbuild.elf import Functions
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import environment_error, usage_error

FILE = "symbols.json"
_TIMEOUT = 30.0  # seconds; a kernel of a quarter of a gigabyte takes two
_AT_ONCE = 500  # addresses on one command line
# A kernel of the store was built in a folder that was then moved.
_BUILT_IN = re.compile(r".*/tmp/kernel-[0-9a-f]{16}/")
_RUSTS_OWN = re.compile(r".*/library/(?=(?:alloc|core|std|stdarch)/)")


class Symbols(msgspec.Struct, frozen=True):
    """A kernel, the modules that its guest got, and what the module's files are called.

    `modules` are .ko files by the kernel's name for them. `directory` is the module's
    folder, `shown` its path for people; `own` are its files in the kernel's tree, and
    what people call them. `laid` are folders seen in the place of others of the source.
    """

    release: str
    arch: str
    toolchain: str
    kernel: str  # its key, its build folder and its source
    out: str
    source: str
    mutable: bool
    modules: dict[str, str] = {}
    directory: str = ""
    shown: str = ""
    own: dict[str, str] = {}
    laid: tuple[tuple[str, str], ...] = ()

    @property
    def vmlinux(self) -> Path:
        """The kernel with its symbols."""
        return Path(self.out, "vmlinux")


@dataclass(frozen=True)
class Place:
    """An address as the kernel prints it, `name+offset/size [module]`.

    A call's return address stands for the call before it.
    """

    module: str
    name: str
    offset: int
    size: int
    is_return: bool = False


@dataclass(frozen=True)
class Frame:
    """A function, and a line of it; `path` is for people, empty where it is unknown.

    It is `own` in a file of the module's folder.
    """

    function: str
    path: str
    line: int
    own: bool = False


def of(
    kernel: Kernel,
    files: Mapping[str, Path],
    module: Module | None,
    own: Mapping[str, str] | None = None,
) -> Symbols:
    """The symbols of a kernel and of the files that its guest gets."""
    _, *laid = kernel.source.mounts
    return Symbols(
        release=kernel.source.release,
        arch=kernel.arch.name,
        toolchain=kernel.toolchain.name,
        kernel=kernel.key,
        out=str(kernel.out),
        source=str(kernel.source.path),
        mutable=kernel.source.mutable,
        modules={
            name.removesuffix(".ko").replace("-", "_"): str(path)
            for name, path in files.items()
            if name.endswith(".ko")
        },
        directory=str(module.directory) if module else "",
        shown=module.shown if module else "",
        own=dict(own or {}),
        laid=tuple((str(mount[0]), str(mount[1])) for mount in laid if isinstance(mount, tuple)),
    )


def write(symbols: Symbols, folder: Path) -> None:
    """Keep them in a run's results folder."""
    text = json.dumps(msgspec.to_builtins(symbols), indent=2)
    write_atomically(folder / FILE, text + "\n")


def read(folder: Path) -> Symbols:
    """The symbols of a run; RflError(usage) if the folder has none."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Symbols)
    except FileNotFoundError:
        raise usage_error(
            f"{folder} has no {FILE}: it is no run's folder, or the run ended before its boot"
        ) from None
    except msgspec.MsgspecError as error:
        raise usage_error(f"{folder / FILE} is not as it was written: {error}") from error


def require(symbols: Symbols) -> None:
    """Raise RflError(environment) if the kernel is not there any more."""
    if not symbols.vmlinux.is_file():
        raise environment_error(
            f"the kernel of this run ({symbols.release} {symbols.arch}, {symbols.kernel}) is not "
            f"in {symbols.out} any more: make the run again"
        )


def rebuilt(symbols: Symbols) -> bool:
    """Whether the kernel was built anew after the run, with other files in its tree."""
    return not build_folder.holds(Path(symbols.out), symbols.kernel, mutable=symbols.mutable)


def tools(session: Session, symbols: Symbols) -> Toolchain:
    """The toolchain that the run had."""
    if symbols.toolchain == "debian":
        return toolchain.debian_root(session)
    return toolchain.system(session, arches.load(session.workspace.configs, symbols.arch))


def look_up(
    session: Session, symbols: Symbols, places: Iterable[Place]
) -> dict[Place, tuple[Frame, ...]]:
    """The frames of each place that has any: inlined functions first, as they were called last.

    Raises RflError when the kernel or llvm-symbolizer is not there.
    """
    require(symbols)
    wanted = sorted(set(places), key=repr)
    found: dict[Place, tuple[Frame, ...]] = {}
    with tempfile.TemporaryDirectory(dir=session.store.work("tmp", "symbols")) as name:
        addresses: dict[Place, tuple[Path, int]] = {}
        for module in sorted({place.module for place in wanted}):
            theirs = [place for place in wanted if place.module == module]
            file, functions = _object(symbols, module, theirs, Path(name))
            for place in theirs:
                address = _address(functions, place)
                if file and address is not None:
                    addresses[place] = (file, address)
        chosen = list(addresses)
        for begin in range(0, len(chosen), _AT_ONCE):
            some = chosen[begin : begin + _AT_ONCE]
            rows = _symbolize(session, symbols, [addresses[place] for place in some], Path(name))
            found |= zip(some, (_frames(symbols, row) for row in rows), strict=True)
    return {place: frames for place, frames in found.items() if frames}


def _object(
    symbols: Symbols, module: str, places: Iterable[Place], folder: Path
) -> tuple[Path | None, Functions]:
    """The file in which to look up places of a module, or of the kernel, and its functions."""
    if not module:
        names = {place.name for place in places}
        return symbols.vmlinux, _kernels_functions(symbols.vmlinux.with_name("System.map"), names)
    path = Path(symbols.modules.get(module, ""))
    try:
        layout = elf.lay_out(path.read_bytes())
    except (OSError, ValueError):
        return None, {}
    copy = folder / f"{module}.ko"
    copy.write_bytes(layout.image)
    return copy, layout.functions


def _kernels_functions(system_map: Path, names: set[str]) -> Functions:
    """Functions of these names by a System.map, whose lines are ADDRESS TYPE NAME, sorted."""
    rows = [line.split() for line in system_map.read_text().splitlines()]
    symbols = [(int(row[0], 16), row[2]) for row in rows if len(row) == 3]
    return {name: places for name, places in elf.sized(symbols, {}).items() if name in names}


def _address(functions: Functions, place: Place) -> int | None:
    """The address of a place; of functions of one name, the one that has its size."""
    known = functions.get(place.name, [])
    fitting = [begin for begin, size in known if size == place.size]
    begins = fitting or [begin for begin, _ in known]
    if len(begins) != 1:
        return None
    return begins[0] + place.offset - place.is_return


def _symbolize(
    session: Session, symbols: Symbols, addresses: Iterable[tuple[Path, int]], folder: Path
) -> list[list[dict[str, object]]]:
    """What llvm-symbolizer says of each address: its frames, as its JSON has them."""
    chain = tools(session, symbols)
    argv = [
        chain.llvm("llvm-symbolizer"),
        *("--output-style=JSON", "--inlines", "--demangle"),
        *(f'CODE "{file}" {address:#x}' for file, address in addresses),
    ]
    done = session.processes.run(
        chain.command(argv, cwd=folder, read=[Path(symbols.out), folder]), timeout=_TIMEOUT
    )
    lines = [line for line in done.output.splitlines() if line.startswith(("[", "{"))]
    if done.status or not lines:
        said = (done.output.strip().splitlines() or ["nothing"])[-1]
        raise environment_error(f"llvm-symbolizer fails: {said}")
    rows: list[dict[str, list[dict[str, object]]]] = []
    for line in lines:
        value = json.loads(line)
        rows += value if isinstance(value, list) else [value]
    return [row.get("Symbol", []) for row in rows]


def _frames(symbols: Symbols, row: list[dict[str, object]]) -> tuple[Frame, ...]:
    frames = []
    for entry in row:
        if entry.get("FunctionName"):
            path, own = known_as(symbols, str(entry["FileName"]))
            line = int(str(entry["Line"]))
            frames.append(Frame(str(entry["FunctionName"]), path, line, own))
    return tuple(frames)


def known_as(symbols: Symbols, path: str) -> tuple[str, bool]:
    """A path of debug information, or of a message, for people, and whether it is the module's."""
    path = os.path.normpath(path) if path else ""
    if symbols.directory and Path(symbols.directory, path).is_file():
        path = str(Path(symbols.directory, path))  # a relative one is the module's, if it is there
    if inside := _in_module(symbols, path):
        return str(Path(symbols.shown, inside)), True
    path = _elsewhere(symbols, path)
    return symbols.own.get(path, path), path in symbols.own


def _in_module(symbols: Symbols, path: str) -> str:
    """A path relative to the module's folder; empty for what is not of it.

    Rust's relative paths of the kernel's own files, inlined into the module, seem to be there.
    """
    if not symbols.directory or not path.startswith(f"{symbols.directory}/"):
        return ""
    inside = path.removeprefix(f"{symbols.directory}/")
    is_there = Path(symbols.directory, inside).is_file()
    return inside if is_there or not Path(symbols.source, inside).is_file() else ""


def _elsewhere(symbols: Symbols, path: str) -> str:
    """A path as people know it: relative to the kernel's source, or to Rust's library."""
    folders = (symbols.source, os.path.realpath(symbols.source), symbols.out, symbols.directory)
    for folder in filter(None, folders):
        if path.startswith(f"{folder}/"):
            return path.removeprefix(f"{folder}/")
    for pattern in (_BUILT_IN, _RUSTS_OWN):
        if found := pattern.match(path):
            return path[found.end() :]
    return path
