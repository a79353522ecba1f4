"""The kernel's configuration: look into it, change it, keep the change as a fragment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import chain, dotconfig, fragment, intree, kconfig, module, source, targets
from rflbuild.chain import Links, Request
from rflbuild.dotconfig import Dotconfig
from rflbuild.kernel import Plan
from rflbuild.session import Session
from rflbuild.store import Store
from rflbuild.targets import Target
from rflbuild.terminal import Terminal
from rflbuild.verdict import RflError, usage_error

if TYPE_CHECKING:
    from rflbuild.kconfig_change import Change
    from rflbuild.kconfig_tree import KconfigTree

_DEFAULT = "my.config"
_LOGICAL = {"bool", "tristate"}


class _News(Links):
    """Links of which only those are shown that were not there yet."""

    def add(self, name: str, what: str, key: str, seconds: float, *, cached: bool) -> None:
        if not cached:
            super().add(name, what, key, seconds, cached=cached)


@dataclass(frozen=True)
class _Fragment:
    """The fragment that is written to: what the user calls it, its file, the request with it.

    It comes last, so that nothing overrides it; a request has it only once it is there.
    """

    name: str
    path: Path
    request: Request

    @property
    def shown(self) -> str:
        """Its file as it is shortest from here."""
        return _shown(str(self.path))

    @property
    def complete(self) -> Request:
        """The request with the fragment, which must be there by now."""
        return replace(self.request, fragments=(*self.request.fragments, self.name))

    @property
    def so_far(self) -> Request:
        """The request with what the fragment holds already."""
        return self.complete if self.path.exists() else self.request


def config(
    session: Session,
    request: Request,
    get: Sequence[str],
    assign: Sequence[str],
    why: Sequence[str],
    diff: str | bool,
    save: str,
) -> int:
    """Do the one thing that was asked for; with nothing, print the whole .config.

    `diff` is True for the base alone. What was asked for goes to stdout, and all else
    to stderr.
    """
    terminal = Terminal(sys.stderr)
    store = Store(session.store.root, on_wait=terminal.note)
    session = replace(session, terminal=terminal, store=store)
    questions = {"get": get, "set": assign, "why": why, "diff": diff}
    asked = [word for word, value in questions.items() if value]
    if len(asked) > 1:
        raise usage_error(f"--{asked[0]} and --{asked[1]} are two questions: ask one at a time")
    if save and not assign:
        raise usage_error("--save says where --set writes to, and there is no --set")
    if assign:
        return _set(session, request, assign, save)
    if get:
        lines = list(_values(session, _lookups(session, request, get)))
    elif why:
        lines = list(_explanations(session, _lookups(session, request, why)))
    elif diff:
        made = _made(session, request)
        lines = dotconfig.difference(_other(session, request, diff), made.values)
        if not lines:
            session.terminal.note("there is no difference")
    else:
        lines = _made(session, request).text.splitlines()
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


def menuconfig(session: Session, request: Request, save: str) -> int:
    """The kernel's menu on the terminal; what was changed goes into a fragment."""
    from rflbuild import kconfig_change
    from rflbuild import menuconfig as menu

    menu.check_terminal(session)
    target = _fragment(session, request, save)
    made = _made(session, target.so_far)
    terminal = session.terminal
    terminal.line(
        f"menu       {made.plan.config.label} of Linux {made.plan.source.release} "
        f"{made.plan.arch.name}; what you change and save goes into {target.shown}"
    )
    with menu.run(session, made) as saved:
        if saved is None:
            terminal.line(f"nothing was changed, and {target.shown} not touched")
            return 0
        with terminal.progress("finding the smallest fragment", None):
            tree = dotconfig.tree(made.plan)
            change = kconfig_change.find(session, made, saved, tree)
        written = _write(session, target, change, made.plan)
    _tell(session, target, change, tree, written=written)
    return 0


def _made(session: Session, request: Request, owner: Target | None = None) -> Dotconfig:
    """The .config of a request, and a word on what was asked for and is not in it.

    With the `owner`, a module in the kernel's tree, that of the kernel that builds it.
    """
    links = _News(session)
    if owner:
        planned = targets.plan(session, owner, request, links)[1]
    else:
        planned = chain.plan(session, request, links)
    made = dotconfig.of(session, planned)
    dropped = kconfig.dropped(made.plan.config, made.values)
    if dropped:
        names = ", ".join(option.name for option in dropped)
        words = shlex.join([*request.words(), "--why", dropped[0].name])
        session.terminal.note(
            f"Linux {made.plan.source.release} drops what is asked for as {names}; "
            f"`./rfl config {words}` tells the reason"
        )
    return made


