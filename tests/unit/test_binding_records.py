"""bindings: overlay/NAME.yaml, what it lays over a source, and edits of a user's tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import bindings
from rflbuild.bindings import Place, Record
from rflbuild.bindings_edit import HEADERS, Binding
from rflbuild.session import Workspace
from rflbuild.source import Source
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict

HELPER = (
    "__rust_helper void rust_helper_netif_tx(struct net_device *dev,\n"
    "\t\t\t\t\tint a)\n{\n\tnetif_tx(dev, a);\n}\n"
)
NETIF_TX = Binding("linux/netdevice.h", HELPER)
DEV_OPEN = Binding("linux/netdevice.h")


@pytest.fixture
def source(tmp_path: Path, make_kernel_tree: Callable[..., Path]) -> Source:
    """A source of 7.3.4 with bindings for Rust."""
    tree = make_kernel_tree(tmp_path / "linux")
    for name, text in {
        HEADERS: "#include <linux/fs.h>\n#include <linux/pci.h>\n",
        "rust/helpers/helpers.c": '#define __rust_helper inline\n\n#include "pci.c"\n',
        "rust/helpers/pci.c": "// SPDX\n\n#include <linux/pci.h>\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return Source("7.3", tree, (7, 3, 4), "7.3.4", "key")


@pytest.fixture
def own(source: Source) -> Source:
    """The same as a tree of the user's own."""
    return replace(source, name=str(source.path), mutable=True)


def texts(source: Source) -> dict[str, str]:
    """Every file below rust/."""
    return {str(p): p.read_text() for p in (source.path / "rust").rglob("*") if p.is_file()}


def bind(workspace: Workspace, source: Source, name: str, binding: Binding) -> None:
    place = Place.of(workspace, source)
    made, edit = place.adding(name, binding)
    made.save(place, edit)


def unbind(workspace: Workspace, source: Source, name: str) -> None:
    place = Place.of(workspace, source)
    made, edit = place.removing(name)
    made.save(place, edit)


# ---- the file --------------------------------------------------------------------------------


def test_a_record_that_was_written_is_read_again(tmp_path: Path) -> None:
    record = Record(
        "/home/me/a: tree",
        {"netif_tx": NETIF_TX, "dev_open": DEV_OPEN},
        {"rust/helpers/helpers.c": ('"netdevice.c"',)},
    )

    bindings.write(tmp_path / "new" / "a.yaml", record)

    assert bindings.read(tmp_path / "new" / "a.yaml") == record


def test_a_record_without_functions_is_removed_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "overlay" / "7.3.yaml"
    bindings.write(path, Record(bindings={"dev_open": DEV_OPEN}))

    bindings.write(path, Record())

    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("bindings:\n  a-b: {header: linux/a.h}\n", 2, "`a-b` is no name of a C function"),
        ("bindings:\n  a:\n    header: ../a.h\n", 3, "`../a.h` is no header"),
        ("bindings:\n  a:\n    heder: linux/a.h\n", 3, "did you mean `header`?"),
        ("bindings:\n  a:\n    header: a.h\n    helper: x\n", 4, "no function rust_helper_a"),
        ("binding: {}\n", 1, "did you mean `bindings`?"),
    ],
)
def test_a_mistake_in_a_record_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = tmp_path / "7.3.yaml"
    path.write_text(text)

    with pytest.raises(RflError) as caught:
        bindings.read(path)

    assert caught.value.verdict is Verdict.USAGE
    assert caught.value.sentence.startswith(f"{path}:{line}: ")
    assert words in caught.value.sentence


@pytest.mark.parametrize(
    ("name", "mutable", "file"),
    [
        ("7.3", False, r"7\.3\.yaml"),
        ("git+https://host/linux.git@v7.3", False, r"[\w.+-]+-[0-9a-f]{8}\.yaml"),
        ("../linux", True, r"linux-[0-9a-f]{8}\.yaml"),
    ],
)
def test_a_record_has_a_name_that_is_safe(
    workspace: Workspace, source: Source, name: str, mutable: bool, file: str
) -> None:
    path = bindings.record_path(workspace, replace(source, name=name, mutable=mutable))

    assert path.parent == workspace.root / "overlay"
    assert re.fullmatch(file, path.name), path.name


# ---- a source that is not to be changed ------------------------------------------------------


def test_without_a_record_nothing_is_laid_over(workspace: Workspace, source: Source) -> None:
    assert bindings.overlay_files(workspace, source) == {}


