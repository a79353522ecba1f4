#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes Rust bindings for a kernel module from the C headers that its module.yaml names.

bindings.mk calls it, in a build of the kernel's:

    bindings.py header SRC > bindings_generated.h
    bindings.py rust SRC SRCTREE OBJTREE HEADER OUT [SRCARCH] -- BINDGEN CFLAG...

The first writes the header for bindgen: the module's headers and helpers, and the names
that its Rust uses as `bindings::NAME`. The second runs bindgen, and leaves out what the
kernel's own bindings have, so that a `pci_dev` here is the kernel crate's `pci_dev`.
SRCARCH is given for a kernel that was built by gcc, whose flags libclang does not all know.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GENERATED = "bindings_generated.rs"
CONST = "RUST_CONST_HELPER_"  # the kernel's trick for what bindgen does not see as a constant
HELPER = "rust_helper_"  # its name for a C function that stands for an inline one or a macro

_NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\br(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\\n])'""", re.DOTALL
)
_USE = re.compile(r"\bbindings\s*::\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<group>\{))")
_IN_GROUP = re.compile(r"[{}]|(?<=[{,])\s*([A-Za-z_]\w*)")
_DEFINED = re.compile(
    r"\b(?:as|const|enum|fn|mod|static|struct|trait|type|union)\s+(?:mut\s+)?(\w+)"
)
_MACRO = re.compile(r"_*[A-Z][A-Z0-9_]*")
_OPAQUE = "_unused: [u8; 0]"
# The first line of an item that bindgen writes, after its attributes.
_TYPE = re.compile(r"pub (?:struct|union|type) (\w+)|pub use self::\w+ as (\w+);")
_VALUE = re.compile(r"pub const (\w+)|\s*pub (?:fn|static(?: mut)?) (\w+)", re.MULTILINE)
# A name in an item, but for those of fields, arguments and functions.
_NAMED = re.compile(
    r"(?<!fn )(?P<pointer>\*(?:mut|const) )?\b(?P<name>[A-Za-z_]\w*)\b(?!\s*:(?!:))"
)
_DECLARED = "#[repr(C)]\npub struct NAME {\n    _unused: [u8; 0],\n}"
_IMPL = re.compile(r"(?:unsafe )?impl(?:<[^>]*>)? (?:[\w:]+(?:<[^>]*>)? for )?(\w+)")


class WrongError(Exception):
    """What is wrong, in the form of a compiler's error: `FILE:LINE: error: …`."""


@dataclass(frozen=True)
class Needs:
    """What module.yaml says of C: each header with its line, and the file of the helpers."""

    headers: dict[str, int]
    helpers: str


def read_needs(path: Path) -> Needs:
    """The keys `headers` and `helpers` of a module.yaml; the others are not for the build."""
    headers: dict[str, int] = {}
    helpers = key = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = re.sub(r"(?:^|\s)#.*", "", line).strip()
        found = re.match(r"([\w-]+)\s*:", line)
        if found:
            key = found[1]
            text = text[found.end() :].strip()
        if key == "helpers" and text:
            helpers = text.strip("\"'")
        if key == "headers":
            for word in text.removeprefix("- ").strip("[] ").split(","):
                name = word.strip(" \"'")
                if name:
                    headers[name] = number
    return Needs(headers, helpers)


def _blank(found: re.Match[str]) -> str:
    """What is not code as white space, so that every line stays where it is."""
    return re.sub(r"[^\n]", " ", found[0])


def used_names(folder: Path) -> dict[str, tuple[Path, int]]:
    """Each NAME that a Rust file uses as `bindings::NAME`, and where it first does.

    Names that the file which takes in the generated bindings defines itself are left out.
    """
    names: dict[str, tuple[Path, int]] = {}
    own: set[str] = set()
    for path in sorted(folder.rglob("*.rs")):
        parts = path.relative_to(folder).parts
        if path.name == GENERATED or any(part.startswith(".") for part in parts):
            continue
        text = path.read_text(errors="replace")
        code = _NOT_CODE.sub(_blank, text)
        if GENERATED in text and "include!" in code:
            own |= set(_DEFINED.findall(code))
        for name, position in _uses(code):
            names.setdefault(name, (path, code.count("\n", 0, position) + 1))
    return {name: names[name] for name in sorted(names.keys() - own)}


