"""A kernel's .config without the kernel: made by make once, and kept by its plan's key.

All of a source's are made in one folder of the store, in which Kconfig's own programs
stay compiled and the bases' configurations stay made, so that one with other options
costs one run of `make olddefconfig`.

    work/config/<key>/               make's O= folder
    work/config/<key>/made/<key>     a .config
    work/config/<key>/made/inputs    what the Kconfig files were when these were made
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import kconfig_inputs, kernel, kernel_config
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Plan
from rflbuild.session import Session
from rflbuild.store import remove_tree, write_atomically

if TYPE_CHECKING:
    from rflbuild.kconfig_tree import KconfigTree

_NOT_SET = " is not set"
_HEADING = "Kernel Configuration"  # in the first lines of what Kconfig writes


@dataclass(frozen=True)
class Dotconfig:
    """The .config that a plan's kernel has, as text."""

    plan: Plan
    text: str

    @cached_property
    def values(self) -> Mapping[str, str]:
        """What each option that is written is, in the order of the menus; see `values`."""
        return values(self.text)


def values(text: str) -> dict[str, str]:
    """The options of a .config, without CONFIG_; "is not set" is n.

    What does not count, as the dependencies are, is not written in a .config at all.
    """
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.removeprefix("CONFIG_").partition("=")
            found[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(_NOT_SET):
            found[line.removeprefix("# CONFIG_").removesuffix(_NOT_SET)] = "n"
    return found


def is_one(text: str) -> bool:
    """Whether Kconfig wrote a text as a whole configuration; a fragment is none."""
    return _HEADING in text[:300]


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The lines of the kernel's scripts/diffconfig: gone, changed and new options, each sorted."""
    return [
        *(f"-{name} {old[name]}" for name in sorted(old.keys() - new.keys())),
        *(
            f" {name} {old[name]} -> {new[name]}"
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name]
        ),
        *(f"+{name} {new[name]}" for name in sorted(new.keys() - old.keys())),
    ]


def of(session: Session, plan: Plan) -> Dotconfig:
    """The .config that `kernel.build` comes to for a plan, dropped options or not.

    A kernel that is built has it; else make makes it, once as long as no Kconfig file
    changes. Raises RflError(build-error) with the words of Kconfig.
    """
    if not plan.source.mutable and session.store.has("kernel", plan.key):
        return Dotconfig(plan, (session.store.path("kernel", plan.key) / ".config").read_text())
    folder = _folder(session, plan)
    if _fresh(folder, plan):
        with contextlib.suppress(FileNotFoundError):
            return Dotconfig(plan, (folder / "made" / plan.key).read_text())
    with _in_use(session, plan) as folder:
        return Dotconfig(plan, _make(session, plan, folder))


def target_alone(session: Session, plan: Plan) -> Dotconfig:
    """What the target of a plan's base makes, before any option that is asked for."""
    return of(session, _bare(plan))


def minimal(session: Session, dotconfig: Dotconfig) -> Mapping[str, str]:
    """The options that are not what they would be by themselves (make savedefconfig)."""
    plan = dotconfig.plan
    with _in_use(session, plan) as folder:
        (folder / ".config").write_text(dotconfig.text)
        kernel_config.make_config(session, plan, folder, "savedefconfig", _log(session, plan))
        return values((folder / "defconfig").read_text())


def workspace(session: Session, plan: Plan, target: str, into: Path) -> None:
    """Run one of make's `build_` targets, and hand a copy of Kconfig's programs to a folder.

    Make then has nothing to compile in that folder, and it needs no lock.
    """
    with _in_use(session, plan) as folder:
        kernel_config.make_config(session, plan, folder, target, _log(session, plan))
        shutil.copytree(folder / "scripts", into / "scripts", symlinks=True)


def tree(plan: Plan) -> KconfigTree:
    """Every option of a plan's kernel, as its Kconfig files define it; this takes a second."""
    from rflbuild.kconfig_tree import KconfigTree

    return KconfigTree.read(plan.source.path, plan.arch.srcarch, plan.source.laid)


def option_types(session: Session, plan: Plan) -> Mapping[str, str]:
    """The type of each option that the kernel defines: bool, tristate, int, hex or string."""
    folder = _folder(session, plan)
    file = folder / "made" / "types"
    if _fresh(folder, plan):
        with contextlib.suppress(FileNotFoundError):
            types: dict[str, str] = json.loads(file.read_text())
            return types
    found = dict(tree(plan).types)
    if not plan.source.mutable or _fresh(folder, plan):
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, json.dumps(found))
    return found


def _bare(plan: Plan) -> Plan:
    """The plan of a kernel that is only what the target of the base makes."""
    target = plan.config.target
    return replace(plan, config=Kconfig(target, target, (), 0), allow_dropped=False)


def _folder(session: Session, plan: Plan) -> Path:
    return session.store.work("config", _bare(plan).key)


@contextlib.contextmanager
def _in_use(session: Session, plan: Plan) -> Iterator[Path]:
    """The folder in which make runs, for as long as the context lasts ours alone."""
    if plan.source.mutable:
        kernel.refuse_in_place(plan.source.path)
    folder = _folder(session, plan)
    kernel.lay(session, plan)
    with session.store.lock(f"config-{folder.name}"):
        yield folder


def _make(session: Session, plan: Plan, folder: Path) -> str:
    made, bare = (folder / "made" / each.key for each in (plan, _bare(plan)))
    if not _fresh(folder, plan):
        remove_tree(made.parent)
    elif made.exists():  # by another run, which had the lock
        return made.read_text()
    log = _log(session, plan)
    config = folder / ".config"
    with session.terminal.progress(f"configuration {plan.source.release}", None):
        if not bare.exists():
            # Kconfig names the files that it read only when it makes this one.
            (folder / "include/config/auto.conf").unlink(missing_ok=True)
            begun = time.time_ns()
            kernel_config.make_config(session, plan, folder, plan.config.target, log)
            _publish(config, bare)
            noted = folder / "made" / "inputs"
            kconfig_inputs.note(noted, folder, plan.source, plan.arch.srcarch, begun)
        if made != bare:
            shutil.copyfile(bare, config)
            kernel_config.complete_config(session, plan, folder, log)
            _publish(config, made)
    return made.read_text()


def _publish(config: Path, made: Path) -> None:
    made.parent.mkdir(exist_ok=True)
    write_atomically(made, config.read_bytes())


def _fresh(folder: Path, plan: Plan) -> bool:
    """Whether what is in `made` comes from the Kconfig files as they are now."""
    noted = folder / "made" / "inputs"
    return not plan.source.mutable or kconfig_inputs.are_as_noted(
        noted, folder, plan.source, plan.arch.srcarch
    )


def _log(session: Session, plan: Plan) -> Path:
    """A new log for Kconfig's runs."""
    folder = session.store.work("logs", "config")
    log = folder / f"{plan.source.release}-{plan.arch.name}-{_folder(session, plan).name}.log"
    log.unlink(missing_ok=True)
    return log
