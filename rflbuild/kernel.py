"""A bootable kernel with Rust support, built once for its key.

A kernel from an immutable source is immutable in the store. One from the user's
folder is built in a folder that stays, and make decides what is stale.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import build_folder, buildlog, kernel_config, overlay
from rflbuild.arch import Arch
from rflbuild.fragment import Option
from rflbuild.kconfig import Kconfig
from rflbuild.process import Completed
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import LOCK, key_of, write_atomically
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import usage_error

RECIPE = 3  # raise it when the way a kernel is built changes
_GIGABYTES = {"virt": 1.5, "defconfig": 12.0}
_TIMEOUT = 6 * 3600.0
# The same key gives the same code (Documentation/kbuild/reproducible-builds.rst).
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 2026",
    "KBUILD_BUILD_USER": "rflbuild",
    "KBUILD_BUILD_HOST": "rflbuild",
    "KBUILD_BUILD_VERSION": "1",
}
_MAKE_ENVIRONMENT = {
    **_REPRODUCIBLE,
    "LC_ALL": "C",
    "TZ": "UTC",
    "MAKEFLAGS": "",
    "PYTHONDONTWRITEBYTECODE": "1",  # the build runs scripts of the source
}


@dataclass(frozen=True)
class Kernel:
    """A kernel that was built: `out` is make's O= folder, `image` what QEMU boots."""

    arch: Arch
    source: Source
    toolchain: Toolchain
    label: str
    key: str
    out: Path
    seconds: float

    @property
    def image(self) -> Path:
        """What QEMU's -kernel takes."""
        return self.out / self.arch.image

    def module(self, name: str) -> Path | None:
        """The NAME.ko that the kernel's own build made, such as a sample."""
        order = self.out / "modules.order"
        wanted = {name, name.replace("_", "-"), name.replace("-", "_")}
        for line in order.read_text().split() if order.is_file() else []:
            path = (self.out / line).with_suffix(".ko")
            if path.name in wanted:
                return path
        return None

    @property
    def cached(self) -> bool:
        """Whether it was there already."""
        return self.seconds == 0


@dataclass(frozen=True)
class Plan:
    """A kernel that was asked for, and everything that can change what it will be.

    `needs` is the module.yaml that its configuration must fit. `base` is the kernel
    that it is a variation of, and from whose build folder it is built on.
    """

    arch: Arch
    source: Source
    toolchain: Toolchain
    config: Kconfig
    allow_dropped: bool = False
    needs: Path | None = None
    base: Plan | None = None

    @property
    def key(self) -> str:
        """A key of everything that the kernel is made from."""
        parts = (self.source.key, self.toolchain.key, self.arch.make_arch, self.arch.image)
        return key_of("kernel", RECIPE, parts, self.config.key, self.allow_dropped)

    def make(self, out: Path, *words: str, write: Sequence[Path] = ()) -> list[str]:
        """The command line of make for this kernel with its output in `out`."""
        return make(self.toolchain, self.arch, self.source, out, *words, write=write)

    def environment(self, session: Session) -> Mapping[str, str]:
        """What make finds in its environment."""
        return build_environment(session)


def make(
    toolchain: Toolchain,
    arch: Arch,
    source: Source,
    out: Path,
    *words: str,
    write: Sequence[Path] = (),
) -> list[str]:
    """The command line of make in a kernel's source with O=out; `write` are further folders."""
    argv = [
        "make",
        f"--directory={source.path}",
        f"O={out}",
        f"ARCH={arch.make_arch}",
        *toolchain.make_variables,
        *words,
    ]
    return toolchain.command(argv, cwd=out, read=source.mounts, write=[out, *write])


def run_make(
    session: Session,
    built: Kernel,
    *words: str,
    timeout: float,
    write: Sequence[Path] = (),
    log: Path | None = None,
) -> Completed:
    """Run make in a kernel that was built, as for a module beside it, to its end.

    Raises RflError(timeout) after `timeout` seconds.
    """
    return session.processes.run(
        make(built.toolchain, built.arch, built.source, built.out, *words, write=write),
        timeout=timeout,
        cwd=built.out,
        env=build_environment(session),
        log=log,
    )


