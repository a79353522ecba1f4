"""The disks of Debian guests."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rflbuild import arch as arches
from rflbuild import chain, image
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel
from rflbuild.session import Session


def build(session: Session, arch: str, suite: str, packages: Sequence[str]) -> int:
    """Make the image of a suite, and say where it is and what it holds."""
    machine = arches.load(session.workspace.configs, arch)
    links = Links(session)

    def kernel() -> Kernel:
        planned = chain.plan(session, Request(arch=arch), links)
        return chain.build_kernel(session, planned, links)

    cached = image.has(session, machine, suite, packages)
    begun = time.monotonic()
    made = image.build(session, machine, suite, packages, kernel)
    seconds = time.monotonic() - begun
    what = f"Debian {suite or image.recipe(session).suite} {machine.name}"
    links.add("image", what, made.key, seconds, cached=cached)
    size = made.disk.stat().st_size / 1e6
    session.terminal.line(f"disk       {made.disk}")
    session.terminal.line(f"           {size:.0f} MB, {len(made.packages())} packages")
    session.terminal.line(f"key        {made.identity}")
    return 0
