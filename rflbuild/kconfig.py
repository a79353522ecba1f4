"""The kernel's configuration: a base, fragments on top, and what became of each option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from rflbuild import document, fragment
from rflbuild.arch import Arch
from rflbuild.fragment import Option
from rflbuild.source import Source
from rflbuild.store import key_of
from rflbuild.verdict import usage_error


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of configs/kconfig/bases.yaml."""

    summary: str
    make: str
    fragments: tuple[str, ...]
    objects: int


@dataclass(frozen=True)
class Kconfig:
    """A configuration that was asked for.

    `label` is its name for people, such as `virt+debug`; `options` holds the last
    word on each option.
    """

    label: str
    target: str
    options: tuple[Option, ...]
    objects: int

    @property
    def key(self) -> str:
        """Equal for configurations that ask for the same."""
        return key_of(self.target, sorted((o.name, o.value) for o in self.options))

    def with_options(self, options: Sequence[Option]) -> Kconfig:
        """The same with options on top, whose word is the last."""
        merged = {option.name: option for option in (*self.options, *options)}
        return replace(self, options=tuple(merged.values()))

    def text(self) -> str:
        """The options as lines of a .config."""
        return "".join(f"{option.line}\n" for option in self.options)


def compose(
    configs: Path, base: str, fragments: Sequence[str], arch: Arch, source: Source
) -> Kconfig:
    """The configuration for a base and fragments, given by name or path.

    Options marked `# since V` or `# until V` are left out for kernels of other
    versions. Raises RflError(usage) for a fragment that is not there or does not
    parse.
    """
    known = bases(configs)
    if base not in known:
        raise usage_error(
            f"unknown base `{base}`; configs/kconfig/bases.yaml has: {', '.join(known)}"
        )
    arch_yaml = configs / "arch" / f"{arch.name}.yaml"
    parsed = list(fragment.parse(arch.kconfig.splitlines(), arch_yaml, _offset(arch_yaml), source))
    for name in (*known[base].fragments, *fragments):
        path = fragment.find(configs, name)
        parsed += fragment.parse(path.read_text(errors="replace").splitlines(), path, 1, source)
    label = "+".join([base, *(Path(name).stem for name in fragments)])
    return Kconfig(label, known[base].make, (), known[base].objects).with_options(parsed)


def bases(configs: Path) -> dict[str, Base]:
    """The bases of configs/kconfig/bases.yaml by name."""
    return document.read(configs / "kconfig" / "bases.yaml", dict[str, Base])


def _offset(arch_yaml: Path) -> int:
    """The line on which the options of an architecture's file begin."""
    for number, line in enumerate(arch_yaml.read_text().splitlines(), 1):
        if line.startswith("kconfig:"):
            return number + 1
    return 1


def read(path: Path) -> dict[str, str]:
    """A .config as option names, without CONFIG_, and their values; unset ones are absent."""
    values = {}
    for line in path.read_text().splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line[len("CONFIG_") :].partition("=")
            values[name] = value
    return values


def dropped(wanted: Kconfig, config: Mapping[str, str]) -> list[Option]:
    """The options that the kernel's configuration did not take over as asked."""
    return [o for o in wanted.options if not same_value(o.value, config.get(o.name, "n"))]


def same_value(wanted: str, got: str) -> bool:
    """Whether a value is the one that was asked for; a number may be written otherwise."""
    if wanted == got:
        return True
    try:
        return int(wanted, 0) == int(got, 0)
    except ValueError:
        return False


def explain(
    source: Source, arch: Arch, options: Sequence[Option], config: Mapping[str, str]
) -> str:
    """For each dropped option a line: where it was asked for, what became of it, and why."""
    from rflbuild.kconfig_tree import KconfigTree

    tree = KconfigTree.read(source.path, arch.srcarch, source.laid)
    rows = []
    for option in options:
        why = tree.explain(option.name, option.value, config).sentence()
        got = config.get(option.name, "n")
        rows.append(f"{option.where}: CONFIG_{option.name}={option.value} became {got}: {why}")
    return "\n".join(rows)
