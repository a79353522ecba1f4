"""tools: which of the programs on a PATH are taken, versioned names included."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.tools import LLVM_TOOLS, SystemTools, Version, dotted, find, parse_version

Make = Callable[..., Path]
QEMU = "qemu-system-aarch64"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bin"
    path.mkdir()
    return path


def look(*folders: Path) -> SystemTools:
    return find(os.pathsep.join(map(str, folders)), QEMU)


def llvm(make_program: Make, folder: Path, suffix: str = "") -> None:
    for tool in LLVM_TOOLS:
        make_program(folder / f"{tool}{suffix}")


# ---- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("rustc 1.85.1 (4eb161250 2025-03-15) (built from a source tarball)", (1, 85, 1)),
        ("Debian clang version 19.1.7 (3+b1)", (19, 1, 7)),
        ("Debian LLD 19.1.7 (compatible with GNU linkers)", (19, 1, 7)),
        ("bindgen 0.71.1", (0, 71, 1)),
        ("GNU Make 4.4.1", (4, 4, 1)),
        ("pahole v1.29", (1, 29)),
        ("v1.29", (1, 29)),
        ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1)", (10, 0, 2)),
        ("gcc (Debian 14.2.0-19) 14.2.0", (14, 2, 0)),
        ("This is perl 5, version 40, subversion 1 (v5.40.1) built for x86_64-linux", (5, 40, 1)),
        ("OpenSSL 3.5.1 1 Jul 2025 (Library: OpenSSL 3.5.1 1 Jul 2025)", (3, 5, 1)),
        ("bc 1.07.1", (1, 7, 1)),
        ("rustc 1.90.0-nightly (abc 2025-07-01)", (1, 90, 0)),
        ("no version", None),
        ("version 7", None),
        ("", None),
    ],
)
def test_the_version_is_the_first_dotted_number_of_an_answer(
    text: str, version: Version | None
) -> None:
    assert parse_version(text) == version


def test_a_version_is_written_with_dots() -> None:
    assert (dotted((1, 85, 1)), dotted(None)) == ("1.85.1", "?")


# ---- which one ----------------------------------------------------------------------------


def test_what_is_not_there_is_left_out(folder: Path, make_program: Make) -> None:
    make_program(folder / "make")

    assert look(folder).paths == {"make": folder / "make"}


def test_qemu_is_found_by_its_name(folder: Path, make_program: Make) -> None:
    make_program(folder / QEMU)
    make_program(folder / "qemu-system-riscv64")

    assert look(folder).paths == {QEMU: folder / QEMU}


def test_the_first_folder_of_the_path_wins(tmp_path: Path, make_program: Make) -> None:
    first = make_program(tmp_path / "one" / "make")
    make_program(tmp_path / "two" / "make")

    assert look(tmp_path / "one", tmp_path / "two").paths["make"] == first


def test_folders_that_are_not_there_are_passed_over(
    tmp_path: Path, folder: Path, make_program: Make
) -> None:
    (tmp_path / "file").touch()
    make_program(folder / "make")

    assert "make" in look(tmp_path / "gone", tmp_path / "file", folder).paths


def test_a_file_that_is_not_executable_is_no_tool(folder: Path) -> None:
    (folder / "make").touch()

    assert look(folder).paths == {}


def test_a_folder_is_no_tool(tmp_path: Path, folder: Path, make_program: Make) -> None:
    (tmp_path / "one" / "make").mkdir(parents=True)
    real = make_program(folder / "make")

    assert look(tmp_path / "one", folder).paths["make"] == real


def test_a_link_that_leads_nowhere_is_no_tool(folder: Path) -> None:
    (folder / "rustc-1.85").symlink_to("nowhere")

    assert look(folder).paths == {}


def test_the_name_without_a_version_is_taken_first(folder: Path, make_program: Make) -> None:
    for name in ("rustc", "rustc-1.90"):
        make_program(folder / name)

    assert look(folder).paths["rustc"] == folder / "rustc"


def test_of_versioned_names_the_highest_is_taken(folder: Path, make_program: Make) -> None:
    for name in ("rustc-1.9", "rustc-1.85", "rustc-1.80"):
        make_program(folder / name)

    assert look(folder).paths["rustc"] == folder / "rustc-1.85"


def test_a_name_that_only_looks_versioned_is_none(folder: Path, make_program: Make) -> None:
    for name in ("rustc-wrapper", "bindgen-cli", "rustc-1.85.bak"):
        make_program(folder / name)

    assert look(folder).paths == {}


# ---- LLVM ---------------------------------------------------------------------------------


def test_llvm_without_a_version_is_taken_first(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder)
    llvm(make_program, folder, "-19")

    assert look(folder).llvm_suffix == ""


def test_of_versioned_llvms_the_highest_is_taken(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder, "-9")
    llvm(make_program, folder, "-19")

    found = look(folder)

    assert found.llvm_suffix == "-19"
    assert found.paths["ld.lld"] == folder / "ld.lld-19"


def test_a_whole_llvm_is_taken_before_a_part_of_a_newer_one(
    folder: Path, make_program: Make
) -> None:
    make_program(folder / "clang")
    make_program(folder / "clang-20")
    llvm(make_program, folder, "-19")

    assert look(folder).llvm_suffix == "-19"


def test_tools_of_one_llvm_are_not_mixed_with_anothers(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder, "-19")
    (folder / "ld.lld-19").unlink()
    make_program(folder / "ld.lld-18")

    assert "ld.lld" not in look(folder).paths


# ---- what make is told --------------------------------------------------------------------


def test_make_is_told_of_plain_names_only_that_it_is_llvm(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder)
    for name in ("rustc", "bindgen"):
        make_program(folder / name)

    assert look(folder).make_variables() == ("LLVM=1",)


def test_make_is_told_the_versioned_names(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder, "-19")
    for name in ("rustc-1.85", "bindgen-0.71", "pahole"):
        make_program(folder / name)

    assert look(folder).make_variables() == ("LLVM=-19", "RUSTC=rustc-1.85", "BINDGEN=bindgen-0.71")


# ---- fingerprints -------------------------------------------------------------------------


def test_the_fingerprint_stays_while_the_tools_stay(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder)

    assert look(folder).fingerprint() == look(folder).fingerprint()


def test_the_fingerprint_changes_with_a_tool(folder: Path, make_program: Make) -> None:
    llvm(make_program, folder)
    before = look(folder).fingerprint()
    make_program(folder / "clang", "echo another one")

    assert look(folder).fingerprint() != before


def test_the_fingerprint_changes_with_what_a_link_leads_to(
    folder: Path, tmp_path: Path, make_program: Make
) -> None:
    (folder / "rustc").symlink_to(make_program(tmp_path / "one"))
    before = look(folder).fingerprint()
    make_program(tmp_path / "one", "echo another one")

    assert look(folder).fingerprint() != before
