"""The kernel of `--fragment debug`: it boots, it is clean, and what it finds is a crash.

It takes half an hour to build, and so these run on request alone (the marker `slow`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, KERNEL, MODULES, Rfl

DEBUG = ("--fragment", "debug")
SCAN = "kmemleak finds no lost memory"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(KERNEL + GUEST, func_only=False),
    pytest.mark.usefixtures("debug_kernel"),
]


@pytest.fixture(scope="module")
def debug_kernel(rfl: Rfl, user_store: Path, kernel: object) -> None:
    run = rfl.on(user_store)("kernel", *DEBUG, timeout=KERNEL)
    assert run.status == 0, run


def test_a_module_without_faults_passes_and_is_scanned_for_leaks(rfl: Rfl) -> None:
    rfl.test("hello", *DEBUG, timeout=KERNEL).passed()

    assert [step["title"] for step in rfl.result()["steps"]][-1] == SCAN


def test_memory_that_is_never_freed_is_a_crash_with_the_stack_that_allocated_it(rfl: Rfl) -> None:
    run = rfl.test(str(MODULES / "leaks"), *DEBUG)

    assert "kmemleak" in run.came_to(Verdict.CRASH)
    assert "unreferenced object" in run.text
    assert "rust_helper_krealloc_node_align+0x" in run.text
    assert [step["verdict"] for step in rfl.result()["steps"]] == ["pass", "pass", "crash"]


def test_a_network_card_goes_through_its_whole_test(rfl: Rfl) -> None:
    passed = rfl.test("e1000", *DEBUG, timeout=3600).passed()

    assert "skipped" not in passed
