"""What a kernel that was built offers: to C by its symbols, to Rust by its bindings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

GENERATED = ("rust/bindings/bindings_generated.rs", "rust/bindings/bindings_helpers_generated.rs")


def signature(out: Path, name: str) -> tuple[str, str]:
    """A function's Rust declaration in a built kernel's bindings, and FILE:LINE; else empty.

    A function that has both a symbol and a helper is called by the symbol
    (rust/bindings/lib.rs).
    """
    pattern = re.compile(rf"^[ \t]*pub fn {name}\(.*?;$", re.MULTILINE | re.DOTALL)
    for file in GENERATED:
        path = out / file
        text = path.read_text() if path.is_file() else ""
        found = pattern.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            return textwrap.dedent(found[0]), f"{file}:{line}"
    return "", ""


def symbol(out: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """How a function can be called: who exports it, and a note if not everybody can."""
    exports = _exports(out / "Module.symvers")
    if name in exports:
        module, how, namespace = exports[name]
        notes = (
            (f"it is in the namespace {namespace}: a module needs `imports_ns: [{namespace}]`",)
            if namespace
            else ()
        )
        return f"exported by {module} ({how})", notes
    if re.search(rf" [A-Za-z] {name}$", (out / "System.map").read_text(), re.MULTILINE):
        return (
            "not exported",
            (f"{name} is not exported: Rust that is built in can call it, a module cannot",),
        )
    return (
        "not in this kernel",
        (f"nothing in this configuration defines {name}: a call of it would not link",),
    )


def _exports(symvers: Path) -> Mapping[str, tuple[str, str, str]]:
    """Module, kind and namespace of what a kernel exports (Documentation/kbuild/modules.rst)."""
    rows = [line.split("\t") for line in symvers.read_text().splitlines()]
    return {row[1]: (row[2], row[3], row[4] if len(row) > 4 else "") for row in rows}
