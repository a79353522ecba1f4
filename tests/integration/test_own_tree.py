"""A kernel tree of the user's own: a git checkout that is built elsewhere and left as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, Rfl, git

pytestmark = pytest.mark.timeout(600, func_only=True)


def test_a_module_passes_on_an_own_tree_that_stays_as_it_was(rfl: Rfl, own_tree: Path) -> None:
    passed = rfl.test("hello", "--kernel", str(own_tree)).passed()

    assert "hello on Linux" in passed
    assert git(own_tree, "status", "--porcelain", "--ignored") == ""


def test_an_option_that_goes_and_comes_by_hand_is_seen(rfl: Rfl, own_tree: Path) -> None:
    try:
        added = rfl("new-module", "handmade", "--in-tree", "--kernel", str(own_tree))
        assert added.status == 0, added
        kconfig = own_tree / "samples" / "rust" / "Kconfig"
        with_it = kconfig.read_text()

        with_its_option = [rfl("module", "handmade", timeout=GUEST)]
        git(own_tree, "checkout", "samples/rust/Kconfig")
        without = rfl("module", "handmade", timeout=GUEST)
        kconfig.write_text(with_it)
        with_its_option.append(rfl("module", "handmade", timeout=GUEST))

        assert "drops 1 of the options asked for (SAMPLE_RUST_HANDMADE)" in without.came_to(
            Verdict.USAGE
        )
        for run in with_its_option:
            assert run.status == 0, run
            assert Path(run.stdout.split()[-1]).name == "rust_handmade.ko"
    finally:
        shutil.rmtree(rfl.workspace / "modules" / "handmade", ignore_errors=True)
