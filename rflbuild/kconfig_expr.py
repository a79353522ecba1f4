"""Kconfig expressions: compute them, and say which part of one fails.

The arithmetic is that of the kernel's own scripts/kconfig (expr.c, symbol.c; in words:
Documentation/kbuild/kconfig-language.rst, "Menu dependencies"). One thing is added: a
macro such as `$(cc-option,-fx)` would have to run the compiler, so it counts as unknown,
and every value is a span from the least to the most that it can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

TRISTATE = {"n": 0, "m": 1, "y": 2}
"""The three values, ordered: `&&` is their minimum, `||` their maximum, `!` 2 minus one."""

_EMPTY_VALUE = {"int": "0", "hex": "0x0", "string": "", "bool": "n", "tristate": "n"}
"""The value of a symbol that the .config does not name (sym_calc_value, symbol.c)."""

_VALID = {
    "bool": (r"[yn]", "y or n"),
    "tristate": (r"[ymn]", "y, m or n"),
    "int": (r"-?(0|[1-9][0-9]*)", "a decimal number"),
    "hex": (r"(0[xX])?[0-9a-fA-F]+", "a hexadecimal number"),
    "string": (r'"([^"\\]|\\.)*"', "a text in double quotes"),
}
"""What a .config may say for each type (conf_set_sym_val and sym_string_valid)."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol's value, such as NET; in a comparison, a number or a word may look like one."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """One of y, m and n, or a quoted string, which counts as n outside of comparisons."""

    text: str


@dataclass(frozen=True, slots=True)
class Macro:
    """What only the toolchain, the shell or the environment could tell, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two symbols, strings or macros compared: y or n."""

    operator: str
    left: Atom
    right: Atom


@dataclass(frozen=True, slots=True)
class Not:
    """`!` before a symbol or a macro; before anything else it is moved inwards."""

    operand: Symbol | Macro


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more operands joined by `&&` or by `||`."""

    operator: Literal["&&", "||"]
    operands: tuple[Expr, ...]


Atom = Symbol | Constant | Macro
Expr = Atom | Comparison | Not | Junction

YES = Constant("y")
_NO = Constant("n")
COMPARISONS = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_HOLDS: Mapping[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def junction(operator: Literal["&&", "||"], operands: Iterable[Expr]) -> Expr:
    """The operands joined, without repetitions and needless nesting; one stays as it is."""
    flat: dict[Expr, None] = {}
    for operand in operands:
        if isinstance(operand, Junction) and operand.operator == operator:
            flat.update(dict.fromkeys(operand.operands))
        else:
            flat[operand] = None
    unique = tuple(flat)
    return unique[0] if len(unique) == 1 else Junction(operator, unique)


def negated(expr: Expr) -> Expr:
    """`!` of it, moved inwards by De Morgan's laws (expr_transform, expr.c)."""
    match expr:
        case Constant():
            return Constant("nmy"[2 - TRISTATE.get(expr.text, 0)])
        case Comparison():
            return Comparison(COMPARISONS[expr.operator], expr.left, expr.right)
        case Not():
            return expr.operand
        case Junction():
            return _swapped(expr, negated)
    return Not(expr)


def off(expr: Expr) -> Expr:
    """An expression that is y where `expr` is n, else n (expr_trans_compare, expr.c)."""
    match expr:
        case Not():
            return Comparison("=", expr.operand, YES)
        case Comparison():
            return negated(expr)
        case Junction():
            return _swapped(expr, off)
    return Comparison("=", expr, _NO)


def _swapped(expr: Junction, each: Callable[[Expr], Expr]) -> Expr:
    return junction("||" if expr.operator == "&&" else "&&", map(each, expr.operands))


class Span(NamedTuple):
    """The least and the most an expression can be; they differ where a macro decides."""

    low: int
    high: int


_UNKNOWN = Span(TRISTATE["n"], TRISTATE["y"])


