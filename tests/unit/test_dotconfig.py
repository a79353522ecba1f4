"""dotconfig: what a .config says, and how two differ."""

from __future__ import annotations

import pytest

from rflbuild import dotconfig

TEXT = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/arm64 7.3.4 Kernel Configuration
#
CONFIG_NET=y
# CONFIG_USB is not set
CONFIG_LOCALVERSION="-a=b # c"
CONFIG_HZ=250

# is not set
# end of General setup
"""


def test_a_config_is_read_with_what_is_off() -> None:
    assert dotconfig.values(TEXT) == {
        "NET": "y",
        "USB": "n",
        "LOCALVERSION": '"-a=b # c"',
        "HZ": "250",
    }


def test_a_whole_config_is_told_from_a_fragment() -> None:
    assert dotconfig.is_one(TEXT)
    assert not dotconfig.is_one("# On top of virt\nCONFIG_NET=y\n")


def test_the_options_keep_the_order_of_the_menus() -> None:
    assert list(dotconfig.values(TEXT)) == ["NET", "USB", "LOCALVERSION", "HZ"]


@pytest.mark.parametrize(("old", "new", "sign"), [(1, 0, "-"), (0, 1, "+")])
def test_what_went_and_what_came_is_sorted(old: int, new: int, sign: str) -> None:
    names = "QWERTYUIOPASDFGH"
    found = dotconfig.difference(dict.fromkeys(names * old, "y"), dict.fromkeys(names * new, "y"))
    assert found == [f"{sign}{name} y" for name in sorted(names)]


def test_a_difference_is_what_went_what_changed_and_what_came_each_sorted() -> None:
    old = {"Z": "y", "B": "n", "A": "1", "SAME": "y"}
    new = {"B": "y", "A": "2", "SAME": "y", "Y": "n", "X": '"x"'}
    assert dotconfig.difference(old, new) == [
        "-Z y",
        " A 1 -> 2",
        " B n -> y",
        '+X "x"',
        "+Y n",
    ]
