"""watch: a save is told once, whatever the editor's way of saving, and only if it matters."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import watch
from rflbuild.watch import Place, Save, Watch

PATIENCE = 10.0  # seconds for a save to be told; a quiet machine needs 0.02
SILENCE = 0.3  # seconds in which a save would have been told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "hello"
    path.mkdir()
    (path / "Kbuild").write_text("obj-m := hello.o\n")
    (path / "hello.rs").write_text("// hello\n")
    return path


@pytest.fixture
def changes() -> list[str]:
    """A word for each call of `on_change`."""
    return []


@pytest.fixture
def watching(folder: Path, changes: list[str]) -> Iterator[Watch]:
    with Watch([Place(folder)], lambda: changes.append("changed")) as opened:
        assert not opened.fault
        yield opened


def told(watching: Watch) -> Save:
    save = watching.wait(PATIENCE)
    assert save
    return save


# ---- ways of saving -----------------------------------------------------------------------


def in_place(file: Path) -> None:
    file.write_text("// saved\n")


def in_parts(file: Path) -> None:
    with file.open("w") as opened:
        for part in ("// ", "sav", "ed\n"):
            opened.write(part)
            opened.flush()
            time.sleep(watch.QUIET * 2)


def by_renaming(file: Path) -> None:
    temporary = file.with_name("hello.rs.tmp")
    temporary.write_text("// saved\n")
    temporary.rename(file)


def from_elsewhere(file: Path) -> None:
    temporary = file.parent.parent / "elsewhere"
    temporary.write_text("// saved\n")
    temporary.rename(file)


def as_vim_does(file: Path) -> None:
    """With `backup` and `backupcopy=no`, and a swap file."""
    file.with_name(".hello.rs.swp").write_text("swap")
    probe = file.with_name("4913")
    probe.touch()
    probe.unlink()
    backup = file.with_name("hello.rs~")
    file.rename(backup)
    file.write_text("// saved\n")
    file.chmod(0o644)
    backup.unlink()
    file.with_name(".hello.rs.swp").unlink()


def as_emacs_does(file: Path) -> None:
    lock = file.with_name(".#hello.rs")
    lock.symlink_to("me@here.4242:1700000000")
    file.with_name("#hello.rs#").write_text("// sav")
    shutil.copy2(file, file.with_name("hello.rs~"))
    file.write_text("// saved\n")
    file.with_name("#hello.rs#").unlink()
    lock.unlink()


def as_sed_does(file: Path) -> None:
    temporary = file.with_name("sedAbCdEf")
    temporary.write_text("// saved\n")
    temporary.rename(file)


@pytest.mark.parametrize(
    "save",
    [in_place, in_parts, by_renaming, from_elsewhere, as_vim_does, as_emacs_does, as_sed_does],
)
def test_a_save_is_told_once_and_by_its_name(
    watching: Watch, folder: Path, changes: list[str], save: Callable[[Path], None]
) -> None:
    begun = time.monotonic()
    save(folder / "hello.rs")
    got = told(watching)

    assert (got.names, got.changed) == (("hello.rs",), True)
    assert begun <= got.at <= time.monotonic()
    after = watching.wait(SILENCE)
    assert not after or not after.changed
    assert changes == ["changed"]


def test_files_saved_at_once_are_one_save(watching: Watch, folder: Path) -> None:
    for name in ("a.rs", "b.rs", "hello.rs"):
        (folder / name).write_text("// saved\n")

    assert told(watching).names == ("a.rs", "b.rs", "hello.rs")


def test_saves_that_nobody_took_yet_become_one(watching: Watch, folder: Path) -> None:
    for name in ("a.rs", "b.rs"):
        (folder / name).write_text("// saved\n")
        time.sleep(SILENCE)

    assert told(watching).names == ("a.rs", "b.rs")
    assert watching.wait(SILENCE) is None


# ---- what matters -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["touch", "the same again"])
def test_the_same_content_is_told_as_that(
    watching: Watch, folder: Path, changes: list[str], how: str
) -> None:
    file = folder / "hello.rs"
    file.touch() if how == "touch" else file.write_text(file.read_text())

    assert told(watching).changed is False
    assert not watching.has_news()
    assert changes == []


def test_content_that_is_as_before_again_is_another_change(watching: Watch, folder: Path) -> None:
    for text in ("// one\n", "// hello\n"):
        (folder / "hello.rs").write_text(text)
        assert told(watching).changed


def test_a_script_that_becomes_executable_is_a_change(watching: Watch, folder: Path) -> None:
    (folder / "hello.rs").chmod(0o755)

    assert told(watching).changed


def test_a_file_that_is_removed_is_told(watching: Watch, folder: Path) -> None:
    (folder / "hello.rs").unlink()

    save = told(watching)
    assert (save.names, save.changed) == (("hello.rs",), True)


@pytest.mark.parametrize(
    "name", ["hello.o", "hello.ko", ".hello.rs.swp", "hello.rs~", "#hello.rs#", "4913"]
)
def test_what_is_no_source_is_not_told(watching: Watch, folder: Path, name: str) -> None:
    (folder / name).write_text("anything")

    assert watching.wait(SILENCE) is None


@pytest.mark.parametrize("name", [".git", "target", "results"])
def test_what_is_in_a_folder_without_sources_is_not_told(
    watching: Watch, folder: Path, name: str
) -> None:
    (folder / name).mkdir()
    (folder / name / "a.rs").write_text("anything")

    assert watching.wait(SILENCE) is None


def test_a_new_folder_is_watched_as_well(watching: Watch, folder: Path) -> None:
    (folder / "net").mkdir()
    (folder / "net" / "a.rs").write_text("// a\n")
    first = told(watching)
    (folder / "net" / "a.rs").write_text("// b\n")

    assert first.names == ("net/a.rs",)
    assert told(watching).names == ("net/a.rs",)


def test_of_a_place_with_names_only_those_are_told(folder: Path) -> None:
    place = Place(folder, frozenset({"hello.rs"}))
    with Watch([place], lambda: None) as watching:
        (folder / "Kbuild").write_text("# other\n")
        assert watching.wait(SILENCE) is None
        (folder / "hello.rs").write_text("// saved\n")
        assert told(watching).names == ("hello.rs",)


# ---- what inotify does not tell -------------------------------------------------------------


def test_a_save_behind_a_link_is_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.h").write_text("/* shared */\n")
    (folder / "shared.h").symlink_to(tmp_path / "shared.h")
    with Watch([Place(folder)], lambda: None) as watching:
        (tmp_path / "shared.h").write_text("/* saved it was */\n")
        assert told(watching).names == ("shared.h",)


def test_a_folder_that_is_made_again_is_watched_again(watching: Watch, folder: Path) -> None:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)
    (folder / "hello.rs").write_text("// one\n")
    while "hello.rs" not in told(watching).names:
        pass
    time.sleep(watch._LOOK + SILENCE)
    watching.wait(0)
    begun = time.monotonic()
    (folder / "hello.rs").write_text("// two\n")

    assert told(watching).at - begun < watch._LOOK / 2


def test_without_inotify_saves_are_found_by_looking(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.inotify_c.InotifyFD.add_callback", refuse)
    threads = threading.active_count()
    with Watch([Place(folder)], lambda: None) as watching:
        assert watching.fault == "inotify watch limit reached"
        (folder / "hello.rs").write_text("// saved\n")
        assert told(watching).names == ("hello.rs",)
    assert threading.active_count() == threads


def test_looking_reads_and_writes_nothing_in_the_folder(folder: Path, watching: Watch) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    time.sleep(watch._LOOK + SILENCE)

    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before
    assert watching.wait(0) is None


def test_leaving_it_ends_its_threads(folder: Path) -> None:
    before = threading.active_count()
    with Watch([Place(folder)], lambda: None):
        pass

    assert threading.active_count() == before