def variables(session: Session, toolchain: Toolchain, source: Source) -> list[str]:
    """Make's variables for the kernel itself: ccache for C, and paths kept out of Rust.

    Rust's panics name their source; the kernel keeps the tree's place out of that
    by itself only with a rustc that has --remap-path-scope. A tree of the user's
    keeps its paths, which editors follow.
    """
    words = _ccache(session, toolchain)
    if not source.mutable:
        words.append(f"KRUSTFLAGS=--remap-path-prefix={source.path}/=")
    return words


def build_environment(session: Session) -> Mapping[str, str]:
    """What make and the compilers find in their environment."""
    ccache = session.store.root / "work" / "ccache"
    return {
        **_MAKE_ENVIRONMENT,
        "CCACHE_DIR": str(ccache),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "5G",
    }


def vary(
    session: Session,
    plan: Plan,
    files: Mapping[str, str],
    scope: str,
    options: Sequence[Option] = (),
) -> Plan:
    """A variation of a plan: files laid over its source, and options on top.

    It is built on from the plan's own kernel, in a folder that it shares with what is
    of the same `scope`. A tree of the user's gets the options alone.
    """
    base = plan.base or plan
    return replace(
        plan,
        source=overlay.lay(session, plan.source, files, scope),
        config=plan.config.with_options(options),
        base=base,
    )


def build(session: Session, plan: Plan) -> Kernel:
    """The kernel of a plan, built if it is not there yet.

    A source with an overlay is built on in a folder that stays, made from the kernel
    without it, and only if what is built there is not this.

    Raises RflError(usage) when an option that was asked for is dropped or does not
    fit the plan's module, before anything is compiled, and RflError(build-error)
    with the compiler's words.
    """
    begun = time.monotonic()
    key = plan.key
    if plan.source.mutable:
        out = _own(session, plan)
        with locked(session, out):
            refuse_in_place(plan.source.path)
            _make_all(session, plan, out)
        seconds = time.monotonic() - begun
        return Kernel(
            plan.arch,
            plan.source,
            plan.toolchain,
            plan.config.label,
            build_folder.state(out),
            out,
            seconds,
        )
    if plan.source.overlay and plan.base:
        out, built = _build_overlaid(session, plan, plan.base)
        seconds = time.monotonic() - begun if built else 0.0
        return Kernel(plan.arch, plan.source, plan.toolchain, plan.config.label, key, out, seconds)
    cached = session.store.has("kernel", key)
    if cached:
        kernel_config.check_options(plan, session.store.path("kernel", key))
    else:
        session.store.require_space(_GIGABYTES.get(plan.config.target, 1.5), "the kernel's build")
    out = session.store.build(
        "kernel", key, lambda into: _make_all(session, plan, into), resumable=True
    )
    seconds = 0.0 if cached else time.monotonic() - begun
    return Kernel(plan.arch, plan.source, plan.toolchain, plan.config.label, key, out, seconds)


def locked(session: Session, out: Path) -> AbstractContextManager[None]:
    """Hold a build folder that stays; the lock is beside it, since several stores may have it."""
    return session.store.lock(f"kernel-{out.name}", at=out.resolve().with_suffix(LOCK))


def is_built(session: Session, plan: Plan) -> bool:
    """Whether a kernel that is not the user's own tree's is there, without building anything."""
    if not (plan.source.overlay and plan.base):
        return session.store.has("kernel", plan.key)
    name = key_of(plan.base.key, plan.source.overlay.scope)
    built = session.store.path("work/kernel", name) / build_folder.BUILT
    return built.is_file() and built.read_text() == plan.key


