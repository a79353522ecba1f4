"""A kernel tree of the user's own: a git checkout that is built elsewhere and left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.harness import Rfl, git

pytestmark = pytest.mark.timeout(600, func_only=True)


def test_a_module_passes_on_an_own_tree_that_stays_as_it_was(rfl: Rfl, own_tree: Path) -> None:
    passed = rfl.test("hello", "--kernel", str(own_tree)).passed()

    assert "hello on Linux" in passed
    assert git(own_tree, "status", "--porcelain", "--ignored") == ""
