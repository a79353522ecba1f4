"""overlay: files laid over a source that stays as it is, and what make sees of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import overlay
from rflbuild.session import Session
from rflbuild.source import Source


@pytest.fixture
def source(tmp_path: Path, make_kernel_tree: Callable[..., Path]) -> Source:
    tree = make_kernel_tree(tmp_path / "linux")
    for name, text in {
        "samples/rust/Makefile": "old\n",
        "samples/rust/rust_minimal.rs": "minimal\n",
        "samples/rust/hostprogs/Makefile": "host\n",
        "rust/helpers/helpers.c": "helpers\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
        os.utime(tree / name, (1000, 1000))
    return Source("7.3", tree, (7, 3, 4), "7.3.4", "key")


def laid(session: Session, source: Source, **files: str) -> Source:
    named = {name.replace("__", "/"): text for name, text in files.items()}
    return overlay.lay(session, source, named, "scope")


def written(session: Session, source: Source, **files: str) -> Path:
    made = laid(session, source, **files)
    overlay.write(made)
    assert made.overlay
    return made.overlay.work


def test_without_files_a_source_is_itself(session: Session, source: Source) -> None:
    assert overlay.lay(session, source, {}, "scope") == source


def test_the_key_is_that_of_the_content(session: Session, source: Source) -> None:
    one, two = (laid(session, source, samples__rust__new="1") for _ in range(2))
    other = laid(session, source, samples__rust__new="2")

    assert one.key == two.key
    assert len({source.key, one.key, other.key}) == 3


def test_whole_folders_take_the_place_of_the_sources(session: Session, source: Source) -> None:
    made = laid(session, source, samples__rust__new="new", rust__helpers__new="new")

    assert [place for _, place in made.mounts[1:]] == [  # type: ignore[misc]
        source.path / "rust/helpers",
        source.path / "samples/rust",
    ]


def test_a_folder_in_another_is_not_laid_twice(session: Session, source: Source) -> None:
    made = laid(session, source, samples__rust__new="1", samples__rust__hostprogs__new="2")

    assert [place for _, place in made.mounts[1:]] == [source.path / "samples/rust"]  # type: ignore[misc]


def test_the_other_files_of_a_folder_are_the_sources_own(session: Session, source: Source) -> None:
    work = written(session, source, samples__rust__new="new\n")

    for name in ("Makefile", "rust_minimal.rs", "hostprogs/Makefile"):
        assert (work / "samples/rust" / name).samefile(source.path / "samples/rust" / name)
    assert (work / "samples/rust/new").read_text() == "new\n"


def test_the_source_is_never_written_to(session: Session, source: Source) -> None:
    written(session, source, samples__rust__Makefile="new\n")
    written(session, source, samples__rust__other="new\n")

    assert (source.path / "samples/rust/Makefile").read_text() == "old\n"
    assert (source.path / "samples/rust/Makefile").stat().st_mtime == 1000


def test_a_file_that_did_not_change_keeps_its_time(session: Session, source: Source) -> None:
    work = written(session, source, samples__rust__a="a", samples__rust__b="b")
    for name in "ab":
        os.utime(work / "samples/rust" / name, (2000, 2000))

    written(session, source, samples__rust__a="a", samples__rust__b="B")

    assert (work / "samples/rust/a").stat().st_mtime == 2000
    assert (work / "samples/rust/b").stat().st_mtime > 2000


def test_what_is_laid_no_more_is_given_back_as_a_newer_file(
    session: Session, source: Source
) -> None:
    work = written(session, source, samples__rust__Makefile="new\n", samples__rust__extra="x")

    written(session, source, samples__rust__other="o")

    assert (work / "samples/rust/Makefile").read_text() == "old\n"
    assert (work / "samples/rust/Makefile").stat().st_mtime > 1000
    assert not (work / "samples/rust/extra").exists()


def test_a_folder_stays_laid_so_that_make_sees_its_files_go_back(
    session: Session, source: Source
) -> None:
    written(session, source, rust__helpers__helpers="new", samples__rust__new="new")

    made = laid(session, source, samples__rust__new="new")
    overlay.write(made)

    assert made.overlay
    assert source.path / "rust/helpers" in [place for _, place in made.overlay.mounts]
    assert not (made.overlay.work / "rust/helpers/helpers").exists()


def test_a_folder_takes_in_one_that_was_laid_before(session: Session, source: Source) -> None:
    written(session, source, samples__rust__hostprogs__new="new")

    work = written(session, source, samples__rust__new="new")

    assert (work / "samples/rust/rust_minimal.rs").read_text() == "minimal\n"
    assert not (work / "samples/rust/hostprogs/new").exists()


def test_a_file_is_on_the_host_where_make_sees_it(session: Session, source: Source) -> None:
    made = laid(session, source, samples__rust__new="new")
    overlay.write(made)

    assert made.place("samples/rust/new").read_text() == "new"
    assert made.place("samples/rust/Makefile").read_text() == "old\n"
    assert made.place("rust/helpers/helpers.c") == source.path / "rust/helpers/helpers.c"


def test_one_overlay_lies_on_another(session: Session, source: Source) -> None:
    below = laid(session, source, rust__helpers__helpers="below", samples__rust__new="below")

    made = overlay.lay(session, below, {"samples/rust/new": "above"}, "other scope")

    assert made.read("rust/helpers/helpers") == "below"
    assert made.read("samples/rust/new") == "above"
    assert made.read("samples/rust/Makefile") == "old\n"
    assert made.read("samples/rust/nothing") is None
