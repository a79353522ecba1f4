"""kbuild: entries put into a folder's Makefile and Kconfig, and taken out again."""

from __future__ import annotations

import pytest

from rflbuild import kbuild
from rflbuild.kbuild import Entry, ShapeError

MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0
ccflags-y += -I$(src)\t\t\t\t# needed for trace events

obj-$(CONFIG_SAMPLE_RUST_MINIMAL)\t\t+= rust_minimal.o
obj-$(CONFIG_SAMPLE_RUST_PRINT)\t\t\t+= rust_print.o
obj-$(CONFIG_SAMPLE_RUST_DRIVER_PLATFORM)\t+= rust_driver_platform.o

rust_print-y := rust_print_main.o rust_print_events.o

subdir-$(CONFIG_SAMPLE_RUST_HOSTPROGS)\t\t+= hostprogs
"""
KCONFIG = """\
# SPDX-License-Identifier: GPL-2.0

menuconfig SAMPLES_RUST
\tbool "Rust samples"
\tdepends on RUST
\thelp
\t  You can build sample Rust kernel code here.

\t  If unsure, say N.

if SAMPLES_RUST

config SAMPLE_RUST_MINIMAL
\ttristate "Minimal"
\thelp
\t  This option builds the Rust minimal module sample.

\t  If unsure, say N.

config SAMPLE_RUST_PRINT
\ttristate "Printing macros"
\thelp
\t  This option builds the Rust printing macros sample.

endif # SAMPLES_RUST
"""
NEIGHBOURS = kbuild.options(MAKEFILE)


def entry(name: str, *depends: str) -> Entry:
    text = f"This builds {name}.\n\nIf unsure, say N.\n"
    return Entry(f"SAMPLE_RUST_{name.upper()}", f"rust_{name}", name.capitalize(), text, depends)


def lines_added(before: str, after: str) -> list[str]:
    return [line for line in after.splitlines() if line not in before.splitlines()]


# ---- the Makefile -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("blinky", "# needed for trace events\n\n"),  # before the first
        ("noodle", "rust_minimal.o\n"),  # between two
        ("zebra", "rust_driver_platform.o\n"),  # behind the last
    ],
)
def test_an_object_gets_its_sorted_place(name: str, after: str) -> None:
    made = kbuild.add_object(MAKEFILE, entry(name))

    assert f"{after}obj-$(CONFIG_SAMPLE_RUST_{name.upper()})" in made


@pytest.mark.parametrize("name", ["b", "blinky", "a_name_that_is_longer_than_any_other_there"])
def test_the_sign_stands_below_the_others_where_there_is_room(name: str) -> None:
    made = kbuild.add_object(MAKEFILE, entry(name))

    (line,) = lines_added(MAKEFILE, made)
    column = line.expandtabs(8).index("+=")
    begin = f"obj-$(CONFIG_SAMPLE_RUST_{name.upper()})"
    assert column == max(48, len(begin) + 1)
    assert line.endswith(f"+= rust_{name}.o")


def test_an_object_that_is_there_is_not_added_again() -> None:
    once = kbuild.add_object(MAKEFILE, entry("blinky"))

    assert kbuild.add_object(once, entry("blinky")) == once


@pytest.mark.parametrize("name", ["blinky", "noodle", "zebra"])
def test_taking_an_object_out_restores_the_makefile(name: str) -> None:
    made = kbuild.add_object(MAKEFILE, entry(name))

    assert made != MAKEFILE
    assert kbuild.remove_object(made, entry(name)) == MAKEFILE


def test_a_makefile_without_a_list_of_objects_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"obj-\$\(CONFIG_…\) \+= ….o"):
        kbuild.add_object("obj-y += always.o\n", entry("blinky"))


@pytest.mark.parametrize(
    "line",
    [
        "obj-$(CONFIG_SAMPLE_RUST_BLINKY) += something_else.o\n",
        "obj-$(CONFIG_SOMETHING_ELSE) += rust_blinky.o\n",
    ],
)
def test_another_module_of_that_name_is_not_touched(line: str) -> None:
    with pytest.raises(ShapeError, match="line 12"):
        kbuild.add_object(f"{MAKEFILE}\n{line}", entry("blinky"))


# ---- the Kconfig --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blinky", "noodle", "zebra"])
def test_a_config_is_inside_the_if_of_its_neighbours(name: str) -> None:
    made = kbuild.add_config(KCONFIG, entry(name), NEIGHBOURS)

    begin = made.index("if SAMPLES_RUST\n")
    assert begin < made.index(f"config SAMPLE_RUST_{name.upper()}\n") < made.index("endif")


def test_a_config_has_a_prompt_its_dependencies_and_a_help_text() -> None:
    made = kbuild.add_config(KCONFIG, entry("noodle", "PCI", "NET"), NEIGHBOURS)

    assert (
        "say N.\n\n"
        "config SAMPLE_RUST_NOODLE\n"
        '\ttristate "Noodle"\n'
        "\tdepends on PCI\n"
        "\tdepends on NET\n"
        "\thelp\n"
        "\t  This builds noodle.\n"
        "\n"
        "\t  If unsure, say N.\n"
        "\n"
        "config SAMPLE_RUST_PRINT\n"
    ) in made


@pytest.mark.parametrize("name", ["blinky", "noodle", "zebra"])
def test_a_config_that_is_there_is_not_added_again(name: str) -> None:
    once = kbuild.add_config(KCONFIG, entry(name), NEIGHBOURS)

    assert kbuild.add_config(once, entry(name), NEIGHBOURS) == once


@pytest.mark.parametrize("name", ["blinky", "noodle", "zebra"])
def test_taking_a_config_out_restores_the_kconfig(name: str) -> None:
    made = kbuild.add_config(KCONFIG, entry(name), NEIGHBOURS)

    assert made != KCONFIG
    assert kbuild.remove_config(made, entry(name)) == KCONFIG


def test_a_kconfig_that_ends_with_its_last_entry_gets_another_after_it() -> None:
    text = 'config SAMPLE_RUST_MINIMAL\n\ttristate "Minimal"'

    made = kbuild.add_config(text, entry("zebra"), NEIGHBOURS)

    assert made.startswith(f"{text}\n\nconfig SAMPLE_RUST_ZEBRA\n")


def test_of_several_blocks_the_one_with_most_neighbours_is_taken() -> None:
    text = (
        'config OTHER\n\tbool "Other"\n\nif A\n\nconfig ONE\n\tbool "One"\n\nendif\n\n'
        'if B\n\nconfig TWO\n\tbool "Two"\n\nconfig THREE\n\tbool "Three"\n\nendif\n'
    )

    made = kbuild.add_config(text, entry("blinky"), ["ONE", "TWO", "THREE"])

    assert made.index("if B\n") < made.index("config SAMPLE_RUST_BLINKY") < made.index("config TWO")


def test_a_kconfig_without_a_neighbour_is_refused() -> None:
    with pytest.raises(ShapeError, match="Makefile beside it"):
        kbuild.add_config('config OTHER\n\tbool "Other"\n', entry("blinky"), NEIGHBOURS)