def test_a_record_is_laid_over_its_source(workspace: Workspace, source: Source) -> None:
    before = texts(source)
    bind(workspace, source, "netif_tx", NETIF_TX)

    files = bindings.overlay_files(workspace, source)

    assert set(files) == {HEADERS, "rust/helpers/helpers.c", "rust/helpers/netdevice.c"}
    assert files["rust/helpers/netdevice.c"].endswith(HELPER)
    assert texts(source) == before


def test_a_record_is_of_one_kernel(workspace: Workspace, source: Source) -> None:
    bind(workspace, source, "netif_tx", NETIF_TX)

    assert not bindings.overlay_files(workspace, replace(source, name="6.12"))


def test_a_record_that_does_not_fit_its_source_is_named(
    workspace: Workspace, source: Source
) -> None:
    bind(workspace, source, "netif_tx", NETIF_TX)
    (source.path / "rust/helpers/helpers.c").write_text("int a;\n")

    with pytest.raises(RflError) as caught:
        bindings.overlay_files(workspace, source)

    assert caught.value.verdict is Verdict.USAGE
    assert caught.value.sentence.startswith("overlay/7.3.yaml does not fit Linux 7.3.4: ")


def test_the_last_function_takes_the_record_with_it(workspace: Workspace, source: Source) -> None:
    bind(workspace, source, "netif_tx", NETIF_TX)
    bind(workspace, source, "dev_open", DEV_OPEN)

    unbind(workspace, source, "netif_tx")
    files = bindings.overlay_files(workspace, source)
    unbind(workspace, source, "dev_open")

    assert set(files) == {HEADERS}
    assert not (workspace.root / "overlay").exists()


# ---- a tree of the user's own ----------------------------------------------------------------


def test_a_users_tree_is_edited_and_nothing_laid_over_it(workspace: Workspace, own: Source) -> None:
    before = (own.path / HEADERS).read_text()
    bind(workspace, own, "netif_tx", NETIF_TX)
    made = (own.path / "rust/helpers/netdevice.c").read_text()
    (own.path / HEADERS).write_text(before)  # as a `git checkout` would

    assert made.endswith(HELPER)
    assert bindings.overlay_files(workspace, own) == {}


def test_a_users_tree_is_as_before_when_all_is_removed(workspace: Workspace, own: Source) -> None:
    before = texts(own)
    bind(workspace, own, "netif_tx", NETIF_TX)
    bind(workspace, own, "dev_open", DEV_OPEN)

    unbind(workspace, own, "netif_tx")
    unbind(workspace, own, "dev_open")

    assert texts(own) == before
    assert not (workspace.root / "overlay").exists()


def test_a_file_that_cannot_be_written_leaves_all_as_it_was(
    workspace: Workspace, own: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(own)

    def fail(path: Path, text: str) -> None:
        if path.name == "bindings_helper.h" and "netdevice" in text:
            raise PermissionError(13, "Permission denied")
        write_atomically(path, text)

    monkeypatch.setattr("rflbuild.tree_edit.write_atomically", fail)

    with pytest.raises(RflError) as caught:
        bind(workspace, own, "netif_tx", NETIF_TX)

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "bindings_helper.h: Permission denied; nothing was changed" in caught.value.sentence
    assert texts(own) == before
    assert not (workspace.root / "overlay").exists()


def test_what_a_killed_run_began_is_taken_out_whole(workspace: Workspace, own: Source) -> None:
    before = texts(own)
    binding = Binding("linux/platform/pci.h", HELPER)  # its helper goes to a file that is there
    place = Place.of(workspace, own)
    made, edit = place.adding("netif_tx", binding)
    bindings.write(made.path, made.record)  # and killed before the last file of the tree
    (own.path / "rust/helpers/pci.c").write_text(str(edit.files["rust/helpers/pci.c"]))

    bind(workspace, own, "netif_tx", binding)
    unbind(workspace, own, "netif_tx")

    assert texts(own) == before


def test_what_a_git_reset_took_away_is_forgotten(workspace: Workspace, own: Source) -> None:
    before = texts(own)
    bind(workspace, own, "netif_tx", NETIF_TX)
    for path in (own.path / "rust").rglob("*.[ch]"):
        path.unlink()
    for name, text in before.items():
        Path(name).write_text(text)

    bind(workspace, own, "dev_open", DEV_OPEN)

    assert set(Place.of(workspace, own).record.bindings) == {"dev_open"}
    unbind(workspace, own, "dev_open")
    assert texts(own) == before
