"""Why the kernel's configuration did not take over an option that was asked for.

`make olddefconfig` drops without a word what the dependencies do not allow. The tree of
the Kconfig files is read only then, to say what is missing and where that is written.
What decides on a value is sym_calc_value in the kernel's scripts/kconfig/symbol.c.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from rflbuild.kconfig_explanation import Explanation, Unmet, listed, what_it_checks
from rflbuild.kconfig_expr import (
    TRISTATE,
    YES,
    Atom,
    Comparison,
    Constant,
    Expr,
    Macro,
    Not,
    Symbol,
    Values,
    junction,
    value_mistake,
)
from rflbuild.kconfig_read import Clause, Condition, Entry, parse_line, read_entries

_MOST_NEAR = 5


@dataclass(frozen=True, slots=True)
class _Question:
    """An option of this kernel, what was asked of it, and what all options are."""

    name: str
    wanted: str
    entries: Sequence[Entry]
    values: Values

    @property
    def kind(self) -> str:
        """Its type, "" if it has none."""
        return self.values.types[self.name]

    @property
    def level(self) -> int:
        """What its dependencies must come to: m, except for a tristate that is to be y."""
        modules = self.values.tristate("MODULES")
        return TRISTATE["y" if self.kind == "tristate" and self.wanted == "y" and modules else "m"]

    def unmet(self, conditions: Iterable[Condition], *, surely: bool = True) -> list[Condition]:
        """The parts that keep it below that level, each once, with the clauses they are in."""
        parts: dict[Expr, Clause] = {}
        for expr, clause in conditions:
            for part in self.values.unmet(expr, self.level, surely=surely):
                parts.setdefault(part, clause)
        # `X` says nothing beside `X = y` (expr_join_and, expr.c).
        weak = {
            part.left
            for part in parts
            if isinstance(part, Comparison) and (part.operator, part.right) == ("=", YES)
        }
        return [Condition(part, clause) for part, clause in parts.items() if part not in weak]


class KconfigTree:
    """Every option that a kernel defines for one architecture."""

    def __init__(self, source: Path, srcarch: str, entries: Iterable[Entry]) -> None:
        self._source = source
        self._srcarch = srcarch
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        self._types: dict[str, str] = {}
        self._forces: dict[str, dict[str, list[tuple[Entry, Clause]]]] = {
            keyword: defaultdict(list) for keyword in ("select", "imply")
        }
        for entry in entries:
            self._entries[entry.name].append(entry)
            # The first type counts (menu_set_type, menu.c).
            self._types[entry.name] = self._types.get(entry.name) or entry.type
            for keyword, forces in self._forces.items():
                for clause in entry.all(keyword):
                    for target in clause.text.split(maxsplit=1)[:1]:
                        forces[target].append((entry, clause))

    @classmethod
    def read(
        cls, source: Path, srcarch: str, laid: Mapping[str, str] = MappingProxyType({})
    ) -> KconfigTree:
        """The tree below source/Kconfig; `srcarch` names the folder below source/arch.

        `laid` has the texts of files that are laid over the source's.
        """
        return cls(source, srcarch, read_entries(source, srcarch, laid))

    @property
    def types(self) -> Mapping[str, str]:
        """The type of each option, "" for one without."""
        return self._types

    def entries(self, name: str) -> Sequence[Entry]:
        """The definitions of an option, in the kernel's order; none if it is unknown."""
        return self._entries.get(name, ())

    def forces(self, keyword: str, name: str) -> Sequence[tuple[Entry, Clause]]:
        """What has a `select` or an `imply` of an option, and its clause."""
        return self._forces[keyword].get(name, ())

    def explain(self, name: str, wanted: str, config: Mapping[str, str]) -> Explanation:
        """Why option `name` is not `wanted` in the configuration that make came to.

        Names are without CONFIG_; values are as a .config writes them: y, m, 123, 0x1f or
        a string in double quotes, and n for "is not set". `config` may leave out what is n.
        """
        if name not in self._entries:
            return self._unknown(name)
        values = Values(config, self._types)
        told = self._known(_Question(name, wanted, self._entries[name], values), deep=True)
        if told.reason or told.unmet:
            return told
        if values.config.get(name, "n") == wanted:
            return replace(told, reason=f"is {wanted}, as asked")
        reason = f"could be {wanted} as far as Kconfig goes: a later line may have set it otherwise"
        return replace(told, reason=reason)

    def _unknown(self, name: str) -> Explanation:
        if place := _defined_for_others(self._source, name):
            reason = f"unknown for {self._srcarch}; another architecture has it: {place}"
            return Explanation(known=False, reason=reason)
        near = near_names(name, self._entries)
        return Explanation(known=False, near=near, reason="unknown in this kernel")

    def _known(self, question: _Question, *, deep: bool) -> Explanation:
        """Explain an option of this kernel; `deep` asks for hints on what is unmet."""
        if mistake := value_mistake(question.kind, question.wanted):
            return self._mistaken(question, mistake, deep=deep)
        if reason := self._renamed(question) or self._forced(question):
            return Explanation(known=True, reason=reason)
        offers = [entry.visibility() for entry in question.entries if entry.all("prompt")]
        if not offers:
            return self._hidden(question, deep=deep)
        offer = min(offers, key=lambda conditions: len(question.unmet(conditions)))
        unmet = question.unmet(offer)
        if not unmet:
            return Explanation(known=True, reason=self._otherwise(question, offer, deep=deep))
        most = question.values.span(junction("&&", (part.expr for part in offer))).high
        return Explanation(
            known=True,
            unmet=self._told(unmet, question, strict=most == TRISTATE["n"], deep=deep),
            reason="cannot be set to n while its prompt is hidden" * (question.wanted == "n"),
            ceiling="m" if most == TRISTATE["m"] else "n",
        )

    def _mistaken(self, question: _Question, mistake: str, *, deep: bool) -> Explanation:
        """A value of the wrong type; a bool asked for as a module may lack something besides."""
        if (question.kind, question.wanted) != ("bool", "m"):
            return Explanation(known=True, reason=mistake)
        asked = self._known(replace(question, wanted="y"), deep=deep)
        return replace(asked, reason="; ".join(filter(None, (mistake, asked.reason))))

    def _renamed(self, question: _Question) -> str:
        """Whether it only stands for old configurations, and what took its place."""
        if not any(entry.transitional for entry in question.entries):
            return ""
        word = re.compile(rf"\b{question.name}\b")
        heirs = [
            f"{entry.name} ({entry.at.place})"
            for entries in self._entries.values()
            for entry in entries
            if any(word.search(clause.text) for clause in entry.all("default"))
        ]
        return f"is only read from old configurations: ask for {listed(heirs, 'or')} instead"

    def _forced(self, question: _Question) -> str:
        """What holds an option above the n or m that was asked for."""
        values, wanted = question.values, TRISTATE.get(question.wanted, TRISTATE["y"])
        if values.tristate(question.name) <= wanted:
            return ""
        if question.wanted == "m" and not values.tristate("MODULES"):
            return f"cannot be a module: {values.shown(Symbol('MODULES'))}"
        culprits = []
        for entry, clause in self.forces("select", question.name):
            symbol = Symbol(entry.name)
            limits = [*entry.dependencies(), *_conditions(clause)]
            if values.span(junction("&&", (symbol, *(c.expr for c in limits)))).low > wanted:
                culprits.append(f"{values.shown(symbol)} ({clause.place})")
        return f"is selected by {listed(culprits, 'and')}" if culprits else ""

    def _hidden(self, question: _Question, *, deep: bool) -> Explanation:
        """An option without a prompt: only `select` and `default` give it a value."""
        ways = self._selectors(question)
        told = [f"{listed(ways, 'or')} would select it"] if ways else []
        unmet, rule = _default(question)
        if rule:
            told.append(rule)
        decides = ", else ".join(told) or f"nothing sets it for {self._srcarch}"
        return Explanation(
            known=True,
            reason=f"has no prompt: {decides}",
            unmet=() if ways else self._told(unmet, question, strict=True, deep=deep),
        )

    def _selectors(self, question: _Question) -> list[str]:
        """The options that could select this one, those that a person would think of first.

        These have a prompt, then a name that begins like its own, then lack least. One
        that selects it under a condition which does not hold is named with that.
        """
        ranks: dict[str, tuple[bool, bool, int, str]] = {}
        family = question.name.partition("_")[0]
        for entry, clause in self.forces("select", question.name):
            limits = question.unmet(_conditions(clause))
            lacks = len(limits) + len(question.unmet(entry.visibility()))
            told = " && ".join(question.values.shown(part.expr) for part in limits)
            name = f"{entry.name} (if {told})" if told else entry.name
            alien = entry.name.partition("_")[0] != family
            rank = (not entry.all("prompt"), alien, lacks, entry.name)
            ranks[name] = min(rank, ranks.get(name, rank))
        return sorted(ranks, key=ranks.__getitem__)

    def _told(
        self, unmet: Sequence[Condition], question: _Question, *, strict: bool, deep: bool
    ) -> tuple[Unmet, ...]:
        """What is unmet, for a person to read; with hints if `deep`, none of them twice.

        With `strict`, a module that is not enough is marked, for what is n hides that.
        """
        values = question.values
        told = {values.shown(part.expr) for part in unmet}
        found = []
        for expr, clause in unmet:
            hint = self._hint(expr, told, question) if deep else Explanation(known=True)
            told.update(part.text for part in hint.unmet)
            module = strict and isinstance(expr, Symbol) and values.tristate(expr.name)
            text = values.shown(expr) + " = y" * bool(module)
            found.append(Unmet(text, clause.file, clause.line, hint.hint()))
        return tuple(found)

    def _hint(self, expr: Expr, told: Container[str], question: _Question) -> Explanation:
        """Why a single option is not as it should be, beyond what is `told` already."""
        symbol, wanted = (expr.operand, "n") if isinstance(expr, Not) else (expr, "y")
        if not isinstance(symbol, Symbol):
            return Explanation(known=True, reason="never holds" * (expr == Constant("n")))
        if symbol.name not in self._entries:
            return Explanation(known=False, reason=f"{self._srcarch} does not have")
        if wanted == "y" and question.level == TRISTATE["m"]:
            wanted = "m" if self._types[symbol.name] == "tristate" else "y"
        entries = self._entries[symbol.name]
        hint = self._known(_Question(symbol.name, wanted, entries, question.values), deep=False)
        return replace(hint, unmet=tuple(part for part in hint.unmet if part.text not in told))

    def _otherwise(self, question: _Question, offer: Sequence[Condition], *, deep: bool) -> str:
        """What explains an option whose prompt is on offer, or may be; "" if nothing does.

        That a check could hide the prompt is no hint: most likely nobody asked for it yet.
        """
        known = self._choice(question) or _out_of_range(question)
        return known or (_undecided(question, offer) if deep else "")

    def _choice(self, question: _Question) -> str:
        """Which member of its choice came out instead."""
        choice = next(filter(None, (entry.choice() for entry in question.entries)), None)
        if choice is None:
            return ""
        if question.wanted == "n":
            return f"is what its choice ({choice.at.place}) falls back to: ask for another member"
        winners = [
            name
            for name, entries in self._entries.items()
            if question.values.tristate(name) and any(e.choice() is choice for e in entries)
        ]
        return f"loses its choice ({choice.at.place}) to {winners[0]}" if winners else ""


