"""What is told about an option that the kernel's configuration did not take over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_TOLD = 4
"""How many of a kind are named before the rest are only counted."""

_CHECKS = (
    (re.compile(r"rustc"), "a check of the Rust compiler"),
    (re.compile(r"\bcc[-_]|as-instr"), "a check of the C compiler"),
    (re.compile(r"\bld-"), "a check of the linker"),
    (re.compile(r"success|failure|shell"), "a shell check"),
)
"""Macros, most of them of scripts/Kconfig.include, by what a person would call them."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """The part of a dependency that does not hold, with the values as they are, and where.

    `hint` says what else it takes where it is not enough to ask for an option.
    """

    text: str
    file: str
    line: int
    hint: str = ""

    def __str__(self) -> str:
        hint = f", which {self.hint}" if self.hint else ""
        return f"{self.text} ({self.file}:{self.line}){hint}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an option is not what was asked for.

    `near` are names like one that is not `known`. `unmet` is what the option depends on
    and does not hold, for the definition that lacks least; `ceiling` is `m` where that
    still allows a module. `reason` is what else there is to say, as a predicate.
    """

    known: bool
    near: tuple[str, ...] = ()
    unmet: tuple[Unmet, ...] = ()
    reason: str = ""
    ceiling: str = "n"

    def sentence(self) -> str:
        """The explanation in words, without a capital letter and a full stop."""
        joint = "; " if any(part.hint for part in self.unmet) else ", "
        near = f"near names: {', '.join(self.near)}" if self.near else ""
        needs = self._needs(joint.join(map(str, self.unmet)))
        return "; ".join(filter(None, (self.reason, needs, near)))

    def hint(self) -> str:
        """The same in short, to stand after the name of the option and `which`."""
        needs = self._needs(listed([part.text for part in self.unmet], "and"))
        return ", and ".join(filter(None, (self.reason, needs)))

    def _needs(self, unmet: str) -> str:
        verb = "can be =m at most, because of" if self.ceiling == "m" else "needs"
        return f"{verb} {unmet}" if unmet else ""


def what_it_checks(text: str) -> str:
    """What the macro in a text does, in words."""
    return next((words for pattern, words in _CHECKS if pattern.search(text)), "a macro")


def listed(items: Sequence[str], word: str) -> str:
    """The items as `A, B and C`; where there are many, the last ones are only counted."""
    told = list(items[:_MOST_TOLD])
    if len(items) > len(told):
        told.append(f"{len(items) - len(told)} more")
    return f" {word} ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
