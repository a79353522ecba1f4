"""kernel: one that was built a while ago."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import arch, build_folder, kernel
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Kernel, Plan
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain


@pytest.fixture
def built(session: Session, tmp_path: Path) -> tuple[Plan, Kernel]:
    """What stands for a kernel from a folder of the user's, and its plan."""
    tools = Toolchain("none", "key", (), lambda argv, _cwd, _read, _write: list(argv))
    source = Source("linux", tmp_path, (7, 3, 4), "7.3.4", "key", mutable=True)
    arm64 = arch.load(session.workspace.configs, "arm64")
    plan = Plan(arm64, source, tools, Kconfig("virt", "allnoconfig", (), 0))
    out = tmp_path / "out"
    out.mkdir()
    (out / "vmlinux").touch()
    return plan, Kernel(arm64, source, tools, "virt", build_folder.state(out), out, 0.0)


def test_a_kernel_that_nobody_built_again_is_the_same(
    session: Session, built: tuple[Plan, Kernel]
) -> None:
    plan, before = built

    assert kernel.current(session, plan, before) == before


def test_a_kernel_of_the_users_that_was_built_again_is_another(
    session: Session, built: tuple[Plan, Kernel]
) -> None:
    plan, before = built
    os.utime(before.out / "vmlinux", (1000, 1000))

    assert kernel.current(session, plan, before).key != before.key


def test_an_immutable_kernel_is_never_another(session: Session, built: tuple[Plan, Kernel]) -> None:
    plan, before = built
    plan = replace(plan, source=replace(plan.source, mutable=False))
    os.utime(before.out / "vmlinux", (1000, 1000))

    assert kernel.current(session, plan, before) is before
