"""How Rust gets at a C function: what the compiler and the built kernel say of it.

A function with a symbol needs its header in bindgen's, one without a helper too.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rflbuild import bindings_edit, declaration, exports, headers, helper
from rflbuild.arch import Arch
from rflbuild.bindings_edit import Binding, Edit, Form, Reader
from rflbuild.declaration import Compiler, Function, Macro
from rflbuild.helper import PREFIX
from rflbuild.source import Source
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import RflError, usage_error

_LISTS = ("rust/helpers/helpers.c", "rust/helpers.c")
_MOST = 3  # near names that are told
_FAULT = re.compile(
    r"^(?P<file>\S+?):(?P<line>\d+):\d+: (?:error|warning): (?P<what>.*)$", re.MULTILINE
)
_KINDS = {
    "EnumConstantDecl": "an enum's constant",
    "EnumDecl": "an enum",
    "RecordDecl": "a struct or union",
    "TypedefDecl": "a type",
    "VarDecl": "a variable",
}


@dataclass(frozen=True)
class Wanted:
    """A function that is asked for, its header, and a prototype if it is a macro."""

    name: str
    header: str
    prototype: str = ""


@dataclass(frozen=True)
class Found:
    """A function that can be bound: what it is, in words, and what it takes.

    `type` is the compiler's word for its type, empty for a macro; `notes` are what
    else its caller should know.
    """

    what: str
    binding: Binding
    type: str = ""
    notes: tuple[str, ...] = ()


def reached(cc: Compiler, name: str) -> str:
    """Where the kernel's own bindings have a function already; empty if they do not."""
    for path in _LISTS:
        if (cc.source.path / path).is_file():
            nodes = cc.nodes(f"{PREFIX}{name}", str(cc.source.path / path))
            found = declaration.function(cc, nodes)
            if found:
                return _shown(cc, found)
    nodes = cc.nodes(name, str(cc.source.path / bindings_edit.HEADERS))
    found = declaration.function(cc, nodes)
    return _shown(cc, found) if found and not found.inline else ""


def find(cc: Compiler, form: Form, wanted: Wanted) -> Found:
    """What it takes to reach a function or a macro of a header.

    Raises RflError(usage) for what cannot be reached, with the reason.
    """
    name, header = wanted.name, wanted.header
    try:
        nodes = cc.nodes(name, *declaration.in_header(header))
    except RflError as error:
        why = error.sentence.removeprefix("clang cannot read it: ")
        raise usage_error(
            f"{header} does not compile by itself ({why.removeprefix(f'{cc.source.path}/')}): "
            "another header has to come first, give that, or an option is off that it needs"
        ) from error
    function = declaration.function(cc, nodes)
    if function is None:
        return _macro(cc, form, wanted, {str(node["kind"]) for node in nodes})
    shown = _shown(cc, function)
    if wanted.prototype:
        raise usage_error(
            f"{name} is a function ({shown}), whose types are known: leave out --prototype"
        )
    if not function.inline:
        how, notes = exports.symbol(cc.out, name)
        return Found(
            f"a function with a symbol ({shown}), {how}: Rust needs its header alone",
            Binding(header),
            function.type,
            (*notes, *_stub(function)),
        )
    if function.variadic:
        raise usage_error(
            f"{name} ({shown}) cannot be bound: it is inline and takes `...`, which a helper "
            "cannot pass on; bind what it calls"
        )
    text = _text_of(function)
    asked = helper.needed_if(text, name)
    return Found(
        f"an inline function ({shown}): it needs a helper",
        Binding(header, helper.text(function, form.mark, asked, exported=form.exported)),
        function.type,
    )


def check_header(source: Source, arch: Arch, header: str) -> None:
    """Raise RflError(usage) unless the kernel has a header."""
    if headers.is_name(header) and headers.exists(header, source, arch):
        return
    near = headers.near(header.removeprefix("include/"), source)
    hint = f"did you mean {near}?" if near else "give it as C includes it, such as linux/pci.h"
    raise usage_error(f"Linux {source.release} has no header {header}; {hint}")


def try_out(cc: Compiler, read: Reader, edit: Edit, name: str, found: Found) -> None:
    """Let the compiler read what a tree comes to; RflError(usage) if it is not as it should.

    A helper of an inline function has to have the function's very type.
    """
    store = cc.session.store
    key = key_of(str(cc.session.workspace.root), cc.source.key)
    with store.lock(f"binding-{key}"):
        scratch = store.work("binding", key)
        _write_scratch(scratch, read, edit)
        lists = [path for path in _LISTS if (scratch / path).is_file()]
        for path in (*(lists if found.binding.helper else ()), bindings_edit.HEADERS):
            fault = _fault(cc, scratch, path, edit)
            if fault:
                raise usage_error(f"{name} cannot be bound so; nothing was changed: {fault}")
        if not (found.type and found.binding.helper):
            return
        nodes = cc.nodes(f"{PREFIX}{name}", str(scratch / lists[0]), read=[scratch])
        made = declaration.function(cc, nodes)
        if not made or made.type != found.type:
            raise usage_error(
                f"{name} cannot be bound: its helper comes out as "
                f"`{made.type if made else 'nothing'}`, and it is `{found.type}`; "
                "nothing was changed"
            )


