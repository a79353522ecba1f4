"""The test of a module: test.yaml as a typed model (docs/test-yaml.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from rflbuild import document, errnos
from rflbuild.document import InvalidError
from rflbuild.verdict import usage_error

_MEMORY = re.compile(r"[1-9]\d*[MG]")
_MODULE = re.compile(r"[A-Za-z0-9_-]+")
_VERSION = r"^\d+\.\d+$"
_OPTION = r"^(?!CONFIG_)[A-Z0-9_]+$"
ACTIONS = ("insmod", "rmmod", "run", "wait_for", "ping", "qmp", "log")
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The guest: memory as QEMU's -m takes it, CPUs, -netdev and -device arguments.

    `network` is a virtio card in QEMU's user network; `peer` is a server for it
    and for `netdevs` of the kind `user` (peer.py), `iperf3` another (iperf3.py).
    """

    memory: str = "256M"
    cpus: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    network: bool = True
    netdevs: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    peer: bool = False
    iperf3: bool = False
    append: str = ""  # further words on the kernel's command line

    def check(self) -> None:
        """Raise InvalidError for what QEMU would not take."""
        if not _MEMORY.fullmatch(self.memory):
            raise InvalidError("`memory` is a number and M or G, such as 256M", ("memory",))
        for field in ("devices", "netdevs"):
            for number, value in enumerate(getattr(self, field)):
                if not re.match(r"[A-Za-z0-9]", value):
                    one = field.removesuffix("s")
                    raise InvalidError(f"a {one} is as QEMU's -{one} takes it", (field, number))


class Qmp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command for QEMU itself (the QEMU QMP reference manual)."""

    execute: str
    arguments: dict[str, Any] = {}


Texts = str | tuple[str, ...]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One step: one action, and what is expected of it.

    A text that is expected is a substring, or a regular expression between
    slashes; several are found in their order.
    """

    insmod: str | None = None
    rmmod: str | None = None
    run: str | None = None
    wait_for: str | None = None
    ping: str | None = None
    qmp: Qmp | None = None
    log: Texts = ()
    log_not: Texts = ()
    name: str | None = None
    params: dict[str, str | int | bool] = {}
    fails: str | None = None
    status: int | None = None
    output: Texts = ()
    count: Annotated[int, msgspec.Meta(ge=1, le=100000)] = 1
    timeout: Seconds | None = None
    within: Seconds = 1.0
    since: Annotated[str, msgspec.Meta(pattern=_VERSION)] | None = None
    until: Annotated[str, msgspec.Meta(pattern=_VERSION)] | None = None
    needs: tuple[Annotated[str, msgspec.Meta(pattern=_OPTION)], ...] = ()
    quick: bool = False

    @property
    def action(self) -> str:
        """Which of ACTIONS the step is; a step of nothing but `log` only looks."""
        return next(a for a in ACTIONS if getattr(self, a) or a == "log")

    @property
    def title(self) -> str:
        """The step in one line."""
        if self.name:
            return self.name
        if self.qmp:
            return f"qmp {self.qmp.execute}"
        subject = getattr(self, self.action)
        if self.action == "log":
            subject = ", ".join(texts(self.log) or texts(self.log_not))
        words = " ".join(f"{k}={v}" for k, v in self.params.items())
        words += f" fails with {self.fails}" if self.fails else ""
        title = f"{self.action.replace('_', '-')} {' '.join(str(subject).split())} {words}".strip()
        return title if len(title) <= 70 else title[:69] + "…"

    def applies(self, version: Sequence[int]) -> bool:
        """Whether the step is for a kernel of this version."""
        here = tuple(version[:2])
        return not (
            (self.since and here < _numbers(self.since))
            or (self.until and here >= _numbers(self.until))
        )

    def lacks(self, config: Mapping[str, str]) -> tuple[str, ...]:
        """The options that the step needs and a kernel's configuration does not have."""
        return tuple(option for option in self.needs if config.get(option) not in ("y", "m"))

    def check(self) -> None:
        """Raise InvalidError unless the step has one action and what goes with it."""
        actions = [a for a in ACTIONS[:-1] if getattr(self, a) is not None]
        if len(actions) > 1:
            named = " and ".join(action.replace("_", "-") for action in actions)
            raise InvalidError(f"a step has one action, not {named}")
        if not actions and not self.log and not self.log_not:
            raise InvalidError(
                "a step has one of insmod, rmmod, run, wait-for, ping, qmp and log, with a value"
            )
        action = actions[0] if actions else "log"
        if actions and not getattr(self, action):
            raise InvalidError(f"`{action.replace('_', '-')}` has no value", (action,))
        for field, fitting in _ONLY_WITH.items():
            if getattr(self, field) not in _EMPTY[field] and action not in fitting:
                raise InvalidError(f"`{field}` goes with {' and '.join(fitting)} only", (field,))
        for module in filter(None, (self.insmod, self.rmmod)):
            if not _MODULE.fullmatch(module):
                raise InvalidError(f"`{module}` is no module's name", (action,))
        if self.fails is not None and errnos.number(self.fails) is None:
            raise InvalidError(f"`{self.fails}` is no errno, such as ENODEV", ("fails",))
        for field in ("log", "log_not", "output"):
            for text in texts(getattr(self, field)):
                _check_text(text, field.replace("_", "-"))


