"""Kconfig macros: variables, and the `$(...)` whose value can be known without running anything.

The rules are those of scripts/kconfig/preprocess.c (in words:
Documentation/kbuild/kconfig-macro-language.rst). A macro that needs the toolchain, the
shell or the environment, as `$(cc-option,-fx)` does, stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Variable:
    """A variable's text; one defined by `=` is expanded where it is used, not where it is set."""

    text: str | None
    recursive: bool


class Macros:
    """The variables of the files read so far, and the `$(...)` that they give a value to."""

    def __init__(self, given: dict[str, str]) -> None:
        self._variables = {name: _Variable(text, recursive=False) for name, text in given.items()}
        self._expanding: list[str] = []

    def assign(self, name: str, rest: str) -> None:
        """Take in `NAME = value`, `NAME := value` or `NAME += value`; ignore anything else."""
        match = re.match(r"(:=|\+=|=)\s*(.*)", rest)
        if not match:
            return
        operator, text = match.groups()
        old = self._variables.get(name)
        recursive = operator == "=" or (operator == "+=" and (old is None or old.recursive))
        value = text if recursive else self._known(text, ())
        if operator == "+=" and old:
            value = None if old.text is None or value is None else f"{old.text} {value}"
        self._variables[name] = _Variable(value, recursive)

    def expand(self, text: str) -> str:
        """The text with each macro replaced by its value; what cannot be known stays."""
        if "$(" not in text:
            return text
        return "".join(
            piece if (value := self._known(piece, ())) is None else value for piece in _pieces(text)
        )

    def _known(self, text: str, arguments: Sequence[str]) -> str | None:
        """The text with all macros replaced, None if one cannot be known."""
        values = [
            self._value(piece[2:-1], arguments) if piece.startswith("$(") else piece
            for piece in _pieces(text)
        ]
        known = [value for value in values if value is not None]
        return "".join(known) if len(known) == len(values) else None

    def _value(self, body: str, arguments: Sequence[str]) -> str | None:
        """What `$(body)` stands for (eval_clause, preprocess.c), None if that needs a run."""
        if body.isdecimal() and 0 < int(body) <= len(arguments):
            return arguments[int(body) - 1]
        name, *parameters = _split_at_commas(body)
        values = [self._known(parameter, arguments) for parameter in parameters]
        if name in {"error-if", "warning-if", "info"}:
            return ""
        variable = self._variables.get(name)
        if variable is None or variable.text is None or None in values:
            return None
        if not variable.recursive:
            return variable.text
        # One that leads back to itself has no value; make gives up on it.
        if name in self._expanding:
            return None
        self._expanding.append(name)
        value = self._known(variable.text, [value for value in values if value is not None])
        self._expanding.pop()
        return value


def _pieces(text: str) -> Iterator[str]:
    """The text cut into macros, `$(` to `)`, and what is between them."""
    at = 0
    while (start := text.find("$(", at)) >= 0:
        yield text[at:start]
        at = end_of_macro(text, start)
        yield text[start:at]
    yield text[at:]


def _split_at_commas(body: str) -> list[str]:
    """A macro's name and its arguments: commas inside of parentheses do not part them."""
    depth = 0
    parts = [""]
    for character in body:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def end_of_macro(text: str, at: int) -> int:
    """Behind the `)` of the `$(` at `at`, or the end of the text: parentheses nest."""
    depth = 0
    for position in range(at, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if depth == 0 and text[position] == ")":
            return position + 1
    return len(text)
