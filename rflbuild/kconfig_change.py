"""What was changed in a configuration, as the few options that a fragment has to say.

A .config says of every option what it is; most of that follows from the rest by
`select` and `default`. What a fragment has to say is found from the kernel's own
`make savedefconfig`, and proved: put on top of what it started from, it has to give
the same .config to the last option.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from rflbuild import dotconfig
from rflbuild.dotconfig import Dotconfig
from rflbuild.fragment import Option
from rflbuild.kconfig import same_value
from rflbuild.kconfig_expr import TRISTATE, Symbol, Values, junction
from rflbuild.kconfig_read import parse_line
from rflbuild.kconfig_tree import KconfigTree
from rflbuild.kernel import Plan
from rflbuild.session import Session

_LOGICAL = {"bool", "tristate"}


@dataclass(frozen=True)
class Change:
    """The options that differ between two configurations, by what made them differ.

    `chosen` are those that somebody set. `kept` would go with what was chosen, if a
    fragment did not say that they stay; `lost` were asked for elsewhere, and are not as
    asked any more. `unreached` are those for which no fragment can be found.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    chosen: tuple[str, ...]
    kept: tuple[str, ...] = ()
    lost: tuple[Option, ...] = ()
    unreached: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, str]:
        """What a fragment has to say, in the order of the menus."""
        said = {*self.chosen, *self.kept, *(option.name for option in self.lost)}
        shown = [name for name in self.after if name in said]
        return {name: self.after.get(name, "n") for name in (*shown, *sorted(said - {*shown}))}

    @property
    def followed(self) -> list[str]:
        """What differs by itself."""
        said = self.options
        return [name for name in differing(self.before, self.after) if name not in said]


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The options whose values are not the same; one that is not there counts as n."""
    names = dict.fromkeys((*after, *before))
    return [name for name in names if before.get(name, "n") != after.get(name, "n")]


def find(session: Session, start: Dotconfig, end: Dotconfig, tree: KconfigTree) -> Change:
    """The change from what a plan comes to, to a configuration of the same kernel."""
    surely, perhaps = candidates(
        start.values,
        end.values,
        {
            *dotconfig.target_alone(session, start.plan).values,
            *(option.name for option in start.plan.config.options),
        },
        tree,
    )
    if perhaps:
        set_to_else = dotconfig.minimal(session, end)
        surely |= {name for name in perhaps if name in set_to_else}
    chosen = tuple(name for name in end.values if name in surely)
    change = Change(start.values, end.values, chosen)
    change = replace(change, lost=lost(start, change))
    while True:
        got = dotconfig.of(session, with_options(start.plan, change.options))
        wrong = differing(got.values, end.values)
        said = change.options
        more = [
            name
            for name in wrong
            if name in end.values and name not in said and _has_prompt(tree, name)
        ]
        if not more:
            return replace(change, unreached=tuple(wrong))
        differ = {*differing(start.values, end.values)}
        change = replace(
            change,
            chosen=(*change.chosen, *(name for name in more if name in differ)),
            kept=(*change.kept, *(name for name in more if name not in differ)),
        )


def with_options(plan: Plan, options: Mapping[str, str], where: str = "") -> Plan:
    """The plan of the same kernel with options on top."""
    asked = [Option(name, value, where) for name, value in options.items()]
    return replace(plan, config=plan.config.with_options(asked))


def candidates(
    before: Mapping[str, str], after: Mapping[str, str], given: Container[str], tree: KconfigTree
) -> tuple[set[str], set[str]]:
    """The options that differ because somebody set them, and those of which that is unsure.

    One that is `given` a value, by the base's target or as one that was asked for, has
    not come to another by itself, but by `select`. Any other may be at its default.
    """
    settable = {
        name for name in differing(before, after) if name in after and _has_prompt(tree, name)
    }
    surely = {name for name in settable if name in given and not _forced(tree, name, after)}
    return surely, settable - surely


def lost(start: Dotconfig, change: Change) -> tuple[Option, ...]:
    """What the plan asks for and had, and has no more without having been chosen otherwise."""
    return tuple(
        option
        for option in start.plan.config.options
        if option.name not in change.chosen
        and same_value(option.value, change.before.get(option.name, "n"))
        and not same_value(option.value, change.after.get(option.name, "n"))
    )


def _has_prompt(tree: KconfigTree, name: str) -> bool:
    return any(entry.all("prompt") for entry in tree.entries(name))


def _forced(tree: KconfigTree, name: str, config: Mapping[str, str]) -> bool:
    """Whether a value may have come by itself: by a `select`, or by its choice's other member."""
    if tree.types[name] not in _LOGICAL:
        return False
    if config[name] == "n":
        return any(entry.choice() for entry in tree.entries(name))
    values = Values(config, tree.types)
    # Selected by a module, a bool is y.
    level = TRISTATE["m" if tree.types[name] == "bool" else config[name]]
    return any(
        values.span(junction("&&", (Symbol(entry.name), parse_line(clause.text).condition))).high
        >= level
        for entry, clause in tree.forces("select", name)
    )