def _build_overlaid(session: Session, plan: Plan, base: Plan) -> tuple[Path, bool]:
    """The build folder of a kernel with an overlay, and whether anything had to be built."""
    out = _overlaid(session, plan, base)
    with locked(session, out):
        overlay.write(plan.source)
        built = out / build_folder.BUILT
        if built.is_file() and built.read_text() == plan.key:
            kernel_config.check_options(plan, out)
            return out, False
        build_folder.unmark(out)
        _seed(session, base, out)
        _make_all(session, plan, out)
        write_atomically(out / build_folder.PREPARED, _prepared_key(plan))
        write_atomically(built, plan.key)
    return out, True


def _own(session: Session, plan: Plan) -> Path:
    """Where a tree of the user's is built; what Kbuild saves names it."""
    return session.store.work("kernel", (plan.base or plan).key).resolve()


def _overlaid(session: Session, plan: Plan, base: Plan) -> Path:
    """Where a kernel with an overlay is built."""
    assert plan.source.overlay  # noqa: S101 - who asks has one
    name = key_of(base.key, plan.source.overlay.scope)
    return session.store.work("kernel", name).resolve()


def _seed(session: Session, base: Plan, out: Path) -> None:
    """Let the build folder of a kernel with an overlay have all that its base's has."""
    if not build_folder.is_seeded(out):
        session.store.require_space(_GIGABYTES["virt"], "a kernel with an overlay")
        build_folder.seed(session, build(session, replace(base, needs=None)).out.resolve(), out)


def lay(session: Session, plan: Plan) -> None:
    """Let what is laid over a plan's source be seen, where nothing is to be built of it."""
    if plan.source.overlay and plan.base:
        with locked(session, _overlaid(session, plan, plan.base)):
            overlay.write(plan.source)


def prepared(session: Session, plan: Plan) -> Kernel:
    """The kernel of a plan as far as it takes to compile a file of it.

    The plan is of a tree of the user's that was built before, or has an overlay. The
    configuration is as it is now, and so is all that Rust is compiled against, such as
    bindings; the rest is as it was built last. Rust that is laid over, a module's, is not
    compiled, since it may have an error.

    Raises RflError(build-error) with the compiler's words.
    """
    begun = time.monotonic()
    base = plan.base or plan
    mutable = plan.source.mutable
    out = _own(session, plan) if mutable else _overlaid(session, plan, base)
    noted = out / build_folder.PREPARED
    with locked(session, out):
        overlay.write(plan.source)
        fresh = not mutable and noted.is_file() and noted.read_text() == _prepared_key(plan)
        if mutable:
            refuse_in_place(plan.source.path)
            _prepare(session, plan, out)
        elif not fresh:
            build_folder.unmark(out)
            _seed(session, base, out)
            _prepare(session, plan, out)
            write_atomically(noted, _prepared_key(plan))
    seconds = 0.0 if fresh else time.monotonic() - begun
    key = build_folder.state(out) if mutable else plan.key
    label = plan.config.label
    return Kernel(plan.arch, plan.source, plan.toolchain, label, key, out, seconds)


def _prepared_key(plan: Plan) -> str:
    """Of a plan with an overlay, a key of what its Rust is compiled against."""
    others = {name: text for name, text in plan.source.laid.items() if not name.endswith(".rs")}
    return key_of(others, plan.config.key)


def current(session: Session, plan: Plan, built: Kernel) -> Kernel:
    """A kernel that was built a while ago as it is now, without building it.

    One from the user's folder may have been built anew by another run meanwhile.
    """
    if not plan.source.mutable:
        return built
    with locked(session, built.out):
        return replace(built, key=build_folder.state(built.out))


def as_built(session: Session, plan: Plan) -> Kernel | None:
    """The kernel of a user's tree as it was last built, without asking make; None if it was not.

    For an editor, which cannot wait for make to find that there is nothing to do.
    """
    out = (session.store.root / "work" / "kernel" / (plan.base or plan).key).resolve()
    if not plan.source.mutable or not (out / plan.arch.image).is_file():
        return None
    label = plan.config.label
    session.store.work("kernel", out.name)  # it was used, and `clean` leaves it
    return Kernel(plan.arch, plan.source, plan.toolchain, label, build_folder.state(out), out, 0.0)


