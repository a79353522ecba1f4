"""kconfig_change: of what differs, what somebody must have set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rflbuild.dotconfig import Dotconfig
from rflbuild.fragment import Option
from rflbuild.kconfig_change import Change, candidates, differing, lost
from rflbuild.kconfig_tree import KconfigTree

KCONFIG = """
config MODULES
	bool "Modules"
	modules
config A
	bool "A"
	select B
	select T
config B
	bool "B"
config T
	tristate "T"
config HIDDEN
	bool
	default y if A
config NEW
	bool "New"
	depends on A
	default y
config NUMBER
	int "Number"
choice
	prompt "Choice"
config ONE
	bool "One"
config TWO
	bool "Two"
endchoice
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> KconfigTree:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "Kconfig").write_text(KCONFIG)
    return KconfigTree.read(folder, "arm64")


BEFORE = {
    "MODULES": "y",
    "A": "n",
    "B": "n",
    "T": "n",
    "NUMBER": "1",
    "ONE": "y",
    "TWO": "n",
}


def found(tree: KconfigTree, given: set[str] | None = None, **changed: str) -> list[set[str]]:
    """What was surely set and what perhaps, after a change of some options."""
    everything = set(BEFORE) if given is None else given
    return list(candidates(BEFORE, {**BEFORE, **changed}, everything, tree))


def test_an_option_that_differs_was_set(tree: KconfigTree) -> None:
    assert found(tree, NUMBER="2") == [{"NUMBER"}, set()]


def test_nothing_was_set_where_nothing_differs(tree: KconfigTree) -> None:
    assert found(tree) == [set(), set()]


def test_what_may_be_selected_is_not_sure(tree: KconfigTree) -> None:
    assert found(tree, A="y", B="y", T="y") == [{"A"}, {"B", "T"}]


def test_a_bool_that_a_module_selects_is_not_sure(tmp_path: Path) -> None:
    (tmp_path / "Kconfig").write_text(
        'config MODULES\n\tbool "M"\nconfig X\n\ttristate "X"\n\tselect Y\nconfig Y\n\tbool "Y"\n'
    )
    tree = KconfigTree.read(tmp_path, "arm64")
    before = {"MODULES": "y", "X": "n", "Y": "n"}
    after = {"MODULES": "y", "X": "m", "Y": "y"}
    assert candidates(before, after, set(before), tree) == ({"X"}, {"Y"})


def test_what_is_above_its_select_was_set(tree: KconfigTree) -> None:
    after = {**BEFORE, "A": "y", "B": "y", "T": "y"}
    before = {**after, "T": "m"}
    # A selects T to y, so that nobody can tell; without A it is sure.
    assert candidates(before, after, set(after), tree) == (set(), {"T"})
    assert candidates({**before, "A": "n"}, {**after, "A": "n"}, set(after), tree) == (
        {"T"},
        set(),
    )


def test_what_was_switched_off_was_set(tree: KconfigTree) -> None:
    after = {**BEFORE, "B": "n"}
    assert candidates({**BEFORE, "B": "y"}, after, set(BEFORE), tree) == ({"B"}, set())


def test_what_has_no_prompt_was_set_by_nobody(tree: KconfigTree) -> None:
    assert found(tree, A="y", HIDDEN="y") == [{"A"}, set()]


def test_what_is_new_may_be_at_its_default(tree: KconfigTree) -> None:
    assert found(tree, A="y", NEW="y") == [{"A"}, {"NEW"}]


def test_what_was_never_given_a_value_may_be_at_its_default(tree: KconfigTree) -> None:
    assert found(tree, given=set(), NUMBER="2") == [set(), {"NUMBER"}]


def test_what_went_away_was_set_by_nobody(tree: KconfigTree) -> None:
    after = {name: value for name, value in BEFORE.items() if name != "NUMBER"}
    assert candidates(BEFORE, after, set(BEFORE), tree) == (set(), set())


def test_of_a_choice_the_winner_was_set(tree: KconfigTree) -> None:
    surely, _ = found(tree, ONE="n", TWO="y")
    assert surely == {"TWO"}


def test_an_absent_option_is_the_same_as_one_that_is_off() -> None:
    assert differing({"A": "n", "B": "y"}, {"B": "y", "C": "n"}) == []


# ---- what a fragment has to say -----------------------------------------------------------


def start(*asked: tuple[str, str], **values: str) -> Dotconfig:
    """A configuration that was asked for some options and has some values."""
    options = tuple(Option(name, value, "f:1") for name, value in asked)
    plan = SimpleNamespace(config=SimpleNamespace(options=options))
    return cast("Dotconfig", SimpleNamespace(plan=plan, values=values))


def test_what_was_asked_for_and_is_gone_is_lost() -> None:
    begun = start(("NET", "y"), ("INET", "y"), NET="y", INET="y")
    change = Change(begun.values, {"NET": "n"}, ("NET",))
    assert [option.name for option in lost(begun, change)] == ["INET"]


def test_what_was_not_there_before_is_not_lost() -> None:
    begun = start(("INET", "y"), NET="y")
    assert lost(begun, Change(begun.values, {"NET": "n"}, ("NET",))) == ()


def test_a_number_that_is_written_otherwise_is_not_lost() -> None:
    begun = start(("ADDRESS", "0x1F"), ADDRESS="0x1f")
    assert lost(begun, Change(begun.values, {"ADDRESS": "0x1f", "A": "y"}, ("A",))) == ()


def test_a_fragment_says_what_was_set_what_stays_and_what_is_lost() -> None:
    change = Change(
        {"Z": "n", "A": "y", "GONE": "5", "K": "y"},
        {"Z": "y", "K": "y", "F": "y"},
        chosen=("Z",),
        kept=("K",),
        lost=(Option("GONE", "5", ""), Option("A", "y", "")),
    )
    assert list(change.options.items()) == [("Z", "y"), ("K", "y"), ("A", "n"), ("GONE", "n")]
    assert change.followed == ["F"]
