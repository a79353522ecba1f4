"""Read a kernel's Kconfig files: each definition of an option, and what it hangs on.

The language is that of the kernel's own scripts/kconfig (lexer.l, parser.y, menu.c; in
words: Documentation/kbuild/kconfig-language.rst). Syntax that is not understood is
skipped, because a wrong Kconfig file is for make to report.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rflbuild.kconfig_expr import (
    COMPARISONS,
    TRISTATE,
    YES,
    Atom,
    Comparison,
    Constant,
    Expr,
    Macro,
    Symbol,
    junction,
    negated,
    off,
    unquoted,
)
from rflbuild.kconfig_macro import Macros, end_of_macro

_TYPES = {"bool", "tristate", "string", "int", "hex"}
_TYPED_DEFAULTS = {"def_bool": "bool", "def_tristate": "tristate"}
_CLAUSES = {"prompt", "default", "depends", "visible", "select", "imply", "range"}
_ATTRIBUTES = {*_TYPES, *_TYPED_DEFAULTS, *_CLAUSES, "transitional"}
_BLOCK_ENDS = {"endif": "if", "endmenu": "menu", "endchoice": "choice"}
_ENTRIES = {"config", "menuconfig", "comment", *_BLOCK_ENDS.values()}


class Clause(NamedTuple):
    """What follows a keyword, as written, and where; the file is relative to the source."""

    text: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """file:line."""
        return f"{self.file}:{self.line}"


class Condition(NamedTuple):
    """An expression that must hold, and the clause that says so."""

    expr: Expr
    clause: Clause


@dataclass(eq=False, slots=True)
class Entry:
    """One definition of an option, or a block around some: a menu, a choice, an `if`.

    `clauses` holds what is said about it by keyword, under the plainest one:
    `bool "Text"` gives a `prompt`, `def_bool y` a `default`, `if X` a `depends`.
    """

    keyword: str
    name: str
    at: Clause
    parent: Entry | None
    type: str = ""
    transitional: bool = False
    help: str = ""
    clauses: dict[str, list[Clause]] = field(default_factory=dict)

    def all(self, keyword: str) -> Sequence[Clause]:
        """The clauses of one keyword, in the order they are written."""
        return self.clauses.get(keyword, ())

    def help_text(self) -> str:
        """The help as it is meant to be read: without its margin."""
        return textwrap.dedent(self.help.expandtabs()).strip("\n")

    def choice(self) -> Entry | None:
        """The choice that this is a member of."""
        return next((block for block in self._chain() if block.keyword == "choice"), None)

    def dependencies(self) -> list[Condition]:
        """What must hold for the definition to count, outermost block first (menu.c)."""
        return [
            Condition(_dependency(clause), clause)
            for entry in reversed(self._chain())
            for clause in entry.all("depends")
        ]

    def visibility(self) -> list[Condition]:
        """What must hold for the user's value to count: the dependencies and the prompt's."""
        visible = [clause for entry in reversed(self._chain()) for clause in entry.all("visible")]
        limits = (*visible, *self.all("prompt"))
        return self.dependencies() + [
            Condition(parse_line(clause.text).condition, clause) for clause in limits
        ]

    def add(self, keyword: str, clause: Clause) -> None:
        """Take in one attribute."""
        if keyword in _TYPES:
            self.type = self.type or keyword
            if clause.text.startswith(("'", '"')):
                self._store("prompt", clause)
        elif keyword in _TYPED_DEFAULTS:
            self.type = self.type or _TYPED_DEFAULTS[keyword]
            self._store("default", clause)
        elif keyword == "depends":
            self._store(keyword, clause._replace(text=clause.text.removeprefix("on").lstrip()))
        elif keyword == "transitional":
            self.transitional = True
        else:
            self._store(keyword, clause)

    def _store(self, keyword: str, clause: Clause) -> None:
        self.clauses.setdefault(keyword, []).append(clause)

    def _chain(self) -> list[Entry]:
        """The entry and the blocks around it, innermost first."""
        chain = [self]
        while chain[-1].parent:
            chain.append(chain[-1].parent)
        return chain


def _dependency(clause: Clause) -> Expr:
    """`X if Y` only asks for X while Y is not n (menu_add_dep, menu.c)."""
    heads, condition = parse_line(clause.text)
    expr = junction("&&", heads) if heads else YES
    return expr if condition == YES else junction("||", (expr, off(condition)))


def read_entries(source: Path, srcarch: str, laid: Mapping[str, str]) -> list[Entry]:
    """Every definition of an option that source/Kconfig leads to, in the kernel's order.

    `srcarch` names the folder below arch/, such as arm64 or x86. ARCH stays unknown:
    for x86 it may be x86, x86_64 or i386. `laid` has the texts of files that are otherwise
    than in the source.
    """
    reader = _Reader(source, laid, Macros({"SRCARCH": srcarch, "srctree": "."}))
    reader.read("Kconfig", None)
    return reader.options


class _Reader:
    """Follows `source` from file to file."""

    def __init__(self, source: Path, laid: Mapping[str, str], macros: Macros) -> None:
        self.options: list[Entry] = []
        self._source = source
        self._laid = laid
        self._macros = macros
        self._open: list[str] = []

    def read(self, file: str, parent: Entry | None) -> None:
        """Take in a file that is sourced within a block; its own blocks end with it."""
        path = self._source / file
        if file in self._open or not (file in self._laid or path.is_file()):
            return
        text = self._laid.get(file) or path.read_text(errors="replace")
        self._open.append(file)
        # What comes before the first entry of a file belongs to none.
        entry = Entry("", "", Clause("", file, 0), parent)
        for line, keyword, rest in _statements(text):
            if keyword in _ATTRIBUTES:
                entry.add(keyword, Clause(self._macros.expand(rest), file, line))
            elif keyword == "help":
                entry.help = rest
            elif keyword in _ENTRIES:
                entry = self._entry(keyword, Clause(rest, file, line), parent)
                parent = entry if keyword in _BLOCK_ENDS.values() else parent
            elif keyword in _BLOCK_ENDS:
                if parent and parent.keyword == _BLOCK_ENDS[keyword]:
                    parent = parent.parent
            elif keyword == "source":
                for name in _tokens(self._macros.expand(rest))[:1]:
                    self.read(PurePosixPath(unquoted(name)).as_posix(), parent)
            else:
                self._macros.assign(keyword, rest)
        self._open.pop()

    def _entry(self, keyword: str, clause: Clause, parent: Entry | None) -> Entry:
        """A new definition, comment or block."""
        words = clause.text.split(maxsplit=1)
        entry = Entry(keyword, words[0] if words else "", clause, parent)
        if keyword in {"config", "menuconfig"}:
            self.options.append(entry)
        elif keyword == "if":
            entry.clauses["depends"] = [clause._replace(text=self._macros.expand(clause.text))]
        return entry


_KEYWORD = re.compile(r"[A-Za-z0-9_-]+")


def _statements(text: str) -> Iterator[tuple[int, str, str]]:
    """The line number, the first word and the rest of each statement of a Kconfig file.

    The rest of `help` is the text that comes in the lines after it.
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        first, line = at, lines[at].strip()
        at += 1
        match = _KEYWORD.match(line)
        if not match:
            continue
        if match[0] == "help":
            at = _end_of_help(lines, at)
            yield first + 1, "help", "\n".join(lines[first + 1 : at])
            continue
        while line.endswith("\\") and at < len(lines):
            line = line[:-1] + lines[at].strip()
            at += 1
        yield first + 1, match[0], line[match.end() :].lstrip()