def _conditions(clause: Clause, kind: str = "") -> list[Condition]:
    """What must hold for a `select` or a `default`; for the latter of a bool its value, too."""
    heads, condition = parse_line(clause.text)
    exprs = (*heads, condition) if kind in {"bool", "tristate"} else (condition,)
    return [Condition(expr, clause) for expr in exprs]


def _default(question: _Question) -> tuple[list[Condition], str]:
    """What the `default` lacks that lacks least to give what was asked for, and it in words."""
    found = []
    for entry in question.entries:
        for clause in entry.all("default"):
            limits = [*entry.dependencies(), *_conditions(clause, question.kind)]
            own = [part.expr for part in limits if part.clause in {*entry.all("depends"), clause}]
            causes = [expr for expr in own if expr != YES and not isinstance(expr, Macro)]
            text = " && ".join(map(question.values.shown, causes))
            reached = f" while {text}" if question.wanted == "n" and causes else ""
            check = f", {what_it_checks(clause.text)}," if "$(" in clause.text else ""
            rule = f"`default {clause.text}` ({clause.place}){check} decides{reached}"
            found.append((question.unmet(limits), rule))
    return min(found, key=lambda default: len(default[0]), default=([], ""))


def _out_of_range(question: _Question) -> str:
    """Which bound a number violates: the first `range` whose condition holds counts."""
    values = question.values
    if question.kind not in {"int", "hex"}:
        return ""
    for entry in question.entries:
        for clause in entry.all("range"):
            limits = [*entry.dependencies(), *_conditions(clause)]
            if question.unmet(limits):
                continue
            bounds = [head for head in parse_line(clause.text).heads if isinstance(head, Atom)]
            for operator, bound in zip("<>", bounds, strict=False):
                comparison = Comparison(operator, Symbol(question.wanted), bound)
                if values.span(comparison).low:
                    return f"is out of its range: {values.shown(comparison)} ({clause.place})"
            return ""
    return ""