def _uses(code: str) -> Iterator[tuple[str, int]]:
    for use in _USE.finditer(code):
        if use["name"]:
            yield use["name"], use.start("name")
            continue
        depth = 0
        for part in _IN_GROUP.finditer(code, use.start("group")):
            depth += {"{": 1, "}": -1}.get(part[0], 0)
            if part[1] and depth == 1 and part[1] != "self":
                yield part[1], part.start(1)
            if depth == 0:
                break


def header(folder: Path) -> str:
    """The header that bindgen reads."""
    needs = read_needs(folder / "module.yaml")
    names = used_names(folder)
    lines = [
        "/* Made by bindings.py from module.yaml and from the names in the module's Rust. */",
        # bindgen takes an enum that is declared before it is defined for an int
        # (rust-bindgen issue 3179; see the kernel's bindings_helper.h).
        "#if __has_include(<linux/hrtimer_types.h>)",
        "#include <linux/hrtimer_types.h>",
        "#endif",
    ]
    for name, number in needs.headers.items():
        own = (folder / name).is_file()
        lines.append(f'#line {number} "module.yaml"')
        lines.append(f'#include "{name}"' if own else f"#include <{name}>")
    lines.append(f'#line {len(lines) + 2} "bindings_generated.h"')
    helped: set[str] = set()
    if needs.helpers:
        path = folder / needs.helpers
        if not path.is_file():
            raise WrongError(f"module.yaml:1: error: there is no {needs.helpers}, which it names")
        helped = set(re.findall(rf"\b{HELPER}(\w+)", path.read_text(errors="replace")))
        lines.append(f'#include "{needs.helpers}"')
    for name in names:
        if _MACRO.fullmatch(name) and name not in helped:
            lines += [
                f"#ifdef {name}",
                f"const __typeof__({name}) {CONST}{name} = {name};",
                "#endif",
            ]
    return "\n".join([*lines, *(f"/* bindings::{name} */" for name in names), ""])


@dataclass
class Item:
    """One item of bindgen's output: a type with its attributes, an impl, a constant, a function."""

    text: str
    type_name: str = ""
    value_name: str = ""
    of_type: str = ""

    @property
    def opaque(self) -> bool:
        """Whether it is a type that C only declares."""
        return _OPAQUE in self.text

    @property
    def is_alias(self) -> bool:
        """Whether it is another name for a type."""
        return self.text.startswith(("pub type", "pub use"))


def items(rust: str) -> Iterator[Item]:
    """The items of bindgen's output."""
    held: list[str] = []
    depth = 0
    for line in rust.splitlines():
        if not held and (not line.strip() or line.startswith(("/*", "//"))):
            continue
        held.append(line)
        code = re.sub(r'"(?:\\.|[^"\\])*"', "", line)
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth == 0 and code.endswith((";", "}")):
            yield _item("\n".join(held))
            held = []


def _item(text: str) -> Item:
    body = re.sub(r"\A(?:#\[.*?\]\n(?=#|pub|impl|unsafe|extern|const))+", "", text, flags=re.DOTALL)
    if found := _TYPE.match(body):
        return Item(text, type_name=found[1] or found[2])
    if found := _IMPL.match(body):
        return Item(text, of_type=found[1])
    if found := _VALUE.search(body):
        return Item(text, value_name=found[1] or found[2])
    return Item(text)


