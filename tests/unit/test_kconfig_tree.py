"""Why an option was dropped, on little Kconfig trees in the kernel's own language.

What the rules are was checked against the kernel's scripts/kconfig/conf, 7.3 and 6.12.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.kconfig_explanation import Explanation
from rflbuild.kconfig_tree import KconfigTree

Explain = Callable[..., Explanation]


def write(path: Path, kconfig: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(kconfig).lstrip("\n"))


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Ask for `NAME=value` of a tree whose Kconfig is given, with a configuration."""

    def ask(kconfig: str, option: str, **config: str) -> Explanation:
        write(tmp_path / "Kconfig", kconfig)
        name, _, wanted = option.partition("=")
        return KconfigTree.read(tmp_path, "arm64").explain(name, wanted, config)

    return ask


def bools(*names: str) -> str:
    """Definitions of options that can simply be asked for."""
    return "".join(f'config {name}\n\tbool "{name}"\n' for name in names)


def tristates(*names: str) -> str:
    return bools(*names).replace("bool", "tristate")


def unmet(explanation: Explanation) -> list[str]:
    return [part.text for part in explanation.unmet]


# Files that are laid over the tree's


def test_a_file_that_is_laid_over_the_tree_is_read_in_its_place(tmp_path: Path) -> None:
    write(tmp_path / "Kconfig", 'source "a/Kconfig"\n')
    write(tmp_path / "a" / "Kconfig", bools("OLD"))

    tree = KconfigTree.read(tmp_path, "arm64", {"a/Kconfig": bools("OLD", "NEW")})

    assert set(tree.types) == {"OLD", "NEW"}


# Names that do not exist


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("VIRTIO_NETT", "VIRTIO_NET"),  # a slip
        ("NET_VIRTIO", "VIRTIO_NET"),  # the words in another order
        ("RTL8150", "USB_RTL8150"),  # a part of it
        ("USB_NET_RTL8150", "USB_RTL8150"),  # a word too many
        ("CONFIG_VIRTIO_NET", "VIRTIO_NET"),
        ("virtio_net", "VIRTIO_NET"),
    ],
)
def test_a_misspelt_name_gets_the_name_that_was_meant_first(
    explain: Explain, asked: str, meant: str
) -> None:
    names = ("VIRTIO_VSOCKETS", "NET", "USB_RTL8150", "VIRTIO_NET", "USB_NET_SR9800", "VIRTIO")
    found = explain(bools(*names), f"{asked}=y")
    assert not found.known
    assert found.near[0] == meant
    assert found.sentence().startswith(f"unknown in this kernel; near names: {meant}")


def test_at_most_five_names_are_near(explain: Explain) -> None:
    found = explain(bools(*(f"VIRTIO_NET{digit}" for digit in range(9))), "VIRTIO_NET=y")
    assert found.near == tuple(f"VIRTIO_NET{digit}" for digit in range(5))


def test_a_name_like_no_other_has_no_near_names(explain: Explain) -> None:
    assert explain(bools("NET", "PCI"), "QXZZY=y").sentence() == "unknown in this kernel"


def test_an_option_of_another_architecture_is_told_with_its_place(
    explain: Explain, tmp_path: Path
) -> None:
    write(tmp_path / "arch/x86/Kconfig", "# X86\n\n" + bools("X86_MSR"))
    found = explain(bools("X86_MCE"), "X86_MSR=m")
    assert not found.known
    assert found.sentence() == "unknown for arm64; another architecture has it: arch/x86/Kconfig:3"


# Dependencies that do not hold


def test_what_is_missing_is_told_with_its_value_and_where_it_is_asked_for(
    explain: Explain, tmp_path: Path
) -> None:
    write(
        tmp_path / "drivers/net/Kconfig",
        """
        if NET_CORE
        config VIRTIO_NET
            tristate "Virtio network driver"
        endif
        """,
    )
    found = explain(bools("NET_CORE") + 'source "drivers/net/Kconfig"\n', "VIRTIO_NET=y")
    assert found.known
    assert [(part.text, part.file, part.line) for part in found.unmet] == [
        ("NET_CORE [=n]", "drivers/net/Kconfig", 1)
    ]
    assert found.sentence() == "needs NET_CORE [=n] (drivers/net/Kconfig:1)"


