"""subject: what TARGET means to an editor."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import subject
from rflbuild.chain import Request
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict

MakeTree = Callable[..., Path]


def make_module(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    (folder / "a.rs").write_text("")
    return folder


def usage(session: Session, wanted: str | None, request: Request) -> str:
    with pytest.raises(RflError) as caught:
        subject.find(session, wanted, request)
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def test_a_name_a_folder_and_a_file_in_it_mean_the_same_module(session: Session) -> None:
    folder = make_module(session.workspace.modules / "mine")
    (folder / "net").mkdir()
    (folder / "net" / "b.rs").touch()

    for wanted in ("mine", str(folder), str(folder / "a.rs"), str(folder / "net" / "b.rs")):
        found = subject.find(session, wanted, Request())
        assert (found.folder, found.inside) == (folder, None)
        assert found.named
        assert [each.directory for each in found.modules] == [folder]


def test_nothing_means_all_modules_and_the_checkout(session: Session, screen: io.StringIO) -> None:
    for name in ("b", "a"):
        make_module(session.workspace.modules / name)
    (session.workspace.modules / "half").mkdir()

    found = subject.find(session, None, Request())

    assert found.folder == session.workspace.root
    assert [each.name for each in found.modules] == ["a", "b"]
    assert "modules/half holds no module" in screen.getvalue()


def test_nothing_means_a_tree_of_the_users_that_is_chosen(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    tree = make_kernel_tree(tmp_path / "linux")

    found = subject.find(session, None, Request(kernel=str(tree)))

    assert (found.folder, found.inside, found.modules) == (tree, tree, ())


def test_a_file_of_the_chosen_tree_is_part_of_it(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    tree = make_kernel_tree(tmp_path / "linux")
    make_module(tree / "samples" / "rust")  # its Makefile would make it a module's folder, too
    file = tree / "samples" / "rust" / "a.rs"

    found = subject.find(session, str(file), Request(kernel=str(tree)))

    assert (found.folder, found.inside) == (tree, file)


def make_in_tree(folder: Path, tree: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "in-tree.yaml").write_text(
        f"into: samples/rust\nobject: rust_a\noption: SAMPLE_RUST_A\nprompt: A\ntree: {tree!r}\n"
    )
    (folder / "rust_a.rs").touch()
    return folder


def test_a_module_that_is_laid_over_a_kernel_is_found_by_name_folder_and_file(
    session: Session,
) -> None:
    folder = make_in_tree(session.workspace.modules / "a")

    for wanted in ("a", str(folder), str(folder / "rust_a.rs")):
        found = subject.find(session, wanted, Request())
        assert (found.folder, found.modules, found.inside) == (folder, (), None)
        assert [each.own_file for each in found.laid] == [folder / "rust_a.rs"]
        assert found.named == found.laid[0]


def test_a_module_in_a_tree_of_the_users_is_a_file_of_that_tree(
    session: Session, tmp_path: Path
) -> None:
    tree = tmp_path / "linux"
    make_in_tree(session.workspace.modules / "a", str(tree))

    found = subject.find(session, "a", Request())

    assert (found.folder, found.inside) == (tree, tree / "samples/rust/rust_a.rs")
    assert found.named


def test_all_modules_are_those_that_no_tree_of_the_users_has(
    session: Session, screen: io.StringIO
) -> None:
    make_module(session.workspace.modules / "beside")
    make_in_tree(session.workspace.modules / "laid")
    make_in_tree(session.workspace.modules / "own", "/linux")

    found = subject.find(session, None, Request())

    assert [each.name for each in found.modules] == ["beside"]
    assert [each.name for each in found.laid] == ["laid"]
    assert screen.getvalue() == ""


def test_a_file_of_another_tree_is_refused_with_what_to_type(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    tree, other = (make_kernel_tree(tmp_path / name) for name in ("linux", "other"))

    sentence = usage(session, str(other / "Makefile"), Request(kernel=str(tree)))

    assert sentence.endswith(f"give --kernel {other}")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("hello", "`./rfl new-module NAME --kind hello`"),
        ("samples", "a test of the kernel's own modules"),
        ("helo", "did you mean `hello`?"),
        ("./nowhere", "is not a folder"),
    ],
)
def test_what_is_no_module_is_refused(session: Session, wanted: str, words: str) -> None:
    assert words in usage(session, wanted, Request())


def test_a_file_that_is_in_no_module_is_refused(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a.rs").touch()

    assert "is in no module's folder" in usage(session, str(tmp_path / "a.rs"), Request())
