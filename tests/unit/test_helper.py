"""helper: the C text of a helper, and prototypes that people give."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import helper
from rflbuild.declaration import Function, Parameter
from rflbuild.verdict import RflError, Verdict


def function(
    name: str, result: str = "void", *taken: str, type_: str = "", inline: bool = True
) -> Function:
    """A function with parameters such as `struct pci_dev *pdev`, named by their last word."""
    parameters = tuple(Parameter(text.split()[-1].lstrip("*"), text) for text in taken)
    return Function(name, type_, result, parameters, inline, False, (Path("a.h"), 1))


def test_a_helper_calls_its_function() -> None:
    text = helper.text(
        function("pci_set_drvdata", "void", "struct pci_dev *pdev", "void *data"),
        *("__rust_helper", ()),
        exported=False,
    )

    assert text == (
        "__rust_helper void rust_helper_pci_set_drvdata(struct pci_dev *pdev, void *data)\n"
        "{\n"
        "\tpci_set_drvdata(pdev, data);\n"
        "}\n"
    )


def test_an_older_kernels_helper_has_no_mark_and_is_exported() -> None:
    text = helper.text(function("cpu", "int"), "", (), exported=True)

    assert text == (
        "int rust_helper_cpu(void)\n{\n\treturn cpu();\n}\nEXPORT_SYMBOL_GPL(rust_helper_cpu);\n"
    )


def test_a_function_that_never_returns_has_a_helper_that_does_not() -> None:
    made = function("stop", type_="void (void) __attribute__((noreturn))")

    text = helper.text(made, "__rust_helper", (), exported=False)

    assert text.startswith("__rust_helper __noreturn void rust_helper_stop(void)\n{\n\tstop();\n")


def test_a_helper_is_under_its_functions_conditions() -> None:
    text = helper.text(function("on"), "", ["#ifdef CONFIG_A", "#ifdef CONFIG_B"], exported=False)

    assert text.startswith("#ifdef CONFIG_A\n#ifdef CONFIG_B\nvoid rust_helper_on(void)\n")
    assert text.endswith("}\n#endif\n#endif\n")


# Each is as the kernel's own rust/helpers/ has it, broken by clang-format.
@pytest.mark.parametrize(
    ("made", "head"),
    [
        (
            function(*("pci_resource_len", "resource_size_t"), "struct pci_dev *pdev", "int bar"),
            "__rust_helper resource_size_t rust_helper_pci_resource_len(struct pci_dev *pdev,\n"
            "\t\t\t\t\t\t\t   int bar)\n",
        ),
        (
            function(*("pci_resource_start", "resource_size_t"), "struct pci_dev *pdev", "int bar"),
            "__rust_helper resource_size_t\n"
            "rust_helper_pci_resource_start(struct pci_dev *pdev, int bar)\n",
        ),
        (
            function("get_pid_ns", "struct pid_namespace *", "struct pid_namespace *ns"),
            "__rust_helper struct pid_namespace *\n"
            "rust_helper_get_pid_ns(struct pid_namespace *ns)\n",
        ),
        (
            function(
                *("dma_alloc_attrs", "void *", "struct device *dev", "size_t size"),
                *("dma_addr_t *dma_handle", "gfp_t flag", "unsigned long attrs"),
            ),
            "__rust_helper void *rust_helper_dma_alloc_attrs(struct device *dev, size_t size,\n"
            "\t\t\t\t\t\tdma_addr_t *dma_handle,\n"
            "\t\t\t\t\t\tgfp_t flag, unsigned long attrs)\n",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Function) else "",
)
def test_a_head_is_broken_as_the_kernels_own_are(made: Function, head: str) -> None:
    text = helper.text(made, "__rust_helper", (), exported=False)

    assert text[: text.index("{")] == head


def test_a_long_call_is_broken_within_80_columns() -> None:
    taken = [f"unsigned long parameter_{number}" for number in range(6)]
    made = function("calculate_total", "int", *taken)

    text = helper.text(made, "__rust_helper", (), exported=False)

    assert all(len(line.expandtabs(8)) <= 80 for line in text.splitlines())
    assert "\treturn calculate_total(parameter_0, parameter_1, parameter_2,\n" in text
    assert "\n\t\t\t       parameter_3, parameter_4, parameter_5);\n" in text


# ---- prototypes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "struct net_device *alloc(int size)",
        " static inline struct  net_device *alloc( int size );",
        "struct net_device *alloc (int size)",
    ],
)
def test_a_prototype_becomes_its_helpers(given: str) -> None:
    found = helper.prototype(given, "alloc").replace(" (", "(").replace("( ", "(")

    assert found.replace(" )", ")") == "struct net_device *rust_helper_alloc(int size)"


@pytest.mark.parametrize(
    "given",
    ["alloc(int size)", "int alloc", "int (alloc", "int alloc(int a) { }", "int alloc(int a); x()"],
)
def test_what_is_no_prototype_is_refused(given: str) -> None:
    with pytest.raises(RflError) as caught:
        helper.prototype(given, "alloc")

    assert caught.value.verdict is Verdict.USAGE
    assert "'int alloc(struct bar *b)'" in caught.value.sentence


def test_a_prototype_of_something_else_is_refused() -> None:
    with pytest.raises(RflError) as caught:
        helper.prototype("int other(int a)", "alloc")

    assert "declares `other`, and the macro is `alloc`" in caught.value.sentence


# ---- where a header has a function -----------------------------------------------------------


HEADER = """\
#ifndef _CARD_H
#define _CARD_H
#ifdef CONFIG_CARD
int card_irq(struct card *card, int number);
static inline bool card_is_on(struct card *card)
{
	return card_state(card) == ON;
}
static __always_inline struct card *
card_get(struct card *card)
{
	return card_is_on(card) ? card : NULL;
}
#ifndef card_read
#define card_read card_read
static inline int card_read(struct card *card)
{
	return 0;
}
#endif
static inline int card_state(struct card *card) { return 1; }
#else
static inline int card_irq(struct card *card, int number) { return -EINVAL; }
static inline int card_state(struct card *card) { return 0; }
#endif
#endif
"""


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("card_is_on", ("#ifdef CONFIG_CARD",)),
        ("card_get", ("#ifdef CONFIG_CARD",)),
        ("card_irq", ("#ifndef CONFIG_CARD",)),  # elsewhere it has a symbol
        ("card_state", ()),  # it is inline whatever the configuration
        ("card_read", ()),  # what the condition asks is over when the helper comes
        ("card_none", ()),
    ],
)
def test_a_helper_is_needed_where_the_function_is_inline(name: str, asked: tuple[str]) -> None:
    assert helper.needed_if(HEADER, name) == asked


def test_a_function_with_a_symbol_may_be_inline_elsewhere() -> None:
    assert helper.inline_elsewhere(HEADER, "card_irq") == "#ifndef CONFIG_CARD"
    assert not helper.inline_elsewhere("int card_irq(void);\n", "card_irq")