@pytest.mark.parametrize(
    ("dependency", "told"),
    [
        ("A && (B || C) && D", ["D [=n]"]),
        ("A && D && E", ["D [=n]", "E [=n]"]),
        ("D || E", ["D [=n] || E [=n]"]),
        ("(A && D) || E", ["D [=n] || E [=n]"]),
        ("(D && E) || F", ["(D [=n] && E [=n]) || F [=n]"]),
        ("!A", ["!A [=y]"]),
        ("!(A || D)", ["!A [=y]"]),
        ("!(A && B) || D", ["!A [=y] || !B [=y] || D [=n]"]),
        ("D && D", ["D [=n]"]),
        ("D && D=y", ["D [=n] = y"]),
        ("A=n", ["A [=y] = n"]),
        ("A || D && E", []),  # && binds tighter than ||
        ("!A=n", []),  # ! applies to the comparison
    ],
)
def test_only_the_parts_that_fail_are_told(
    explain: Explain, dependency: str, told: list[str]
) -> None:
    kconfig = (
        bools("A", "B", "C", "D", "E", "F") + f'config X\n\tbool "X"\n\tdepends on {dependency}\n'
    )
    assert unmet(explain(kconfig, "X=y", A="y", B="y")) == told


def test_alternatives_that_this_kernel_does_not_have_are_left_out(explain: Explain) -> None:
    kconfig = bools("TEST") + 'config X\n\tbool "X"\n\tdepends on MIPS || (PPC && TEST) || TEST\n'
    assert unmet(explain(kconfig, "X=y")) == ["TEST [=n]"]


def test_what_only_another_architecture_has_is_said_to_be_missing_here(explain: Explain) -> None:
    kconfig = 'config X\n\tbool "X"\n\tdepends on SPARC\n'
    assert explain(kconfig, "X=y").sentence() == (
        "needs SPARC [=n] (Kconfig:3), which arm64 does not have"
    )


def test_what_never_holds_is_called_so(explain: Explain) -> None:
    kconfig = 'config X\n\tbool "X"\n\tdepends on n\n'
    assert explain(kconfig, "X=y").sentence() == "needs n (Kconfig:3), which never holds"


def test_every_enclosing_block_counts_outermost_first(explain: Explain) -> None:
    kconfig = bools("A", "B", "C", "D", "E", "F") + textwrap.dedent(
        """
        if A
        menu "Menu"
            depends on B
            visible if C
        choice
            prompt "Choice"
            depends on D
        config X
            bool "X" if F
            depends on E
        endchoice
        endmenu
        endif
        """
    )
    found = explain(kconfig, "X=y")
    assert [(part.text, part.line) for part in found.unmet] == [
        ("A [=n]", 14),
        ("B [=n]", 16),
        ("D [=n]", 20),
        ("E [=n]", 23),
        ("C [=n]", 17),
        ("F [=n]", 22),
    ]


def test_a_block_that_has_ended_does_not_count(explain: Explain) -> None:
    kconfig = bools("A", "B") + 'if A\nmenu "M"\ndepends on B\nendmenu\nendif\n' + bools("X")
    assert explain(kconfig, "X=y", X="y").reason == "is y, as asked"


def test_a_menuconfig_does_not_enclose_what_follows_it(explain: Explain) -> None:
    kconfig = 'menuconfig M\n\tbool "M"\n\tdepends on A\n' + bools("X", "A")
    assert unmet(explain(kconfig, "X=y")) == []


def test_what_a_comment_depends_on_does_not_count_for_the_option_before_it(
    explain: Explain,
) -> None:
    kconfig = bools("X") + 'comment "Not for you"\n\tdepends on BROKEN\n'
    assert unmet(explain(kconfig, "X=y")) == []


def test_a_block_ends_with_its_file(explain: Explain, tmp_path: Path) -> None:
    write(tmp_path / "open", "if A\n")
    assert unmet(explain('source "open"\n' + bools("X", "A"), "X=y")) == []


def test_of_several_definitions_the_one_that_lacks_least_is_told(explain: Explain) -> None:
    kconfig = bools("A", "B", "C") + textwrap.dedent(
        """
        config X
            bool "X here"
            depends on A && B
        config X
            bool "X there"
            depends on C
        config X
            bool
        """
    )
    assert unmet(explain(kconfig, "X=y")) == ["C [=n]"]


