"""checks: which state of a user's tree a file is compiled in."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import kernel
from rflbuild.chain import Links
from rflbuild.commands import checks
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Kernel, Plan
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def last(
    monkeypatch: pytest.MonkeyPatch, built_with: Callable[[str], Kernel], tmp_path: Path
) -> Kernel:
    """A kernel as it was last built."""
    built = built_with("")
    monkeypatch.setattr(kernel, "as_built", lambda _session, _plan: built)
    return built


@pytest.fixture
def plan(last: Kernel) -> Plan:
    config = Kconfig("virt", "allnoconfig", (), 0)
    return Plan(last.arch, last.source, last.toolchain, config)


def preparing_ends_with(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    def prepared(_session: Session, _plan: Plan) -> Kernel:
        raise RflError(verdict, "the kernel does not build")

    monkeypatch.setattr(kernel, "prepared", prepared)


def test_an_error_in_the_tree_is_told_and_not_in_the_way(
    monkeypatch: pytest.MonkeyPatch, session: Session, screen: io.StringIO, last: Kernel, plan: Plan
) -> None:
    preparing_ends_with(monkeypatch, Verdict.BUILD_ERROR)

    built = checks._kernel(session, plan, Links(session))

    assert built == last
    assert "the kernel does not build; what follows is of the last build" in screen.getvalue()


def test_what_the_user_has_to_mend_first_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch, session: Session, plan: Plan
) -> None:
    preparing_ends_with(monkeypatch, Verdict.USAGE)

    with pytest.raises(RflError):
        checks._kernel(session, plan, Links(session))
