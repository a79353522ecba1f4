"""The editors' commands: how the check command that they set names the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.chain import Request
from rflbuild.commands import editor
from rflbuild.session import Session


def test_what_lies_beside_us_is_named_for_any_folder(
    session: Session,
    tmp_path: Path,
    make_kernel_tree: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_kernel_tree(tmp_path / "linux")
    (tmp_path / "mine.config").touch()
    (tmp_path / "debug").touch()  # the shipped one goes before it
    monkeypatch.chdir(tmp_path)

    words = editor._words(session, Request(kernel="linux", fragments=("mine.config", "debug")))

    assert words == [
        *("--kernel", str(tmp_path / "linux")),
        *("--fragment", str(tmp_path / "mine.config")),
        *("--fragment", "debug"),
    ]


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (None, []),
        ("7.3", ["--kernel", "7.3"]),
        ("git+https://host/linux@master", ["--kernel", "git+https://host/linux@master"]),
    ],
)
def test_what_lies_elsewhere_keeps_its_name(
    session: Session, kernel: str | None, words: list[str]
) -> None:
    assert editor._words(session, Request(kernel=kernel)) == words