def _end_of_help(lines: Sequence[str], at: int) -> int:
    """Where a help text that starts at `at` ends: at the first line indented less than it."""
    margin = 0
    while at < len(lines):
        line = lines[at].expandtabs()
        text = line.lstrip()
        indent = len(line) - len(text)
        if text and (not indent or indent < margin):
            break
        if text:
            margin = margin or indent
        at += 1
    return at


class Line(NamedTuple):
    """What follows a keyword: expressions, then perhaps `if` and a condition."""

    heads: tuple[Expr, ...]
    condition: Expr


_TOKEN = re.compile(
    r"\s+ | \#.* | (?P<operator> \|\| | && | [!<>]= | [=!<>()] ) | (?P<word> [\w$-] | [\"'] ) | .",
    re.VERBOSE,
)


def parse_line(text: str) -> Line:
    """The expressions of a statement, such as `64 4096 if NET` after `range`.

    Nothing is raised: what does not parse becomes a Macro, unknown, as the kernel
    itself would have refused it.
    """
    try:
        return _Parser(_tokens(text)).line()
    except _SyntaxError:
        return Line((Macro(text),), YES)


def _tokens(text: str) -> list[str]:
    """The operators, words and quoted strings, up to a comment; a macro is part of a word."""
    found = []
    at = 0
    while match := _TOKEN.match(text, at):
        end = _end_of_word(text, at) if match["word"] else match.end()
        if match["operator"] or match["word"]:
            found.append(text[at:end])
        at = end
    return found


def _end_of_word(text: str, at: int) -> int:
    """Behind the word or the quoted string that starts at `at`."""
    quote = text[at] if text[at] in "\"'" else ""
    at += len(quote)
    while at < len(text):
        if text.startswith("$(", at):
            at = end_of_macro(text, at)
        elif quote and text[at] == quote:
            return at + 1
        elif quote:
            at += 2 if text[at] == "\\" else 1
        elif re.match(r"[\w$-]", text[at]):
            at += 1
        else:
            break
    return min(at, len(text))


class _SyntaxError(Exception):
    """Not an expression."""


class _Parser:
    """Recursive descent over tokens; `||` binds weakest, then `&&`, then `!`."""

    def __init__(self, found: list[str]) -> None:
        self._tokens = [*found, ""]
        self._at = 0

    def line(self) -> Line:
        heads = []
        while self._tokens[self._at] not in {"", "if"}:
            heads.append(self._either())
        condition = self._either() if self._take("if") else YES
        return Line(tuple(heads), condition)

    def _take(self, *wanted: str) -> str:
        token = self._tokens[self._at]
        if token not in wanted:
            return ""
        self._at += 1
        return token

    def _either(self) -> Expr:
        operands = [self._both()]
        while self._take("||"):
            operands.append(self._both())
        return junction("||", operands)

    def _both(self) -> Expr:
        operands = [self._unary()]
        while self._take("&&"):
            operands.append(self._unary())
        return junction("&&", operands)

    def _unary(self) -> Expr:
        if self._take("!"):
            return negated(self._unary())
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                raise _SyntaxError
            return inner
        left = self._atom()
        if operator := self._take(*COMPARISONS):
            return Comparison(operator, left, self._atom())
        # A lone m is only worth something with modules (rewrite_m, menu.c).
        return junction("&&", (left, Symbol("MODULES"))) if left == Constant("m") else left

    def _atom(self) -> Atom:
        token = self._tokens[self._at]
        if not re.match(r"[\w\"'$-]", token):
            raise _SyntaxError
        self._at += 1
        text = unquoted(token)
        if "$(" in text:
            return Macro(token)
        return Constant(text) if text != token or text in TRISTATE else Symbol(text)
