"""Editing JSON with comments, as editors keep their settings in: only what changes is touched.

JSONC is JSON with `//` and `/* */` comments, and with a comma allowed behind the last of a
list. A value is set in the text itself, so that comments, order, indentation and line ends stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_BLANK = re.compile(r"(?:[ \t\r\n\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORD = re.compile(r"-?[\w.+-]+")
# What stands behind a value on its line and belongs to it: blanks and comments.
_TRAILING = re.compile(r"(?:[ \t]|/\*[^\n]*?\*/)*(?://[^\r\n]*)?")
_SHORT = 80  # characters; a longer list is written one item a line


class NotJsoncError(ValueError):
    """A text that is no JSONC; `line`, from 1, is where reading ended."""

    def __init__(self, text: str, position: int, what: str) -> None:
        self.line = text.count("\n", 0, position) + 1
        super().__init__(f"line {self.line}: {what}")


@dataclass
class _Node:
    """A value in the text: `start` and `end` enclose it.

    `parts` are what it holds: the key, if it has one, where the part begins, and its value.
    """

    start: int
    end: int
    value: Any
    parts: list[tuple[str, int, _Node]] = field(default_factory=list)
    comma: int = -1  # behind the comma after the last part, if there is one


def read(text: str) -> Any:
    """The value of a text; a text without any is an empty object, as editors have it.

    Raises NotJsoncError.
    """
    return _parse(text).value


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """The text with the value at `path`: a key for each object on the way.

    An object that is not there is made. Raises NotJsoncError for a text that is no JSONC, or
    that has something else on the way.
    """
    node = _parse(text)
    if node.start == node.end:  # comments at most
        text = text + ("\n" if text and not text.endswith("\n") else "") + "{}\n"
        node = _parse(text)
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise NotJsoncError(text, node.start, f"there is no object to hold `{key}`")
        inside = [part for name, _, part in node.parts if name == key]
        if not inside:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _insert(text, node, f"{json.dumps(key)}: ", value)
        node = inside[-1]  # the last one counts
    if node.value == value and type(node.value) is type(value):
        return text
    style = _Style.of(text, node)
    return text[: node.start] + style.write(value, style.indent_at(node.start)) + text[node.end :]


def append(text: str, path: Sequence[str], value: object) -> str:
    """The text with one more item in the list at `path`, which must be there."""
    node = _parse(text)
    for key in path:
        node = [part for name, _, part in node.parts if name == key][-1]
    return _insert(text, node, "", value)


@dataclass(frozen=True)
class _Style:
    """How a text is laid out: its line ends, and what one step of indentation is."""

    text: str
    newline: str
    step: str

    @classmethod
    def of(cls, text: str, node: _Node) -> _Style:
        """The style of a text, the indentation as an object in it has it."""
        newline = "\r\n" if "\r\n" in text else "\n"
        found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
        step = found[1] if found else "    "
        if node.parts:
            style = cls(text, newline, step)
            outer, inner = style.indent_at(node.start), style.indent_at(_first(node))
            if inner.startswith(outer) and inner != outer:
                step = inner.removeprefix(outer)
        return cls(text, newline, step)

    def indent_at(self, position: int) -> str:
        """The indentation of the line of a position."""
        line = self.text[self.text.rfind("\n", 0, position) + 1 :]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def write(self, value: object, indent: str) -> str:
        """A value as text that begins on a line of that indentation."""
        short = json.dumps(value, ensure_ascii=False)
        if not isinstance(value, dict | list) or (isinstance(value, list) and len(short) <= _SHORT):
            return short
        lines = json.dumps(value, indent=self.step, ensure_ascii=False).split("\n")
        return (self.newline + indent).join(lines)


def _insert(text: str, node: _Node, lead: str, value: object) -> str:
    """The text with a value, behind `lead`, as the last thing that an object or a list holds."""
    style = _Style.of(text, node)
    outer = style.indent_at(node.start)
    inner = outer + style.step
    close = node.end - 1
    if not node.parts:
        held = text[node.start + 1 : close].rstrip()  # comments, perhaps
        begin = style.newline + inner
        made = begin + lead + style.write(value, inner) + style.newline + outer
        return text[: node.start + 1] + held + made + text[close:]
    last = node.parts[-1][2]
    if "\n" not in text[node.start : _first(node)]:  # all on one line
        made = f" {lead}{json.dumps(value, ensure_ascii=False)}"
        if node.comma >= 0:
            return text[: node.comma] + made + text[node.comma :]
        return f"{text[: last.end]},{made}{text[last.end :]}"
    inner = style.indent_at(_first(node))
    made = style.newline + inner + lead + style.write(value, inner)
    if node.comma >= 0:
        behind = _TRAILING.match(text, node.comma)
        at = behind.end() if behind else node.comma
        return text[:at] + made + "," + text[at:]
    behind = _TRAILING.match(text, last.end)
    at = min(behind.end() if behind else last.end, close)
    return text[: last.end] + "," + text[last.end : at] + made + text[at:]


def _first(node: _Node) -> int:
    """Where the first thing in an object or a list begins."""
    return node.parts[0][1]


def _parse(text: str) -> _Node:
    start = _skip(text, 0)
    if start == len(text):
        return _Node(start, start, {})
    try:
        node = _value(text, start)
    except RecursionError as error:
        raise NotJsoncError(text, start, "it is nested too deeply") from error
    end = _skip(text, node.end)
    if end != len(text):
        raise NotJsoncError(text, end, "there is something behind the end")
    return node


def _value(text: str, start: int) -> _Node:
    if text[start : start + 1] in ("{", "["):
        return _container(text, start)
    found = _STRING.match(text, start) or _WORD.match(text, start)
    try:
        if found:
            return _Node(start, found.end(), json.loads(found[0]))
    except ValueError:
        pass
    raise NotJsoncError(text, start, "a value is expected")


def _container(text: str, start: int) -> _Node:
    """An object or a list, with the parts that it holds."""
    is_object = text[start] == "{"
    close = "}" if is_object else "]"
    node = _Node(start, start, {} if is_object else [])
    at = _skip(text, start + 1)
    while text[at : at + 1] != close:
        key, begin = "", at
        if is_object:
            name = _STRING.match(text, at)
            if not name:
                raise NotJsoncError(text, at, "a key in quotes is expected")
            key = json.loads(name[0])
            at = _skip(text, name.end())
            if text[at : at + 1] != ":":
                raise NotJsoncError(text, at, "a colon is expected")
            at = _skip(text, at + 1)
        part = _value(text, at)
        node.parts.append((key, begin, part))
        node.comma = -1
        if is_object:
            node.value[key] = part.value
        else:
            node.value.append(part.value)
        at = _skip(text, part.end)
        if text[at : at + 1] == ",":
            node.comma = at + 1
            at = _skip(text, at + 1)
        elif text[at : at + 1] != close:
            raise NotJsoncError(text, at, f"a comma or `{close}` is expected")
    node.end = at + 1
    return node


def _skip(text: str, position: int) -> int:
    """The position behind blanks and comments."""
    found = _BLANK.match(text, position)
    return found.end() if found else position
