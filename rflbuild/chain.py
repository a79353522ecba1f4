"""The chain up to the kernel and the guest's root, with what can run side by side doing so."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rflbuild import arch as arches
from rflbuild import initramfs, kconfig, kernel, source, toolchain
from rflbuild.arch import Arch
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Kernel, Plan
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import key_of
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import usage_error

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    kernel: str | None = None
    arch: str = "arm64"
    toolchain: str = "auto"
    base: str = "virt"
    fragments: tuple[str, ...] = ()
    allow_dropped: bool = False

    def words(self) -> list[str]:
        """The options that make this request again; what is the default is left out."""
        default = Request()
        words = []
        for name in ("kernel", "arch", "toolchain", "base"):
            if getattr(self, name) != getattr(default, name):
                words += [f"--{name}", str(getattr(self, name))]
        for fragment in self.fragments:
            words += ["--fragment", fragment]
        return [*words, *(["--allow-dropped"] if self.allow_dropped else [])]


@dataclass(frozen=True)
class Link:
    """A link of the chain that is ready: what it is, and the seconds it took (0: cached)."""

    name: str
    what: str
    key: str
    seconds: float


@dataclass
class Links:
    """The links so far, each shown as it comes."""

    session: Session
    done: list[Link] = field(default_factory=list)

    def add(self, name: str, what: str, key: str, seconds: float, *, cached: bool) -> None:
        """A link is ready; one that was told of already is not told of again."""
        if any((link.name, link.what, link.key) == (name, what, key) for link in self.done):
            return
        self.done.append(Link(name, what, key, 0.0 if cached else round(seconds, 3)))
        how = "cached" if cached else "ready"
        if not cached:
            self.session.store.note(f"cost-{name}", {"seconds": round(seconds, 1)})
        self.session.terminal.link(name, what, how, None if cached else seconds)


def load_arch(session: Session, request: Request) -> Arch:
    """The architecture of a request."""
    return arches.load(session.workspace.configs, request.arch)


def version(session: Session, wanted: str | None) -> tuple[tuple[int, ...], str]:
    """The version of a kernel as numbers and as text, without fetching it where that can be."""
    stated = stated_version(session, wanted)
    if stated:
        return tuple(int(part) for part in stated.split(".")), stated
    tree = source.prepare(session, wanted)
    return tree.version, tree.release


def stated_version(session: Session, wanted: str | None) -> str:
    """The version in the name of a Debian package that is still to be fetched, or nothing."""
    _, origin = source.locate(session, wanted)
    if not origin.debian or source.pinned(session, wanted) is not None:
        return ""
    return origin.debian.removeprefix("linux-source-")


def check(session: Session, request: Request) -> Arch:
    """Raise RflError(usage) for what is wrong in a request, before anything is fetched."""
    if request.toolchain not in toolchain.KINDS:
        raise usage_error(
            f"unknown toolchain `{request.toolchain}`; there are: {', '.join(toolchain.KINDS)}"
        )
    arch = load_arch(session, request)
    source.locate(session, request.kernel)
    _compose(session, request, arch, _any_source(request))
    return arch


def together(session: Session, jobs: list[Callable[[], object]]) -> None:
    """Run jobs side by side; the first error ends the others and is raised."""
    from concurrent.futures import (
        ThreadPoolExecutor,
        as_completed,
    )

    with ThreadPoolExecutor(len(jobs)) as pool:
        try:
            for future in as_completed([pool.submit(job) for job in jobs]):
                future.result()
        except BaseException:
            session.processes.stop_all()
            raise


def plan(session: Session, request: Request, links: Links, *, bound: bool = True) -> Plan:
    """The kernel that a request means, its source and toolchain made ready.

    What is not in the store yet is fetched and made side by side. With `bound`, what
    new-binding keeps for it in the workspace is laid over its source.
    """
    arch = check(session, request)
    fetch_source = source.pinned(session, request.kernel) is None
    make_root = _surely_debian(session, request, arch) and not session.store.has(
        "root", toolchain.debian_key(session)
    )
    jobs: list[Callable[[], object]] = []
    if make_root:
        jobs.append(lambda: _timed(links, "toolchain", lambda: toolchain.debian_root(session)))
    if fetch_source:
        jobs.append(
            lambda: _timed(links, "source", lambda: source.prepare(session, request.kernel))
        )
    if not initramfs.has_busybox(session, arch):
        jobs.append(lambda: initramfs.busybox(session, arch))
    if jobs:
        together(session, jobs)
    tree = source.prepare(session, request.kernel)
    tools = _toolchain(session, request, arch, tree)
    if not fetch_source:
        links.add("source", f"Linux {tree.release}", tree.key, 0, cached=True)
    if not make_root:
        links.add("toolchain", tools.name, tools.key, 0, cached=True)
    config = _compose(session, request, arch, tree)
    planned = Plan(arch, tree, tools, config, request.allow_dropped)
    return with_bindings(session, planned) if bound else planned


def with_bindings(session: Session, planned: Plan) -> Plan:
    """The same kernel with the C functions that the workspace has bound for its Rust."""
    from rflbuild import bindings

    files = bindings.overlay_files(session.workspace, planned.source)
    if not files:
        return planned
    return kernel.vary(session, planned, files, key_of("bindings", str(session.workspace.root)))


def _surely_debian(session: Session, request: Request, arch: Arch) -> bool:
    """Whether the private root will be used, as far as can be told without the source."""
    if request.toolchain == "auto":
        return bool(toolchain.system_lacks(session, arch))
    return request.toolchain == "debian"


def cache_keys(session: Session, request: Request) -> tuple[str, str]:
    """Keys for a CI's cache: of the private root, empty if it is not used, and of the kernel.

    They come from what is known without a network. The kernel's takes in the tools'
    versions once the root is there.
    """
    arch = check(session, request)
    host = platform.machine()
    root, tools = "", ""
    if _surely_debian(session, request, arch):
        key = toolchain.debian_key(session)
        root = f"rflbuild-root-{host}-{key}"
        if session.store.has("root", key):
            tools = toolchain.debian_root(session).key
    else:
        tools = toolchain.system(session, arch).key
    year, week, _ = datetime.datetime.now(datetime.UTC).isocalendar()
    _, origin = source.locate(session, request.kernel)
    config = _compose(session, request, arch, _any_source(request))
    recipe = (kernel.RECIPE, request.allow_dropped, source.kernels(session).suites)
    parts = (repr(origin), arch.name, config.key, tools, root, recipe, year, week)
    return root, f"rflbuild-kernel-{host}-{key_of(*parts)}"


def _any_source(request: Request) -> Source:
    """A stand-in of a version newer than any, for what is looked at before the fetch."""
    return Source(request.kernel or "", Path(), (999, 0), "", "")


def _compose(session: Session, request: Request, arch: Arch, tree: Source) -> Kconfig:
    return kconfig.compose(session.workspace.configs, request.base, request.fragments, arch, tree)


def _timed(links: Links, name: str, job: Callable[[], Source | Toolchain]) -> None:
    begun = time.monotonic()
    made = job()
    what = f"Linux {made.release}" if isinstance(made, Source) else made.name
    links.add(name, what, made.key, time.monotonic() - begun, cached=False)


def _toolchain(session: Session, request: Request, arch: Arch, tree: Source) -> Toolchain:
    def passes(candidate: Toolchain) -> bool:
        from rflbuild import doctor

        return doctor.passes(session, candidate, arch, tree)

    return toolchain.by_name(session, request.toolchain, arch, passes)


def build_kernel(session: Session, planned: Plan, links: Links) -> Kernel:
    """The kernel of a plan, built if need be."""
    built = kernel.build(session, planned)
    what = f"{planned.source.release} {planned.arch.name} {planned.config.label}"
    links.add("kernel", what, built.key, built.seconds, cached=built.cached)
    return built
