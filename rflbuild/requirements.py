"""What a module needs: module.yaml as a typed model (docs/module-yaml.md)."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from rflbuild import document
from rflbuild.document import InvalidError

FILE = "module.yaml"
_BOUND = re.compile(r"(>=|<)(\d+)\.(\d+)")
_HEADER = re.compile(r"\w[\w./+-]*\.h")
_VALUES = {"y": "built in", "m": "built as a module", "n": "off"}


class Requirements(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kernel's versions and options, and the C beyond its own Rust bindings."""

    kernel: str = ""
    options: dict[str, str] = {}
    headers: tuple[str, ...] = ()
    helpers: str = ""

    def check(self) -> None:
        """Raise InvalidError for a value that means nothing."""
        for word in self.kernel.split():
            if not _BOUND.fullmatch(word):
                raise InvalidError("`kernel` is like >=7.3, <8.0, or both", ("kernel",))
        for name, value in self.options.items():
            if not re.fullmatch(r"[A-Z0-9][A-Z0-9_a-z]*", name) or name.startswith("CONFIG_"):
                raise InvalidError("an option is named without CONFIG_", ("options", name))
            if value not in _VALUES:
                raise InvalidError(f"`{name}` is y, m (or built in) or n", ("options", name))
        for number, header in enumerate(self.headers):
            if not _HEADER.fullmatch(header) or ".." in header:
                raise InvalidError("a header is like linux/netdevice.h", ("headers", number))
        if self.helpers and not re.fullmatch(r"\w[\w-]*\.c", self.helpers):
            raise InvalidError("`helpers` is a C file of the same folder", ("helpers",))

    @property
    def bindings(self) -> bool:
        """Whether Rust bindings are made beside the module."""
        return bool(self.headers or self.helpers)


def read(folder: Path) -> Requirements:
    """The module.yaml of a folder; without one, nothing is required."""
    path = folder / FILE
    return document.read(path, Requirements) if path.is_file() else Requirements()