@dataclass(frozen=True, slots=True)
class Values:
    """What each symbol is now.

    `config` maps names to values as a .config writes them (a string keeps its
    quotes), `types` the names that this kernel defines to their types.
    """

    config: Mapping[str, str]
    types: Mapping[str, str]

    def tristate(self, name: str) -> int:
        """0, 1 or 2; an undefined symbol, an int, a hex and a string count as n."""
        if self.types.get(name) not in {"bool", "tristate"}:
            return TRISTATE["n"]
        return TRISTATE.get(self.config.get(name, "n"), TRISTATE["n"])

    def span(self, expr: Expr) -> Span:
        """What an expression can be."""
        match expr:
            case Macro():
                return _UNKNOWN
            case Not():
                low, high = self.span(expr.operand)
                return Span(2 - high, 2 - low)
            case Junction():
                pick = min if expr.operator == "&&" else max
                lows, highs = zip(*map(self.span, expr.operands), strict=True)
                return Span(pick(lows), pick(highs))
            case Comparison():
                return self._comparison(expr)
        value = self.tristate(expr.name) if isinstance(expr, Symbol) else TRISTATE.get(expr.text, 0)
        return Span(value, value)

    def unmet(self, expr: Expr, level: int, *, surely: bool = True) -> tuple[Expr, ...]:
        """The smallest parts that keep an expression below `level`, none if it gets there.

        With `surely` false, also those that only might, for a macro in them.
        """
        span = self.span(expr)
        if (span.high if surely else span.low) >= level:
            return ()
        if not isinstance(expr, Junction):
            return (expr,)
        if expr.operator == "&&":
            parts = (self.unmet(operand, level, surely=surely) for operand in expr.operands)
            return tuple(dict.fromkeys(part for group in parts for part in group))
        # An alternative that this kernel does not have is no advice, unless there is no other.
        real = [operand for operand in expr.operands if self.possible(operand)]
        lacks = [
            junction("&&", self.unmet(operand, level, surely=surely))
            for operand in real or expr.operands
        ]
        # `X || !X` and `X || X=n` only say "not built in while X is a module": X is the cause.
        symbols = [lack for lack in lacks if isinstance(lack, Symbol)]
        idioms = {inverse for symbol in symbols for inverse in (negated(symbol), off(symbol))}
        return (junction("||", [lack for lack in lacks if lack not in idioms]),)

    def possible(self, expr: Expr) -> bool:
        """Whether this kernel defines the symbols that can make an expression hold."""
        match expr:
            case Symbol():
                return expr.name in self.types
            case Junction():
                quantifier = all if expr.operator == "&&" else any
                return quantifier(map(self.possible, expr.operands))
        return True

    def shown(self, expr: Expr, *, within: str = "") -> str:
        """An expression in text, symbols with their values: `NET [=y] && PCI [=n]`.

        A junction gets parentheses inside one of another operator, `within`.
        """
        match expr:
            case Symbol():
                return f"{expr.name} [={self.config.get(expr.name, 'n')}]"
            case Not():
                return f"!{self.shown(expr.operand)}"
            case Comparison():
                return f"{self._side(expr.left)} {expr.operator} {self._side(expr.right)}"
            case Junction():
                inner = (self.shown(operand, within=expr.operator) for operand in expr.operands)
                text = f" {expr.operator} ".join(inner)
                return f"({text})" if within else text
        return self._side(expr)

    def _side(self, atom: Atom) -> str:
        """One side of a comparison in text."""
        if isinstance(atom, Symbol):
            return self.shown(atom) if atom.name in self.types else atom.name
        plain = isinstance(atom, Macro) or atom.text in TRISTATE
        return atom.text if plain else f'"{atom.text}"'

    def _comparison(self, expr: Comparison) -> Span:
        left, right = self._operand(expr.left), self._operand(expr.right)
        if left is None or right is None:
            return _UNKNOWN
        value = TRISTATE["y" if _HOLDS[expr.operator](_order(left, right)) else "n"]
        return Span(value, value)

    def _operand(self, atom: Atom) -> _Operand | None:
        """What a comparison sees, or None if a macro decides."""
        if isinstance(atom, Macro):
            return None
        if isinstance(atom, Constant):
            return _Operand(atom.text, "tristate" if atom.text in TRISTATE else "")
        kind = self.types.get(atom.name, "")
        if not kind:
            return _Operand(atom.name, kind)
        value = self.config.get(atom.name, _EMPTY_VALUE.get(kind, ""))
        return _Operand(unquoted(value), kind)


class _Operand(NamedTuple):
    """One side of a comparison: its value, and its symbol's type ("" for none)."""

    text: str
    kind: str


def _order(left: _Operand, right: _Operand) -> int:
    """Below, at or above 0, as numbers if both are such, else as strings (expr.c)."""
    one, other = _number(left), _number(right)
    if one is None or other is None or left.kind == right.kind == "string":
        return (left.text > right.text) - (left.text < right.text)
    return (one > other) - (one < other)


def _number(operand: _Operand) -> int | None:
    """The number that expr_parse_string (expr.c) reads, None if there is none."""
    text, kind = operand
    if kind in {"bool", "tristate"}:
        return TRISTATE.get(text, -1)
    if kind == "hex":
        return int(text, 16) if re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", text) else None
    if kind != "int" and re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def unquoted(text: str) -> str:
    """A string without its quotes and backslashes; what has no quotes stays as it is."""
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in {'"', "'"} else text


def value_mistake(kind: str, value: str) -> str:
    """What is wrong about a value that no option of a type can have, "" if it can."""
    pattern, words = _VALID.get(kind, (".*", ""))
    return "" if re.fullmatch(pattern, value) else f"is {kind}: it takes {words}, not {value}"
