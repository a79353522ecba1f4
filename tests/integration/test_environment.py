"""What the machine lacks, or loses in the middle of a run, is told as that, and nothing hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import (
    GUEST,
    MODULES,
    BuiltKernel,
    Rfl,
    Run,
    Started,
    isolated,
    waited_for,
    with_disk,
)

pytestmark = pytest.mark.timeout(GUEST + 60, func_only=True)
Steps = Callable[[str], str]


@pytest.mark.parametrize("name", ["file/store", "/proc/store", "/dev/null"])
def test_a_store_that_cannot_be_is_told_by_its_path(rfl: Rfl, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    store = tmp_path / name

    sentence = rfl.on(store)("kernel").came_to(Verdict.ENVIRONMENT)

    assert str(store) in sentence or str(store.parent) in sentence


def test_a_store_that_is_read_only_is_told_by_its_path(
    rfl: Rfl, kernel: BuiltKernel, new_store: Path
) -> None:
    run = rfl.on(new_store)("qemu-test", "hello", wrapper=rfl.read_only(new_store))

    sentence = run.came_to(Verdict.ENVIRONMENT)
    assert str(new_store) in sentence


def test_a_missing_system_toolchain_is_told_tool_by_tool(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    (tmp_path / "clang").write_text("#!/bin/sh\n")
    (tmp_path / "clang").chmod(0o755)

    run = rfl("qemu-test", "hello", "--toolchain", "system", env={"PATH": str(tmp_path)})

    sentence = run.came_to(Verdict.ENVIRONMENT)
    for tool in ("ld.lld", "make", "rustc", "bindgen", "qemu-system-aarch64"):
        assert tool in sentence
    assert " clang," not in sentence
    assert "doctor" in sentence
    assert "--toolchain debian" in sentence


def test_rustup_that_is_not_there_is_told(rfl: Rfl, kernel: BuiltKernel, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")

    run = rfl("setup-rustup", env={"PATH": str(tmp_path)})

    assert "rustup" in run.came_to(Verdict.ENVIRONMENT)


def test_without_a_network_the_first_run_says_so(rfl: Rfl, tmp_path: Path) -> None:
    run = rfl.on(tmp_path)("qemu-test", "hello", wrapper=isolated("--net"), timeout=120)

    assert "network" in run.came_to(Verdict.ENVIRONMENT)


def test_without_a_network_a_warm_store_serves(rfl: Rfl, kernel: BuiltKernel) -> None:
    rfl("qemu-test", "minimal", wrapper=isolated("--net"), timeout=GUEST).passed()


@pytest.mark.parametrize(
    ("kilobytes", "there"),
    [(256, ""), (16, "initramfs"), (64, "initramfs"), (256, "initramfs")],
    ids=["initramfs", "the copy", "the first objects", "the module"],
)
def test_a_full_disk_is_told_as_that(
    rfl: Rfl, kernel: BuiltKernel, new_store: Path, kilobytes: int, there: str
) -> None:
    # The small disk holds what changes; what is there already is linked to.
    made = rfl.on(new_store)("qemu-test", "samples", timeout=GUEST)
    kept = new_store.rename(new_store.with_name("kept"))
    new_store.mkdir()
    names = ("root", "source", "kernel", "busybox", "notes", *there.split())
    links = " && ".join(f"ln -s {kept / name} {new_store / name}" for name in names)
    wrapper = with_disk(new_store, kilobytes, links)

    run = rfl.on(new_store)(
        "qemu-test", str(MODULES / "out_of_tree"), wrapper=wrapper, timeout=GUEST
    )

    made.passed()
    assert "full" in run.came_to(Verdict.ENVIRONMENT)
    assert "full" in rfl.result()["reason"]


@pytest.mark.parametrize("kilobytes", [4, 12])
def test_a_full_disk_of_results_is_told_as_that(
    rfl: Rfl, kernel: BuiltKernel, kilobytes: int
) -> None:
    rfl.results.mkdir(exist_ok=True)

    run = rfl("qemu-test", "samples", wrapper=with_disk(rfl.results, kilobytes), timeout=GUEST)

    assert "full" in run.came_to(Verdict.ENVIRONMENT)


def in_a_step(rfl: Rfl, steps: Steps, step_timeout: float) -> tuple[Started, int]:
    """A run in the middle of a long step, and the process of its QEMU."""
    name = steps(f"steps:\n  - run: sleep 1000\n    timeout: {step_timeout}\n")
    before = set(rfl.results.iterdir()) if rfl.results.is_dir() else set()
    started = rfl.start("qemu-test", name)

    def begun() -> bool:
        new = set(rfl.results.iterdir()) - before if rfl.results.is_dir() else set()
        logs = [path / "shell.log" for path in new if not path.is_symlink()]
        return any(log.is_file() and "sleep 1000" in log.read_text() for log in logs)

    assert waited_for(begun, GUEST)
    (qemu,) = (pid for pid, name in started.children().items() if name.startswith("qemu-system"))
    return started, qemu


def test_qemu_killed_by_another_is_told(rfl: Rfl, kernel: BuiltKernel, steps: Steps) -> None:
    started, qemu = in_a_step(rfl, steps, 1000)

    os.kill(qemu, signal.SIGKILL)
    run: Run = started.end(60)

    assert "QEMU ended" in run.came_to(Verdict.ENVIRONMENT)
    assert rfl.result()["verdict"] == "environment"


def test_qemu_that_does_not_answer_any_more_is_a_timeout(
    rfl: Rfl, kernel: BuiltKernel, steps: Steps
) -> None:
    started, qemu = in_a_step(rfl, steps, 5)

    os.kill(qemu, signal.SIGSTOP)
    run: Run = started.end(120)

    assert "sleep 1000" in run.came_to(Verdict.TIMEOUT)
