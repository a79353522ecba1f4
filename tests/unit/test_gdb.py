"""gdb: what it needs of a kernel, and one debugger for one guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import gdb
from rflbuild.kernel import Kernel
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
