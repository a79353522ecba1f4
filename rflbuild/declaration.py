"""What the compiler says of a C function: clang, with the flags of a built kernel's bindgen."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rflbuild.kernel import Plan
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import usage_error

_TIMEOUT = 120.0
# Kbuild keeps each command beside what it made (scripts/Kbuild.include, if_changed).
COMMAND = "rust/bindings/.bindings_generated.rs.cmd"
_SAVED = re.compile(r"^(?:saved)?cmd_\S+ := (?P<command>.*)$", re.MULTILINE)
_READ = re.compile(r"^source_\S+ := (?P<tree>.*)/rust/bindings/\S+$", re.MULTILINE)
_ERROR = re.compile(r"^(?P<where>\S+:\d+):\d+: (?:fatal )?error: (?P<what>.*)$", re.MULTILINE)
_ATTRIBUTES = re.compile(r" __attribute__\(\(.*\)\)$")
_WORD = re.compile(r"\w+|[^\w\s]")
# Annotations for sparse, which the compiler does not see (include/linux/compiler_types.h).
_ANNOTATIONS = {"__force", "__iomem", "__percpu", "__private", "__rcu", "__user"}
Node = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, and how it is declared, as `void __iomem *addr`."""

    name: str
    text: str


@dataclass(frozen=True)
class Function:
    """A function as a header declares it.

    `type` is the compiler's word for its type, `result` the type that it returns
    with the annotations it has in the header. `inline` are functions without a
    symbol. `place` is where it stands, the line counted from 1.
    """

    name: str
    type: str
    result: str
    parameters: tuple[Parameter, ...]
    inline: bool
    variadic: bool
    place: tuple[Path, int]

    @property
    def noreturn(self) -> bool:
        """Whether it never returns."""
        return "noreturn" in self.type


@dataclass(frozen=True)
class Macro:
    """A macro; `parameters` is None for one without parentheses."""

    name: str
    parameters: str | None
    body: str


@dataclass(frozen=True)
class Compiler:
    """clang as it reads the C of a kernel that was built in `out`."""

    session: Session
    toolchain: Toolchain
    source: Source
    out: Path
    flags: tuple[str, ...]

    def run(self, *words: str, read: Sequence[Path] = ()) -> tuple[int, str]:
        """The exit status of clang with the kernel's flags and these words, and what it says."""
        argv = self.toolchain.command(
            [self.toolchain.llvm("clang"), *self.flags, *words],
            cwd=self.out,
            read=[self.source.path, self.out, *read],
        )
        done = self.session.processes.run(argv, cwd=self.out, timeout=_TIMEOUT)
        return done.status, done.output

    def nodes(self, name: str, *words: str, read: Sequence[Path] = ()) -> list[Node]:
        """The declarations of a name, as the syntax tree has them; they may be of any kind.

        Raises RflError(usage) if what is read does not compile.
        """
        status, output = self.run(
            *("-w", "-fsyntax-only", "-Xclang", "-ast-dump=json"),
            *("-Xclang", f"-ast-dump-filter={name}", *words),
            read=read,
        )
        if status:
            raise usage_error(f"clang cannot read it: {error_in(output)}")
        return [node for node in _values(output) if node.get("name") == name]

    def text(self, file: str) -> bytes:
        """A file by the name that the compiler has for it."""
        return (self.out / file).read_bytes()


def compiler(session: Session, plan: Plan, out: Path) -> Compiler:
    """The compiler of a kernel that was built; RflError(usage) if it has no Rust.

    The store may have another place than when the kernel was built.
    """
    path = out / COMMAND
    text = path.read_text() if path.is_file() else ""
    saved, read = _SAVED.search(text), _READ.search(text)
    if not saved or not read:
        raise usage_error(
            f"Linux {plan.source.release} {plan.config.label} was built without Rust "
            f"({out} has no {COMMAND}): give the option RUST by --fragment"
        )
    command = saved["command"].replace("$(pound)", "#").replace("$$", "$")
    command = command.replace(f"{read['tree']}/", f"{plan.source.path}/")
    words = shlex.split(command.partition(" -- ")[2].partition(" ; ")[0])
    kept = tuple(word for word in words if not word.startswith("-Wp,-M"))  # no .d files
    return Compiler(session, plan.toolchain, plan.source, out, kept)


def error_in(output: str) -> str:
    """The first error in what clang says, with its place."""
    found = _ERROR.search(output)
    if found:
        return f"{found['where']}: {found['what']}"
    return (output.strip().splitlines() or ["no reason given"])[0]


def in_header(header: str) -> list[str]:
    """Words by which clang reads a header and nothing else."""
    return ["-include", header, "-x", "c", "/dev/null"]


def function(cc: Compiler, nodes: Sequence[Node]) -> Function | None:
    """The function among the declarations of a name.

    It counts as inline if bindgen would see no symbol: it is `static`, or every
    declaration of it is inline.
    """
    found = [node for node in nodes if node["kind"] == "FunctionDecl"]
    if not found:
        return None
    static = any(node.get("storageClass") == "static" for node in found)
    inline = static or all(node.get("inline") for node in found)
    node = next((node for node in found if _body(node)), found[-1]) if inline else found[0]
    return _function(cc, node, inline)