# ---- questions -----------------------------------------------------------------------------


def _lookups(
    session: Session, request: Request, names: Sequence[str]
) -> list[tuple[str, Dotconfig]]:
    """Each option that is asked for, and the .config in which to look for it."""
    made: dict[str, Dotconfig] = {}
    found = []
    for name in map(_plain, names):
        owner = _owner(session, request, name)
        key = owner.name if owner else ""
        if key not in made:
            made[key] = _made(session, request, owner)
        found.append((name, made[key]))
    return found


def _owner(session: Session, request: Request, option: str) -> Target | None:
    """The module of modules/ that an option builds in the tree of the kernel that is asked for."""
    own = source.locate(session, request.kernel)[1].directory or ""
    for name in module.names(session):
        try:
            found = intree.read(session.workspace.modules / name)
        except RflError:  # it is told of when that module is asked for
            continue
        if found and found.option == option:
            fits = found.tree == own or (found.tree and not request.kernel)
            return targets.find(session, name) if fits else None
    return None


def _values(session: Session, lookups: Sequence[tuple[str, Dotconfig]]) -> Iterator[str]:
    """The value of each option: without quotes, n for what is off, undef for what has none."""
    for name, made in lookups:
        value = made.values.get(name)
        if value is None:
            value = "n" if _type(session, made.plan, name) in _LOGICAL else "undef"
        yield _unquoted(value)


def _unquoted(value: str) -> str:
    from rflbuild.kconfig_expr import unquoted

    return unquoted(value)


def _plain(name: str) -> str:
    return name.removeprefix("CONFIG_")


def _type(session: Session, plan: Plan, name: str) -> str:
    """The type of an option; RflError(usage) if the kernel has none of that name."""
    types = dotconfig.option_types(session, plan)
    if name not in types:
        why = dotconfig.tree(plan).explain(name, "y", {}).sentence()
        raise usage_error(f"{name} is {why} (Linux {plan.source.release})")
    return types[name]


def _explanations(session: Session, lookups: Sequence[tuple[str, Dotconfig]]) -> Iterator[str]:
    from rflbuild.kconfig_why import Why

    for name, made in lookups:
        _type(session, made.plan, name)
    trees: dict[str, KconfigTree] = {}
    for number, (name, made) in enumerate(lookups):
        plan = made.plan
        if plan.key not in trees:
            trees[plan.key] = dotconfig.tree(plan)
        asked = {option.name: option for option in plan.config.options}.get(name)
        last = replace(asked, where=_shown(asked.where)) if asked else None
        why = Why(trees[plan.key], name, made.values, last, f"`make {plan.config.target}`")
        yield ("\n" if number else "") + why.text()


def _shown(path: str) -> str:
    """A path, perhaps with a line, as it is shortest from here."""
    return min(path, os.path.relpath(path), key=len)


def _other(session: Session, request: Request, other: str | bool) -> Mapping[str, str]:
    """The options of what a configuration is compared with."""
    if isinstance(other, bool):
        return _made(session, replace(request, fragments=())).values
    path = Path(other).expanduser()
    text = path.read_text(errors="replace") if path.is_file() else ""
    if dotconfig.is_one(text):
        return dotconfig.values(text)
    first, *rest = [other] if text else other.split("+")
    if first in kconfig.bases(session.workspace.configs):
        wanted = replace(request, base=first, fragments=tuple(rest))
    else:
        wanted = replace(request, fragments=(first, *rest))
    return _made(session, wanted).values


# ---- changes -------------------------------------------------------------------------------


def _set(session: Session, request: Request, words: Sequence[str], save: str) -> int:
    """Put options into a fragment once it is sure that the kernel takes them over."""
    from rflbuild import kconfig_change
    from rflbuild.kconfig_change import Change

    target = _fragment(session, request, save)
    start = _made(session, target.so_far)
    plan = start.plan
    options = dict(_assignment(session, request, plan, word) for word in words)
    asked = kconfig_change.with_options(plan, options, "--set")
    end = dotconfig.of(session, asked)
    refused = [
        option
        for option in kconfig.dropped(asked.config, end.values)
        if option.name in options and option.where == "--set"
    ]
    if refused:
        why = kconfig.explain(plan.source, plan.arch, refused, end.values)
        names = ", ".join(option.name for option in refused)
        raise usage_error(
            f"Linux {plan.source.release} drops {names}, for the reason above: {target.shown} is "
            "not touched",
            why,
        )
    change = Change(start.values, end.values, tuple(options))
    change = replace(change, lost=kconfig_change.lost(start, change))
    if change.lost:
        dotconfig.of(session, kconfig_change.with_options(plan, change.options))
    written = _write(session, target, change, plan)
    _tell(session, target, change, dotconfig.tree(plan) if change.lost else None, written=written)
    return 0