def test_a_dependency_that_can_just_be_asked_for_needs_no_hint(explain: Explain) -> None:
    kconfig = bools("A") + 'config X\n\tbool "X"\n\tdepends on A\n'
    assert [part.hint for part in explain(kconfig, "X=y").unmet] == [""]


def test_one_level_deeper_is_told_and_nothing_twice(explain: Explain) -> None:
    kconfig = bools("NET") + textwrap.dedent(
        """
        config NETDEVICES
            bool "Devices"
            depends on NET
        config ETHERNET
            bool "Ethernet"
            depends on NET
        config E1000
            bool "E1000"
            depends on NETDEVICES
            depends on ETHERNET
        """
    )
    assert explain(kconfig, "E1000=y").sentence() == (
        "needs NETDEVICES [=n] (Kconfig:12), which needs NET [=n]; ETHERNET [=n] (Kconfig:13)"
    )


def test_a_hint_on_an_option_without_a_prompt_tells_what_its_default_lacks(
    explain: Explain,
) -> None:
    kconfig = bools(*"ABCDEF") + "config MID\n\tdef_bool A && B && C && D && E && F\n"
    kconfig += 'config X\n\tbool "X"\n\tdepends on MID\n'
    (part,) = explain(kconfig, "X=y").unmet
    assert part.hint == (
        "has no prompt: `default A && B && C && D && E && F` (Kconfig:14) decides, "
        "and needs A [=n], B [=n], C [=n], D [=n] and 2 more"
    )


def test_a_check_that_may_well_pass_is_no_hint(explain: Explain) -> None:
    kconfig = 'config CFI\n\tbool "CFI"\n\tdepends on $(cc-option,-fx)\n'
    kconfig += 'config X\n\tbool "X"\n\tdepends on CFI\n'
    assert explain(kconfig, "X=y").sentence() == "needs CFI [=n] (Kconfig:6)"


@pytest.mark.parametrize(("module", "told"), [("n", []), ("m", ["A [=n]"]), ("y", ["A [=n]"])])
def test_a_conditional_dependency_counts_while_its_condition_is_not_n(
    explain: Explain, module: str, told: list[str]
) -> None:
    kconfig = bools("A") + tristates("B") + 'config X\n\tbool "X"\n\tdepends on A if B\n'
    found = explain(kconfig, "X=y", B=module)
    assert [text.partition(" ||")[0] for text in unmet(found)] == told


@pytest.mark.parametrize(("value", "told"), [("n", []), ("y", ["A [=n]"])])
def test_the_condition_of_a_dependency_may_be_a_comparison(
    explain: Explain, value: str, told: list[str]
) -> None:
    kconfig = bools("A", "B") + 'config X\n\tbool "X"\n\tdepends on A if B != n && B = y\n'
    found = explain(kconfig, "X=y", B=value)
    assert [text.partition(" ||")[0] for text in unmet(found)] == told


def test_a_conditional_dependency_is_told_with_its_way_out(explain: Explain) -> None:
    kconfig = bools("USB", "GADGET") + 'config X\n\tbool "X"\n\tdepends on USB if !GADGET\n'
    assert unmet(explain(kconfig, "X=y")) == ["USB [=n] || GADGET [=n] = y"]


# Tristates


def test_a_module_below_limits_a_tristate_to_a_module(explain: Explain) -> None:
    kconfig = bools("MODULES") + tristates("BT") + 'config X\n\ttristate "X"\n\tdepends on BT\n'
    found = explain(kconfig, "X=y", MODULES="y", BT="m", X="m")
    assert found.sentence() == "can be =m at most, because of BT [=m] (Kconfig:7)"


@pytest.mark.parametrize(
    ("kind", "hint"), [("bool", ""), ("tristate", "can be =m at most, because of BT [=m]")]
)
def test_a_hint_asks_for_no_more_than_the_option_does(
    explain: Explain, kind: str, hint: str
) -> None:
    kconfig = bools("MODULES") + tristates("BT") + 'config MID\n\ttristate "Mid"\n\tdepends on BT\n'
    kconfig += f'config X\n\t{kind} "X"\n\tdepends on MID\n'
    (part,) = explain(kconfig, "X=y", MODULES="y", BT="m").unmet
    assert part.text == "MID [=n]"
    assert part.hint.partition(" (")[0] == hint


