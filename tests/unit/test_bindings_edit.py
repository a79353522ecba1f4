"""bindings_edit: what changes in trees of each form, and that it comes out again exactly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from rflbuild import bindings_edit
from rflbuild.bindings_edit import HEADERS, Binding, Edit, Reader
from rflbuild.verdict import RflError, Verdict

Tree = dict[str, str]
LIST = "rust/helpers/helpers.c"


def helper(name: str, mark: str = "__rust_helper ", *, exported: bool = False) -> str:
    end = f"EXPORT_SYMBOL_GPL(rust_helper_{name});\n" if exported else ""
    return f"{mark}void rust_helper_{name}(void)\n{{\n\t{name}();\n}}\n{end}"


@pytest.fixture
def newest() -> Tree:
    """A tree in the form of 7.3, cut down."""
    return {
        HEADERS: "/* SPDX */\n#include <linux/clk.h>\n#include <linux/fs.h>\n"
        "#include <linux/pci.h>\n#include <net/netlink.h>\n\nconst int A = B;\n",
        LIST: "// SPDX\n#include <linux/compiler_types.h>\n\n#define __rust_helper inline\n\n"
        '#include "clk.c"\n#include "irq.c"\n#include "net/netlink.c"\n#include "pci.c"\n'
        '#include "poll.c"\n',
        "rust/helpers/clk.c": f"// SPDX\n\n#include <linux/clk.h>\n\n{helper('clk_get')}",
        "rust/helpers/irq.c": f"// SPDX\n\n#include <linux/interrupt.h>\n\n{helper('irq')}",
        "rust/helpers/net/netlink.c": f"// SPDX\n\n#include <net/netlink.h>\n\n{helper('nl')}",
        "rust/helpers/pci.c": f"// SPDX\n\n#include <linux/pci.h>\n\n{helper('pci_dev_id')}",
        "rust/helpers/poll.c": "// SPDX\n\n#ifdef CONFIG_POLL\n\n#include <linux/poll.h>\n\n"
        f"{helper('poll')}#endif\n",
    }


@pytest.fixture
def without_mark(newest: Tree) -> Tree:
    """The form of 6.12: the same, but helpers are plain functions."""
    tree = {path: text.replace("__rust_helper ", "") for path, text in newest.items()}
    tree[LIST] = tree[LIST].replace("#define inline\n\n", "")
    return tree


@pytest.fixture
def single() -> Tree:
    """The form before 6.12: one file, each helper exported, and something behind them."""
    return {
        HEADERS: "#include <linux/fs.h>\n#include <linux/wait.h>\n",
        "rust/helpers.c": "// SPDX\n\n#include <linux/bug.h>\n#include <linux/wait.h>\n\n"
        f"{helper('init_wait', '', exported=True)}\n"
        "/*\n * About size_t.\n */\nstatic_assert(1);\n",
    }


def reader(tree: Tree) -> Reader:
    return tree.get


def after(tree: Tree, edit: Edit) -> Tree:
    """A tree with the changes made."""
    made = {**tree, **edit.files}
    return {path: text for path, text in made.items() if text is not None}


def usage(caught: pytest.ExceptionInfo[RflError]) -> str:
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- adding ----------------------------------------------------------------------------------


def test_a_function_with_a_symbol_needs_its_header_alone(newest: Tree) -> None:
    edit = bindings_edit.add(reader(newest), {"dev_open": Binding("linux/netdevice.h")})

    assert set(edit.files) == {HEADERS}
    assert "fs.h>\n#include <linux/netdevice.h>\n#include <linux/pci.h>" in str(edit.files[HEADERS])


def test_a_header_that_is_there_is_not_added_again(newest: Tree) -> None:
    assert not bindings_edit.add(reader(newest), {"pci_x": Binding("linux/pci.h")}).files


def test_a_helper_goes_to_the_end_of_the_file_about_its_header(newest: Tree) -> None:
    binding = Binding("linux/pci.h", helper("pci_set_drvdata"))

    edit = bindings_edit.add(reader(newest), {"pci_set_drvdata": binding})

    assert set(edit.files) == {"rust/helpers/pci.c"}
    path = "rust/helpers/pci.c"
    assert edit.files[path] == f"{newest[path]}\n{helper('pci_set_drvdata')}"


@pytest.mark.parametrize(
    ("header", "path"),
    [
        ("linux/interrupt.h", "rust/helpers/irq.c"),  # about that header alone
        ("net/netlink.h", "rust/helpers/net/netlink.c"),
        ("net/sock.h", "rust/helpers/net/sock.c"),  # beside the others of its folder
        ("linux/netdevice.h", "rust/helpers/netdevice.c"),
        ("linux/pci/clk.h", "rust/helpers/clk.c"),  # the topic of that name
        ("linux/poll.h", "rust/helpers/linux/poll.c"),  # the topic's own is conditional
    ],
)
def test_a_helper_has_its_file(newest: Tree, header: str, path: str) -> None:
    edit = bindings_edit.add(reader(newest), {"fresh": Binding(header, helper("fresh"))})

    (changed,) = (name for name, text in edit.files.items() if "_fresh(" in str(text))
    assert changed == path
    assert f"#include <{header}>\n" in str(edit.files[path])


def test_a_new_file_is_listed_in_its_sorted_place(newest: Tree) -> None:
    binding = Binding("linux/netdevice.h", helper("netif_tx"))

    made = after(newest, bindings_edit.add(reader(newest), {"netif_tx": binding}))

    assert made["rust/helpers/netdevice.c"] == (
        "// SPDX-License-Identifier: GPL-2.0\n\n#include <linux/netdevice.h>\n\n"
        f"{helper('netif_tx')}"
    )
    assert '"net/netlink.c"\n#include "netdevice.c"\n#include "pci.c"' in made[LIST]


def test_a_single_file_gets_a_helper_behind_the_last_one(single: Tree) -> None:
    text = helper("pci_set_drvdata", "", exported=True)

    edit = bindings_edit.add(reader(single), {"pci_set_drvdata": Binding("linux/pci.h", text)})

    made = str(edit.files["rust/helpers.c"])
    assert f"EXPORT_SYMBOL_GPL(rust_helper_init_wait);\n\n{text}\n/*\n * About" in made
    assert "bug.h>\n#include <linux/pci.h>\n#include <linux/wait.h>" in made


def test_adding_twice_changes_nothing(newest: Tree) -> None:
    bindings = {
        "netif_tx": Binding("linux/netdevice.h", helper("netif_tx")),
        "dev_open": Binding("linux/netdevice.h"),
    }

    made = after(newest, bindings_edit.add(reader(newest), bindings))

    assert not bindings_edit.add(reader(made), bindings).files


def test_a_helper_that_a_newer_release_has_itself_is_left_out(newest: Tree) -> None:
    binding = Binding("linux/pci.h", helper("pci_dev_id"))

    assert not bindings_edit.add(reader(newest), {"pci_dev_id": binding}).files


# ---- trees of another form -------------------------------------------------------------------


def test_the_form_is_seen_from_the_tree(newest: Tree, without_mark: Tree, single: Tree) -> None:
    found = [bindings_edit.form(reader(tree)) for tree in (newest, without_mark, single)]

    assert [form.mark for form in found] == ["__rust_helper", "", ""]
    assert [form.listed for form in found] == [True, True, False]
    assert [form.exported for form in found] == [False, False, True]


def test_a_tree_without_rust_is_said_to_be_so() -> None:
    with pytest.raises(RflError) as caught:
        bindings_edit.form(reader({}))

    assert f"the tree has no {HEADERS}" in usage(caught)


@pytest.mark.parametrize("files", [{LIST: "int a;\n"}, {"rust/helpers.c": "int a;\n"}, {}])
def test_helpers_of_an_unknown_form_are_said_to_be_so(newest: Tree, files: Tree) -> None:
    with pytest.raises(RflError) as caught:
        bindings_edit.form(reader({HEADERS: newest[HEADERS], **files}))

    assert "rust/helpers" in usage(caught)


def test_headers_of_an_unknown_form_are_said_to_be_so(newest: Tree) -> None:
    newest[HEADERS] = "int a;\n"

    with pytest.raises(RflError) as caught:
        bindings_edit.add(reader(newest), {"a": Binding("linux/a.h")})

    assert f"{HEADERS} has no list" in usage(caught)


@pytest.mark.parametrize("mark", ["", "__rust_helper "])
def test_a_helper_of_another_kernels_form_does_not_fit(
    newest: Tree, without_mark: Tree, mark: str
) -> None:
    tree = without_mark if mark else newest

    with pytest.raises(RflError) as caught:
        bindings_edit.add(reader(tree), {"fresh": Binding("linux/pci.h", helper("fresh", mark))})

    assert "the helper of fresh has" in usage(caught)
    assert "--remove" in usage(caught)


# ---- removing --------------------------------------------------------------------------------


def removed(
    tree: Tree, name: str, bindings: dict[str, Binding], added: dict[str, list[str]]
) -> Tree:
    """A tree without a function, which is gone from `bindings` and from `added` as well."""
    binding = bindings.pop(name)
    edit = bindings_edit.remove(reader(tree), name, binding, bindings, added)
    for path, lines in edit.includes.items():
        added[path] = [line for line in added.get(path, []) if line not in lines]
    return after(tree, edit)


def bound(tree: Tree, bindings: Mapping[str, Binding]) -> tuple[Tree, dict[str, list[str]]]:
    """A tree with functions that were added one by one, and the lines that this added."""
    added: dict[str, list[str]] = {}
    for name, binding in bindings.items():
        edit = bindings_edit.add(reader(tree), {name: binding})
        for path, lines in edit.includes.items():
            added.setdefault(path, []).extend(lines)
        tree = after(tree, edit)
    return tree, added


def functions(mark: str, *, exported: bool) -> dict[str, Binding]:
    """Two of a new header, one of it with a symbol, one of a header that is there."""
    net, pci = "linux/netdevice.h", "linux/pci.h"
    return {
        "netif_tx": Binding(net, helper("netif_tx", mark, exported=exported)),
        "dev_open": Binding(net),
        "netif_rx": Binding(net, helper("netif_rx", mark, exported=exported)),
        "pci_set": Binding(pci, helper("pci_set", mark, exported=exported)),
    }


@pytest.mark.parametrize("form", ["newest", "without_mark", "single"])
def test_what_was_added_comes_out_in_any_order(request: pytest.FixtureRequest, form: str) -> None:
    tree: Tree = request.getfixturevalue(form)
    mark = "__rust_helper " if form == "newest" else ""
    for order in itertools.permutations(functions(mark, exported=False)):
        bindings = functions(mark, exported=form == "single")
        made, added = bound(tree, bindings)

        for name in order:
            made = removed(made, name, bindings, added)

        assert made == tree, order
        assert not any(added.values()), order


@pytest.mark.parametrize(
    ("form", "file"), [("newest", "rust/helpers/netdevice.c"), ("single", "rust/helpers.c")]
)
def test_a_header_stays_while_another_function_needs_it(
    request: pytest.FixtureRequest, form: str, file: str
) -> None:
    mark = "__rust_helper " if form == "newest" else ""
    bindings = functions(mark, exported=form == "single")
    made, added = bound(request.getfixturevalue(form), bindings)

    made = removed(made, "netif_tx", bindings, added)

    assert "#include <linux/netdevice.h>" in made[HEADERS]
    assert "#include <linux/netdevice.h>" in made[file]
    assert "netif_rx" in made[file]
    assert "netif_tx" not in made[file]


def test_a_header_that_was_there_before_stays(newest: Tree) -> None:
    bindings = {"pci_set": Binding("linux/pci.h", helper("pci_set"))}
    made, added = bound(newest, bindings)

    assert removed(made, "pci_set", bindings, added) == newest


def test_what_else_was_written_into_a_new_file_stays(newest: Tree) -> None:
    bindings = {"netif_tx": Binding("linux/netdevice.h", helper("netif_tx"))}
    made, added = bound(newest, bindings)
    made["rust/helpers/netdevice.c"] += f"\n{helper('netif_mine')}"

    made = removed(made, "netif_tx", bindings, added)

    assert made["rust/helpers/netdevice.c"].endswith(f"netdevice.h>\n\n{helper('netif_mine')}")
    assert '"netdevice.c"' in made[LIST]


def test_a_helper_that_somebody_changed_is_not_removed(newest: Tree) -> None:
    bindings = {"pci_set": Binding("linux/pci.h", helper("pci_set"))}
    made, added = bound(newest, bindings)
    made["rust/helpers/pci.c"] = made["rust/helpers/pci.c"].replace("pci_set();", "pci_set(1);")

    with pytest.raises(RflError) as caught:
        removed(made, "pci_set", bindings, added)

    assert usage(caught).startswith("rust/helpers/pci.c:10: rust_helper_pci_set was changed")


def test_a_function_that_the_tree_has_no_more_is_no_reason_to_stop(newest: Tree) -> None:
    bindings = functions("__rust_helper ", exported=False)
    _, added = bound(newest, bindings)
    made = newest

    for name in list(bindings):
        made = removed(made, name, bindings, added)

    assert made == newest
