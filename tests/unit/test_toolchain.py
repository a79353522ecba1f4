"""toolchain: how its tools are called."""

from __future__ import annotations

import pytest

from rflbuild.toolchain import Toolchain


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("rustc", "rustc-1.85"),
        ("clippy-driver", "clippy-driver"),
        ("clang", "clang-19"),
        ("make", "make"),
    ],
)
def test_a_tool_is_called_as_make_is_told(name: str, called: str) -> None:
    chosen = Toolchain("x", "t", ("LLVM=-19", "RUSTC=rustc-1.85"), lambda argv, *_: list(argv))
    assert chosen.program(name) == called
