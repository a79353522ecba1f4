"""preprocessor: conditions line by line, and `#include` lines in their sorted place."""

from __future__ import annotations

import pytest

from rflbuild import preprocessor
from rflbuild.verdict import RflError, Verdict

HEADER = """\
/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_CARD_H
#define _LINUX_CARD_H
int always(void);
#ifdef CONFIG_CARD
int on(void);
#  ifndef CONFIG_CARD_DMA	/* no DMA */
int nested(void);
#  endif
#else /* !CONFIG_CARD */
int off(void);
#endif
#if IS_ENABLED(CONFIG_A) && \\
	defined(CONFIG_B)
int both(void);
#elif defined(CONFIG_C)
int third(void);
#else
int none(void);
#endif
#ifdef CONFIG_D
#elif defined(CONFIG_E)
#else
int neither(void);
#endif
#endif
"""


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        ("always", ()),
        ("on", ("#ifdef CONFIG_CARD",)),
        ("nested", ("#ifdef CONFIG_CARD", "#ifndef CONFIG_CARD_DMA")),
        ("off", ("#ifndef CONFIG_CARD",)),
        ("both", ("#if IS_ENABLED(CONFIG_A) && defined(CONFIG_B)",)),
        ("third", ("#if !(IS_ENABLED(CONFIG_A) && defined(CONFIG_B)) && (defined(CONFIG_C))",)),
        ("neither", ("#if !(defined(CONFIG_D)) && !(defined(CONFIG_E))",)),
        (
            "none",
            ("#if !(IS_ENABLED(CONFIG_A) && defined(CONFIG_B)) && !(defined(CONFIG_C))",),
        ),
    ],
)
def test_a_line_counts_under_the_conditions_around_it(
    declared: str, asked: tuple[str, ...]
) -> None:
    (line,) = (n for n, text in enumerate(HEADER.splitlines()) if f" {declared}(" in text)

    assert preprocessor.conditions(HEADER)[line] == asked


def test_an_endif_too_many_is_no_reason_to_stop() -> None:
    assert preprocessor.conditions("#endif\nint a;\n") == [(), ()]


SORTED = """\
#include <linux/first_types.h>

#include <linux/acpi.h>
#include <drm/drm_file.h>
#include <linux/clk.h>
#include <linux/fwctl.h>
#include <linux/fs.h>
#include <linux/pci.h>
#ifdef CONFIG_PWM
#include <linux/pwm.h>
#endif
#include <linux/wait.h>
#include <net/netlink.h>

#if defined(CONFIG_PANIC)
#include <drm/drm_panic.h>
#endif
"""


@pytest.mark.parametrize(
    ("what", "before"),
    [
        ("<linux/auxiliary_bus.h>", "<linux/clk.h>"),
        ("<linux/fs_struct.h>", "<linux/pci.h>"),
        ("<linux/random.h>", "<linux/wait.h>"),
        ("<linux/wait_bit.h>", "<net/netlink.h>"),
        ("<acpi/battery.h>", "<linux/acpi.h>"),
    ],
)
def test_an_include_goes_to_its_sorted_place(what: str, before: str) -> None:
    lines = preprocessor.add_include("a.h", SORTED, what).splitlines()

    assert lines[lines.index(f"#include {what}") + 1] == f"#include {before}"


def test_the_last_of_a_list_stays_in_the_list() -> None:
    text = preprocessor.add_include("a.h", SORTED, "<net/sock.h>")

    assert "#include <net/netlink.h>\n#include <net/sock.h>\n\n#if" in text


def test_nothing_goes_into_another_ones_condition() -> None:
    text = preprocessor.add_include("a.h", SORTED, "<linux/pwm_x.h>")

    assert "#include <linux/pwm.h>\n#endif\n#include <linux/pwm_x.h>\n#include <linux/w" in text


def test_a_first_one_goes_before_a_condition_at_the_lists_begin() -> None:
    text = '#ifdef CONFIG_B\n#include "b.c"\n#endif\n#include "c.c"\n'

    assert preprocessor.add_include("a.c", text, '"a.c"') == f'#include "a.c"\n{text}'


def test_a_list_of_the_other_kind_is_none() -> None:
    with pytest.raises(RflError) as caught:
        preprocessor.add_include("rust/a.c", SORTED, '"a.c"')

    assert caught.value.verdict is Verdict.USAGE
    assert 'rust/a.c has no list of lines `#include "…`' in caught.value.sentence


def test_a_list_that_is_conditional_as_a_whole_is_none() -> None:
    with pytest.raises(RflError):
        preprocessor.add_include("a.c", "#ifdef CONFIG_A\n#include <a.h>\n#endif\n", "<b.h>")


@pytest.mark.parametrize("what", ["<a.h>", "<linux/fs_struct.h>", "<linux/zorro.h>", "<zzz.h>"])
def test_what_was_added_is_removed_again(what: str) -> None:
    text = preprocessor.add_include("a.h", SORTED, what)

    assert preprocessor.has_include(text, what)
    assert preprocessor.remove_include(text, what) == SORTED


def test_an_include_under_a_condition_is_not_there_for_sure() -> None:
    assert preprocessor.has_include(SORTED, "<linux/pci.h>")
    assert not preprocessor.has_include(SORTED, "<linux/pwm.h>")
    assert preprocessor.remove_include(SORTED, "<linux/pwm.h>") == SORTED