@pytest.mark.parametrize("idiom", ["BT || !BT", "BT || BT=n", "!BT || BT"])
def test_the_idiom_against_built_in_over_module_blames_the_module(
    explain: Explain, idiom: str
) -> None:
    kconfig = (
        bools("MODULES") + tristates("BT") + f'config X\n\ttristate "X"\n\tdepends on {idiom}\n'
    )
    assert unmet(explain(kconfig, "X=y", MODULES="y", BT="m", X="m")) == ["BT [=m]"]


@pytest.mark.parametrize(("kind", "option"), [("bool", "X=y"), ("tristate", "X=m"), ("int", "X=3")])
def test_a_module_below_is_enough_for_all_but_a_built_in_tristate(
    explain: Explain, kind: str, option: str
) -> None:
    kconfig = bools("MODULES") + tristates("BT") + f'config X\n\t{kind} "X"\n\tdepends on BT\n'
    assert unmet(explain(kconfig, option, MODULES="y", BT="m")) == []


def test_the_negation_of_a_module_is_a_module(explain: Explain) -> None:
    kconfig = bools("MODULES") + tristates("BT") + 'config X\n\ttristate "X"\n\tdepends on !BT\n'
    found = explain(kconfig, "X=y", MODULES="y", BT="m", X="m")
    assert found.sentence() == "can be =m at most, because of !BT [=m] (Kconfig:7)"


def test_a_module_that_is_not_enough_is_marked_beside_what_is_off(explain: Explain) -> None:
    kconfig = bools("MODULES", "A") + tristates("BT")
    kconfig += 'config X\n\ttristate "X"\n\tdepends on A && BT\n'
    assert unmet(explain(kconfig, "X=y", MODULES="y", BT="m")) == ["A [=n]", "BT [=m] = y"]


def test_an_option_for_modules_only_is_limited_by_its_m(explain: Explain) -> None:
    kconfig = bools("MODULES") + 'config X\n\ttristate "X"\n\tdepends on m\n'
    found = explain(kconfig, "X=y", MODULES="y", X="m")
    assert found.sentence() == "can be =m at most, because of m (Kconfig:5)"


def test_an_option_for_modules_only_needs_modules(explain: Explain) -> None:
    kconfig = bools("MODULES") + 'config X\n\ttristate "X"\n\tdepends on m\n'
    assert unmet(explain(kconfig, "X=m")) == ["MODULES [=n]"]


def test_a_module_asked_for_without_modules_is_explained_by_that(explain: Explain) -> None:
    found = explain(bools("MODULES") + tristates("X"), "X=m", X="y")
    assert found.sentence() == "cannot be a module: MODULES [=n]"


# Comparisons


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [
        ("INT >= 100", True),
        ("INT > 100", False),
        ("INT < 99", False),  # as numbers: 100 is below 99 as text
        ("INT = 100", True),
        ("INT != 0x64", False),
        ("HEX > 0xf", True),
        ("HEX <= 31", False),  # a hex option is 0x20, whatever the other side is written in
        ('STRING = "clang"', True),
        ("STRING = 'gcc'", False),
        ("STRING != clang", False),  # a bare word that is no option stands for itself
        ("YES = y", True),
        ("YES > MODULE", True),
        ("MODULE >= m", True),
        ("MODULE = y", False),
        ("MODULE < y", True),  # in the order of the values, not of the letters
        ("UNSET_INT = 0", True),
        ("UNSET = n", True),
        ("100 <= INT", True),
        ('STRING < "d"', True),
        ("STRING_1 = STRING_01", False),  # two string options compare as text
        ("INT = STRING_0100", True),
    ],
)
def test_comparisons_follow_the_types_of_their_sides(
    explain: Explain, comparison: str, holds: bool
) -> None:
    kconfig = (
        bools("YES", "UNSET")
        + tristates("MODULE")
        + textwrap.dedent(
            f"""
        config INT
            int "Int"
        config UNSET_INT
            int "Int"
        config HEX
            hex "Hex"
        config STRING
            string "String"
        config STRING_1
            string "1"
        config STRING_01
            string "01"
        config STRING_0100
            string "0100"
        config X
            bool "X"
            depends on {comparison}
        """
        )
    )
    values = {"YES": "y", "MODULE": "m", "INT": "100", "HEX": "0x20", "STRING": '"clang"'}
    strings = {"STRING_1": '"1"', "STRING_01": '"01"', "STRING_0100": '"0100"'}
    found = explain(kconfig, "X=y", **values, **strings)
    assert (not found.unmet) is holds