def refuse_in_place(tree: Path) -> None:
    """An O= build needs a clean tree; make says so in nine lines, we in one sentence."""
    for name in (".config", "include/config"):
        if (tree / name).exists():
            raise usage_error(
                f"{tree} was built in place ({name} is there), and a build elsewhere needs a "
                "clean tree: give a clean one (`git worktree add`), or save .config and type "
                f"`make -C {tree} mrproper`"
            )


def _prepare(session: Session, plan: Plan, out: Path) -> None:
    """Configure in `out`, and make all that a file of the kernel is compiled with."""
    log = _log(session, plan)
    words = [*variables(session, plan.toolchain, plan.source), f"-j{session.jobs}", "prepare"]
    with (
        kernel_config.made(session, plan, out, log),
        session.terminal.progress(f"kernel {plan.source.release}", None),
    ):
        done = session.processes.run(
            plan.make(out, *words, write=ccache_folders(session)),
            timeout=_TIMEOUT,
            cwd=out,
            env=build_environment(session),
            log=log,
        )
    if done.status:
        raise session.store.full_disk() or buildlog.failure("the kernel", done.output, str(log))


def _make_all(session: Session, plan: Plan, out: Path) -> None:
    """Configure and build in `out`."""
    log = _log(session, plan)
    begun, cpu = time.monotonic(), os.times()
    count = 0
    noted = session.store.noted(f"objects-{plan.config.label}-{plan.arch.name}") or {}
    total = int(str(noted.get("objects", plan.config.objects)))

    def on_line(line: str) -> None:
        nonlocal count
        if buildlog.is_step(line):
            count += 1
            meter.step()

    with (
        kernel_config.made(session, plan, out, log),
        session.terminal.progress(f"kernel {plan.source.release}", total) as meter,
    ):
        words = variables(session, plan.toolchain, plan.source)
        targets = [Path(plan.arch.image).name, "modules"]
        done = session.processes.run(
            plan.make(out, f"-j{session.jobs}", *words, *targets, write=ccache_folders(session)),
            timeout=_TIMEOUT,
            cwd=out,
            env=build_environment(session),
            log=log,
            on_line=on_line,
        )
    if done.status:
        raise session.store.full_disk() or buildlog.failure("the kernel", done.output, str(log))
    if plan.source.mutable or plan.source.overlay:
        return
    after = os.times()
    spent = (after.children_user + after.children_system) - (
        cpu.children_user + cpu.children_system
    )
    figures: dict[str, object] = {
        "release": plan.source.release,
        "config": plan.config.label,
        "arch": plan.arch.name,
        "objects": count,
        "seconds": round(time.monotonic() - begun, 1),
        "cpu_minutes": round(spent / 60, 1),
    }
    (out / build_folder.FIGURES).write_text(json.dumps(figures, indent=1))
    session.store.note(f"objects-{plan.config.label}-{plan.arch.name}", figures)
    # The folder moves to its place in the store after this.
    build_folder.rename(out / "Makefile", out, session.store.path("kernel", plan.key))


def _log(session: Session, plan: Plan) -> Path:
    """A new log for a build; it lies outside the build folder, so that it outlives it."""
    folder = session.store.work("logs", "kernel")
    log = folder / f"{plan.source.release}-{plan.arch.name}-{plan.config.label}-{plan.key}.log"
    log.unlink(missing_ok=True)
    return log


def ccache_folders(session: Session) -> list[Path]:
    """The folder where ccache keeps what it compiled, to be written to, if it is used."""
    folder = session.store.root / "work" / "ccache"
    return [folder] if folder.is_dir() else []


def _ccache(session: Session, toolchain: Toolchain) -> list[str]:
    """Let ccache compile C where the toolchain has it."""
    cwd = session.store.root
    if "ccache" not in toolchain.tools(session, ["ccache"], cwd):
        return []
    (cwd / "work" / "ccache").mkdir(parents=True, exist_ok=True)
    return [f"CC=ccache {toolchain.llvm('clang')}"]
