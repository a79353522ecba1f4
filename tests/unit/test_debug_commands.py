"""commands.debug: which run is meant where none is named."""

from __future__ import annotations

import io
import os

import pytest

from rflbuild import symbols
from rflbuild.commands import debug
from rflbuild.session import Session
from rflbuild.symbols import Symbols


def test_of_two_runs_of_one_second_the_newest_is_what_was_written_to_last(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    for age, name in enumerate(["20261124-194120-panics", "20261124-194120-shell"]):
        folder = session.workspace.results / name
        folder.mkdir(parents=True)
        (folder / symbols.FILE).touch()
        os.utime(folder, (1000 - age, 1000 - age))

    def read(folder: object) -> Symbols:
        taken.append(folder)
        raise SystemExit

    monkeypatch.setattr(symbols, "read", read)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SystemExit):
        debug.decode(session, "-")

    assert taken == [session.workspace.results / "20261124-194120-panics"]
