"""savedcmd: Kbuild's saved commands are read, and run again with their output elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch, savedcmd
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

# As Linux 7.3's build saves them, with fewer words.
C = """\
savedcmd_kernel/panic.o := ccache clang -Wp,-MMD,kernel/.panic.o.d -nostdinc -I./include \
-DARM64_ASM_ARCH='"armv8.5-a"' -O2 -c -o kernel/panic.o {tree}/kernel/panic.c  \n
source_kernel/panic.o := {tree}/kernel/panic.c
"""
RUST = """\
savedcmd_rust/kernel.o :=  OBJTREE=/built/elsewhere rustc --edition=2021 -Copt-level=2 \
-Zcrate-attr='feature(asm_goto)' @./include/generated/rustc_cfg \
--emit=dep-info=rust/.kernel.o.d --emit=obj=rust/kernel.o --emit=metadata=rust/libkernel.rmeta \
--out-dir rust --crate-name kernel {tree}/rust/kernel/lib.rs ; llvm-objcopy -w rust/kernel.o

source_rust/kernel.o := {tree}/rust/kernel/lib.rs

deps_rust/kernel.o := \\
  {tree}/rust/kernel/print.rs \\
    $(wildcard include/config/PRINTK) \\

"""


@pytest.fixture
def kernel(tmp_path: Path, session: Session) -> Kernel:
    """A kernel with a C file and a crate of two files that were compiled."""
    tree, out = tmp_path / "linux", tmp_path / "out"
    for name in ("kernel/panic.c", "rust/kernel/lib.rs", "rust/kernel/print.rs"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    for name, text in (("kernel/.panic.o.cmd", C), ("rust/.kernel.o.cmd", RUST)):
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text(text.replace("{tree}", str(tree)))
    (out / "rust" / "kernel").mkdir()
    return Kernel(
        arch.load(session.workspace.configs, "arm64"),
        Source("x", tree, (7, 3, 4), "7.3.4", "s"),
        Toolchain("x", "t", ("LLVM=1",), lambda argv, *_: list(argv)),
        "virt",
        "k",
        out,
        0,
    )


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- reading ------------------------------------------------------------------------------


def test_a_command_is_read_as_the_shell_would() -> None:
    command = savedcmd.parse(C)

    assert command
    assert (command.target, command.source) == ("kernel/panic.o", "{tree}/kernel/panic.c")
    assert '-DARM64_ASM_ARCH="armv8.5-a"' in command.argv
    assert command.argv[0] == "ccache"
    assert not command.is_rust


def test_variables_before_a_command_are_its_environment() -> None:
    command = savedcmd.parse(RUST)

    assert command
    assert command.environment == {"OBJTREE": "/built/elsewhere"}
    assert command.argv[:2] == ("rustc", "--edition=2021")
    assert "-Zcrate-attr=feature(asm_goto)" in command.argv
    assert command.is_rust


def test_what_is_done_to_an_object_afterwards_is_left_out() -> None:
    command = savedcmd.parse(RUST)

    assert command
    assert command.argv[-1] == "{tree}/rust/kernel/lib.rs"


def test_what_make_had_to_escape_is_as_it_was() -> None:
    command = savedcmd.parse("cmd_a.o := cc '-DA=$(pound)$$1' a.c\nsource_a.o := a.c\n")

    assert command
    assert command.argv == ("cc", "-DA=#$1", "a.c")


def test_a_command_that_compiles_nothing_has_no_source() -> None:
    command = savedcmd.parse("savedcmd_lib.a := ar cDPrST lib.a a.o\n\ndeps_lib.a := x\n")

    assert command
    assert command.source == ""


def test_text_without_a_command_is_none() -> None:
    assert savedcmd.parse("deps_a := b\n") is None


# ---- its output ---------------------------------------------------------------------------


def test_nothing_is_left_of_where_c_went() -> None:
    command = savedcmd.parse(C)

    assert command
    assert command.without_output() == [
        "clang",
        "-nostdinc",
        "-I./include",
        '-DARM64_ASM_ARCH="armv8.5-a"',
        "-O2",
        "{tree}/kernel/panic.c",
    ]


def test_nothing_is_left_of_where_rust_went() -> None:
    command = savedcmd.parse(RUST)

    assert command
    assert command.without_output() == [
        "rustc",
        "--edition=2021",
        "-Copt-level=2",
        "-Zcrate-attr=feature(asm_goto)",
        "@./include/generated/rustc_cfg",
        "--crate-name",
        "kernel",
        "{tree}/rust/kernel/lib.rs",
    ]


def test_a_kernel_that_was_moved_is_where_it_is_now(kernel: Kernel, session: Session) -> None:
    command = savedcmd.of_kernel(kernel, "rust/kernel/lib.rs")

    done = savedcmd.run(
        session, kernel, command, ["sh", "-c", 'echo "$OBJTREE"'], cwd=kernel.out, write=[]
    )

    assert done.output.strip() == str(kernel.out)


# ---- a kernel's ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "target"),
    [("kernel/panic.c", "kernel/panic.o"), ("rust/kernel/lib.rs", "rust/kernel.o")],
)
def test_a_file_of_the_kernel_has_its_command(kernel: Kernel, file: str, target: str) -> None:
    assert savedcmd.of_kernel(kernel, file).target == target


def test_a_part_of_a_crate_names_the_crates_root(kernel: Kernel) -> None:
    said = usage(lambda: savedcmd.of_kernel(kernel, "rust/kernel/print.rs"))

    assert "rust/kernel/print.rs is compiled as a part of rust/kernel/lib.rs" in said
    assert "--file rust/kernel/lib.rs" in said


def test_a_file_that_is_not_there_names_a_near_one(kernel: Kernel) -> None:
    said = usage(lambda: savedcmd.of_kernel(kernel, "kernel/panik.c"))

    assert "Linux 7.3.4 has no kernel/panik.c; did you mean kernel/panic.c?" in said


def test_a_file_whose_option_is_off_names_the_option(kernel: Kernel) -> None:
    (kernel.source.path / "kernel" / "kexec.c").touch()
    (kernel.source.path / "kernel" / "Makefile").write_text("obj-$(CONFIG_KEXEC) += kexec.o\n")

    said = usage(lambda: savedcmd.of_kernel(kernel, "kernel/kexec.c"))

    assert "virt does not compile kernel/kexec.c: CONFIG_KEXEC is off" in said


def test_a_file_that_no_makefile_names_is_told_plainly(kernel: Kernel) -> None:
    (kernel.source.path / "kernel" / "notes.c").touch()

    said = usage(lambda: savedcmd.of_kernel(kernel, "kernel/notes.c"))

    assert said.endswith("does not compile kernel/notes.c")


def test_the_kernels_rust_can_be_that_of_a_folder(kernel: Kernel) -> None:
    def found(folder: str) -> list[str]:
        place = kernel.source.path / folder
        return [command.target for command in savedcmd.rust_of_kernel(kernel, place)]

    assert found("rust/kernel") == ["rust/kernel.o"]
    assert found("samples") == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--cap-lints=allow", ""),
        ("", "#![allow(\n    clippy::all,\n    missing_docs\n)]\n"),
    ],
)
def test_crates_that_no_lint_reads_are_not_of_the_kernels_rust(
    kernel: Kernel, words: str, text: str
) -> None:
    path = kernel.source.path / "rust" / "syn.rs"
    path.write_text(text)
    (kernel.out / "rust" / ".syn.o.cmd").write_text(
        f"savedcmd_rust/syn.o := rustc {words} {path}\n\nsource_rust/syn.o := {path}\n"
    )

    found = [command.target for command in savedcmd.rust_of_kernel(kernel)]

    assert found == ["rust/kernel.o"]


def test_a_crate_that_was_removed_is_not_of_the_kernels_rust(kernel: Kernel) -> None:
    path = kernel.source.path / "rust" / "gone.rs"
    (kernel.out / "rust" / ".gone.o.cmd").write_text(
        f"savedcmd_rust/gone.o := rustc {path}\n\nsource_rust/gone.o := {path}\n"
    )

    found = [command.target for command in savedcmd.rust_of_kernel(kernel)]

    assert found == ["rust/kernel.o"]


def test_what_lies_outside_the_source_is_not_of_the_kernels_rust(kernel: Kernel) -> None:
    (kernel.out / "rust" / ".core.o.cmd").write_text(
        "savedcmd_rust/core.o := rustc /usr/core/lib.rs\n\nsource_rust/core.o := /usr/core/lib.rs\n"
    )

    found = [command.target for command in savedcmd.rust_of_kernel(kernel)]

    assert found == ["rust/kernel.o"]
