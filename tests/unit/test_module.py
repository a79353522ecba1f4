"""module: which folders are modules, and what of them is copied to be built."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import module
from rflbuild.module import Module
from rflbuild.session import Session, Workspace
from rflbuild.verdict import RflError, Verdict

REPOSITORY = Path(__file__).parents[2]

# What a module's build leaves beside its sources.
PRODUCTS = [
    "hello.o",
    "hello.ko",
    "hello.mod",
    "hello.mod.c",
    "hello.mod.o",
    ".hello.o.cmd",
    ".hello.o.d",
    "libhello.rmeta",
    "Module.symvers",
    "modules.order",
    "rust-project.json",
    "compile_commands.json",
    "bindings_generated.h",
    "bindings_generated.rs",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "hello"
    path.mkdir()
    (path / "Kbuild").write_text("obj-m := hello.o\n")
    (path / "hello.rs").write_text("// hello\n")
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def synchronise(folder: Path, work: Path) -> str:
    hello = Module("hello", folder, "modules/hello")
    return module._synchronise(hello, module._sources(Workspace(REPOSITORY), hello), work)


def holds(work: Path) -> dict[str, str]:
    return {
        str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()
    }


# ---- which folders ------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["Kbuild", "Makefile"])
@pytest.mark.parametrize(
    "line",
    ["obj-m := a.o", "obj-m += a.o", "obj-m=a.o", "obj-$(CONFIG_A) += a.o", "\tobj-m ?= a.o"],
)
def test_a_folder_whose_kbuild_sets_obj_m_is_a_module(tmp_path: Path, file: str, line: str) -> None:
    (tmp_path / file).write_text(f"# comment\n{line}\n")

    found = module.at(tmp_path, "shown")

    assert (found.name, found.directory, found.shown) == (tmp_path.name, tmp_path, "shown")


def test_a_module_is_named_after_its_folder_however_it_was_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    assert module.at(Path(), ".").name == "hello"


@pytest.mark.parametrize("text", ["", "all:\n\techo\n", "obj-y := a.o\n"])
def test_a_folder_that_builds_no_module_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "Makefile").write_text(text)

    said = usage(lambda: module.at(tmp_path, "modules/x"))

    assert "modules/x holds no module" in said
    assert "obj-m" in said


@pytest.mark.parametrize("what", ["a file", "nothing"])
def test_what_is_no_folder_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "a file":
        path.touch()

    assert "modules/x is not a folder" in usage(lambda: module.at(path, "modules/x"))


def test_the_users_modules_are_the_folders_of_modules(session: Session) -> None:
    assert module.names(session) == []

    for name in ("b", "a"):
        (session.workspace.modules / name).mkdir(parents=True)
    (session.workspace.modules / ".gitkeep").touch()

    assert module.names(session) == ["a", "b"]


def test_an_unknown_module_names_a_near_one() -> None:
    assert "did you mean `hello`?" in module.unknown("helo", ["hello", "print"]).sentence


def test_an_unknown_module_names_them_all_when_none_is_near() -> None:
    assert "there are: hello, print" in module.unknown("xyz", ["hello", "print"]).sentence


# ---- what is copied -----------------------------------------------------------------------


def test_the_sources_are_copied_with_their_folders(folder: Path, work: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "a.rs").write_text("// a\n")

    synchronise(folder, work)

    assert holds(work) == {
        "Kbuild": "obj-m := hello.o\n",
        "hello.rs": "// hello\n",
        "src/a.rs": "// a\n",
    }


def test_only_what_changed_is_written_so_that_make_sees_no_more(folder: Path, work: Path) -> None:
    synchronise(folder, work)
    for path in work.iterdir():
        os.utime(path, (1000, 1000))
    (folder / "hello.rs").write_text("// changed\n")
    os.utime(folder / "Kbuild")

    synchronise(folder, work)

    assert (work / "Kbuild").stat().st_mtime == 1000
    assert (work / "hello.rs").stat().st_mtime > 1000
    assert (work / "hello.rs").read_text() == "// changed\n"


def test_what_vanished_is_removed(folder: Path, work: Path) -> None:
    (folder / "old.rs").touch()
    synchronise(folder, work)
    (folder / "old.rs").unlink()

    synchronise(folder, work)

    assert not (work / "old.rs").exists()


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_an_earlier_build_stay(folder: Path, work: Path, name: str) -> None:
    (work / name).touch()

    synchronise(folder, work)

    assert (work / name).exists()


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_in_the_users_folder_are_not_copied(folder: Path, work: Path, name: str) -> None:
    before = synchronise(folder, work)
    (folder / name).touch()

    assert synchronise(folder, work) == before
    assert not (work / name).exists()


@pytest.mark.parametrize(
    "name",
    ".hello.rs.swp .clang-format hello.rs~ hello.rs.~1~ #hello.rs# 4913 a.rs___jb_tmp___".split(),
)
def test_what_is_hidden_or_left_by_an_editor_is_not_copied(
    folder: Path, work: Path, name: str
) -> None:
    before = synchronise(folder, work)
    (folder / name).touch()

    assert synchronise(folder, work) == before
    assert not (work / name).exists()


def test_another_test_is_no_other_module(folder: Path, work: Path) -> None:
    before = synchronise(folder, work)
    (folder / "test.yaml").write_text("steps: []\n")

    assert synchronise(folder, work) == before


@pytest.mark.parametrize("path", ["hello.rs", "net/a.rs", "test.yaml", "data.bin", "mk/4912"])
def test_a_path_of_a_source_is_known(path: str) -> None:
    assert module.is_source(Path(path))


@pytest.mark.parametrize("path", ["a.ko", "net/a.o", ".git/config", "target/a.rs", "net/a.rs~"])
def test_a_path_of_no_source_is_known(path: str) -> None:
    assert not module.is_source(Path(path))


@pytest.mark.parametrize("name", [".git", ".vscode", "target", "__pycache__"])
def test_folders_that_are_no_sources_are_not_copied(folder: Path, work: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "a.rs").touch()

    synchronise(folder, work)

    assert not (work / name).exists()


def test_the_link_by_which_emacs_locks_a_file_is_passed_over(folder: Path, work: Path) -> None:
    (folder / ".#hello.rs").symlink_to("me@here.4242:1700000000")

    synchronise(folder, work)

    assert holds(work).keys() == {"Kbuild", "hello.rs"}


def test_a_link_to_a_file_is_copied_as_what_it_leads_to(
    folder: Path, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "shared.rs").write_text("// shared\n")
    (folder / "shared.rs").symlink_to("../shared.rs")

    synchronise(folder, work)

    assert (work / "shared.rs").read_text() == "// shared\n"
    assert not (work / "shared.rs").is_symlink()


def test_a_script_stays_executable(folder: Path, work: Path) -> None:
    (folder / "generate.sh").write_text("#!/bin/sh\n")
    (folder / "generate.sh").chmod(0o755)

    synchronise(folder, work)

    assert os.access(work / "generate.sh", os.X_OK)


def test_a_file_may_become_a_folder_of_the_same_name(folder: Path, work: Path) -> None:
    (folder / "part").write_text("a file\n")
    synchronise(folder, work)
    (folder / "part").unlink()
    (folder / "part").mkdir()
    (folder / "part" / "a.rs").write_text("// a\n")

    synchronise(folder, work)

    assert (work / "part" / "a.rs").read_text() == "// a\n"


def test_the_users_folder_is_not_written_to(folder: Path, work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}

    synchronise(folder, work)

    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


# ---- keys ---------------------------------------------------------------------------------


def test_the_key_stays_when_only_times_change(folder: Path, work: Path) -> None:
    before = synchronise(folder, work)
    for path in folder.iterdir():
        os.utime(path, (1000, 1000))

    assert synchronise(folder, work) == before


def test_the_key_changes_with_a_files_content(folder: Path, work: Path) -> None:
    before = synchronise(folder, work)
    (folder / "hello.rs").write_text("// hellO\n")

    assert synchronise(folder, work) != before


def test_the_key_changes_with_a_files_name(folder: Path, work: Path) -> None:
    before = synchronise(folder, work)
    (folder / "hello.rs").rename(folder / "helmo.rs")

    assert synchronise(folder, work) != before


# ---- what makes bindings ------------------------------------------------------------------


def sources(folder: Path) -> dict[Path, Path]:
    return module._sources(Workspace(REPOSITORY), Module("hello", folder, "modules/hello"))


@pytest.mark.parametrize("needs", ["headers: [linux/netdevice.h]", "helpers: helpers.c"])
def test_what_makes_bindings_is_put_beside_a_module_that_needs_them(
    folder: Path, needs: str
) -> None:
    before = sources(folder)
    (folder / "module.yaml").write_text(needs)

    added = sources(folder).keys() - before.keys()

    assert added == {Path("bindings.mk"), Path("bindings.py"), Path("module.yaml")}


def test_another_module_does_without(folder: Path) -> None:
    (folder / "module.yaml").write_text("kernel: '>=7.3'")
    assert Path("bindings.mk") not in sources(folder)


def test_a_modules_own_way_to_bindings_goes_first(folder: Path) -> None:
    (folder / "module.yaml").write_text("headers: [linux/netdevice.h]")
    (folder / "bindings.mk").write_text("# mine\n")

    found = sources(folder)

    assert found[Path("bindings.mk")] == folder / "bindings.mk"
    assert found[Path("bindings.py")].parent.name == "bindings"


# ---- folders that are too large -----------------------------------------------------------


def test_a_folder_with_too_many_files_is_refused_by_name(
    folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 5)
    for number in range(10):
        (folder / f"{number}.txt").touch()

    said = usage(lambda: synchronise(folder, work))

    assert "modules/hello is too large" in said
    assert "the folder that holds the Kbuild" in said


def test_a_folder_with_too_many_bytes_is_refused(folder: Path, work: Path) -> None:
    with (folder / "image").open("wb") as file:
        file.truncate(module._MOST_BYTES + 1)

    assert "too large" in usage(lambda: synchronise(folder, work))
    assert not (work / "image").exists()


# ---- what make left -----------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [True, False])
def test_modules_are_loaded_in_the_order_of_modules_order(work: Path, absolute: bool) -> None:
    names = ["b", "sub/a"]
    (work / "sub").mkdir()
    for name in names:
        (work / f"{name}.ko").touch()
    lines = [f"{work}/{name}.o" if absolute else f"{name}.o" for name in names]
    (work / "modules.order").write_text("\n".join(lines) + "\n")

    assert module._order(work) == [work / "b.ko", work / "sub" / "a.ko"]


def test_a_build_that_left_no_module_has_no_order(work: Path) -> None:
    (work / "modules.order").write_text("gone.o\n")

    assert module._order(work) == []


# ---- what is compiled by itself -----------------------------------------------------------


def test_the_files_of_which_objects_are_made_are_units(folder: Path) -> None:
    (folder / "Kbuild").write_text(
        "obj-m := hello.o sub/ card.o\ncard-y := main.o sub/part.o asm.o\n"
    )
    (folder / "sub").mkdir()
    (folder / "sub" / "Makefile").write_text("obj-m := own.o\n")
    for name in ("main.rs", "other.rs", "asm.S", "ain.c", "sub/part.c", "sub/own.rs", "sub/in.rs"):
        (folder / name).touch()

    assert module.units(folder) == ["asm.S", "hello.rs", "main.rs", "sub/own.rs", "sub/part.c"]


# ---- for editors --------------------------------------------------------------------------


def test_crates_are_the_rust_files_that_a_makefile_makes_objects_of(folder: Path) -> None:
    (folder / "Kbuild").write_text(
        "obj-m := hello.o deep/main.o\nhello-y := hello_main.o my_part.o helpers.o\n"
    )
    for name in (
        "hello_main.rs",
        "part.rs",
        "helpers.c",
        "deep/main.rs",
        "sub/own.rs",
        "sub/no.rs",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "sub" / "Makefile").write_text("obj-$(CONFIG_X) += own.o\n")

    assert module.crate_roots(folder) == [
        "hello.rs",
        "hello_main.rs",
        "deep/main.rs",
        "sub/own.rs",
    ]


def test_an_editors_own_folders_are_no_part_of_a_module(folder: Path, work: Path) -> None:
    before = synchronise(folder, work)
    for name in (".vscode/settings.json", ".cache/clangd/index/a.idx"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("x")

    assert synchronise(folder, work) == before


def test_products_are_removed_and_sources_are_not(folder: Path, work: Path) -> None:
    synchronise(folder, work)
    sources = holds(work)
    for name in PRODUCTS:
        (work / name).touch()

    module.remove_products(work)

    assert holds(work) == sources


def test_what_was_compiled_of_one_language_is_removed(folder: Path, work: Path) -> None:
    (folder / "helpers.c").touch()
    synchronise(folder, work)
    for name in ("hello.o", "helpers.o", "hello.mod.o"):
        (work / name).touch()

    module.remove_objects(work, ".rs")

    assert {path.name for path in work.glob("*.o")} == {"helpers.o", "hello.mod.o"}
