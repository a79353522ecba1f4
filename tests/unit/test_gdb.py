"""gdb: what it needs of a kernel, and one debugger for one guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import gdb
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.symbols import Symbols
from rflbuild.verdict import RflError, Verdict

CONFIG = ("CONFIG_DEBUG_INFO=y", "CONFIG_GDB_SCRIPTS=y")


@pytest.mark.parametrize("missing", CONFIG)
def test_a_kernel_without_what_gdb_needs_is_refused_with_what_to_add(
    built_with: Callable[[str], Kernel], missing: str
) -> None:
    kernel = built_with("\n".join(set(CONFIG) - {missing}))

    with pytest.raises(RflError) as caught:
        gdb.require(kernel)

    assert caught.value.verdict is Verdict.USAGE
    assert f"({missing.removesuffix('=y')} not set): give --fragment gdb" in caught.value.sentence


def test_a_kernel_with_both_will_do(built_with: Callable[[str], Kernel]) -> None:
    gdb.require(built_with("\n".join(CONFIG)))


def symbols(out: Path) -> Symbols:
    return Symbols(
        release="7.3.4",
        arch="arm64",
        toolchain="system",
        kernel="key",
        out=str(out),
        source=str(out),
        mutable=False,
    )


def with_path(session: Session, folder: Path) -> Session:
    folder.mkdir(exist_ok=True)
    session.processes.environ["PATH"] = str(folder)
    return session


def test_without_a_gdb_on_the_path_there_is_one_sentence(session: Session, tmp_path: Path) -> None:
    empty = with_path(session, tmp_path / "bin")

    with pytest.raises(RflError, match="install gdb-multiarch") as caught:
        gdb.command(empty, symbols(tmp_path), tmp_path, [], [])

    assert caught.value.verdict is Verdict.ENVIRONMENT


@pytest.mark.parametrize(
    ("there", "taken"), [(["gdb"], "gdb"), (["gdb", "gdb-multiarch"], "gdb-multiarch")]
)
def test_the_gdb_of_every_architecture_goes_first(
    session: Session,
    tmp_path: Path,
    make_program: Callable[..., Path],
    there: list[str],
    taken: str,
) -> None:
    for name in there:
        make_program(tmp_path / "bin" / name)
    found = with_path(session, tmp_path / "bin")

    argv = gdb.command(found, symbols(tmp_path), tmp_path, ["-batch"], [])

    assert argv[0] == str(tmp_path / "bin" / taken)
    assert argv[-3:] == ["-x", gdb.ATTACH, "-batch"]


def test_a_guest_has_one_debugger_at_a_time(tmp_path: Path) -> None:
    (tmp_path / gdb.ATTACH).touch()

    with (
        gdb.alone(tmp_path),
        pytest.raises(RflError, match="another gdb is at the guest"),
        gdb.alone(tmp_path),
    ):
        pass
    with gdb.alone(tmp_path):
        pass
