"""Entries in a kernel folder's Makefile and Kconfig: put in their place, and taken out.

Text goes in and text comes out. A text that has the entry comes back as it is, and
one without the expected shape is refused (Documentation/kbuild/makefiles.rst,
Documentation/kbuild/kconfig-language.rst).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_OBJECT = re.compile(
    r"obj-\$\(CONFIG_(?P<option>\w+)\)[ \t]*\+=(?P<after>[ \t]*)(?P<object>[\w-]+)\.o[ \t]*$"
)
_CONFIG = re.compile(r"(?:menu)?config[ \t]+(?P<option>\w+)[ \t]*$")
_OPENS = re.compile(r"(?:if|menu|choice)\b")
_CLOSES = re.compile(r"(?:endif|endmenu|endchoice)\b")
_TAB = 8


class ShapeError(Exception):
    """A file has no place for an entry; the text says what was looked for."""


@dataclass(frozen=True)
class Entry:
    """An object that an option builds, as a module or built in; `depends` are other options."""

    option: str
    object: str
    prompt: str
    help: str
    depends: tuple[str, ...] = ()


def add_object(makefile: str, entry: Entry) -> str:
    """The Makefile with `obj-$(CONFIG_OPTION) += OBJECT.o` in its sorted place.

    Raises ShapeError if there is no such list, or the object or the option is in it
    with another one.
    """
    lines = makefile.splitlines(keepends=True)
    listed = _longest_list(lines)
    if not listed:
        raise ShapeError("no line `obj-$(CONFIG_…) += ….o` to put another beside")
    for number, line in enumerate(lines):
        found = _OBJECT.match(line)
        if not found:
            continue
        same = (found["option"] == entry.option, found["object"] == entry.object)
        if all(same):
            return makefile
        if any(same):
            raise ShapeError(f"a line for it alone, and line {number + 1} is `{line.strip()}`")
    place = next(
        (number for number, found in listed if found["option"] > entry.option), listed[-1][0] + 1
    )
    model = lines[min(place, listed[-1][0])]
    begin = f"obj-$(CONFIG_{entry.option})"
    column = len(model[: model.index("+=")].expandtabs(_TAB))
    found = _OBJECT.match(model)
    after = found["after"] if found else " "
    text = f"{_padded(begin, column)}+={after}{entry.object}.o\n"
    return "".join([*_ended(lines[:place]), text, *lines[place:]])


def remove_object(makefile: str, entry: Entry) -> str:
    """The Makefile without the line that builds the entry's object."""
    return "".join(
        line
        for line in makefile.splitlines(keepends=True)
        if not (
            (found := _OBJECT.match(line))
            and (found["option"], found["object"]) == (entry.option, entry.object)
        )
    )


def add_config(kconfig: str, entry: Entry, neighbours: Sequence[str]) -> str:
    """The Kconfig with a `config` of the entry, among those of its neighbours.

    `neighbours` are options of the same Makefile. The entry comes where the most of
    them are, inside the same `if` or menu, in its sorted place. Raises ShapeError if
    none is there.
    """
    lines = kconfig.splitlines(keepends=True)
    found = _configs(lines)
    if any(each.option == entry.option for each in found):
        return kconfig
    blocks = Counter(each.block for each in found if each.option in neighbours)
    if not blocks:
        raise ShapeError(
            "no `config` of an option by which the Makefile beside it builds an object"
        )
    (block, _), *_ = blocks.most_common(1)
    inside = [each for each in found if each.block == block]
    before = next((each for each in inside if each.option > entry.option), None)
    place = before.begin if before else inside[-1].end
    text = _config_text(entry)
    if before:
        return "".join([*lines[:place], f"{text}\n", *lines[place:]])
    return "".join([*_ended(lines[:place]), f"\n{text}", *lines[place:]])


def remove_config(kconfig: str, entry: Entry) -> str:
    """The Kconfig without the entry, and without the empty line that went with it."""
    lines = kconfig.splitlines(keepends=True)
    for each in _configs(lines):
        if each.option == entry.option:
            begin, end = each.begin, each.end
            if end < len(lines) and not lines[end].strip() and _is_entry(lines, end + 1):
                end += 1
            elif begin and not lines[begin - 1].strip():
                begin -= 1
            return "".join([*lines[:begin], *lines[end:]])
    return kconfig


def options(makefile: str) -> list[str]:
    """The options by which a Makefile builds objects, in their order."""
    found = (_OBJECT.match(line) for line in makefile.splitlines())
    return [each["option"] for each in found if each]


def _config_text(entry: Entry) -> str:
    depends = "".join(f"\tdepends on {option}\n" for option in entry.depends)
    helped = "".join(f"\t  {line}\n" if line else "\n" for line in entry.help.splitlines())
    return f'config {entry.option}\n\ttristate "{entry.prompt}"\n{depends}\thelp\n{helped}'


def _longest_list(lines: Sequence[str]) -> list[tuple[int, re.Match[str]]]:
    """The longest run of lines that each build one object, with their numbers from 0."""
    runs: list[list[tuple[int, re.Match[str]]]] = [[]]
    for number, line in enumerate(lines):
        found = _OBJECT.match(line)
        if found:
            runs[-1].append((number, found))
        elif runs[-1]:
            runs.append([])
    return max(runs, key=len)


def _padded(text: str, column: int) -> str:
    """The text, and tabs up to a column, or one space if it is there already."""
    tabs = -(-(column - len(text)) // _TAB) if column > len(text) else 0
    return text + ("\t" * tabs or " ")


def _ended(lines: Sequence[str]) -> list[str]:
    """The lines, the last of which ends with a new line."""
    return [line if line.endswith("\n") else f"{line}\n" for line in lines]


@dataclass(frozen=True)
class _Config:
    """A `config` entry: its lines from `begin` to before `end`, and the block it is in."""

    option: str
    begin: int
    end: int
    block: tuple[int, ...]


def _configs(lines: Sequence[str]) -> list[_Config]:
    """The entries of a Kconfig; a block is named by the lines that opened it."""
    found: list[_Config] = []
    blocks: list[int] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        config = _CONFIG.match(line)
        if config:
            end = _entry_end(lines, number)
            found.append(_Config(config["option"], number, end, tuple(blocks)))
            number = end
            continue
        if _OPENS.match(line):
            blocks.append(number)
        elif _CLOSES.match(line) and blocks:
            blocks.pop()
        number += 1
    return found


def _entry_end(lines: Sequence[str], begin: int) -> int:
    """Where an entry's lines end: those that are indented, and empty ones between them."""
    end = begin + 1
    for number in range(begin + 1, len(lines)):
        if lines[number][:1] in (" ", "\t") and lines[number].strip():
            end = number + 1
        elif lines[number].strip():
            break
    return end


def _is_entry(lines: Sequence[str], number: int) -> bool:
    return number < len(lines) and bool(_CONFIG.match(lines[number]))