def test_a_comparison_is_told_with_the_option_s_value(explain: Explain) -> None:
    kconfig = 'config V\n\tint "V"\nconfig X\n\tbool "X"\n\tdepends on V >= 190100 && V != "x"\n'
    assert unmet(explain(kconfig, "X=y", V="180000")) == ["V [=180000] >= 190100"]


# Values that Kconfig itself decides


def test_an_option_asked_to_be_off_names_what_selects_it(explain: Explain) -> None:
    kconfig = bools("A", "B", "C", "OFF", "X") + textwrap.dedent(
        """
        config S
            bool "S"
            select X
        config CONDITIONAL
            bool "T"
            select X if OFF
        config DEPENDENT
            bool "U"
            depends on OFF
            select X
        config ABSENT
            bool "V"
            select X
        """
    )
    found = explain(kconfig, "X=n", X="y", S="y", CONDITIONAL="y", DEPENDENT="y")
    assert found.sentence() == "is selected by S [=y] (Kconfig:14)"


def test_a_module_that_is_selected_built_in_names_what_selects_it(explain: Explain) -> None:
    kconfig = (
        bools("MODULES")
        + tristates("X", "M")
        + ('config S\n\ttristate "S"\n\tselect X\nconfig T\n\ttristate "T"\n\tselect X\n')
    )
    found = explain(kconfig, "X=m", MODULES="y", X="y", S="y", T="m")
    assert found.sentence() == "is selected by S [=y] (Kconfig:9)"


def test_an_imply_does_not_force(explain: Explain) -> None:
    kconfig = bools("X") + 'config S\n\tbool "S"\n\timply X\n'
    assert "S" not in explain(kconfig, "X=n", X="y", S="y").sentence()


def test_an_option_without_a_prompt_names_what_would_select_it(explain: Explain) -> None:
    kconfig = bools("OFF") + textwrap.dedent(
        """
        config VIRTIO
            tristate
        config HIDDEN
            bool
            select VIRTIO
        config REMOTEPROC
            bool "R"
            select VIRTIO
        config FAR
            bool "F"
            depends on OFF && REMOTEPROC
            select VIRTIO
        config VIRTIO_PCI
            bool "P"
            depends on OFF
            select VIRTIO
        config VIRTIO_MMIO
            bool "M"
            select VIRTIO if OFF
        """
    )
    assert explain(kconfig, "VIRTIO=y").sentence() == (
        "has no prompt: VIRTIO_MMIO (if OFF [=n]), VIRTIO_PCI, REMOTEPROC, FAR or 1 more "
        "would select it"
    )


def test_an_option_that_nothing_can_set_is_said_to_be_so(explain: Explain) -> None:
    found = explain("config HAVE_X\n\tbool\n", "HAVE_X=y")
    assert found.sentence() == "has no prompt: nothing sets it for arm64"


def test_an_option_without_a_prompt_tells_its_default_and_what_that_lacks(
    explain: Explain,
) -> None:
    kconfig = bools("A", "B") + textwrap.dedent(
        """
        config X
            bool
            default y if A && B
            default A
        """
    )
    assert explain(kconfig, "X=y", B="y").sentence() == (
        "has no prompt: `default y if A && B` (Kconfig:8) decides; needs A [=n] (Kconfig:8)"
    )


def test_an_option_without_a_prompt_that_is_on_tells_what_it_follows(explain: Explain) -> None:
    kconfig = bools("A", "B", "C") + "if C\nconfig X\n\tdef_bool y\n\tdepends on A && !B\nendif\n"
    assert explain(kconfig, "X=n", A="y", C="y", X="y").sentence() == (
        "has no prompt: `default y` (Kconfig:9) decides while A [=y] && !B [=n]"
    )


def test_an_option_that_is_on_behind_a_hidden_prompt_tells_what_hides_it(
    explain: Explain,
) -> None:
    kconfig = bools("EXPERT") + 'config FUTEX\n\tbool "Futex" if EXPERT\n\tdefault y\n'
    assert explain(kconfig, "FUTEX=n", FUTEX="y").sentence() == (
        "cannot be set to n while its prompt is hidden; needs EXPERT [=n] (Kconfig:4)"
    )


