"""intree: what is written for a module of the kernel's tree, and what taking it out leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import intree, scaffold
from rflbuild.intree import Change
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict
from tests.unit.test_kbuild import KCONFIG, MAKEFILE


@pytest.fixture
def tree(tmp_path: Path, make_kernel_tree: Callable[..., Path]) -> Path:
    """A kernel tree with two folders that take modules."""
    made = make_kernel_tree(tmp_path / "linux")
    for folder in ("samples/rust", "drivers/misc"):
        (made / folder).mkdir(parents=True)
        (made / folder / "Makefile").write_text(MAKEFILE)
        (made / folder / "Kconfig").write_text(KCONFIG)
    return made


def source(tree: Path, *, mutable: bool) -> Source:
    return Source("7.3", tree, (7, 3, 4), "7.3.4", "key", mutable)


def add(
    session: Session, tree: Path, into: str = "samples/rust", kind: str = "hello", **how: bool
) -> Change:
    chosen = scaffold.load_kind(session.workspace, kind)
    place = source(tree, mutable=how.get("mutable", True))
    return intree.add(session, "blinky", chosen, place, into)


def texts(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_sample_is_called_as_the_kernels_samples_are(session: Session, tree: Path) -> None:
    add(session, tree)

    assert "+= rust_blinky.o" in (tree / "samples/rust/Makefile").read_text()
    assert "config SAMPLE_RUST_BLINKY" in (tree / "samples/rust/Kconfig").read_text()
    assert 'name: "rust_blinky"' in (tree / "samples/rust/rust_blinky.rs").read_text()


def test_a_module_elsewhere_is_called_as_asked_and_depends_on_rust(
    session: Session, tree: Path
) -> None:
    add(session, tree, "drivers/misc")

    kconfig = (tree / "drivers/misc/Kconfig").read_text()
    assert 'config BLINKY\n\ttristate "Blinky"\n\tdepends on RUST\n' in kconfig
    assert (tree / "drivers/misc/blinky.rs").is_file()


def test_what_a_kind_needs_of_the_kernel_becomes_a_dependency(session: Session, tree: Path) -> None:
    add(session, tree, kind="pci")

    kconfig = (tree / "samples/rust/Kconfig").read_text()
    assert "\tdepends on PCI\n" in kconfig


def test_the_test_names_the_module_as_people_do(session: Session, tree: Path) -> None:
    add(session, tree)

    test = (session.workspace.modules / "blinky" / "test.yaml").read_text()
    assert "qemu-test blinky`" in test
    assert "insmod: rust_blinky" in test


def test_a_source_of_the_store_is_not_written_to(session: Session, tree: Path) -> None:
    before = texts(tree)

    add(session, tree, mutable=False)

    assert texts(tree) == before
    assert (session.workspace.modules / "blinky" / "rust_blinky.rs").is_file()


def test_what_is_laid_over_a_source_is_the_rust_and_both_edits(
    session: Session, tree: Path
) -> None:
    add(session, tree, mutable=False)
    folder = session.workspace.modules / "blinky"
    module = intree.read(folder)
    assert module

    files = intree.files(module, folder, source(tree, mutable=False))

    assert set(files) == {
        "samples/rust/rust_blinky.rs",
        "samples/rust/Makefile",
        "samples/rust/Kconfig",
    }
    assert "+= rust_blinky.o" in files["samples/rust/Makefile"]


@pytest.mark.parametrize("mutable", [True, False])
def test_asked_for_twice_it_is_made_once(session: Session, tree: Path, mutable: bool) -> None:
    add(session, tree, mutable=mutable)
    before = texts(tree), texts(session.workspace.modules)

    again = add(session, tree, mutable=mutable)

    assert again == Change()
    assert (texts(tree), texts(session.workspace.modules)) == before


@pytest.mark.parametrize("mutable", [True, False])
@pytest.mark.parametrize("into", ["samples/rust", "drivers/misc"])
def test_removing_it_undoes_all_of_it(
    session: Session, tree: Path, mutable: bool, into: str
) -> None:
    before = texts(tree)
    add(session, tree, into, mutable=mutable)

    intree.remove(session, "blinky")

    assert texts(tree) == before
    assert not (session.workspace.modules / "blinky").exists()


def test_an_edited_file_outlives_the_removal(session: Session, tree: Path) -> None:
    add(session, tree)
    rust = tree / "samples/rust/rust_blinky.rs"
    rust.write_text("// mine\n")

    change = intree.remove(session, "blinky")

    assert change.kept == (rust,)
    assert rust.read_text() == "// mine\n"
    assert (tree / "samples/rust/Makefile").read_text() == MAKEFILE


def test_a_write_that_fails_leaves_nothing_of_the_others(
    session: Session, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(tree)

    def fail_at_kconfig(path: Path, content: str | bytes) -> None:
        if path.name == "Kconfig":
            raise OSError(28, "No space left on device")
        write_atomically(path, content)

    monkeypatch.setattr("rflbuild.tree_edit.write_atomically", fail_at_kconfig)
    with pytest.raises(RflError, match="No space"):
        add(session, tree)

    assert texts(tree) == before
    assert not (session.workspace.modules / "blinky").exists()


def test_a_folder_of_that_name_is_not_touched(session: Session, tree: Path) -> None:
    mine = session.workspace.modules / "blinky"
    mine.mkdir(parents=True)
    (mine / "notes").write_text("mine")

    with pytest.raises(RflError, match="is there already"):
        add(session, tree)

    assert texts(mine) == {"notes": "mine"}


def test_a_module_is_in_one_tree_alone(session: Session, tree: Path) -> None:
    add(session, tree)

    with pytest.raises(RflError, match=f"in samples/rust of {tree}"):
        add(session, tree, "drivers/misc")


def test_what_is_no_module_of_a_tree_is_not_removed(session: Session) -> None:
    mine = session.workspace.modules / "blinky"
    mine.mkdir(parents=True)

    with pytest.raises(RflError, match=r"has no in-tree\.yaml") as caught:
        intree.remove(session, "blinky")

    assert caught.value.verdict is Verdict.USAGE
    assert mine.is_dir()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("into: /etc", "`into` is a folder of the kernel"),
        ("into: ../elsewhere", "`into` is a folder of the kernel"),
        ("object: Blinky.o", "`object` is a name"),
        ("option: CONFIG_X", "`option` is a name without CONFIG_"),
        ("colour: red", "unknown key `colour`"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    good = {"into": "samples/rust", "object": "x", "option": "X", "prompt": "X"}
    key = line.partition(":")[0]
    rows = [f"{name}: {value}" for name, value in good.items() if name != key]
    (tmp_path / intree.FILE).write_text("\n".join([*rows, line]))

    with pytest.raises(RflError) as caught:
        intree.read(tmp_path)

    assert f"{tmp_path / intree.FILE}:" in caught.value.sentence
    assert told in caught.value.sentence
