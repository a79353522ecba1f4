"""All there is to know of one option: its value and why, its text, what it hangs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rflbuild.fragment import Option
from rflbuild.kconfig import same_value
from rflbuild.kconfig_explanation import listed, what_it_checks
from rflbuild.kconfig_expr import (
    TRISTATE,
    YES,
    Constant,
    Expr,
    Symbol,
    Values,
    junction,
    unquoted,
)
from rflbuild.kconfig_read import Clause, Condition, Entry, parse_line
from rflbuild.kconfig_tree import KconfigTree

_LOGICAL = {"bool", "tristate"}
_LABEL = 13  # columns
_FAILS = "does not hold"
_NOBODY_KNOWS = "a macro, which only make can tell"


@dataclass(frozen=True)
class Why:
    """An option of a kernel, in one configuration of it.

    `asked` is the last word on it of those who asked for it, `origin` what gave the
    options their first values, such as `make allnoconfig`.
    """

    tree: KconfigTree
    name: str
    config: Mapping[str, str]
    asked: Option | None
    origin: str

    @property
    def kind(self) -> str:
        """Its type."""
        return self.tree.types[self.name]

    @property
    def value(self) -> str:
        """Its value as a .config writes it; n, or nothing, for one that is not there."""
        return self.config.get(self.name, "n" if self.kind in _LOGICAL else "")

    @property
    def entries(self) -> Sequence[Entry]:
        """Its definitions."""
        return self.tree.entries(self.name)

    @property
    def values(self) -> Values:
        """What all options are."""
        return Values(self.config, self.tree.types)

    def text(self) -> str:
        """Everything, for a person to read."""
        value = self.value if self.name in self.config or self.kind in _LOGICAL else "not set"
        lines = [f"{self.name} is {value}: {self.reason()}"]
        for label, rows in self._rows():
            for number, row in enumerate(rows):
                lines.append(f"  {'' if number else label:<{_LABEL}}{row}".rstrip())
        for entry in self.entries:
            if entry.help:
                lines += ["", *(f"  {row}".rstrip() for row in entry.help_text().split("\n"))]
        return "\n".join(lines)

    def reason(self) -> str:
        """What made its value what it is, in words."""
        if self.asked:
            return self._as_asked(self.asked)
        if self.kind in _LOGICAL and self.value == "n":
            return self._off()
        return self._given() or f"as {self.origin} has it"

    def _as_asked(self, asked: Option) -> str:
        if same_value(asked.value, self.value):
            return f"asked for in {asked.where}"
        told = self.tree.explain(self.name, asked.value, self.config).sentence()
        return f"{asked.value} is asked for in {asked.where}, but it {told}"

    def _off(self) -> str:
        """Why it is n, where nobody asked for that."""
        told = self.tree.explain(self.name, "y", self.config)
        if told.unmet or not told.reason.startswith("could be"):
            return told.sentence()
        return f"could be y, and nothing asks for it; {self.origin} leaves it off"

    def _given(self) -> str:
        """What in Kconfig gives it its value, "" if nothing does."""
        level = TRISTATE.get(self.value, TRISTATE["y"])
        selecting, implying = (
            [text for text, reached in self._forces(keyword) if reached >= level]
            for keyword in ("select", "imply")
        )
        default = self._default()
        if selecting:
            return f"selected by {listed(selecting, 'and')}"
        if default and self._comes_of(default):
            check = f", {what_it_checks(default.text)}" if "$(" in default.text else ""
            return f"by its default ({default.place}){check}"
        if implying:
            return f"implied by {listed(implying, 'and')}"
        if self.name in self.config:
            return ""
        wanted = {"string": '""', "hex": "0x0"}.get(self.kind, "0")
        return self.tree.explain(self.name, wanted, self.config).sentence()

    def _rows(self) -> Iterator[tuple[str, list[str]]]:
        """What is told, each under its label."""
        yield "type", [self.kind or "none"]
        for entry in self.entries:
            yield "defined", [entry.at.place]
            yield "prompt", [self._prompt(clause) for clause in entry.all("prompt")] or ["none"]
            yield "depends on", _columns([self._holds(c) for c in entry.dependencies()])
            hides = [c for c in entry.visibility() if c not in entry.dependencies()]
            yield "shown if", _columns([self._holds(c) for c in hides if c.expr != YES])
            yield "selects", [self._listed(entry, "select")] * bool(entry.all("select"))
            yield "implies", [self._listed(entry, "imply")] * bool(entry.all("imply"))
            yield "defaults", _columns([self._counts(c) for c in entry.all("default")])
            yield "range", _columns([self._counts(c) for c in entry.all("range")])
        yield "selected by", self._listed_forces("select")
        yield "implied by", self._listed_forces("imply")

    def _prompt(self, clause: Clause) -> str:
        """The text of a prompt, without the condition that may follow it."""
        heads, _ = parse_line(clause.text)
        return heads[0].text if heads and isinstance(heads[0], Constant) else clause.text

    def _holds(self, condition: Condition) -> tuple[str, str, str]:
        """A condition with the values in it, where it is, and whether it holds."""
        span = self.values.span(condition.expr)
        told = "" if span.low else _NOBODY_KNOWS if span.high else _FAILS
        if span.low == span.high == TRISTATE["m"] and self.kind == "tristate":
            told = "allows m at most"
        return self.values.shown(condition.expr), condition.clause.place, told

    def _counts(self, clause: Clause) -> tuple[str, str, str]:
        """A default or a range with the values in it, where it is, and whether it counts."""
        heads, condition = parse_line(clause.text)
        text = " ".join(self._side(head) for head in heads)
        if condition != YES:
            text += f" if {self.values.shown(condition)}"
        keyword = "range" if len(heads) > 1 else "default"
        counts = (
            clause == self._default() if keyword == "default" else self.values.span(condition).low
        )
        return text, clause.place, "counts" if counts else ""

    def _side(self, expr: Expr) -> str:
        plain = isinstance(expr, Symbol) and expr.name not in self.tree.types
        return expr.name if isinstance(expr, Symbol) and plain else self.values.shown(expr)

    def _default(self) -> Clause | None:
        """The first default whose condition holds, None if a macro may decide it."""
        for entry in self.entries:
            for clause in entry.all("default"):
                conditions = [c.expr for c in entry.dependencies()]
                span = self.values.span(
                    junction("&&", [YES, *conditions, parse_line(clause.text).condition])
                )
                if span.low:
                    return clause
                if span.high:
                    return None
        return None

    def _comes_of(self, default: Clause) -> bool:
        """Whether a default gives it its value; where only make can tell, if nothing else could."""
        heads, condition = parse_line(default.text)
        if "$(" in default.text:
            return not any(entry.all("prompt") for entry in self.entries)
        if self.kind in _LOGICAL:
            span = self.values.span(junction("&&", [*heads, condition]))
            level = TRISTATE["y"] if self.kind == "bool" and span.low else span.low
            return self.value == "nmy"[level]
        head = heads[0] if heads else None
        given = self.config.get(head.name, head.name) if isinstance(head, Symbol) else None
        if isinstance(head, Constant):
            given = head.text
        return given is not None and same_value(unquoted(given), unquoted(self.value))

    def _listed(self, entry: Entry, keyword: str) -> str:
        """What an entry selects or implies, with the values and the conditions."""
        told = []
        for clause in entry.all(keyword):
            heads, condition = parse_line(clause.text)
            limit = f" if {self.values.shown(condition)}" if condition != YES else ""
            told.append(f"{' '.join(map(self.values.shown, heads))}{limit}")
        return ", ".join(told)

    def _forces(self, keyword: str) -> list[tuple[str, int]]:
        """Each option that selects or implies this one, in words, and up to which level now."""
        found = []
        for entry, clause in self.tree.forces(keyword, self.name):
            condition = parse_line(clause.text).condition
            symbol = Symbol(entry.name)
            limit = f" if {self.values.shown(condition)}" if condition != YES else ""
            level = self.values.span(junction("&&", (symbol, condition))).low
            found.append((f"{self.values.shown(symbol)}{limit} ({clause.place})", level))
        return found

    def _listed_forces(self, keyword: str) -> list[str]:
        """Who selects or implies it now, one a line, then those that would."""
        forces = self._forces(keyword)
        active = [text for text, level in forces if level]
        idle = [text for text, level in forces if not level]
        if not idle:
            return active
        words = f"{'not ' if not active else 'and not '}now: {listed(idle, 'and')}"
        return [*active, words]


def _columns(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Rows of a text, a place and a remark, one below the other."""
    width = min(max((len(text) for text, _, _ in rows), default=0), 48)
    return [
        f"{text:<{width}}  {place}{f': {remark}' if remark else ''}" for text, place, remark in rows
    ]
