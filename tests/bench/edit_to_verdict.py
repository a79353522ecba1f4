"""`./rfl bench`: what a round costs, against the floor of the same tools by hand.

Each figure is a median over rounds that take turns, so that a drift of the
machine's speed hits both sides; what to hold on to are the ratios.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rflbuild import accelerator, chain, cli, initramfs, kernel
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.store import Store
from rflbuild.terminal import Terminal, table
from tests.bench.save_to_verdict import Watcher, watching

_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox insmod /hello.ko
/bin/busybox rmmod hello
/bin/busybox poweroff -f
"""
_DESCRIPTION = """dir /dev 0755 0 0
dir /bin 0755 0 0
dir /proc 0755 0 0
nod /dev/console 0600 0 0 c 5 1
file /bin/busybox {busybox} 0755 0 0
file /hello.ko {module} 0644 0 0
file /init {init} 0755 0 0
"""


def main(rounds: int) -> None:
    """Measure and print; the chain must be ready, or is made so first."""
    terminal = Terminal(sys.stdout)
    store = Store(cli.cache_folder(os.environ))
    with cli.session(terminal, store, 0) as session, tempfile.TemporaryDirectory() as place:
        links = Links(session)
        built = chain.build_kernel(session, chain.plan(session, Request(), links), links)
        rows = _measure(session, built, Path(place), rounds)
    table(sys.stdout, f"median of {rounds} rounds", ("what", "seconds", "against", "is"), rows)


def _measure(
    session: Session, built: Kernel, place: Path, rounds: int
) -> list[tuple[str, str, str, str]]:
    ours, floor = place / "ours" / "hello", place / "floor"
    watched = place / "watched" / "hello"
    template = session.workspace.templates
    for folder in (ours, floor, watched):
        folder.mkdir(parents=True)
        for name in ("Kbuild", "Makefile"):
            text = (template / "common" / name).read_text().replace("rfl_module", "hello")
            (folder / name).write_text(text)
        source = (template / "hello" / "rfl_module.rs").read_text()
        source = source.replace("rfl_module", "hello").replace("RflModule", "Hello")
        (folder / "hello.rs").write_text(source)
    _make_module(session, built, floor)
    boot = _bare_boot(session, built, floor, place)
    boot()
    _rfl("qemu-test", str(ours), cwd=place)
    with watching(watched) as watcher:
        return _compare(session, built, place, rounds, boot, watcher)


def _compare(
    session: Session,
    built: Kernel,
    place: Path,
    rounds: int,
    boot: Callable[[], object],
    watcher: Watcher,
) -> list[tuple[str, str, str, str]]:
    ours, floor = place / "ours" / "hello", place / "floor"
    watched = place / "watched" / "hello" / "hello.rs"
    figures: dict[str, list[float]] = {}

    def take(name: str, job: Callable[[], object]) -> None:
        begun = time.monotonic()
        job()
        figures.setdefault(name, []).append(time.monotonic() - begun)

    for number in range(rounds):
        for folder in (ours, floor):
            with (folder / "hello.rs").open("a") as file:
                file.write(f"\n// round {number} at {time.time()}\n")
        take("make M=", lambda: _make_module(session, built, floor))
        take("bare boot", boot)
        take("edit to verdict", lambda: _rfl("qemu-test", str(ours), cwd=place))
        saved = f"{watched.read_text()}\n// round {number} at {time.time()}\n"
        figures.setdefault("save to verdict", []).append(watcher.save(watched, saved))
        take("unchanged to verdict", lambda: _rfl("qemu-test", str(ours), cwd=place))
        take("kernel, unchanged", lambda: _rfl("kernel", cwd=place))
    _make_kernel(session, built, place)  # the first look settles the copy
    for _ in range(2):
        take("make, nothing to do", lambda: _make_kernel(session, built, place))
    median = {name: statistics.median(values) for name, values in figures.items()}
    by_hand = median["make M="] + median["bare boot"]
    edit, still = median["edit to verdict"], median["unchanged to verdict"]
    save = median["save to verdict"]
    unchanged, make = median["kernel, unchanged"], median["make, nothing to do"]
    return [
        ("floor: make M=, after an edit", f"{median['make M=']:.2f}", "", ""),
        ("floor: bare boot, load, unload, off", f"{median['bare boot']:.2f}", "", ""),
        ("edit to verdict", f"{edit:.2f}", "the floor's sum", f"{edit / by_hand:.2f} x"),
        (
            "nothing changed, to verdict",
            f"{still:.2f}",
            "the bare boot",
            f"{still - median['bare boot']:+.2f} s",
        ),
        (
            "save to verdict, under watch",
            f"{save:.2f}",
            "make M=",
            f"{save - median['make M=']:+.2f} s",
        ),
        ("  of it the module", f"{statistics.median(watcher.made):.2f}", "", ""),
        ("  of it the steps", f"{statistics.median(watcher.stepped):.2f}", "", ""),
        ("kernel, nothing changed", f"{unchanged:.2f}", "make", f"{unchanged / make:.2f} x"),
        ("make Image modules, nothing to do", f"{make:.2f}", "", ""),
    ]


