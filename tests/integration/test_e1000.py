"""The e1000 driver's test, quick and whole, and what a user may get wrong about it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, BuiltKernel, Rfl

pytestmark = pytest.mark.timeout(600, func_only=True)


@pytest.fixture
def card(rfl: Rfl, kernel: BuiltKernel) -> Iterator[Path]:
    """A driver of the user's own, made from the kind."""
    run = rfl("new-module", "card", "--kind", "e1000")
    assert run.status == 0, run
    folder = rfl.workspace / "modules" / "card"
    yield folder
    shutil.rmtree(folder)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_quick_run_comes_to_a_ping(rfl: Rfl, card: Path) -> None:
    rfl.test("card", "--quick").passed()

    result = rfl.result()
    titles = [step["title"] for step in result["steps"]]
    assert result["quick"]
    assert titles[0] == "run ip link"
    assert "ping 10.0.2.2" in titles
    assert titles[-1] == "rmmod card"


@pytest.mark.timeout(1800, func_only=True)
def test_the_whole_test_passes(rfl: Rfl, card: Path) -> None:
    rfl.test("card", timeout=1200).passed()


def test_a_mistake_in_the_driver_is_told_where_it_is(rfl: Rfl, card: Path) -> None:
    edit(card / "receive.rs", "let mut received = 0;", "let received = 0;")

    run = rfl.test("card", "--quick")

    run.came_to(Verdict.BUILD_ERROR)
    assert "modules/card/receive.rs:" in run.text


def test_without_the_card_there_is_no_interface(rfl: Rfl, card: Path) -> None:
    text = (card / "test.yaml").read_text()
    other, count = re.subn(r"- e1000,id=card,addr=10,.*", "- pci-testdev,addr=10", text)
    assert count == 1
    (card / "test.yaml").write_text(other)

    run = rfl.test("card", "--quick")

    sentence = run.came_to(Verdict.FAIL)
    assert "MAC address" in sentence


def test_an_option_that_the_driver_forbids_is_named_with_its_reason(rfl: Rfl, card: Path) -> None:
    edit(card / "module.yaml", "PCI: y", "PCI: n # to try it")

    sentence = rfl.test("card").came_to(Verdict.USAGE)

    assert "module.yaml:" in sentence
    assert "PCI" in sentence
    assert "to try it" in sentence


def test_a_kernel_that_is_too_old_is_refused_before_it_is_built(rfl: Rfl, card: Path) -> None:
    sentence = rfl.test("card", "--kernel", "6.12", timeout=GUEST).came_to(Verdict.USAGE)

    assert "module.yaml:" in sentence
    assert "7.3" in sentence
