"""editor_folder: what is written into the folder that an editor opens, and what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rflbuild.editor_folder import EditorFolder
from rflbuild.session import Session
from rflbuild.settings import FILE, Wish
from rflbuild.verdict import RflError, Verdict

WISHES = [Wish(("k",), "v")]


@pytest.fixture
def folder(session: Session, tmp_path: Path) -> EditorFolder:
    made = tmp_path / "module"
    made.mkdir()
    return EditorFolder(session, made)


def refused(folder: EditorFolder) -> str:
    with pytest.raises(RflError) as caught:
        folder.check()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def write_settings(folder: EditorFolder, content: bytes) -> Path:
    path = folder.path / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_empty_folder_is_fine_and_gets_settings(folder: EditorFolder) -> None:
    folder.check()

    assert folder.write_settings(WISHES) == (True, ())
    assert (folder.path / FILE).read_text() == '{\n    "k": "v"\n}\n'


def test_what_is_equal_is_not_written_again(folder: EditorFolder) -> None:
    folder.write_settings(WISHES)
    os.utime(folder.path / FILE, (1, 1))

    assert folder.write_settings(WISHES) == (False, ())
    assert (folder.path / FILE).stat().st_mtime == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a": 1,,}', "line 1: "),
        (b'{\n"a": \xff}', "it is not in UTF-8"),
        (b'"text"', "it is no object"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(
    folder: EditorFolder, content: bytes, why: str
) -> None:
    path = write_settings(folder, content)

    assert why in refused(folder)
    assert path.read_bytes() == content


def test_a_file_in_the_place_of_the_settings_folder_is_refused(folder: EditorFolder) -> None:
    (folder.path / ".vscode").write_text("")

    assert "is not a folder" in refused(folder)


def test_settings_keep_their_line_ends_their_mode_and_the_link_to_them(
    folder: EditorFolder, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_bytes(b'{\r\n    "a": 1\r\n}\r\n')
    real.chmod(0o640)
    (folder.path / ".vscode").mkdir()
    (folder.path / FILE).symlink_to(real)

    folder.write_settings(WISHES)

    assert (folder.path / FILE).is_symlink()
    assert real.read_bytes() == b'{\r\n    "a": 1,\r\n    "k": "v"\r\n}\r\n'
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_project_of_another_kind_is_refused_and_a_kernels_replaced(folder: EditorFolder) -> None:
    path = folder.path / "rust-project.json"
    for text in ('{"crates": [{"display_name": "mine"}]}', "[]", "not even JSON"):
        path.write_text(text)
        assert "is not one for the kernel" in refused(folder)
    path.write_text('{"crates": [{"display_name": "kernel"}]}')

    folder.check()

    assert folder.write_project("{}")


def test_a_compilation_database_of_another_tool_stays(folder: EditorFolder) -> None:
    path = folder.path / "compile_commands.json"
    path.write_text("[]")

    assert folder.write_commands("new") is None
    path.write_text(f'[{{"directory": "{folder.session.store.root}/kernel/x"}}]')
    assert folder.write_commands("new") is True
    assert path.read_text() == "new"
