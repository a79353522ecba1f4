"""sysroot: a private root's programs, started on the host by the root's own loader."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import sysroot
from rflbuild.session import Session
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

MakeProgram = Callable[..., Path]
PROGRAMS = (
    *(f"usr/bin/{name}" for name in ("rustc", "rustfmt", "rust-analyzer", "clangd")),
    f"usr/{sysroot.MACRO_SERVER}",
)


def toolchain(root: Path | None) -> Toolchain:
    return Toolchain("x", "x", (), lambda argv, _cwd, _read, _write: list(argv), root)


@pytest.fixture
def root(tmp_path: Path, make_program: MakeProgram) -> Path:
    """A root whose loader tells what it was asked to do."""
    made = tmp_path / "a root"
    for name in PROGRAMS:
        make_program(made / name)
    (made / "usr/lib/llvm-19/lib/clang/19").mkdir(parents=True)
    make_program(made / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 'printf "%s\\n" "$@"')
    return made


def test_a_program_gets_the_roots_libraries_and_its_own_arguments(
    session: Session, root: Path
) -> None:
    made = sysroot.of(session, toolchain(root))

    assert made is not None
    done = subprocess.run(
        [made / "bin" / "rustc", "--print", "a b"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "--library-path",
        f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib",
        f"{root}/usr/bin/rustc",
        "--print",
        "a b",
    ]
    assert (made / "libexec" / "rust-analyzer-proc-macro-srv").exists()


def test_clangd_is_told_where_its_own_headers_are(session: Session, root: Path) -> None:
    made = sysroot.of(session, toolchain(root))

    assert made is not None
    done = subprocess.run([made / "bin" / "clangd"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"--resource-dir={root}/usr/lib/llvm-19/lib/clang/19"


def test_a_root_that_is_gone_is_said_to_be(session: Session, root: Path) -> None:
    made = sysroot.of(session, toolchain(root))
    assert made is not None
    (root / "usr/bin/rustc").unlink()

    done = subprocess.run([made / "bin" / "rustc"], capture_output=True, text=True, check=False)

    assert done.returncode == Verdict.ENVIRONMENT.exit_code
    assert "is gone: `./rfl rust-analyzer` makes it anew" in done.stderr


def test_a_root_without_servers_is_refused(session: Session, root: Path) -> None:
    (root / "usr/bin/clangd").unlink()

    with pytest.raises(RflError, match="lacks clangd") as caught:
        sysroot.of(session, toolchain(root))

    assert caught.value.verdict is Verdict.ENVIRONMENT


def test_a_toolchain_of_the_system_needs_none(session: Session) -> None:
    assert sysroot.of(session, toolchain(None)) is None