CHOICE = """
choice
    prompt "Page size"
    default SMALL
config SMALL
    bool "4 KiB"
if WIDE
config LARGE
    bool "64 KiB"
endif
endchoice
"""


def test_a_member_that_lost_its_choice_names_the_winner(explain: Explain) -> None:
    found = explain(bools("WIDE") + CHOICE, "LARGE=y", WIDE="y", SMALL="y")
    assert found.sentence() == "loses its choice (Kconfig:4) to SMALL"


def test_a_member_whose_dependency_fails_did_not_lose_the_choice(explain: Explain) -> None:
    found = explain(bools("WIDE") + CHOICE, "LARGE=y", SMALL="y")
    assert (unmet(found), found.reason) == (["WIDE [=n]"], "")


def test_a_choice_cannot_be_left_empty(explain: Explain) -> None:
    found = explain(bools("WIDE") + CHOICE, "SMALL=n", SMALL="y")
    assert found.sentence() == (
        "is what its choice (Kconfig:4) falls back to: ask for another member"
    )


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("X=99", "99 > 64 (Kconfig:9)"),
        ("X=-1", "-1 < 1 (Kconfig:9)"),
        ("Y=0x99", "0x99 > MAX [=64] (Kconfig:12)"),
    ],
)
def test_a_number_out_of_range_names_the_bound(explain: Explain, option: str, told: str) -> None:
    kconfig = bools("SMALL") + textwrap.dedent(
        """
        config MAX
            int "Max"
        config X
            int "X"
            range 1 8 if SMALL
            range 1 64
        config Y
            hex "Y"
            range 0x0 MAX
        """
    )
    assert explain(kconfig, option, MAX="64").sentence() == f"is out of its range: {told}"