def _undecided(question: _Question, offer: Sequence[Condition]) -> str:
    """Which macro may hide the prompt, as rflbuild runs none."""
    told = [
        f"{what_it_checks(text)}, {text} ({clause.place})"
        for expr, clause in question.unmet(offer, surely=False)
        for text in [question.values.shown(expr)]
    ]
    return f"hangs on {listed(told, 'and')}" if told else ""


def _defined_for_others(source: Path, name: str) -> str:
    """Where an architecture whose files were not read defines an option, "" if none does."""
    pattern = re.compile(rf"^\s*(?:menu)?config\s+{re.escape(name)}\s*$", re.MULTILINE)
    for path in sorted(source.glob("arch/**/Kconfig*")):
        text = path.read_text(errors="replace")
        if match := pattern.search(text):
            line = text.count("\n", 0, match.end()) + 1
            return f"{path.relative_to(source)}:{line}"
    return ""


def near_names(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names most like one that does not exist, best first, five at most.

    Alike are names of almost the same letters, of the same words in another order, or
    one that holds the other.
    """
    wanted = name.upper().removeprefix("CONFIG_")
    words = set(wanted.split("_"))
    likeness: dict[str, float] = {}
    matcher = difflib.SequenceMatcher(b=wanted)
    for other in names:
        theirs = set(other.split("_"))
        shared = len(words & theirs) / len(words | theirs)
        matcher.set_seq1(other)
        close = matcher.real_quick_ratio() > 0.75 and matcher.quick_ratio() > 0.75
        if close or shared >= 0.5 or wanted in other:
            likeness[other] = matcher.ratio() + shared
    return tuple(sorted(likeness, key=lambda other: (-likeness[other], other))[:_MOST_NEAR])
