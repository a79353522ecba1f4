"""emit: which file is meant, and which forms it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import emit
from rflbuild.emit import Emitted
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

HERE = Toolchain("x", "t", ("LLVM=1",), lambda argv, *_: list(argv))


@pytest.fixture
def owner(tmp_path: Path) -> Module:
    """A module of a crate in two files, and a C file."""
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := card.o\ncard-y := main.o helpers.o\n")
    for name in ("main.rs", "part.rs", "helpers.c"):
        (folder / name).touch()
    return Module("card", folder, "modules/card")


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- which file ---------------------------------------------------------------------------


def test_without_a_name_the_only_crates_root_is_meant(owner: Module) -> None:
    assert emit._choose(owner, None) == "main.rs"


def test_without_a_name_the_only_file_is_meant(owner: Module) -> None:
    (owner.directory / "Kbuild").write_text("obj-m := helpers.o\n")
    assert emit._choose(owner, None) == "helpers.c"


def test_of_two_crates_one_must_be_named(owner: Module) -> None:
    (owner.directory / "Kbuild").write_text("obj-m := main.o part.o\n")

    said = usage(lambda: emit._choose(owner, None))

    assert "--file" in said
    assert "(main.rs, part.rs)" in said


def test_a_part_of_a_crate_is_not_compiled_by_itself(owner: Module) -> None:
    said = usage(lambda: emit._choose(owner, "part.rs"))

    assert "modules/card does not compile part.rs by itself" in said
    assert "helpers.c, main.rs" in said


def test_a_file_that_is_not_there_names_those_that_are(owner: Module) -> None:
    said = usage(lambda: emit._choose(owner, "mian.rs"))

    assert "modules/card has no mian.rs; it compiles helpers.c, main.rs" in said


def test_a_file_is_taken_where_no_makefile_can_be_read(owner: Module) -> None:
    (owner.directory / "Kbuild").write_text("obj-m := $(shell ls *.rs | sed s/rs/o/)\n")
    assert emit._choose(owner, "part.rs") == "part.rs"


@pytest.mark.parametrize("given", ["main.rs", "./main.rs", "{folder}/main.rs", "../card/main.rs"])
def test_a_file_is_found_by_any_path_to_it(
    owner: Module, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(owner.directory)
    assert emit.inside(owner.directory, given.format(folder=owner.directory)) == "main.rs"


@pytest.mark.parametrize("given", ["/etc/passwd", "../other/main.rs", "nothing.rs", "."])
def test_what_is_elsewhere_or_no_file_is_not_found(owner: Module, given: str) -> None:
    (owner.directory.parent / "other").mkdir()
    (owner.directory.parent / "other" / "main.rs").touch()

    assert emit.inside(owner.directory, given) is None


# ---- which form ---------------------------------------------------------------------------


def test_an_unknown_form_names_those_that_there_are() -> None:
    assert "ll, s, i, o, mir, not `asm`" in usage(lambda: emit._check("a.rs", "asm"))


@pytest.mark.parametrize("file", ["a.c", "a.S"])
def test_only_rust_has_mir(file: str) -> None:
    assert "only Rust has MIR" in usage(lambda: emit._check(file, "mir"))


def test_assembly_has_no_llvm_ir() -> None:
    assert "a.S is assembly" in usage(lambda: emit._check("a.S", "ll"))


# ---- for people ---------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "raw"), [("i", False), ("mir", False), ("ll", True)])
def test_what_has_plain_names_needs_no_tool(session: Session, form: str, raw: bool) -> None:
    made = Emitted("a.rs", form, b"a\n")
    assert emit.as_text(session, HERE, made, raw=raw) == "a\n"


def test_a_tool_that_is_missing_is_told(session: Session) -> None:
    lacking = Toolchain("x", "t", ("LLVM=-0",), lambda argv, *_: list(argv))

    with pytest.raises(RflError) as caught:
        emit.as_text(session, lacking, Emitted("a.rs", "ll", b""), raw=False)

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "llvm-cxxfilt-0 does not work here" in caught.value.sentence
