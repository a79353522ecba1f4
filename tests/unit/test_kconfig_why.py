"""kconfig_why: what is told of one option, on little Kconfig trees."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.fragment import Option
from rflbuild.kconfig_tree import KconfigTree
from rflbuild.kconfig_why import Why

Ask = Callable[..., Why]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask for X of a tree whose Kconfig is given, with a configuration."""

    def why(kconfig: str, asked: str = "", **config: str) -> Why:
        (tmp_path / "Kconfig").write_text(textwrap.dedent(kconfig).lstrip("\n"))
        tree = KconfigTree.read(tmp_path, "arm64")
        option = Option("X", asked, "my.config:3") if asked else None
        return Why(tree, "X", config, option, "`make allnoconfig`")

    return why


def bools(*names: str) -> str:
    return "".join(f'config {name}\n\tbool "{name}"\n' for name in names)


def row(why: Why, label: str) -> list[str]:
    """The lines under a label."""
    found: list[str] = []
    under = ""
    for line in why.text().split("\n\n")[0].splitlines()[1:]:
        under = line[2:15].strip() or under
        if under == label:
            found.append(line[15:])
    return found


# ---- why it is what it is -----------------------------------------------------------------


def test_what_was_asked_for_is_so_for_that(ask: Ask) -> None:
    assert ask(bools("X"), "y", X="y").reason() == "asked for in my.config:3"


def test_what_was_asked_for_in_vain_is_explained(ask: Ask) -> None:
    why = ask(bools("A") + 'config X\n\tbool "X"\n\tdepends on A\n', "y")
    assert why.reason() == "y is asked for in my.config:3, but it needs A [=n] (Kconfig:5)"


def test_what_cannot_be_on_names_what_is_missing(ask: Ask) -> None:
    why = ask(bools("A") + 'config X\n\tbool "X"\n\tdepends on A\n')
    assert why.text().splitlines()[0] == "X is n: needs A [=n] (Kconfig:5)"


def test_what_could_be_on_says_that_nobody_asks(ask: Ask) -> None:
    reason = ask(bools("X"), X="n").reason()
    assert reason == "could be y, and nothing asks for it; `make allnoconfig` leaves it off"


def test_what_is_selected_names_who_selects_it_now(ask: Ask) -> None:
    kconfig = bools("X") + "".join(
        f'config {name}\n\tbool "{name}"\n\tselect X{limit}\n'
        for name, limit in (("A", ""), ("B", ""), ("C", " if B"))
    )
    why = ask(kconfig, X="y", A="y", C="y")
    assert why.reason() == "selected by A [=y] (Kconfig:5)"
    assert row(why, "selected by") == [
        "A [=y] (Kconfig:5)",
        "and not now: B [=n] (Kconfig:8) and C [=y] if B [=n] (Kconfig:11)",
    ]


def test_a_module_that_selects_it_does_not_make_it_built_in(ask: Ask) -> None:
    kconfig = """
        config MODULES
            bool "Modules"
        config X
            tristate "X"
        config A
            tristate "A"
            select X
        """
    assert ask(kconfig, X="m", A="m", MODULES="y").reason().startswith("selected by A")
    assert ask(kconfig, X="y", A="m", MODULES="y").reason() == "as `make allnoconfig` has it"


def test_what_is_implied_is_called_so(ask: Ask) -> None:
    kconfig = bools("X") + 'config A\n\tbool "A"\n\timply X\n'
    why = ask(kconfig, X="y", A="y")
    assert why.reason() == "implied by A [=y] (Kconfig:5)"
    assert row(why, "implied by") == ["A [=y] (Kconfig:5)"]


def test_the_default_that_counts_is_told(ask: Ask) -> None:
    kconfig = bools("A", "B") + (
        "config X\n\tint\n\tdefault 1 if A\n\tdefault 2 if B\n\tdefault 3\n"
    )
    why = ask(kconfig, X="2", B="y")
    assert why.reason() == "by its default (Kconfig:8)"
    assert row(why, "defaults") == [
        "1 if A [=n]  Kconfig:7",
        "2 if B [=y]  Kconfig:8: counts",
        "3            Kconfig:9",
    ]


