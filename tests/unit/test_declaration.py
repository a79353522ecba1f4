"""declaration: the compiler's flags from a built kernel, and functions from its syntax tree.

clang is not run: its answers are texts as it gives them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rflbuild import arch, declaration
from rflbuild.declaration import COMMAND, Compiler
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Plan
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

HEADER = """\
static inline void __iomem *card_map(struct card *card, const void __user *from,
    u8 address[6], void (*done)(void *data));
extern int card_sum(int, unsigned long);
#define MADE(name) static inline int name(int a) { return a; }
MADE(card_made)
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "linux").mkdir()
    return Source("7.3", tmp_path / "linux", (7, 3, 4), "7.3.4", "key")


@pytest.fixture
def compiler(session: Session, source: Source, tmp_path: Path) -> Callable[..., Compiler]:
    """Makes a compiler that gives an answer, whatever it is asked."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "card.h").write_text(HEADER)

    def make(answer: str = "", status: int = 0) -> Compiler:
        (out / "answer").write_text(answer)

        def enter(
            argv: Sequence[str], _cwd: Path, _read: Iterable[Mount], _write: Iterable[Path]
        ) -> list[str]:
            return ["sh", "-c", f"cat answer; exit {status}", *argv]

        return Compiler(session, Toolchain("here", "key", (), enter), source, out, ())

    return make


def at(text: str, *, end: str = "") -> dict[str, Any]:
    """The place of a text in the header, or of the last token of it."""
    offset = HEADER.index(text)
    place = {"file": "card.h", "offset": offset, "tokLen": len(text)}
    if end:
        place["offset"] = HEADER.index(end, offset) if end != text else offset
        place["tokLen"] = len(end)
    return place


def parameter(text: str, spelled: str, name: str = "", last: str = "") -> dict[str, Any]:
    node = {
        "kind": "ParmVarDecl",
        "range": {"begin": at(text), "end": at(text, end=last or name or text)},
        "type": {"qualType": spelled},
    }
    return {**node, "name": name} if name else node


def function(name: str, begin: str, spelled: str, *inner: Any, **more: Any) -> dict[str, Any]:
    return {
        "kind": "FunctionDecl",
        "name": name,
        "loc": at(name),
        "range": {"begin": at(begin), "end": at(name)},
        "type": {"qualType": spelled},
        "inner": list(inner),
        **more,
    }


CARD_MAP = function(
    *("card_map", "static inline void __iomem"),
    "void *(struct card *, const void *, u8 *, void (*)(void *))",
    parameter("struct card *card", "struct card *", "card", "card,"),
    parameter("const void __user *from", "const void *", "from"),
    parameter("u8 address[6]", "u8 *", "address", "]"),
    parameter("void (*done)(void *data)", "void (*)(void *)", "done", ")(void *data)"),
    storageClass="static",
    inline=True,
)
CARD_SUM = function(
    *("card_sum", "extern int", "int (int, unsigned long)"),
    parameter("int, unsigned", "int", last="int"),
    parameter("unsigned long", "unsigned long"),
    storageClass="extern",
)


# ---- the flags -------------------------------------------------------------------------------


def plan(session: Session, source: Source) -> Plan:
    tools = Toolchain("here", "key", ("LLVM=1",), lambda argv, _cwd, _read, _write: list(argv))
    arm64 = arch.load(session.workspace.configs, "arm64")
    return Plan(arm64, source, tools, Kconfig("virt", "allnoconfig", (), 0))


@pytest.mark.parametrize("variable", ["savedcmd", "cmd"])
def test_the_flags_are_those_of_the_kernels_bindgen(
    session: Session, source: Source, tmp_path: Path, variable: str
) -> None:
    path = tmp_path / COMMAND
    path.parent.mkdir(parents=True)
    path.write_text(
        f"{variable}_rust/a.rs := bindgen /old/rust/bindings/bindings_helper.h --opaque-type a "
        "--x='$(pound)[y]' -o rust/a.rs -- -Wp,-MMD,rust/.a.d -I/old/include -I./include "
        "-DNAME='\"rust/a\"' -DPRICE='$$1' -D__BINDGEN__ ; sed -Ei 's/a/b/g' rust/a.rs\n\n"
        "source_rust/a.rs := /old/rust/bindings/bindings_helper.h\n\ndeps_rust/a.rs := \\\n"
    )

    found = declaration.compiler(session, plan(session, source), tmp_path)

    assert found.flags == (
        f"-I{source.path}/include",
        "-I./include",
        '-DNAME="rust/a"',
        "-DPRICE=$1",
        "-D__BINDGEN__",
    )


def test_a_kernel_without_rust_is_said_to_be_so(
    session: Session, source: Source, tmp_path: Path
) -> None:
    with pytest.raises(RflError) as caught:
        declaration.compiler(session, plan(session, source), tmp_path)

    assert caught.value.verdict is Verdict.USAGE
    assert "Linux 7.3.4 virt was built without Rust" in caught.value.sentence


# ---- functions -------------------------------------------------------------------------------


def test_an_inline_function_has_its_annotations(compiler: Callable[..., Compiler]) -> None:
    found = declaration.function(compiler(), [CARD_MAP])

    assert found
    assert found.inline
    assert found.result == "void __iomem *"
    assert [each.text for each in found.parameters] == [
        "struct card *card",
        "const void __user *from",
        "u8 *address",
        "void (*done)(void *data)",
    ]
    assert found.place[1] == 1


def test_parameters_without_a_name_get_one(compiler: Callable[..., Compiler]) -> None:
    found = declaration.function(compiler(), [CARD_SUM])

    assert found
    assert not found.inline
    assert [each.text for each in found.parameters] == ["int arg1", "unsigned long arg2"]
    assert found.place[1] == 3


def test_a_function_that_a_macro_makes_has_the_compilers_types(
    compiler: Callable[..., Compiler],
) -> None:
    made = {"expansionLoc": at("MADE(card_made)"), "spellingLoc": {**at("card_made")}}
    del made["expansionLoc"]["file"]
    node = function("card_made", "MADE(card_made)", "int (int)", storageClass="static")
    node |= {"loc": made, "range": {"begin": made, "end": made}}
    node["inner"] = [
        {"kind": "ParmVarDecl", "name": "a", "range": node["range"], "type": {"qualType": "int"}}
    ]

    found = declaration.function(compiler(), [node])

    assert found
    assert (found.result, found.parameters[0].text) == ("int", "int a")
    assert found.place == ((compiler().out / "card.h").resolve(), 5)


@pytest.mark.parametrize(
    ("kinds", "inline"),
    [
        ([{"storageClass": "static", "inline": True}], True),
        ([{"storageClass": "static"}], True),
        ([{"storageClass": "extern"}], False),
        ([{}], False),
        ([{"inline": True, "storageClass": "extern"}], True),
        ([{}, {"inline": True, "storageClass": "extern"}], False),
    ],
)
def test_a_function_is_inline_if_no_declaration_gives_it_a_symbol(
    compiler: Callable[..., Compiler], kinds: list[dict[str, Any]], inline: bool
) -> None:
    plain = function("card_sum", "extern int", "int (void)")

    found = declaration.function(compiler(), [plain | kind for kind in kinds])

    assert found
    assert found.inline is inline


def test_what_is_no_function_is_none(compiler: Callable[..., Compiler]) -> None:
    assert declaration.function(compiler(), [{"kind": "RecordDecl", "name": "card"}]) is None


def test_only_declarations_of_the_very_name_count(compiler: Callable[..., Compiler]) -> None:
    answer = "".join(json.dumps(node, indent=1) + "\n" for node in (CARD_MAP, CARD_SUM))

    found = compiler(answer).nodes("card_sum", "card.h")

    assert [node["name"] for node in found] == ["card_sum"]


def test_what_does_not_compile_is_said_with_its_place(compiler: Callable[..., Compiler]) -> None:
    answer = "In file included from <built-in>:1:\n./card.h:3:9: fatal error: no type 'u8'\n"

    with pytest.raises(RflError) as caught:
        compiler(answer, 1).nodes("card_sum", "card.h")

    assert caught.value.sentence == "clang cannot read it: ./card.h:3: no type 'u8'"


# ---- macros and names ------------------------------------------------------------------------


def test_macros_are_told_with_their_parameters(compiler: Callable[..., Compiler]) -> None:
    answer = "#define CARDS 4\n#define card_on(c,...) f(c, __VA_ARGS__)\n#define EMPTY\n"

    found = declaration.macros(compiler(answer), "card.h")

    assert (found["CARDS"].parameters, found["CARDS"].body) == (None, "4")
    assert (found["card_on"].parameters, found["card_on"].body) == ("c,...", "f(c, __VA_ARGS__)")
    assert (found["EMPTY"].parameters, found["EMPTY"].body) == (None, "")