def _rfl(*words: str, cwd: Path) -> None:
    argv = [sys.executable, "-m", "rflbuild", *words]
    subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _make_module(session: Session, built: Kernel, folder: Path) -> None:
    argv = kernel.make(
        built.toolchain,
        built.arch,
        built.source,
        built.out,
        f"M={folder}",
        "modules",
        write=[folder],
    )
    environment = kernel.build_environment(session)
    done = session.processes.run(argv, timeout=300, cwd=built.out, env=environment)
    if done.status:
        raise SystemExit(done.output)


def _make_kernel(session: Session, built: Kernel, place: Path) -> None:
    """Make's own look at a finished build, in a copy that it may write to."""
    copy = place / "kernel"
    if not copy.exists():
        shutil.copytree(built.out, copy, symlinks=True)
        makefile = copy / "Makefile"
        makefile.write_text(makefile.read_text().replace(str(built.out), str(copy)))
    words = [f"-j{session.jobs}", *kernel.variables(session, built.toolchain, built.source)]
    targets = [Path(built.arch.image).name, "modules"]
    argv = kernel.make(built.toolchain, built.arch, built.source, copy, *words, *targets)
    environment = kernel.build_environment(session)
    done = session.processes.run(argv, timeout=600, cwd=copy, env=environment)
    if done.status:
        raise SystemExit(done.output)


def _bare_boot(session: Session, built: Kernel, folder: Path, place: Path) -> Callable[[], object]:
    """QEMU with the same image and no more than the job needs; a function that runs it."""
    busybox = initramfs.busybox(session, built.arch)
    init = place / "init"
    init.write_text(_INIT)
    description = place / "bare.desc"
    description.write_text(
        _DESCRIPTION.format(busybox=busybox, module=folder / "hello.ko", init=init)
    )
    cpio = place / "bare.cpio"
    pack = ["sh", "-c", 'exec "$1" "$2" >"$3"', "sh", str(built.out / "usr" / "gen_init_cpio")]
    argv = built.toolchain.command(
        [*pack, str(description), str(cpio)],
        cwd=place,
        read=[built.out, busybox.parent],
        write=[place],
    )
    session.processes.run(argv, timeout=60, cwd=place)
    qemu = built.arch.qemu
    chosen = accelerator.choose(session, built.toolchain, built.arch).name
    command = [
        *[qemu.binary, "-nodefaults", "-display", "none", "-no-reboot", "-accel", chosen],
        *["-machine", qemu.machine, "-cpu", "host" if chosen == "kvm" else qemu.cpu],
        *["-smp", "2", "-m", "256M", "-kernel", str(built.image), "-initrd", str(cpio)],
        *["-append", f"console={qemu.console} panic=-1", "-serial", "stdio"],
    ]
    argv = built.toolchain.command(command, cwd=place, read=[built.out, place])

    def boot() -> None:
        done = session.processes.run(argv, timeout=120)
        if "Goodbye!" not in done.output:
            raise SystemExit(done.output)

    return boot


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