def test_a_default_can_be_another_option(ask: Ask) -> None:
    kconfig = 'config A\n\tstring "A"\nconfig X\n\tstring\n\tdefault A\n'
    assert ask(kconfig, X='"a b"', A='"a b"').reason() == "by its default (Kconfig:5)"


def test_a_default_that_a_macro_decides_is_told_as_what_it_is(ask: Ask) -> None:
    kconfig = "config X\n\tdef_bool $(cc-option,-fx)\n"
    assert ask(kconfig, X="y").reason() == ("by its default (Kconfig:2), a check of the C compiler")


def test_a_default_whose_condition_is_a_macro_may_not_count(ask: Ask) -> None:
    kconfig = 'config X\n\tint "X"\n\tdefault 1 if $(cc-option,-fx)\n\tdefault 2\n'
    assert not any("counts" in line for line in row(ask(kconfig, X="2"), "defaults"))


def test_a_value_that_kconfig_does_not_give_is_its_origins(ask: Ask) -> None:
    assert ask('config X\n\tint "X"\n\tdefault 1\n', X="7").reason() == (
        "as `make allnoconfig` has it"
    )


def test_a_number_that_does_not_count_is_not_set(ask: Ask) -> None:
    kconfig = bools("A") + 'config X\n\tint "X"\n\tdepends on A\n'
    assert ask(kconfig).text().splitlines()[0] == "X is not set: needs A [=n] (Kconfig:5)"


# ---- what else is told --------------------------------------------------------------------


def test_type_prompt_and_place_are_told(ask: Ask) -> None:
    why = ask('config X\n\ttristate "The X driver" if A\n' + bools("A"), X="m", A="y")
    assert row(why, "type") == ["tristate"]
    assert row(why, "prompt") == ["The X driver"]
    assert row(why, "defined") == ["Kconfig:1"]
    assert row(why, "shown if") == ["A [=y]  Kconfig:2"]


def test_what_is_always_shown_has_no_condition(ask: Ask) -> None:
    why = ask('config X\n\ttristate "The X driver"\n', X="m")
    assert row(why, "shown if") == []


def test_every_definition_is_told(ask: Ask) -> None:
    why = ask(bools("X") + bools("A") + "config X\n\tbool\n\tdefault y if A\n", X="n")
    assert row(why, "defined") == ["Kconfig:1", "Kconfig:5"]


def test_each_dependency_is_told_with_its_place_and_whether_it_holds(ask: Ask) -> None:
    kconfig = bools("A", "B") + (
        'if A\nmenu "M"\n\tdepends on B\nconfig X\n\tbool "X"\n\tdepends on $(cc-option,-fx)\n'
        "endmenu\nendif\n"
    )
    assert row(ask(kconfig, A="y"), "depends on") == [
        "A [=y]            Kconfig:5",
        "B [=n]            Kconfig:7: does not hold",
        "$(cc-option,-fx)  Kconfig:10: a macro, which only make can tell",
    ]


def test_a_dependency_that_is_a_module_allows_no_more(ask: Ask) -> None:
    kconfig = 'config A\n\ttristate "A"\nconfig X\n\ttristate "X"\n\tdepends on A\n'
    assert row(ask(kconfig, A="m"), "depends on") == ["A [=m]  Kconfig:5: allows m at most"]


def test_the_range_is_told_with_its_values(ask: Ask) -> None:
    kconfig = 'config A\n\tint "A"\nconfig X\n\tint "X"\n\trange 1 A\n'
    assert row(ask(kconfig, A="9", X="5"), "range") == ["1 A [=9]  Kconfig:5: counts"]


def test_what_it_selects_and_implies_is_told(ask: Ask) -> None:
    kconfig = bools("A", "B") + 'config X\n\tbool "X"\n\tselect A if B\n\timply B\n'
    why = ask(kconfig, X="y", A="y")
    assert row(why, "selects") == ["A [=y] if B [=n]"]
    assert row(why, "implies") == ["B [=n]"]


def test_the_help_is_told_without_its_margin(ask: Ask) -> None:
    kconfig = """
        config X
        \tbool "X"
        \thelp
        \t  First line.

        \t    - indented

        \t  Last line.

        config A
        \tbool "A"
        """
    assert ask(kconfig).text().split("\n\n", 1)[1] == (
        "  First line.\n\n    - indented\n\n  Last line."
    )
