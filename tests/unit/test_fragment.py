"""fragment: where one is written to, and options put into one that is somebody's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import fragment
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.verdict import RflError, Verdict

LINUX = Source("x", Path("/x"), (7, 3, 4), "7.3.4", "")
OLD = Source("x", Path("/x"), (6, 12, 0), "6.12.0", "")


def merged(text: str, at: Source = LINUX, **options: str) -> str:
    return fragment.merged(text, options, at)


def asked(text: str, at: Source = LINUX) -> dict[str, str]:
    """What a fragment comes to for a kernel: the last word on each option."""
    parsed = fragment.parse(text.splitlines(), Path("f"), 1, at)
    return {option.name: option.value for option in parsed}


# ---- merging ------------------------------------------------------------------------------


def test_a_new_option_comes_at_the_end() -> None:
    assert merged("CONFIG_A=y\n", B="m") == "CONFIG_A=y\nCONFIG_B=m\n"


def test_a_new_option_that_is_off_is_written_as_the_kernel_does() -> None:
    assert merged("", B="n") == "# CONFIG_B is not set\n"


def test_new_options_keep_their_order() -> None:
    assert merged("", Z="y", A="y") == "CONFIG_Z=y\nCONFIG_A=y\n"


def test_a_last_line_without_an_end_gets_one() -> None:
    assert merged("CONFIG_A=y", B="y") == "CONFIG_A=y\nCONFIG_B=y\n"


def test_an_option_that_is_there_is_changed_in_its_place() -> None:
    assert merged("CONFIG_A=y\nCONFIG_B=y\n", A="m") == "CONFIG_A=m\nCONFIG_B=y\n"


@pytest.mark.parametrize("line", ["CONFIG_A=y", "# CONFIG_A is not set", "CONFIG_A=n"])
def test_an_option_has_one_line_whatever_it_was(line: str) -> None:
    assert merged(f"{line}\n", A="m") == "CONFIG_A=m\n"


def test_a_line_that_says_so_already_is_left_as_it_is() -> None:
    text = "  CONFIG_A=n   # off, as it must be\r\n"
    assert merged(text, A="n") == text


def test_a_comment_on_a_line_outlives_the_value() -> None:
    assert merged("CONFIG_A=y  # my disk\n", A="n") == "# CONFIG_A is not set  # my disk\n"


def test_everything_else_stays_byte_for_byte() -> None:
    text = "# mine\n\n\tCONFIG_B=y\r\n#CONFIG_C=y\n# CONFIG_D is out of date\n\n"
    assert merged(text, A="y") == f"{text}CONFIG_A=y\n"


def test_of_two_lines_the_one_that_counts_is_changed() -> None:
    text = "CONFIG_A=y\nCONFIG_A=m\n"
    assert merged(text, A="n") == "CONFIG_A=y\n# CONFIG_A is not set\n"


def test_a_line_for_older_kernels_still_holds_for_them() -> None:
    text = merged("CONFIG_A=y  # until 7.0\n", A="m")
    assert (asked(text)["A"], asked(text, OLD)["A"]) == ("m", "y")


def test_a_mark_stays_on_the_line_that_has_it() -> None:
    assert merged("CONFIG_A=y  # since 6.13\n", A="m") == "CONFIG_A=m  # since 6.13\n"


@pytest.mark.parametrize("value", ["m", "n", "0x1f", '"a # b"', '"a \\" b"', "-5"])
def test_what_is_written_is_read_again(value: str) -> None:
    assert asked(merged("CONFIG_A=y\n", A=value, B=value)) == {"A": value, "B": value}


def test_merging_twice_changes_nothing() -> None:
    once = merged("CONFIG_A=y  # until 7.0\nCONFIG_C=y\n", A="m", B="n", C="n")
    assert merged(once, A="m", B="n", C="n") == once


# ---- writing ------------------------------------------------------------------------------


def test_a_new_fragment_begins_with_its_title(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    assert fragment.write(session, path, {"A": "y"}, LINUX, "On top of virt")
    assert path.read_text() == "# On top of virt\nCONFIG_A=y\n"


def test_a_fragment_that_is_there_gets_no_title(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text("")
    fragment.write(session, path, {"A": "y"}, LINUX, "On top of virt")
    assert path.read_text() == "CONFIG_A=y\n"


def test_a_fragment_that_says_so_is_not_touched(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text("CONFIG_A=y\n")
    before = path.stat()
    assert not fragment.write(session, path, {"A": "y"}, LINUX, "")
    assert path.stat() == before


def test_a_link_stays_one_and_its_file_keeps_its_mode(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "my.config"
    path.parent.mkdir()
    path.write_text("CONFIG_A=y\n")
    path.chmod(0o600)
    link = tmp_path / "my.config"
    link.symlink_to(path)
    fragment.write(session, link, {"A": "n"}, LINUX, "")
    assert link.is_symlink()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("# CONFIG_A is not set\n", 0o600)


def test_bytes_that_are_no_text_survive(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_bytes(b"# caf\xe9\nCONFIG_A=y\n")
    fragment.write(session, path, {"A": "m"}, LINUX, "")
    assert path.read_bytes() == b"# caf\xe9\nCONFIG_A=m\n"


# ---- where --------------------------------------------------------------------------------


def test_a_name_means_a_fragment_of_the_workspace(own_configs: Path) -> None:
    path = fragment.to_write(own_configs, "mine")
    assert path == own_configs / "kconfig" / "mine.config"
    path.touch()
    assert fragment.find(own_configs, "mine") == path


@pytest.mark.parametrize("wanted", ["mine.config", "./mine", "sub/mine.config"])
def test_what_looks_like_a_path_is_one(
    wanted: str, own_configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert fragment.to_write(own_configs, wanted) == Path(wanted)


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ("no/such/x.config", "no/such"),
        ("sub/", "folder"),
        ("sub.config", "folder"),
        ("a b", "neither"),
        ("", "neither"),
        ("-x", "neither"),
    ],
)
def test_what_is_no_place_for_a_file_is_refused(
    wanted: str, word: str, own_configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub.config").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RflError, match=word) as caught:
        fragment.to_write(own_configs, wanted)
    assert caught.value.verdict is Verdict.USAGE