@dataclass
class Known:
    """What the kernel's own bindings have: complete types, types only declared, the rest."""

    complete: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Known:
        """Read generated files; by lines, since they are long."""
        known = cls()
        for path in paths:
            previous = ""
            for line in path.read_text().splitlines():
                if line.startswith("pub "):
                    if found := _TYPE.match(line):
                        previous = found[1] or found[2]
                        known.complete.add(previous)
                    elif found := _VALUE.match(line):
                        known.values.add(found[1])
                elif line.startswith(("    pub fn ", "    pub static ")):
                    if found := _VALUE.match(line):
                        known.values.add(found[2])
                elif _OPAQUE in line:
                    known.complete.discard(previous)
                    known.declared.add(previous)
        # Their numbers differ from one run of bindgen to the next.
        known.complete = {name for name in known.complete if not name.startswith("_bindgen_ty_")}
        return known

    @property
    def names(self) -> set[str]:
        """All of it."""
        return self.complete | self.declared | self.values


def select(rust: str, known: Known, names: Iterable[str]) -> list[Item]:
    """The items that the names need and that the kernel's bindings do not have."""
    wanted: dict[str, list[Item]] = {}
    consts: list[Item] = []
    helpers: list[Item] = []
    for item in items(rust):
        name = item.type_name or item.of_type or item.value_name
        if item.value_name.startswith(CONST):
            consts.append(item)
        elif item.value_name.startswith(HELPER):
            helpers.append(item)
        elif not (
            name in known.complete
            or (item.type_name and item.opaque and name in known.declared)
            or (item.text.startswith("pub const") and name in known.values)
        ):
            wanted.setdefault(name, []).append(item)
    for item in consts:
        name = item.value_name.removeprefix(CONST)
        if item.text.startswith("pub const") and name not in wanted and name not in known.values:
            wanted[name] = [Item(item.text.replace(item.value_name, name, 1), value_name=name)]
    for item in helpers:
        name = item.value_name.removeprefix(HELPER)
        if name not in wanted:
            link = f'#[link_name = "{item.value_name}"]\n    pub fn {name}'
            text = item.text.replace(f"pub fn {item.value_name}", link, 1)
            wanted[name] = [Item(text, value_name=name)]
    return _reached(wanted, names)


def _reached(wanted: dict[str, list[Item]], names: Iterable[str]) -> list[Item]:
    """The items that the names lead to; a type that fields only point to becomes an opaque one.

    A `net_device` leads to half of the network's types, and each costs the compiler time.
    """
    whole: dict[str, list[Item]] = {}
    pointed_to: dict[str, list[Item]] = {}
    todo = [(name, True) for name in sorted(wanted.keys() & set(names))]
    while todo:
        name, is_whole = todo.pop()
        found = wanted[name]
        if name in whole or (name in pointed_to and not is_whole):
            continue
        if is_whole:
            whole[name] = found
        elif found[0].is_alias:
            pointed_to[name] = found
        else:
            pointed_to[name] = [Item(_DECLARED.replace("NAME", name), type_name=name)]
            continue
        for item in found:
            for other in _NAMED.finditer(item.text):
                if other["name"] in wanted:
                    by_value = not other["pointer"] and is_whole
                    todo.append((other["name"], by_value or bool(item.value_name)))
    chosen = pointed_to | whole
    return [item for name in wanted if name in chosen for item in chosen[name]]


def bindgen_options(srctree: Path, names: Iterable[str]) -> list[str]:
    """The kernel's own options for bindgen (rust/Makefile), and the names to look for."""
    makefile = (srctree / "rust" / "Makefile").read_text()
    lines = (srctree / "rust" / "bindgen_parameters").read_text().splitlines()
    options = [word for line in lines if not line.startswith("#") for word in shlex.split(line)]
    found = re.search(r"--rust-target [\d.]+", makefile)
    options += found[0].split() if found else []
    options += ["--use-core", "--with-derive-default", "--ctypes-prefix", "ffi"]
    options += ["--no-layout-tests", "--no-debug", ".*", "--enable-function-attribute-detection"]
    names = list(names)
    # The constants of an enum are called ENUM_CONSTANT, and come with the enum alone.
    enums = {name[: at.start()] for name in names for at in re.finditer(r"(?<=\w)_", name)}
    functions = [*names, *(HELPER + name for name in names)]
    variables = [*names, *(CONST + name for name in names)]
    for kind, wanted in (("type", {*names, *enums}), ("function", functions), ("var", variables)):
        options += [f"--allowlist-{kind}", "|".join(sorted(wanted)) or "-"]
    return options


