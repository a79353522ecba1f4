"""`./rfl bench guests`: booting a guest against going on from one that was kept.

Each figure is a median over rounds that take turns; of a boot of the Debian the kernel and
the userland are told apart, as systemd itself has it. It also makes an
image from nothing, and one with a package more.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rflbuild import chain, cli, image, snapshot, testrun, userland
from rflbuild.boot import Boot
from rflbuild.chain import Links, Request
from rflbuild.guest import Guest
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.store import Store, remove_tree
from rflbuild.terminal import Terminal, table
from rflbuild.testspec import TestSpec
from rflbuild.userland import Choice

_STARTUP = re.compile(r"finished in ([\d.]+)(m?s) \(kernel\) \+ ([\d.]+)(m?s) \(userspace\)")
_PACKAGE = "strace"

Row = tuple[str, str, str, str]


def main(rounds: int) -> None:
    """Measure and print; what the guests are made of must be ready, or is made so first."""
    terminal = Terminal(sys.stdout)
    store = Store(cli.cache_folder(os.environ))
    with cli.session(terminal, store, 0) as session, tempfile.TemporaryDirectory() as place:
        links = Links(session)
        rows: list[Row] = []
        built = chain.build_kernel(session, chain.plan(session, Request(), links), links)
        for choice in (Choice(), Choice("debian")):
            disk = userland.prepare(session, choice, built, links)
            boot = testrun.boot_for(session, built, TestSpec(), disk, choice)
            rows += _boots(session, boot, choice.kind, Path(place), rounds)
        rows += _images(session, built)
    table(sys.stdout, f"median of {rounds} rounds", ("what", "seconds", "against", "is"), rows)


def _boots(session: Session, boot: Boot, name: str, place: Path, rounds: int) -> list[Row]:
    """A boot until the shell answers, and going on until it does."""
    kept = snapshot.of(session, boot, place)
    figures: dict[str, list[float]] = {}
    shares: list[tuple[float, float]] = []
    for _ in range(rounds):
        for what, made in (("boots", boot), ("goes on", kept)):
            begun = time.monotonic()
            with Guest(session, made, place) as running:
                running.wait_until_ready()
                running.run("true", boot.patience)
                figures.setdefault(what, []).append(time.monotonic() - begun)
                if boot.disk and what == "boots":
                    shares.append(_startup(running, boot.patience))
    median = {what: statistics.median(values) for what, values in figures.items()}
    ratio = f"{median['goes on'] / median['boots']:.2f} x"
    rows = [(f"{name} boots", f"{median['boots']:.2f}", "", "")]
    if shares:
        kernels, userlands = zip(*shares, strict=True)
        rows.append(("  of it the kernel", f"{statistics.median(kernels):.2f}", "", ""))
        rows.append(("  of it the userland", f"{statistics.median(userlands):.2f}", "", ""))
    return [*rows, (f"{name} goes on", f"{median['goes on']:.2f}", "booting", ratio)]


def _startup(running: Guest, patience: float) -> tuple[float, float]:
    """The seconds of kernel and userland, by systemd-analyze(1)."""
    waited = "systemctl is-system-running --wait >/dev/null; systemd-analyze time"
    match = _STARTUP.search(running.run(waited, patience).output)
    if match is None:
        raise SystemExit("systemd-analyze does not tell how long the boot took")
    kernel_part, kernel_unit, user_part, user_unit = match.groups()
    return _seconds(kernel_part, kernel_unit), _seconds(user_part, user_unit)


def _seconds(number: str, unit: str) -> float:
    return float(number) / (1000 if unit == "ms" else 1)


def _images(session: Session, built: Kernel) -> list[Row]:
    """An image from nothing but the tools, and another with one package more."""
    with tempfile.TemporaryDirectory(dir=session.store.work("bench", "images")) as place:
        store = Store(Path(place))
        (store.root / "root").symlink_to(session.store.root / "root")
        empty = replace(session, store=store)
        image.tools(empty)
        first = _timed(lambda: image.build(empty, built.arch, "", ()))
        more = _timed(lambda: image.build(empty, built.arch, "", (_PACKAGE,)))
        remove_tree(store.root / "rootfs")
    return [
        ("an image from nothing", f"{first:.0f}", "", ""),
        (f"  with {_PACKAGE} besides", f"{more:.0f}", "from nothing", f"{more / first:.2f} x"),
    ]


def _timed(job: Callable[[], object]) -> float:
    begun = time.monotonic()
    job()
    return time.monotonic() - begun


if __name__ == "__main__":
    main(int(sys.argv[1]))