_ONLY_WITH = {
    "params": ("insmod",),
    "fails": ("insmod", "rmmod"),
    "status": ("run",),
    "output": ("run",),
    "count": ("ping",),
}
_EMPTY: dict[str, tuple[object, ...]] = {
    "params": ({},),
    "fails": (None,),
    "status": (None,),
    "output": ((),),
    "count": (1,),
}


class TestSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A whole test.yaml; without steps, modules are loaded, looked for and unloaded."""

    machine: Machine = Machine()
    steps: tuple[Step, ...] = ()
    files: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    step_timeout: Seconds = 20.0
    timeout: Seconds | None = None
    allow_log: Texts = ()

    def chosen(self, *, quick: bool) -> tuple[Step, ...]:
        """The steps; of a quick run those that are marked so, if any is."""
        marked = tuple(step for step in self.steps if step.quick)
        return marked if quick and marked else self.steps

    def check(self) -> None:
        """Raise InvalidError, with the way to it, for whatever does not hold."""
        _within(("machine",), self.machine)
        for number, step in enumerate(self.steps):
            _within(("steps", number), step)
        for text in texts(self.allow_log):
            _check_text(text, "allow-log")
        for number, name in enumerate(self.programs):
            if not name.endswith(".c"):
                raise InvalidError("a program is a file of C, such as poke.c", ("programs", number))


def texts(value: Texts) -> tuple[str, ...]:
    """One text or several as a tuple."""
    return (value,) if isinstance(value, str) else value


def read(path: Path) -> TestSpec:
    """Read a test.yaml; RflError(usage) names the file, the line and what fits."""
    spec = document.read(path, TestSpec)
    for field in ("files", "programs"):
        for name in getattr(spec, field):
            if not (path.parent / name).is_file():
                raise usage_error(f"{path}: `{field}` names {name}, which is not in {path.parent}")
    return spec


def default_steps(modules: Sequence[str]) -> tuple[Step, ...]:
    """The test of modules that have none: load them in turn, unload them in reverse."""
    return (
        *(Step(insmod=name) for name in modules),
        *(Step(rmmod=name) for name in reversed(modules)),
    )


def find_in_order(expected: Sequence[str], lines: Sequence[str]) -> str | None:
    """The first expected text that does not come after the ones before it; None if all do.

    Two texts may be in one line, in their order.
    """
    line, column = 0, 0
    for text in expected:
        pattern = compile_text(text)
        while line < len(lines):
            match = pattern.search(lines[line], column)
            if match:
                column = match.end()
                break
            line, column = line + 1, 0
        else:
            return text
    return None


def compile_text(text: str) -> re.Pattern[str]:
    """A substring, or a regular expression between slashes, as a pattern."""
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return re.compile(text[1:-1])
    return re.compile(re.escape(text))


def _check_text(text: str, field: str) -> None:
    try:
        compile_text(text)
    except re.error as error:
        raise InvalidError(f"{text} is no regular expression: {error}", (field,)) from error


def _within(path: tuple[str | int, ...], part: Machine | Step) -> None:
    try:
        part.check()
    except InvalidError as error:
        raise InvalidError(error.what, (*path, *error.path)) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