def renamed(function: Function, name: str) -> Function:
    """The same function by another name."""
    return replace(function, name=name)


def macros(cc: Compiler, header: str) -> dict[str, Macro]:
    """Every macro that there is after a header."""
    status, output = cc.run("-w", "-E", "-dM", *in_header(header))
    if status:
        raise usage_error(f"clang cannot read {header}: {error_in(output)}")
    pattern = re.compile(r"^#define (\w+)(?:\(([^)]*)\))? ?(.*)$", re.MULTILINE)
    return {
        found[1]: Macro(found[1], found[2], found[3].strip()) for found in pattern.finditer(output)
    }


def names(cc: Compiler, header: str) -> list[str]:
    """The names of everything that is declared after a header, macros with parameters included."""
    status, output = cc.run("-w", "-fsyntax-only", "-Xclang", "-ast-list", *in_header(header))
    declared = [] if status else output.split("\n")
    called = [each.name for each in macros(cc, header).values() if each.parameters is not None]
    return list(dict.fromkeys([*filter(str.isidentifier, declared), *called]))


def _values(output: str) -> Iterator[Node]:
    """The JSON values that follow each other in an output."""
    decoder = json.JSONDecoder()
    at = output.find("{")
    while at >= 0:
        value, end = decoder.raw_decode(output, at)
        yield value
        at = output.find("{", end)


def _body(node: Node) -> bool:
    return any(inner["kind"] == "CompoundStmt" for inner in node.get("inner", ()))


def _function(cc: Compiler, node: Node, inline: bool) -> Function:
    spelled = _ATTRIBUTES.sub("", node["type"]["qualType"])
    file = _file(node["loc"])
    source = cc.text(file)
    line = source.count(b"\n", 0, _at(node["loc"])["offset"]) + 1
    taken = [inner for inner in node.get("inner", ()) if inner["kind"] == "ParmVarDecl"]
    types = [str(each["type"]["qualType"]) for each in taken]
    variadic = bool(node.get("variadic"))
    return Function(
        name=node["name"],
        type=node["type"]["qualType"],
        result=_result(source, node, _result_type(spelled)),
        parameters=tuple(
            _parameter(source, each, type_, number)
            for number, (each, type_) in enumerate(zip(taken, types, strict=True), 1)
        ),
        inline=inline,
        variadic=variadic,
        place=((cc.out / file).resolve(), line),
    )


def _result_type(spelled: str) -> str:
    """What a function type such as `void *(int, void (*)(int))` returns."""
    depth = 0
    for at in range(len(spelled) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(spelled[at], 0)
        if not depth:
            return spelled[:at].strip()
    return spelled


def _result(source: bytes, node: Node, spelled: str) -> str:
    """The type that a function returns, with the annotations that stand in its header."""
    text = _between(source, node["range"]["begin"], node["loc"])
    if text is None:
        return spelled
    kept = [
        word
        for word in _WORD.findall(text)
        if word in _ANNOTATIONS or word in {"*", *_WORD.findall(spelled)}
    ]
    plain = [word for word in kept if word not in _ANNOTATIONS]
    if plain != _WORD.findall(spelled):
        return spelled
    return re.sub(r"\* (?=\*)", "*", " ".join(kept))


def _parameter(source: bytes, node: Node, spelled: str, number: int) -> Parameter:
    """A parameter as it stands in its header, else by the compiler's word for its type.

    An array is a pointer to the compiler, and to us. One without a name gets one.
    """
    name = str(node.get("name") or f"arg{number}")
    text = _between(source, node["range"]["begin"], node["range"]["end"], whole=True)
    words = _WORD.findall(text or "")
    if text and words.count(name) == 1 and "[" not in words:
        return Parameter(name, re.sub(r"\s+", " ", text))
    if "(*" in spelled:
        return Parameter(name, spelled.replace("(*", f"(*{name}", 1))
    return Parameter(name, f"{spelled}{'' if spelled.endswith('*') else ' '}{name}")


def _at(place: Node) -> Node:
    """Where something stands in a file, also if a macro has brought it there."""
    at: Node = place.get("expansionLoc", place)
    return at


def _file(place: Node) -> str:
    """The file of the first place of a node; one that is as before is left out there."""
    spelling = place.get("spellingLoc", {})
    return str(_at(place).get("file") or spelling["file"])


def _between(source: bytes, begin: Node, end: Node, *, whole: bool = False) -> str | None:
    """The text between two places of a file, the last token included if `whole`."""
    first, last = _at(begin), _at(end)
    if "offset" not in first or "offset" not in last or last["offset"] < first["offset"]:
        return None
    length = last["tokLen"] if whole else 0
    return source[first["offset"] : last["offset"] + length].decode(errors="replace")
