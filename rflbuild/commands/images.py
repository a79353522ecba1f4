"""The disks of Debian guests."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rflbuild import arch as arches
from rflbuild import image
from rflbuild.chain import Links
from rflbuild.session import Session


def build(session: Session, arch: str, suite: str, packages: Sequence[str]) -> int:
    """Make the image of a suite, and say where it is and what it holds."""
    machine = arches.load(session.workspace.configs, arch)
    cached = image.has(session, machine, suite, packages)
    begun = time.monotonic()
    made = image.build(session, machine, suite, packages)
    seconds = time.monotonic() - begun
    what = f"Debian {suite or image.recipe(session).suite} {machine.name}"
    Links(session).add("image", what, made.key, seconds, cached=cached)
    size = made.disk.stat().st_size / 1e6
    session.terminal.line(f"disk       {made.disk}")
    session.terminal.line(f"           {size:.0f} MB, {len(made.packages())} packages")
    session.terminal.line(f"key        {made.identity}")
    return 0
