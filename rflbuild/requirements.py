"""What a module needs: module.yaml as a typed model, and kernels held against it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rflbuild import document, headers
from rflbuild.arch import Arch
from rflbuild.document import InvalidError
from rflbuild.source import Source
from rflbuild.verdict import usage_error

FILE = "module.yaml"
BINDINGS = "bindings"  # the folder of templates/ with what makes Rust bindings
_BOUND = re.compile(r"(?P<how>>=|<)(?P<version>\d+\.\d+)")
_SETTINGS = {"y": "built in", "m": "built as a module", "n": "off"}


class Requirements(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel's versions and options, and the C beyond its own Rust bindings."""

    kernel: str = ""
    options: dict[str, str] = {}
    headers: tuple[str, ...] = ()
    helpers: str = ""

    def check(self) -> None:
        """Raise InvalidError for a value that means nothing."""
        for word in self.kernel.split():
            if not _BOUND.fullmatch(word):
                raise InvalidError("`kernel` is like `>=7.3`, `<8.0` or both", ("kernel",))
        for name, value in self.options.items():
            if not re.fullmatch(r"\w+", name) or name.startswith("CONFIG_"):
                raise InvalidError(
                    f"`{name}` is no option's name, which is without CONFIG_", ("options", name)
                )
            if value not in _SETTINGS:
                raise InvalidError(f"`{name}` is y, m or n, not {value}", ("options", name))
        for number, header in enumerate(self.headers):
            if not headers.is_name(header):
                raise InvalidError(
                    f"`{header}` is no header such as linux/netdevice.h", ("headers", number)
                )
        if self.helpers and not re.fullmatch(r"\w[\w-]*\.c", self.helpers):
            raise InvalidError("`helpers` is the name of a C file beside this one", ("helpers",))

    @property
    def bindings(self) -> bool:
        """Whether Rust bindings are made beside the module."""
        return bool(self.headers or self.helpers)


def read(folder: Path) -> Requirements:
    """The module.yaml of a folder; without one, nothing is required."""
    path = folder / FILE
    return document.read(path, Requirements) if path.is_file() else Requirements()


def check_version(path: Path, version: Sequence[int], release: str) -> None:
    """Raise RflError(usage) unless a module.yaml is for kernels of this version."""
    here = tuple(version[:2])
    needed = []
    fits = True
    for found in _BOUND.finditer(read(path.parent).kernel):
        bound = tuple(int(part) for part in found["version"].split("."))
        newer = found["how"] == ">="
        fits &= (here >= bound) == newer
        needed.append(f"{found['version']} or newer" if newer else f"older than {found['version']}")
    if not fits:
        raise usage_error(
            f"{document.where(path, 'kernel')}: it needs Linux {' and '.join(needed)}, and this is "
            f"{release}: choose another by --kernel"
        )


def check_source(path: Path, source: Source, arch: Arch) -> None:
    """Raise RflError(usage) unless a kernel's source is of a fitting version and has the headers.

    A header may also lie beside module.yaml, where the helpers are.
    """
    check_version(path, source.version, source.release)
    needs = read(path.parent)
    if needs.helpers and not (path.parent / needs.helpers).is_file():
        raise usage_error(
            f"{document.where(path, 'helpers')}: there is no {needs.helpers} beside it"
        )
    for number, header in enumerate(needs.headers):
        if headers.exists(header, source, arch, [path.parent]):
            continue
        near = headers.near(header, source)
        hint = f"; did you mean {near}?" if near else ""
        raise usage_error(
            f"{document.where(path, 'headers', number)}: Linux {source.release} has no "
            f"{header}{hint}"
        )


def check_options(
    path: Path, source: Source, arch: Arch, label: str, values: Mapping[str, str]
) -> None:
    """Raise RflError(usage) for the first option that a kernel's .config has otherwise."""
    for name, wanted in read(path.parent).options.items():
        got = values.get(name, "n")
        if got == wanted or (wanted, got) == ("m", "y"):
            continue
        at = document.where(path, "options", name)
        line = f"# CONFIG_{name} is not set" if wanted == "n" else f"CONFIG_{name}={wanted}"
        why = f" ({_comment(path, at)})" if _comment(path, at) else ""
        unknown = _unknown(source, arch, name)
        if unknown:
            raise usage_error(f"{at}: it needs {name}={wanted}{why}, {unknown}")
        raise usage_error(
            f"{at}: it needs {name}={wanted}{why}, and in Linux {source.release} {label} it is "
            f"{_SETTINGS.get(got, got)}: write `{line}` into a file and give it by --fragment"
        )


def _comment(path: Path, at: str) -> str:
    """The comment on a line of module.yaml, which says why."""
    line = path.read_text().splitlines()[int(at.rpartition(":")[2]) - 1]
    return line.partition(" #")[2].strip()


def _unknown(source: Source, arch: Arch, name: str) -> str:
    """What to say of an option that this kernel does not have at all."""
    from rflbuild.kconfig_tree import KconfigTree

    found = KconfigTree.read(source.path, arch.srcarch, source.laid).explain(name, "y", {})
    return "" if found.known else f"and Linux {source.release} has it not: {found.sentence()}"