def test_only_the_first_range_that_applies_counts(explain: Explain) -> None:
    kconfig = 'config X\n\tint "X"\n\trange 1 64\n\trange 1 8\n'
    assert "range" not in explain(kconfig, "X=9", X="1").sentence()


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("bool", "1", "is bool: it takes y or n, not 1"),
        ("tristate", '"y"', 'is tristate: it takes y, m or n, not "y"'),
        ("int", "0x10", "is int: it takes a decimal number, not 0x10"),
        ("int", "n", "is int: it takes a decimal number, not n"),
        ("hex", "0xzz", "is hex: it takes a hexadecimal number, not 0xzz"),
        ("string", "word", "is string: it takes a text in double quotes, not word"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(
    explain: Explain, kind: str, value: str, told: str
) -> None:
    assert explain(f'config X\n\t{kind} "X"\n', f"X={value}").sentence() == told


@pytest.mark.parametrize(("kind", "value"), [("int", "-5"), ("hex", "1F"), ("string", '"a \\" b"')])
def test_a_value_of_the_right_type_is_not_blamed(explain: Explain, kind: str, value: str) -> None:
    found = explain(f'config X\n\t{kind} "X"\n\tdepends on A\n' + bools("A"), f"X={value}")
    assert found.sentence() == "needs A [=n] (Kconfig:3)"


def test_a_bool_asked_for_as_a_module_is_also_told_what_it_needs(explain: Explain) -> None:
    kconfig = bools("A") + 'config X\n\tbool "X"\n\tdepends on A\n'
    assert explain(kconfig, "X=m").sentence() == (
        "is bool: it takes y or n, not m; needs A [=n] (Kconfig:5)"
    )


@pytest.mark.parametrize(("default", "kind"), [("def_bool", "bool"), ("def_tristate", "tristate")])
def test_a_typed_default_gives_the_type(explain: Explain, default: str, kind: str) -> None:
    assert explain(f"config X\n\t{default} n\n", "X=1").reason.startswith(f"is {kind}: ")


def test_the_first_type_of_an_option_counts(explain: Explain) -> None:
    kconfig = "config X\n\tdepends on y\n" + bools("X") + tristates("X")
    assert explain(kconfig, "X=m", X="y").reason == "is bool: it takes y or n, not m"


def test_an_option_kept_for_old_configurations_names_its_successor(explain: Explain) -> None:
    kconfig = 'config CFI\n\tbool "CFI"\n\tdefault CFI_CLANG\n' + textwrap.dedent(
        """
        config CFI_CLANG
            bool
            transitional
        config CFI_CLANG_OTHER
            bool
        config OTHER
            bool "Other"
            default CFI_CLANG_OTHER
        """
    )
    assert explain(kconfig, "CFI_CLANG=y").sentence() == (
        "is only read from old configurations: ask for CFI (Kconfig:1) instead"
    )


def test_what_kconfig_would_allow_is_said_to_be_undone_elsewhere(explain: Explain) -> None:
    assert explain(bools("X"), "X=y").sentence() == (
        "could be y as far as Kconfig goes: a later line may have set it otherwise"
    )


# Macros


@pytest.mark.parametrize(
    ("macro", "check"),
    [
        ("$(cc-option,-fx)", "a check of the C compiler"),
        ("$(as-instr,nop)", "a check of the C compiler"),
        ("$(ld-option,--gc-sections)", "a check of the linker"),
        ("$(rustc-option,-Zx)", "a check of the Rust compiler"),
        ("$(success,test -e /x)", "a shell check"),
        ("$(FROM_ENVIRONMENT)", "a macro"),
    ],
)
def test_a_check_that_would_have_to_run_is_told_when_nothing_else_is_missing(
    explain: Explain, macro: str, check: str
) -> None:
    kconfig = bools("A") + f'config X\n\tbool "X"\n\tdepends on A && {macro}\n'
    assert explain(kconfig, "X=y", A="y").sentence() == f"hangs on {check}, {macro} (Kconfig:5)"
    assert explain(kconfig, "X=y").sentence() == "needs A [=n] (Kconfig:5)"


def test_a_check_behind_an_option_without_a_prompt_is_told(explain: Explain) -> None:
    kconfig = (
        "config CC_HAS_X\n\tdef_bool $(cc-option,-fx)\n"
        'config X\n\tbool "X"\n\tdepends on CC_HAS_X\n'
    )
    assert explain(kconfig, "X=y").sentence() == (
        "needs CC_HAS_X [=n] (Kconfig:5), which has no prompt: "
        "`default $(cc-option,-fx)` (Kconfig:2), a check of the C compiler, decides"
    )


@pytest.mark.parametrize(
    ("dependency", "told"),
    [
        ("$(yes)", []),
        ("$(no)", ["n"]),
        ("$(late)", ["n"]),
        ("$(same,n)", ["n"]),
        ("$(second,(a,b),n)", ["n"]),
        ('"$(word)$(comma)$(word)" = "a,a"', []),
        ('"$(SRCARCH)" = "arm64"', []),
        ("!$(unknown)", []),  # may hold
        ('"$(ARCH)" = "x86" && A', ["A [=n]"]),
    ],
)
def test_what_variables_alone_decide_is_computed(
    explain: Explain, dependency: str, told: list[str]
) -> None:
    kconfig = textwrap.dedent(
        """
        comma := ,
        word = a
        yes := $(same,y)
        same = $(1)
        second = $(2)
        late = $(defined-below)
        defined-below = n
        no := y
        no := n
        unknown := $(shell,true)
        yes = y
        """
    )
    kconfig += bools("A") + f'config X\n\tbool "X"\n\tdepends on {dependency}\n'
    assert unmet(explain(kconfig, "X=y")) == told


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("simple", "1"),
        ("recursive", "2"),
        ("simple-list", "1 3"),
        ("recursive-list", "2 4"),
        ("undefined-list", "4"),
    ],
)
def test_a_variable_is_expanded_where_it_is_set_by_colon_equal_else_where_it_is_used(
    explain: Explain, variable: str, value: str
) -> None:
    # The kernel's scripts/kconfig/tests/preprocess/variable.
    kconfig = textwrap.dedent(
        f"""
        x := 1
        simple := $(x)
        recursive = $(x)
        simple-list := $(x)
        recursive-list = $(x)
        x := 2
        y := 3
        simple-list += $(y)
        recursive-list += $(y)
        undefined-list += $(y)
        y := 4
        config X
            bool "X"
            depends on "$({variable})" = "{value}"
        """
    )
    assert explain(kconfig, "X=y", X="y").reason == "is y, as asked"


