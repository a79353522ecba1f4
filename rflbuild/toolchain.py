"""Where make, clang, rustc, bindgen and QEMU come from, behind one interface.

`system` takes what is on the PATH; `debian` is a private root in the store, made
once by mmdebstrap, in which commands run by bubblewrap.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rflbuild import arch as arches
from rflbuild import debian, document, sandbox, tools
from rflbuild.arch import Arch
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import environment_error

KINDS = ("auto", "system", "debian")
_RECIPE = 1  # raise it when the way a root is made changes
_ROOT_GIGABYTES = 3.0
_ROOT_TIMEOUT = 1800.0
_MANIFEST = "etc/rflbuild-packages.json"
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
    return key_of("root", _RECIPE, recipe(session), session.mirror)


def debian_root(session: Session) -> Toolchain:
    """The private root, made if it is not in the store yet."""
    suite, packages = recipe(session)
    key = debian_key(session)
    if not session.store.has("root", key):
        debian.install_host_packages(session)
        session.store.require_space(_ROOT_GIGABYTES, "the toolchain's root")
    elif not shutil.which("bwrap"):  # a root that came from elsewhere, as from a CI's cache
        debian.install_host_packages(session)
    root = session.store.build("root", key, lambda into: _bootstrap(session, suite, packages, into))
    versions = (root / _MANIFEST).read_text()
    return Toolchain(
        name="debian",
        key=key_of("debian", key, versions),
        make_variables=("LLVM=1",),
        enter=lambda argv, cwd, read, write: sandbox.enter(
            root, argv, cwd=cwd, read=read, write=write
        ),
        root=root,
    )


def _bootstrap(session: Session, suite: str, packages: Sequence[str], into: Path) -> None:
    """Make the root in the empty folder `into`.

    As root mmdebstrap writes the folder itself. An ordinary user gets a tar from
    mmdebstrap's user namespace and unpacks it, so that every file is the user's.
    """
    ordinary = os.geteuid() != 0
    logs = session.store.work("logs", "root")
    log = logs / "mmdebstrap.log"
    log.unlink(missing_ok=True)
    tar = into.with_suffix(".tar")
    argv = [
        # What root's mmdebstrap mounts goes with its namespace, even when it is killed.
        *([] if ordinary else ["unshare", "--mount"]),
        "mmdebstrap",
        "--variant=essential",
        f"--mode={'unshare' if ordinary else 'root'}",
        f"--format={'tar' if ordinary else 'directory'}",
        f"--include={','.join(packages)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        suite,
        str(tar if ordinary else into),
        *([session.mirror] if session.mirror else []),
    ]
    # The unshared root user must be able to enter the folder it works in.
    environment = {} if ordinary else {"TMPDIR": str(session.store.work("tmp", "mmdebstrap"))}
    try:
        with session.terminal.progress("toolchain root", None) as meter:
            done = session.processes.run(
                argv,
                timeout=_ROOT_TIMEOUT,
                env=environment,
                log=log,
                on_line=lambda _: meter.step(),
            )
        if done.status:
            raise environment_error(_why_not(done.output, log))
        if ordinary:
            unpack = ["tar", "--extract", "--no-same-owner", "--exclude=./dev/*"]
            done = session.processes.run(
                [*unpack, f"--file={tar}", f"--directory={into}"], timeout=600.0, log=log
            )
            if done.status:
                raise environment_error(f"the root's archive does not unpack; see {log}")
    finally:
        tar.unlink(missing_ok=True)
    _try_out(session, into)
    status = (into / "var/lib/dpkg/status").read_text()
    (into / _MANIFEST).write_text(json.dumps(_versions(status), indent=1))
    shutil.rmtree(into / "var", ignore_errors=True)  # dpkg's and apt's own; 100 MB


def _try_out(session: Session, root: Path) -> None:
    """Run a compiler in the root once, so that a host that forbids it is found out here."""
    argv = sandbox.enter(root, ["rustc", "--version"], cwd=Path("/"))
    done = session.processes.run(argv, timeout=60.0)
    if done.status:
        words = (done.output.strip().splitlines() or ["no output"])[-1]
        raise environment_error(
            f"bubblewrap cannot enter the toolchain's root ({words}): allow user namespaces "
            "(`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu), run as "
            "root, or install the tools and use --toolchain system (`invoke doctor` lists them)"
        )


def _versions(status: str) -> dict[str, str]:
    """Package versions from dpkg's status file (deb822 paragraphs)."""
    versions = {}
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Version: "))
        )
        if fields:
            versions[fields["Package"]] = fields["Version"]
    return versions


def _why_not(output: str, log: Path) -> str:
    lines = [line for line in output.splitlines() if line.startswith("E:")]
    words = lines[0] if lines else "no reason given"
    if "unshare" in output or "namespace" in output or "subuid" in output:
        return (
            f"mmdebstrap cannot work as an ordinary user here ({words}): run once as root, or "
            f"install the tools and use --toolchain system (`invoke doctor` lists them); see {log}"
        )
    return f"mmdebstrap cannot make the toolchain's root ({words}); is there a network? See {log}"


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
                f"the system toolchain lacks {', '.join(lacks)}; `invoke doctor` says how to "
                "get them, and --toolchain debian brings its own"
            )
        return system(session, arch)
    if not system_lacks(session, arch):
        candidate = system(session, arch)
        if passes(candidate):
            return candidate
    return debian_root(session)