def _assignment(session: Session, request: Request, plan: Plan, word: str) -> tuple[str, str]:
    """OPTION=VALUE, as a .config writes it; RflError(usage) if that cannot be."""
    from rflbuild.kconfig_expr import value_mistake

    name, equals, value = word.partition("=")
    name = _plain(name.strip())
    if not equals or "\n" in value:
        raise usage_error(f"--set {word}: write OPTION=VALUE, as in --set USB=y")
    owner = _owner(session, request, name)
    if owner and name not in dotconfig.option_types(session, plan):
        raise usage_error(
            f"{name} is of modules/{owner.name}, which is in no kernel but its own: there "
            f"`./rfl qemu-test {owner.name}` sets it to m, and with --builtin to y"
        )
    kind = _type(session, plan, name)
    if kind == "string" and not value.startswith('"'):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        value = f'"{escaped}"'
    if mistake := value_mistake(kind, value):
        raise usage_error(f"{name} {mistake}")
    return name, value


def _fragment(session: Session, request: Request, save: str) -> _Fragment:
    """Where a change is to be saved; RflError(usage) before any work if that cannot be."""
    configs = session.workspace.configs
    name = save or _DEFAULT
    path = fragment.to_write(configs, name)
    chain.check(session, request)
    base = kconfig.bases(configs)[request.base]
    for part in base.fragments:
        if _same_file(fragment.find(configs, part), path):
            raise usage_error(
                f"{_shown(str(path))} is a part of the base {request.base}: save under a name of "
                "your own"
            )
    if not os.access(path if path.exists() else path.parent, os.W_OK) or not os.access(
        path.resolve().parent, os.W_OK
    ):
        raise usage_error(f"{path} cannot be written: give another name by --save")
    others = [f for f in request.fragments if not _same_file(fragment.find(configs, f), path)]
    return _Fragment(name, path, replace(request, fragments=tuple(others)))


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _write(session: Session, target: _Fragment, change: Change, plan: Plan) -> bool:
    """Save what a change has to say; if that fails, at least show it.

    False if the fragment says so already.
    """
    title = f"On top of {plan.config.label}: ./rfl kernel --fragment {target.name}"
    try:
        return fragment.write(session, target.path, change.options, plan.source, title)
    except (OSError, RflError):
        lines = [fragment.line_of(name, value) for name, value in change.options.items()]
        session.terminal.line("\n".join(lines))
        raise


def _tell(
    session: Session,
    target: _Fragment,
    change: Change,
    tree: KconfigTree | None,
    *,
    written: bool,
) -> None:
    """What was changed, what that led to, and how to use it; `tree` explains what was lost."""
    terminal = session.terminal
    words = shlex.join(target.complete.words())
    for name in change.chosen:
        old, new = change.before.get(name, "n"), change.after.get(name, "n")
        terminal.line(
            f"set        {name} {f'{old} -> {new}' if old != new else f'{new}, as it was'}"
        )
    for name in change.kept:
        terminal.line(f"kept       {name} {change.after[name]}, as it was in the menu")
    for option in change.lost:
        got = change.after.get(option.name, "n")
        told = tree.explain(option.name, option.value, change.after) if tree else None
        why = f": {told.sentence()}" if told else ""
        at = _shown(option.where)
        terminal.line(f"lost       {option.name} {option.value} -> {got}, asked for in {at}{why}")
    if change.followed:
        count = len(change.followed)
        terminal.line(
            f"followed   {count} more option{'' if count == 1 else 's'}; "
            f"`./rfl config {words} --diff` shows all"
        )
    for name in change.unreached:
        terminal.note(f"{name} will not be {change.after.get(name, 'n')}: no fragment can say so")
    terminal.line(f"{'saved' if written else 'unchanged':<10} {target.shown}")
    terminal.line(f"Next: ./rfl kernel {words}")