@pytest.mark.parametrize("first", ["$(shell,true)", "known"])
def test_a_variable_of_which_a_part_is_unknown_is_unknown(explain: Explain, first: str) -> None:
    kconfig = f"a := {first}\na += $(shell,true)\n"
    kconfig += 'config X\n\tbool "X"\n\tdepends on "$(a)" = "x"\n'
    assert explain(kconfig, "X=y").reason == 'hangs on a macro, "$(a)" = "x" (Kconfig:5)'


def test_no_command_is_ever_run(explain: Explain, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    kconfig = (
        f"now := $(shell,touch {ran})\n$(error-if,$(shell,touch {ran}),no)\n"
        f'config X\n\tbool "X"\n\tdepends on $(shell,touch {ran}; echo y)\n'
    )
    explain(kconfig, "X=y")
    assert not ran.exists()


def test_a_variable_that_contains_itself_is_unknown(explain: Explain) -> None:
    kconfig = 'a = $(b)\nb = $(a)\nconfig X\n\tbool "X"\n\tdepends on $(a)\n'
    assert explain(kconfig, "X=y").sentence() == "hangs on a macro, $(a) (Kconfig:5)"


# Reading


def test_the_file_of_the_architecture_is_found_by_its_variable(
    explain: Explain, tmp_path: Path
) -> None:
    write(tmp_path / "arch/arm64/Kconfig", 'config X\n\tbool "X"\n\tdepends on A\n')
    for name in ("arch/$(SRCARCH)/Kconfig", "$(srctree)/arch/arm64/Kconfig"):
        found = explain(bools("A") + f'source "{name}" # the architecture\n', "X=y")
        assert found.sentence() == "needs A [=n] (arch/arm64/Kconfig:3)"


@pytest.mark.parametrize("indent", ["\t  ", "          ", "  \t  "])
def test_a_help_text_ends_where_its_indentation_does(explain: Explain, indent: str) -> None:
    kconfig = "\n".join(
        [
            "config A",
            '\tbool "A"',
            "\thelp",
            "",
            f"{indent}Say Y here",
            f"{indent}config FAKE",
            f"{indent}\tdepends on BROKEN \\",
            "",
            f"{indent}if unsure",
            "\tdepends on B",
            *bools("B").splitlines(),
            "",
        ]
    )
    assert unmet(explain(kconfig, "A=y")) == ["B [=n]"]
    assert not explain(kconfig, "FAKE=y").known


def test_a_help_text_may_be_missing(explain: Explain) -> None:
    kconfig = 'config A\n\tbool "A"\n\thelp\n\nconfig X\n\tbool "X"\n\tdepends on A\n'
    assert unmet(explain(kconfig, "X=y")) == ["A [=n]"]


def test_a_backslash_continues_a_line(explain: Explain) -> None:
    kconfig = bools("A", "B") + 'config X\n\tbool "X"\n\tdepends on A && \\\n\t\tB\n'
    found = explain(kconfig, "X=y", A="y")
    assert [(part.text, part.line) for part in found.unmet] == [("B [=n]", 7)]


@pytest.mark.parametrize(
    "prompt",
    [
        '"it\'s # no comment" if A # but this is',
        "'a \"quoted\" if' if A",
        '"a \\" if B" if A',
        '"with $(macro,"(if B)") in it" if A',
        '"dense"if(A)',
    ],
)
def test_quotes_hide_what_would_be_syntax(explain: Explain, prompt: str) -> None:
    kconfig = bools("A", "B") + f"config X\n\tbool {prompt}\n"
    assert unmet(explain(kconfig, "X=y")) == ["A [=n]"]


@pytest.mark.parametrize(
    "oddity",
    [
        "depends on",
        "depends on && A",
        "depends on (A",
        "depends on A )",
        "depends on A =",
        "depends on $(unclosed",
        'prompt "unclosed',
        "select",
        "range 1",
        "endmenu",
        "endif",
        "source",
        'source "no/such/file"',
        'source "Kconfig"',
        "option env=ARCH",
        "modules",
        "\\",
        "@ % é",
        "$(warning-if,y,text)",
        "x +=",
    ],
)
def test_odd_syntax_does_no_harm_to_what_follows(explain: Explain, oddity: str) -> None:
    kconfig = f'config ODD\n\tbool "Odd"\n\t{oddity}\n' + bools("A")
    kconfig += 'config X\n\tbool "X"\n\tdepends on A\n'
    assert explain(kconfig, "ODD=y").known
    assert unmet(explain(kconfig, "X=y")) == ["A [=n]"]