def for_libclang(cflags: list[str], srctree: Path, srcarch: str) -> list[str]:
    """The flags of a kernel that gcc built, as rust/Makefile makes them fit for libclang."""
    makefile = (srctree / "rust" / "Makefile").read_text()
    skipped = re.search(r"^bindgen_skip_c_flags := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    target = re.search(rf"^BINDGEN_TARGET_{srcarch}\s*:= (\S+)", makefile, re.MULTILINE)
    patterns = skipped[1].replace("\\\n", " ").split() if skipped else []
    skip = re.compile("|".join(re.escape(p).replace("%", ".*") for p in patterns))
    kept = [flag for flag in cflags if not (patterns and skip.fullmatch(flag))]
    return [*kept, "-w", *([f"--target={target[1]}"] if target else [])]


def rust(
    folder: Path,
    srctree: Path,
    objtree: Path,
    source: Path,
    srcarch: str,
    bindgen: str,
    cflags: list[str],
) -> str:
    """The bindings: a module that has the kernel's, with what they lack in front of them."""
    names = used_names(folder)
    if srcarch:
        cflags = for_libclang(cflags, srctree, srcarch)
    if not shutil.which(os.environ.get("RUSTFMT", "rustfmt")):
        raise WrongError(
            "error: there is no rustfmt, by which bindgen breaks lines as items() reads"
        )
    options = bindgen_options(srctree, names)
    done = subprocess.run(
        [bindgen, str(source), *options, "--", *cflags],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise WrongError(f"bindings_generated.h:1: error: bindgen failed with {done.returncode}")
    kernels = objtree / "rust" / "bindings"
    known = Known.read([kernels / GENERATED, kernels / "bindings_helpers_generated.rs"])
    chosen = select(done.stdout, known, names)
    have = known.names | {name for i in chosen for name in (i.type_name, i.value_name)}
    lacking = [
        f"{path.relative_to(folder)}:{line}: error: none of the headers in module.yaml "
        f"declares `{name}`"
        for name, (path, line) in names.items()
        if name not in have
    ]
    if lacking:
        raise WrongError("\n".join(lacking))
    return _FRAME.replace("@ITEMS@", "\n".join(item.text for item in chosen)).replace(
        "@ZEROABLE@", _ZEROABLE if "MaybeZeroable" in " ".join(options) else ""
    )


_ZEROABLE = "    use pin_init::MaybeZeroable;\n"
_FRAME = """\
// Made by bindings.py: the kernel's own bindings, and what they lack.
#[allow(
    clippy::all,
    clippy::as_ptr_cast_mut,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unknown_lints,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports,
)]
mod generated {
@ZEROABLE@    use kernel::ffi;
    // What is defined here takes precedence over what a glob brings in.
    #[doc(no_inline)]
    pub use kernel::bindings::*;
@ITEMS@
}
#[allow(unreachable_pub, unused_imports)]
pub use generated::*;
"""


def main(words: list[str]) -> int:
    """Run a subcommand; the exit status for make."""
    try:
        if words[:1] == ["header"]:
            sys.stdout.write(header(Path(words[1])))
            return 0
        end = words.index("--")
        folder, srctree, objtree, source, out = map(Path, words[1:6])
        bindgen, *cflags = words[end + 1 :]
        srcarch = "".join(words[6:end])
        out.write_text(rust(folder, srctree, objtree, source, srcarch, bindgen, cflags))
    except (WrongError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
