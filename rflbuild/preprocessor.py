"""What the preprocessor sees in a C text: conditions line by line, and `#include` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rflbuild.verdict import usage_error

_DIRECTIVE = re.compile(r"\s*#\s*(?P<word>\w+)\s*(?P<rest>.*)")
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)|//.*")
_INCLUDE = re.compile(r'#include\s+(?P<what><[^>]+>|"[^"]+")')


@dataclass
class _Level:
    """A conditional that is open: what its earlier branches asked, and the one in force.

    An include guard is one that asks for nothing.
    """

    earlier: list[str]
    line: str
    guard: bool = False

    @classmethod
    def opened(cls, word: str, rest: str) -> _Level:
        """The level that an `#if`, `#ifdef` or `#ifndef` opens."""
        asked = {"ifdef": f"defined({rest})", "ifndef": f"!defined({rest})"}.get(word, rest)
        return cls([asked], f"#{word} {rest}")

    def turn(self, word: str, rest: str) -> None:
        """Go on to an `#else` or `#elif`."""
        single = re.fullmatch(r"(!?)defined\((\w+)\)", self.earlier[0])
        if word == "else" and len(self.earlier) == 1 and single:
            self.line = f"#{'ifdef' if single[1] else 'ifndef'} {single[2]}"
            return
        parts = [f"!({asked})" for asked in self.earlier]
        if word == "elif":
            parts.append(f"({rest})")
            self.earlier.append(rest)
        self.line = f"#if {' && '.join(parts)}"


def conditions(text: str) -> list[tuple[str, ...]]:
    """For each line of a C text the conditions under which it counts, the outermost first.

    Each is a line such as `#ifdef CONFIG_PCI`; an `#else` is turned into its
    opposite. Include guards are left out.
    """
    found: list[tuple[str, ...]] = []
    levels: list[_Level] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        directive = _DIRECTIVE.match(line)
        word = directive["word"] if directive else ""
        rest = _rest(lines, number) if directive else ""
        if word in ("else", "elif", "endif") and levels:
            if word == "endif":
                levels.pop()
            else:
                levels[-1].turn(word, rest)
        found.append(tuple(level.line for level in levels if not level.guard))
        if word in ("if", "ifdef", "ifndef"):
            levels.append(_Level.opened(word, rest))
        elif word == "define" and levels:
            guard = levels[-1].line == f"#ifndef {rest}" and not found[-1][:-1]
            levels[-1].guard = levels[-1].guard or guard
    return found


def _rest(lines: list[str], number: int) -> str:
    """What follows a directive's word, without comments, continued lines joined."""
    text = lines[number]
    while text.endswith("\\") and number + 1 < len(lines):
        number += 1
        text = f"{text[:-1]} {lines[number]}"
    directive = _DIRECTIVE.match(text)
    rest = directive["rest"] if directive else ""
    return " ".join(_COMMENT.sub(" ", rest).split())


@dataclass(frozen=True)
class Include:
    """An `#include` line, by its index; `what` has its brackets or quotes."""

    line: int
    what: str
    conditional: bool


def includes(text: str) -> list[Include]:
    """The `#include` lines of a C text, in their order."""
    asked = conditions(text)
    return [
        Include(number, found["what"], bool(asked[number]))
        for number, line in enumerate(text.splitlines())
        if (found := _INCLUDE.match(line))
    ]


def has_include(text: str, what: str) -> bool:
    """Whether a text includes something whatever the configuration."""
    return any(each.what == what and not each.conditional for each in includes(text))


def add_include(path: str, text: str, what: str) -> str:
    """The text with an `#include` in its sorted place, for a file that is shown as `path`.

    The kernel's lists are sorted but for some lines: the place is after the last
    line that sorts before it, in the longest list that there is. A list of other
    kinds of names does not count. Raises RflError(usage) if there is none.
    """
    lines = text.splitlines(keepends=True)
    block = max(_blocks(text, what[0]), key=len, default=[])
    if not block:
        raise usage_error(
            f"{path} has no list of lines `#include {what[0]}…` to which {what} could be added; "
            "nothing was changed"
        )
    before = [each for each in block if each.what < what]
    at = _after(lines, before[-1]) if before else block[0].line
    if not before and block[0].conditional:
        at = _opening(lines, at)
    return "".join([*lines[:at], f"#include {what}\n", *lines[at:]])


def remove_include(text: str, what: str) -> str:
    """The text without an unconditional `#include`; as it is if there is none."""
    lines = text.splitlines(keepends=True)
    for each in includes(text):
        if each.what == what and not each.conditional:
            return "".join(lines[: each.line] + lines[each.line + 1 :])
    return text


def _blocks(text: str, kind: str) -> Iterator[list[Include]]:
    """Includes with `<` or with quotes, and nothing but lines like `#if` between them.

    Those behind a condition are members of the list they are in; a list that is
    conditional as a whole is none.
    """
    lines = text.splitlines()
    block: list[Include] = []
    for each in includes(text):
        if not each.what.startswith(kind):
            continue
        between = lines[block[-1].line + 1 : each.line] if block else []
        if block and not all(line.startswith(("#if", "#endif")) for line in between):
            yield _trimmed(block)
            block = []
        block.append(each)
    yield _trimmed(block)


def _trimmed(block: list[Include]) -> list[Include]:
    return block if any(not each.conditional for each in block) else []


def _after(lines: list[str], include: Include) -> int:
    """The line after an include, or after the `#endif` of the condition that it is under."""
    at = include.line + 1
    if include.conditional:
        while at < len(lines) and not lines[at - 1].startswith("#endif"):
            at += 1
    return at


def _opening(lines: list[str], at: int) -> int:
    """The line of the `#if` that the line `at` is under."""
    while at and not lines[at].startswith("#if"):
        at -= 1
    return at
