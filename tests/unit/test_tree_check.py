"""tree_check: the kernel's saved commands turned into checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import savedcmd, tree_check
from rflbuild.diagnostics import JSON_FLAG
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict

# As the build of Linux 7.3.4 leaves it, shortened.
MODULE = """\
savedcmd_samples/rust/a.o := OBJTREE=/store/tmp/kernel RUST_MODFILE=samples/rust/a rustc \
--edition=2021 -Zcrate-attr='feature(asm_goto,used_with_arg)' --cfg MODULE \
@./include/generated/rustc_cfg --out-dir samples/rust/ \
--emit=dep-info=samples/rust/.a.o.d --emit=obj=samples/rust/a.o /linux/samples/rust/a.rs

source_samples/rust/a.o := /linux/samples/rust/a.rs
"""


def words(text: str, compiler: str = "rustc") -> list[str]:
    command = savedcmd.parse(text)
    assert command is not None
    return tree_check.words(command, compiler, Path("/x"))


def test_a_check_makes_nothing_where_the_build_made_it() -> None:
    made = words(MODULE.replace("--cfg MODULE", f"--cfg MODULE {JSON_FLAG}"))

    assert not [word for word in made if word.startswith(("samples/rust/", "--emit=obj"))]
    assert made[-3:] == ["--emit=metadata", "--out-dir=/x", JSON_FLAG]
    assert made[:2] == ["rustc", "--edition=2021"]
    assert made.count(JSON_FLAG) == 1
    assert made.count("--cfg") == made.count("MODULE") == 1


def test_clippy_takes_the_compilers_place() -> None:
    assert words(MODULE, "/opt/bin/clippy-driver")[0] == "/opt/bin/clippy-driver"


@pytest.mark.parametrize("name", ["panic.c", "panic.h", "Makefile"])
def test_what_is_no_rust_is_said_to_be_none(
    session: Session, built_with: Callable[[str], Kernel], name: str
) -> None:
    built = built_with("")
    built.source.path.mkdir()
    file = built.source.path / name
    file.touch()

    with pytest.raises(RflError) as caught:
        tree_check.check(session, built, file)

    assert caught.value.verdict is Verdict.USAGE
    assert f"{file} is no Rust" in caught.value.sentence
