"""kconfig_inputs: whether a configuration comes from the files as they are now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import kconfig_inputs, overlay
from rflbuild.session import Session
from rflbuild.source import Source

# As Kconfig writes it (scripts/kconfig/confdata.c, conf_write_autoconf_cmd), shortened.
LOADED = """\
autoconfig := include/config/auto.conf

deps_config := \\
\tKconfig \\
\tsamples/rust/Kconfig \\

$(autoconfig): $(deps_config)
"""


@pytest.fixture
def source(tmp_path: Path, make_kernel_tree: Callable[..., Path]) -> Source:
    tree = make_kernel_tree(tmp_path / "linux")
    for name in ("Kconfig", "samples/rust/Kconfig", "samples/rust/Makefile", "net/Kconfig"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("old\n")
        os.utime(tree / name, (1000, 1000))
    return Source("linux", tree, (7, 3, 4), "7.3.4", "key", mutable=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out" / "include" / "config").mkdir(parents=True)
    (tmp_path / "out" / "include" / "config" / "auto.conf.cmd").write_text(LOADED)
    return tmp_path / "out"


def note(out: Path, source: Source, begun: int | None = None) -> None:
    begun = begun or time.time_ns() + 1_000_000_000
    kconfig_inputs.note(out / "noted", out, source, "arm64", begun)


def fresh(out: Path, source: Source) -> bool:
    return kconfig_inputs.are_as_noted(out / "noted", out, source, "arm64")


def test_nothing_is_known_before_it_was_noted(out: Path, source: Source) -> None:
    assert not fresh(out, source)
    note(out, source)
    assert fresh(out, source)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("samples/rust/Kconfig", True),
        ("Makefile", True),
        ("scripts/min-tool-version.sh", True),
        ("net/Kconfig", False),  # Kconfig did not read it
        ("samples/rust/Makefile", False),
    ],
)
def test_what_kconfig_read_counts_and_nothing_else(
    out: Path, source: Source, name: str, counts: bool
) -> None:
    note(out, source)
    (source.path / name).write_text("new and longer\n")
    assert fresh(out, source) is not counts


def test_a_file_that_went_counts(out: Path, source: Source) -> None:
    note(out, source)
    (source.path / "samples/rust/Kconfig").unlink()
    assert not fresh(out, source)


def test_what_was_changed_while_make_ran_is_not_taken_for_seen(out: Path, source: Source) -> None:
    note(out, source, begun=time.time_ns() - 60_000_000_000)  # Makefile is newer
    assert not fresh(out, source)


def test_make_that_has_not_come_to_kconfig_leaves_nothing_to_note(
    out: Path, source: Source
) -> None:
    (out / "include" / "config" / "auto.conf.cmd").unlink()
    note(out, source)
    assert not fresh(out, source)


def test_what_is_laid_over_the_source_counts(session: Session, out: Path, source: Source) -> None:
    def laid(text: str) -> Source:
        made = overlay.lay(session, source, {"samples/rust/Kconfig": text}, "scope")
        overlay.write(made)
        return made

    note(out, laid("one\n"))
    assert fresh(out, laid("one\n"))
    assert not fresh(out, laid("another\n"))