def _fault(cc: Compiler, scratch: Path, path: str, edit: Edit) -> str:
    """What the compiler has against a file in the scratch folder; empty if nothing.

    A warning counts if it is about a file of the edit.
    """
    status, output = cc.run(
        *("-fsyntax-only", "-Wno-missing-prototypes", "-Wno-missing-declarations"),
        *("-iquote", str(cc.source.path / "rust" / "bindings"), str(scratch / path)),
        read=[scratch],
    )
    output = output.replace(f"{scratch}/", "")
    for each in _FAULT.finditer(output):
        if each["file"] in edit.files:
            return f"{each['file']}:{each['line']}: {each['what']}"
    return declaration.error_in(output) if status else ""


def _write_scratch(scratch: Path, read: Reader, edit: Edit) -> None:
    """Make a folder hold what bindgen reads of a tree after an edit."""
    names = {*_LISTS, bindings_edit.HEADERS, *bindings_edit.form(read).files, *edit.files}
    texts = {name: edit.files[name] if name in edit.files else read(name) for name in names}
    for old in scratch.rglob("*.[ch]"):
        if texts.get(str(old.relative_to(scratch))) is None:
            old.unlink()
    for name, text in texts.items():
        if text is not None:
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(scratch / name, text)


def _macro(cc: Compiler, form: Form, wanted: Wanted, kinds: set[str]) -> Found:
    """What it takes to reach a macro, whose types somebody has to say."""
    name, header = wanted.name, wanted.header
    macros = declaration.macros(cc, header)
    macro = macros.get(name)
    if macro is None:
        for kind, words in _KINDS.items():
            if kind in kinds:
                raise usage_error(
                    f"`{name}` is {words} in {header}, and new-binding is for functions; bindgen "
                    "has it once something brings in the header"
                )
        raise usage_error(f"{header} declares no `{name}`; {_hint(cc, name, header)}")
    if not wanted.prototype:
        raise _untyped(cc, macro, header, macros)
    function = _prototyped(cc, wanted)
    return Found(
        f"a macro ({header}): it needs a helper",
        Binding(header, helper.text(function, form.mark, (), exported=form.exported)),
    )


def _untyped(cc: Compiler, macro: Macro, header: str, macros: Mapping[str, Macro]) -> RflError:
    """What to say of a macro that came without a prototype."""
    name, body = macro.name, textwrap.shorten(macro.body, 60, placeholder=" …")
    if macro.parameters is not None:
        return usage_error(
            f"`{name}({macro.parameters})` is a macro of {header} ({body}), and a macro has no "
            f"types: give them by --prototype, as in 'int {name}(struct foo *bar)'"
        )
    aim = macros.get(macro.body)
    if body.isidentifier() and (
        (aim and aim.parameters is not None)
        or declaration.function(cc, cc.nodes(body, *declaration.in_header(header)))
    ):
        return usage_error(f"`{name}` is another name for {body} in {header}: bind that")
    return usage_error(
        f"`{name}` is a macro without parameters ({body or 'empty'}) in {header}, and "
        "new-binding is for functions"
    )


def _prototyped(cc: Compiler, wanted: Wanted) -> Function:
    """The function that a prototype declares, as the compiler reads it after the header."""
    name, header, prototype = wanted.name, wanted.header, wanted.prototype
    renamed = helper.prototype(prototype, name)
    store = cc.session.store
    key = key_of(renamed, header)
    scratch = store.work("binding", key)
    with store.lock(f"binding-{key}"):
        write_atomically(scratch / "prototype.c", f"#include <{header}>\n{renamed};\n")
        try:
            nodes = cc.nodes(f"{PREFIX}{name}", str(scratch / "prototype.c"), read=[scratch])
        except RflError as error:
            what = error.sentence.rpartition(".c:2: ")[2]
            raise usage_error(f"--prototype '{prototype}' does not compile: {what}") from error
        function = declaration.function(cc, nodes)
    if function is None:
        raise usage_error(f"--prototype '{prototype}' declares no function")
    if function.variadic:
        raise usage_error(
            f"{name} cannot be bound with `...`: a helper cannot pass it on; name the parameters "
            "that Rust is to give"
        )
    return declaration.renamed(function, name)


def _stub(function: Function) -> tuple[str, ...]:
    """A note if a function is inline in another configuration."""
    condition = helper.inline_elsewhere(_text_of(function), function.name)
    if not condition:
        return ()
    return (
        f"where `{condition}` holds, the header has it inline: a helper is needed in such a "
        "configuration",
    )


def _text_of(function: Function) -> str:
    return function.place[0].read_text(errors="replace")


def _shown(cc: Compiler, function: Function) -> str:
    """Where a function is declared, as FILE:LINE of the source where that can be."""
    path, line = function.place
    for top in (cc.source.path.resolve(), cc.out.resolve()):
        if path.is_relative_to(top):
            return f"{path.relative_to(top)}:{line}"
    return f"{path}:{line}"


def _hint(cc: Compiler, name: str, header: str) -> str:
    """What somebody may have meant by a name that a header does not have."""
    elsewhere = [each for each in headers.declaring(name, cc.source) if each != header]
    if elsewhere:
        return f"{', '.join(elsewhere)} {'do' if len(elsewhere) > 1 else 'does'}"
    known = declaration.names(cc, header)
    path = cc.source.path / "include" / header
    words = set(re.findall(r"\w+", path.read_text(errors="replace"))) if path.is_file() else set()
    own = difflib.get_close_matches(name, [each for each in known if each in words], _MOST)
    near = own or difflib.get_close_matches(name, known, _MOST)
    return f"did you mean {', '.join(near)}?" if near else "nor anything of a similar name"
