"""The C text of a helper: a function `rust_helper_NAME` that calls one that has no symbol.

See rust/helpers/helpers.c in the kernel's source for why there are such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rflbuild.declaration import Function
from rflbuild.preprocessor import conditions
from rflbuild.verdict import usage_error

PREFIX = "rust_helper_"
_COLUMNS = 80
_TAB = 8
_OPERATORS = {"defined", "IS_BUILTIN", "IS_ENABLED", "IS_MODULE", "IS_REACHABLE"}


@dataclass(frozen=True)
class Declared:
    """A declaration of a name in a header's text, under the conditions around it."""

    inline: bool
    conditions: tuple[str, ...]


def text(function: Function, mark: str, asked: Sequence[str], *, exported: bool) -> str:
    """The text of a function's helper, as the kernel's style has it.

    `mark` goes in front of it (`__rust_helper`, or nothing in older kernels), `asked`
    are the conditions it is under, and an `exported` one is followed by
    EXPORT_SYMBOL_GPL.
    """
    taken = [each.name for each in function.parameters]
    call = _fitted(f"{function.name}(", taken, ");")
    if function.result != "void":
        call = _fitted(f"return {function.name}(", taken, ");")
    lines = [
        *asked,
        *_head(function, mark),
        "{",
        *(f"\t{line}" for line in call),
        "}",
        *([f"EXPORT_SYMBOL_GPL({PREFIX}{function.name});"] if exported else []),
        *("#endif" for _ in asked),
    ]
    return "".join(f"{line}\n" for line in lines)


def prototype(text: str, name: str) -> str:
    """A prototype that somebody gave for a macro, as one of the macro's helper.

    Raises RflError(usage) unless it is like `int NAME(struct bar *b)`.
    """
    plain = " ".join(text.split()).rstrip("; ")
    if re.search(r"[{};#=\"]", plain) or not re.fullmatch(r"[\w\s*]*\w[\s*]+\w+\s*\(.*\)", plain):
        raise usage_error(
            f"--prototype is a function's declaration, as in 'int {name}(struct bar *b)', "
            f"and not '{text}'"
        )
    found = re.match(r"[\w\s*]*?(\w+)\s*\(", plain)
    if not found or found[1] != name:
        raise usage_error(
            f"--prototype declares `{found[1] if found else plain}`, and the macro is `{name}`"
        )
    plain = re.sub(r"^(?:(?:static|inline|extern|__always_inline) )+", "", plain)
    return re.sub(rf"\b{name}(?=\s*\()", f"{PREFIX}{name}", plain, count=1)


def declared(header: str, name: str) -> list[Declared]:
    """Where a header's text declares a function, whatever the configuration.

    In the kernel's style a line that begins a declaration is not indented.
    """
    lines = header.splitlines()
    asked = conditions(header)
    head = re.compile(rf"[^\s#/*(=][^(=]*\b{name}\s*\(|{name}\s*\(")
    found = []
    for number, line in enumerate(lines):
        if not head.match(line):
            continue
        begun = number
        while (
            begun
            and re.match(r"\w", lines[begun - 1])
            and not re.search(r"[;}:]\s*$", lines[begun - 1])
        ):
            begun -= 1
        words = " ".join(lines[begun : number + 1]).split("(")[0]
        found.append(Declared("inline" in words, asked[number]))
    return found


def needed_if(header: str, name: str) -> tuple[str, ...]:
    """The conditions under which a header's function is inline; none if that cannot be told.

    Without them a helper would not compile in a configuration that lacks the function. If
    another declaration has its place there, a helper does no harm.
    """
    inline = [each for each in declared(header, name) if each.inline]
    if len(inline) != 1:
        return ()
    asked = tuple(line for line in inline[0].conditions if "__KERNEL__" not in line)
    words = {word for line in asked for word in re.findall(r"[A-Za-z_]\w*", line.split(" ", 1)[1])}
    known = all(word.startswith("CONFIG_") or word in _OPERATORS for word in words)
    return asked if known else ()


def inline_elsewhere(header: str, name: str) -> str:
    """For a function with a symbol: the condition under which it is inline instead, if any."""
    inline = [each for each in declared(header, name) if each.inline and each.conditions]
    return inline[0].conditions[-1] if inline else ""


def _head(function: Function, mark: str) -> list[str]:
    """The lines of a helper's declaration, within 80 columns if that can be.

    The ways to break it are tried in the order in which clang-format, by the kernel's own
    settings, prefers them.
    """
    before = " ".join(filter(None, (mark, "__noreturn" if function.noreturn else "")))
    result = f"{before} {function.result}".strip()
    name = f"{PREFIX}{function.name}("
    taken = [each.text for each in function.parameters] or ["void"]
    gap = "" if result.endswith("*") else " "
    beside = _fitted(f"{result}{gap}{name}", taken, ")")
    below = [result, *_fitted(name, taken, ")")]
    return beside if _width(beside) <= _COLUMNS or _width(below) >= _width(beside) else below


def _fitted(lead: str, items: Sequence[str], end: str) -> list[str]:
    """`lead`, items with commas, and `end`, broken so that the items stand below each other.

    The columns of a body's tab are left free.
    """
    free = _COLUMNS - (_TAB if end.endswith(";") else 0)
    indent = "\t" * (len(lead) // _TAB) + " " * (len(lead) % _TAB)
    lines = [lead]
    for number, item in enumerate(items):
        piece = item + (end if number == len(items) - 1 else ",")
        gap = "" if lines[-1].endswith("(") else " "
        whole = f"{lines[-1]}{gap}{piece}"
        if number and _width([whole]) > free:
            lines.append(f"{indent}{piece}")
        else:
            lines[-1] = whole
    if not items:
        lines[-1] += end
    return lines


def _width(lines: Sequence[str]) -> int:
    """The columns that the widest line takes."""
    return max(len(line.expandtabs(_TAB)) for line in lines)
