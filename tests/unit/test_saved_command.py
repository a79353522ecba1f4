"""saved_command: the commands that Kbuild keeps, read and turned into checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import saved_command
from rflbuild.diagnostics import JSON_FLAG

# As the build of Linux 7.3.4 leaves it, shortened.
MODULE = """\
savedcmd_samples/rust/a.o := OBJTREE=/store/tmp/kernel RUST_MODFILE=samples/rust/a rustc \
--edition=2021 -Zcrate-attr='feature(asm_goto,used_with_arg)' --cfg MODULE \
@./include/generated/rustc_cfg --out-dir samples/rust/ \
--emit=dep-info=samples/rust/.a.o.d --emit=obj=samples/rust/a.o /linux/samples/rust/a.rs

source_samples/rust/a.o := /linux/samples/rust/a.rs

deps_samples/rust/a.o := \\
  /store/rust/libcore.rmeta \\
    $(wildcard include/config/NET) \\
"""
CORE = """\
savedcmd_rust/core.o := OBJTREE=/o rustc --cfg no_fp=$(pound)1 --emit=obj=rust/core.o \
/usr/src/core/src/lib.rs --sysroot=/dev/null ; llvm-objcopy --redefine-sym a=b rust/core.o

source_rust/core.o := /usr/src/core/src/lib.rs
"""


def test_a_crate_and_its_command_are_read() -> None:
    saved = saved_command.parse(MODULE)

    assert saved is not None
    assert saved.source == Path("/linux/samples/rust/a.rs")
    assert saved.environment["RUST_MODFILE"] == "samples/rust/a"
    assert saved.words[:2] == ("rustc", "--edition=2021")
    assert "-Zcrate-attr=feature(asm_goto,used_with_arg)" in saved.words


def test_a_check_makes_nothing_where_the_build_made_it() -> None:
    saved = saved_command.parse(MODULE.replace("--cfg MODULE", f"--cfg MODULE {JSON_FLAG}"))

    assert saved is not None
    words = saved.check(Path("/x"), clippy=False)
    assert not [word for word in words if "samples/rust/" in word and word != str(saved.source)]
    assert words[-3:] == ["--emit=metadata", "--out-dir=/x", JSON_FLAG]
    assert words[:2] == ["rustc", "--edition=2021"]
    assert words.count(JSON_FLAG) == 1
    assert words.count("--cfg") == words.count("MODULE") == 1


def test_clippy_takes_the_compilers_place() -> None:
    saved = saved_command.parse(MODULE.replace(" rustc ", " /opt/bin/rustc "))

    assert saved is not None
    assert saved.check(Path("/x"), clippy=True)[0] == "/opt/bin/clippy-driver"


def test_what_comes_behind_the_compiler_is_left_out() -> None:
    saved = saved_command.parse(CORE)

    assert saved is not None
    assert saved.words[-1] == "--sysroot=/dev/null"
    assert "no_fp=#1" in saved.words


@pytest.mark.parametrize(
    "text",
    [
        "savedcmd_lib/a.o := clang -c -o lib/a.o lib/a.c \n\nsource_lib/a.o := lib/a.c\n",
        "savedcmd_a.o := ld.lld -r -o a.o b.o\n",
        "",
    ],
)
def test_what_is_not_of_rust_is_passed_over(text: str) -> None:
    assert saved_command.parse(text) is None
