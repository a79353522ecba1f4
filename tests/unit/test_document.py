"""document: a mistake in a YAML file names the file, the line and what fits."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from rflbuild import document
from rflbuild.document import InvalidError
from rflbuild.verdict import RflError, Verdict


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    size: int
    file_name: str = ""


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str = "untitled"
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = {}
    words: dict[str, str | int | bool] = {}
    spare: Part | None = None

    def check(self) -> None:
        for number, part in enumerate(self.parts):
            if part.size < 0:
                raise InvalidError("a size is not negative", ("parts", number, "size"))


class Needed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    must: str


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


def mistake(file: Path, model: type = Whole) -> str:
    """What is said about the file's mistake, after the file's own name."""
    with pytest.raises(RflError) as caught:
        document.read(file, model)
    assert caught.value.verdict is Verdict.USAGE
    assert str(file) in caught.value.sentence
    return caught.value.sentence.replace(str(file), "")


# ---- what fits ----------------------------------------------------------------------------


def test_a_file_that_fits_becomes_the_model(file: Path) -> None:
    file.write_text("title: a\nparts:\n  - {size: 1, file-name: b}\n")

    assert document.read(file, Whole) == Whole("a", (Part(1, "b"),))


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_is_the_models_defaults(file: Path, text: str) -> None:
    file.write_text(text)

    assert document.read(file, Whole) == Whole()


def test_anchors_and_merged_mappings_are_followed(file: Path) -> None:
    file.write_text("parts:\n  - &one {size: 1, file-name: a}\n  - *one\n  - {<<: *one, size: 2}\n")

    assert document.read(file, Whole).parts == (Part(1, "a"), Part(1, "a"), Part(2, "a"))


def test_text_beyond_ascii_is_read(file: Path) -> None:
    file.write_bytes("title: Größe\n".encode())

    assert document.read(file, Whole).title == "Größe"


# ---- mistakes with a line -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("title: a\nparts:\n  - size: 1\n   x: 2\n", 4, "expected", id="indentation"),
        pytest.param("title: a\nparts:\n\t- size: 1\n", 3, "tab", id="tab"),
        pytest.param("title: a\ntitle: b: c\n", 2, "mapping values", id="second colon"),
        pytest.param("title: [a\n", 2, "expected", id="open bracket"),
        pytest.param("title: a\n---\ntitle: b\n", 2, "another document", id="two documents"),
        pytest.param("title: a\ntilte: b\n", 2, "did you mean `title`?", id="near key"),
        pytest.param("\nxyzzy: b\n", 2, "title, parts, named, words, spare", id="unknown key"),
        pytest.param("title: a\ntitle: b\n", 2, "`title` is given twice", id="duplicate key"),
        pytest.param("parts:\n  - size: 1\n    size: 2\n", 3, "`size`", id="deep duplicate"),
        pytest.param("title: a\nparts: b\n", 2, "`parts`", id="text for a list"),
        pytest.param("parts:\n  - size: 1\n  - size: x\n", 3, "parts.1.size", id="text for int"),
        pytest.param("parts:\n  - size: 1\n  - file-name: x\n", 3, "`size`", id="missing key"),
        pytest.param("parts:\n  - file_name: x\n", 2, "`file-name`", id="_ for -"),
        pytest.param("title: a\nspare:\n  sise: 1\n", 3, "`size`", id="in an optional part"),
        pytest.param("- a\n", 1, "expected a mapping, got a list", id="list at top level"),
        pytest.param("just a text\n", 1, "expected a mapping", id="text at top level"),
        pytest.param("title: 7\n", 1, "expected `str`, got `int`", id="number for a text"),
        pytest.param("title: false\n", 1, "expected `str`, got `bool`", id="boolean for a text"),
        pytest.param("parts:\n  - size: -1\n", 2, "a size is not negative", id="own check"),
        pytest.param("title: !!python/name:os.system\n", 1, "tag", id="dangerous tag"),
        pytest.param("title: *nowhere\n", 1, "undefined alias", id="unknown alias"),
        pytest.param("title: &a [*a]\n", 1, "recursion", id="endless alias"),
        pytest.param("title: a\n? [b]\n: c\n", 2, "unhashable", id="list as a key"),
        pytest.param("title: a\nwords: {true: 1}\n", 2, "bool", id="boolean as a key"),
        pytest.param(
            "named:\n  one: {size: 1}\n  two: {sise: 1}\n", 3, "`size`", id="key in a named part"
        ),
        pytest.param(
            "named:\n  one: {size: 1}\n  two: {size: x}\n", 3, "`int`", id="type in a named part"
        ),
    ],
)
def test_a_mistake_names_its_line_and_what_fits(
    file: Path, text: str, line: int, words: str
) -> None:
    file.write_text(text)

    said = mistake(file)

    assert said.startswith(f":{line}: ")
    assert words in said


def test_a_needed_key_is_missed_in_an_empty_file(file: Path) -> None:
    file.write_text("")

    assert "`must`" in mistake(file, Needed)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_a_control_character_is_a_mistake_with_and_without_libyaml(
    file: Path, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "_Loader", getattr(yaml, loader))
    file.write_text("title: \x07\n")

    assert "character" in mistake(file)


# ---- files that cannot be read ------------------------------------------------------------


def test_a_missing_file_is_named(file: Path) -> None:
    assert "No such file" in mistake(file)


def test_a_folder_is_no_file(file: Path) -> None:
    file.mkdir()

    assert "directory" in mistake(file)


def test_a_file_that_is_no_utf_8_says_so(file: Path) -> None:
    file.write_bytes(b"title: \xff\n")

    assert "UTF-8" in mistake(file)
