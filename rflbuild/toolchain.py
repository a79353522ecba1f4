"""Where make, clang, rustc, bindgen and QEMU come from, behind one interface.

`system` takes what is on the PATH; `debian` is a private root in the store, made
once by mmdebstrap, in which commands run by bubblewrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rflbuild import arch as arches
from rflbuild import document, private_root, sandbox, tools
from rflbuild.arch import Arch
from rflbuild.private_root import PrivateRoot
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import environment_error

KINDS = ("auto", "system", "debian")
_ROOT = PrivateRoot(
    "the toolchain's root",
    gigabytes=3.0,
    probe=("rustc", "--version"),
    otherwise="or install the tools and use --toolchain system (`./rfl doctor` lists them)",
)
# Each prints one line `NAME<tab>PATH<tab>VERSION LINE`, or nothing when it is missing.
_PROBE = """
for pair in "$@"; do
    name=${pair%%=*} tool=${pair#*=}
    path=$(command -v "$tool") || continue
    answer=$("$tool" --version 2>/dev/null | grep -m 1 '[0-9][.][0-9]')
    printf '%s\\t%s\\t%s\\n' "$name" "$path" "$answer"
done
"""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """configs/toolchain.yaml: what the private root is made of."""

    suite: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Tool:
    """A tool that was found: where, and the version it says it has."""

    path: str
    version: tools.Version | None


@dataclass(frozen=True)
class Toolchain:
    """A set of tools with one way to run them.

    `enter(argv, cwd, read, write)` gives the command line that runs `argv`;
    `make_variables` tell the kernel's Makefile which tools to call.
    """

    name: str
    key: str
    make_variables: tuple[str, ...]
    enter: Callable[[Sequence[str], Path, Iterable[Mount], Iterable[Path]], list[str]] = field(
        compare=False
    )
    root: Path | None = None

    def command(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        read: Iterable[Mount] = (),
        write: Iterable[Path] = (),
    ) -> list[str]:
        """The command line that runs `argv` with this toolchain's tools in `cwd`."""
        return self.enter(argv, cwd, read, write)

    def llvm(self, name: str) -> str:
        """How one of LLVM's tools is called here: `clang`, or `clang-19` with LLVM=-19."""
        suffix = next((v[5:] for v in self.make_variables if v.startswith("LLVM=")), "")
        return name + suffix if suffix.startswith("-") else name

    def program(self, name: str) -> str:
        """How a tool is called here, as make's variables have it: `rustc`, or `rustc-1.85`."""
        variables = dict(pair.split("=", 1) for pair in self.make_variables)
        actual = variables.get(tools.VARIABLES.get(name, ""), name)
        return self.llvm(actual) if name in tools.LLVM_TOOLS else actual

    def tools(self, session: Session, names: Sequence[str], cwd: Path) -> dict[str, Tool]:
        """Ask the named tools for their versions; the ones that are missing are left out."""
        pairs = [f"{name}={self.program(name)}" for name in names]
        argv = self.command(["sh", "-c", _PROBE, "sh", *pairs], cwd=cwd, read=[cwd])
        done = session.processes.run(argv, cwd=cwd, timeout=60.0)
        found: dict[str, Tool] = {}
        for row in done.output.splitlines():
            name, _, rest = row.partition("\t")
            path, _, answer = rest.partition("\t")
            if rest:
                found[name] = Tool(path, tools.parse_version(answer))
        return found


def system(session: Session, arch: Arch) -> Toolchain:
    """The tools on the PATH, whatever they are worth; the doctor judges them."""
    found = tools.find(session.processes.environ.get("PATH", ""), arch.qemu.binary)
    return Toolchain(
        name="system",
        key=key_of("system", found.fingerprint()),
        make_variables=found.make_variables(),
        enter=lambda argv, cwd, read, _write: sandbox.lay_over(argv, cwd=cwd, read=read),
    )


def system_lacks(session: Session, arch: Arch) -> list[str]:
    """Tools without which `system` cannot work at all, by a look at the PATH."""
    found = tools.find(session.processes.environ.get("PATH", ""), arch.qemu.binary)
    needed = (*tools.LLVM_TOOLS, *tools.HOST_TOOLS, "rustc", "bindgen", arch.qemu.binary)
    return [name for name in needed if name not in found.paths]


def recipe(session: Session) -> tuple[str, list[str]]:
    """The suite and the packages of the private root, QEMU's for every architecture included."""
    configs = session.workspace.configs
    read = document.read(configs / "toolchain.yaml", Recipe)
    qemus = {arches.load(configs, name).qemu.package for name in arches.names(configs)}
    return read.suite, sorted({*read.packages, *qemus})


def debian_key(session: Session) -> str:
    """The key of the private root."""
    return private_root.key(session, *recipe(session))


def debian_root(session: Session) -> Toolchain:
    """The private root, made if it is not in the store yet."""
    suite, packages = recipe(session)
    root = private_root.build(session, _ROOT, suite, packages)
    key, versions = root.name, (root / private_root.MANIFEST).read_text()
    return Toolchain(
        name="debian",
        key=key_of("debian", key, versions),
        make_variables=("LLVM=1",),
        enter=lambda argv, cwd, read, write: sandbox.enter(
            root, argv, cwd=cwd, read=read, write=write
        ),
        root=root,
    )


def by_name(
    session: Session, name: str, arch: Arch, passes: Callable[[Toolchain], bool]
) -> Toolchain:
    """The toolchain for `auto`, `system` or `debian`.

    `passes` is the doctor's word on a toolchain for the chosen kernel; `auto`
    asks it only when every tool is there at all.
    """
    if name == "debian":
        return debian_root(session)
    if name == "system":
        lacks = system_lacks(session, arch)
        if lacks:
            raise environment_error(
                f"the system toolchain lacks {', '.join(lacks)}; `./rfl doctor` says how to "
                "get them, and --toolchain debian brings its own"
            )
        return system(session, arch)
    if not system_lacks(session, arch):
        candidate = system(session, arch)
        if passes(candidate):
            return candidate
    return debian_root(session)
