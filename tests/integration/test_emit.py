"""Single targets: what the compiler makes of one file of a module, or of the kernel."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import kernel as kernels
from rflbuild import savedcmd
from rflbuild.source import Source
from rflbuild.verdict import Verdict
from tests.integration.harness import (
    GUEST,
    KERNEL,
    MODULES,
    BuiltKernel,
    Rfl,
    Run,
    snapshot,
    waited_for,
)

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]
SAMPLE = "samples/rust/rust_minimal.rs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that is compiled once for all who only look at it."""
    made = tmp_path_factory.mktemp("emit") / "mine"
    shutil.copytree(MODULES / "out_of_tree", made)
    return made


def emit(rfl: Rfl, *args: str, cwd: Path | None = None, timeout: float = GUEST) -> str:
    """What a run prints, once it is sure that it went well."""
    run = rfl("emit", *args, cwd=cwd, timeout=timeout)
    assert run.status == 0, run
    return run.stdout


# ---- a module -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("ll", r"^define .* @<out_of_tree::OutOfTree as kernel::module::Module>::init\("),
        ("s", r"^<out_of_tree::OutOfTree as kernel::module::Module>::init:$"),
        ("i", r"^impl ::kernel::ModuleMetadata for OutOfTree "),
        ("mir", r"^fn <impl at out_of_tree.rs:\d+:.*>::init\(.*\{$"),
        ("o", r"^[0-9a-f]+ <<out_of_tree::OutOfTree as kernel::module::Module>::init>:$"),
    ],
)
def test_a_modules_file_has_each_form(
    rfl: Rfl, kernel: BuiltKernel, folder: Path, form: str, pattern: str
) -> None:
    before = snapshot(folder)

    text = emit(rfl, str(folder), "--as", form)

    assert re.search(pattern, text, re.MULTILINE)
    assert "_RNv" not in text
    assert snapshot(folder) == before


@pytest.mark.parametrize("form", ["ll", "s", "o"])
def test_raw_names_are_the_assemblers(
    rfl: Rfl, kernel: BuiltKernel, folder: Path, form: str
) -> None:
    text = emit(rfl, str(folder), "--as", form, "--raw")

    assert re.search(r"_RN\w*OutOfTree\w*kernel\w*Module4init", text)
    # rustc's own comments say what a name stands for.
    assert "<out_of_tree::OutOfTree as" not in re.sub(r"^;.*$", "", text, flags=re.MULTILINE)


def test_paths_are_the_users(rfl: Rfl, kernel: BuiltKernel, folder: Path) -> None:
    text = emit(rfl, str(folder))

    assert str(folder) in text
    assert str(rfl.store / "work") not in text


def test_a_c_file_of_a_module_is_named_and_has_the_modules_flags(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    # The kernel's Makefile takes `helpers.ll` for a target of its help.
    folder = tmp_path / "card"
    shutil.copytree(MODULES / "c_headers", folder)

    text = emit(rfl, str(folder), "--file", "helpers.c")
    expanded = emit(rfl, str(folder), "--file", str(folder / "helpers.c"), "--as", "i")

    assert re.search(r"^define .* @rust_helper_netdev_priv\(ptr .*%dev\)", text, re.MULTILINE)
    assert "struct net_device" in expanded
    assert "include" not in re.sub(r"^#.*$", "", expanded, flags=re.MULTILINE)[-500:]


def test_bindings_are_made_for_a_modules_expanded_macros(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    folder = tmp_path / "card2"
    shutil.copytree(MODULES / "c_headers", folder)

    assert "fn register_netdev(" in emit(rfl, str(folder), "--as", "i")


def test_macros_are_expanded_in_what_does_not_compile(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("does_not_compile")

    text = emit(rfl, str(folder), "--as", "i")
    run = rfl("emit", str(folder), timeout=GUEST)

    assert 'let number: u32 = "seven";' in text
    run.came_to(Verdict.BUILD_ERROR)
    assert "mine/does_not_compile.rs:19:27" in run.text


def test_a_kind_has_its_forms_too(rfl: Rfl, kernel: BuiltKernel) -> None:
    assert "impl kernel::Module for Hello" in emit(rfl, "hello", "--as", "i")


def test_a_modules_object_is_the_one_that_is_built(
    rfl: Rfl, kernel: BuiltKernel, folder: Path, tmp_path: Path
) -> None:
    emit(rfl, str(folder), "--as", "o", "--output", str(tmp_path / "a.o"))
    assert rfl("module", str(folder), timeout=GUEST).status == 0

    (built,) = (
        path
        for path in (rfl.store / "work" / "module").glob("*/out_of_tree.o")
        if path.read_bytes() == (tmp_path / "a.o").read_bytes()
    )
    assert built.read_bytes().startswith(b"\x7fELF")


# ---- the kernel ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "form", "pattern"),
    [
        (SAMPLE, "ll", r"^define .* @<rust_minimal::RustMinimal as kernel::module::Module>::init"),
        (SAMPLE, "i", r"^impl ::kernel::ModuleMetadata for RustMinimal "),
        (SAMPLE, "mir", r"^fn <impl at samples/rust/rust_minimal.rs:\d+:.*>::init\("),
        ("kernel/panic.c", "ll", r"^define .* @vpanic\(ptr .*%fmt"),
        ("kernel/panic.c", "s", r"^vpanic:"),
        ("kernel/panic.c", "i", r"^void vpanic\(const char \*fmt, va_list args\)"),
        ("kernel/panic.c", "o", r"^[0-9a-f]+ <vpanic>:$"),
        ("arch/arm64/kernel/entry.S", "i", r"^\s*\.globl\s+ret_from_fork|ret_from_fork"),
    ],
)
def test_a_file_of_the_kernel_has_each_form(
    rfl: Rfl, kernel: BuiltKernel, file: str, form: str, pattern: str
) -> None:
    text = emit(rfl, "--file", file, "--as", form)

    assert re.search(pattern, text, re.MULTILINE)


def test_nothing_is_written_into_the_kernel(rfl: Rfl, kernel: BuiltKernel, folder: Path) -> None:
    before = snapshot(kernel.out.resolve())

    emit(rfl, "--file", SAMPLE, "--as", "mir")
    emit(rfl, "--file", "kernel/panic.c", "--as", "s")
    emit(rfl, str(folder), "--as", "mir")

    assert snapshot(kernel.out.resolve()) == before


def test_a_file_that_is_new_in_an_own_tree_is_built_first(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path
) -> None:
    samples = own_tree / "samples" / "rust"
    name = f"rust_new_{os.getpid()}"  # what an earlier session built of another stays
    text = (samples / "rust_minimal.rs").read_text()
    (samples / f"{name}.rs").write_text(text.replace("rust_minimal", name))
    with (samples / "Makefile").open("a") as makefile:
        makefile.write(f"obj-m += {name}.o\n")

    words = ["--file", f"samples/rust/{name}.rs", "--kernel", str(own_tree)]

    try:
        assert "impl ::kernel::ModuleMetadata for RustMinimal" in emit(rfl, *words, "--as", "i")
    finally:
        for left in (rfl.store / "work" / "kernel").glob(f"*/samples/rust/*{name}.*"):
            left.unlink()


def test_a_file_is_what_the_kernels_own_make_makes_of_it(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path, tmp_path: Path
) -> None:
    """In a tree of the user's own, whose build folder a test may write into."""
    run = rfl("kernel", "--kernel", str(own_tree), timeout=KERNEL)
    assert run.status == 0, run
    (out,) = (Path(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("KDIR "))
    targets = {
        "samples/rust/rust_minimal.ll": (SAMPLE, "ll"),
        "samples/rust/rust_minimal.rsi": (SAMPLE, "i"),
        "kernel/panic.s": ("kernel/panic.c", "s"),
    }
    plan = kernel.plan
    argv = kernels.make(
        plan.toolchain,
        plan.arch,
        _source_at(kernel, own_tree),
        out.resolve(),
        *_ccache(out),
        *targets,
    )
    made = subprocess.run(argv, cwd=out, capture_output=True, text=True, timeout=GUEST, check=False)
    assert made.returncode == 0, made

    for target, (file, form) in targets.items():
        path = tmp_path / "mine"
        emit(
            rfl,
            *("--kernel", str(own_tree), "--file", str(own_tree / file), "--as", form),
            *("--raw", "--output", str(path), "--force"),
        )
        theirs = (out / target).read_text()
        (out / target).unlink()
        assert _without_names(path.read_text()) == _without_names(theirs), target


def _ccache(out: Path) -> list[str]:
    """The C compiler as the build had it; with another, make would build nearly all anew."""
    command = savedcmd.parse((out / "kernel" / ".panic.o.cmd").read_text())
    assert command
    first, second = command.argv[:2]
    return [f"CC={first} {second}"] if first.endswith("ccache") else []


def _source_at(kernel: BuiltKernel, tree: Path) -> Source:
    theirs = kernel.plan.source
    return Source("", tree, theirs.version, theirs.release, "", mutable=True)


def _without_names(text: str) -> str:
    """A compiler's output without the file's own name and its command line."""
    lines = text.replace("/tmp/", "").splitlines()  # noqa: S108 - only looked for
    return "\n".join(line for line in lines if "ModuleID" not in line and "-o " not in line)


# ---- what is written ----------------------------------------------------------------------


def test_what_is_written_is_what_would_be_printed(
    rfl: Rfl, kernel: BuiltKernel, folder: Path
) -> None:
    printed = emit(rfl, str(folder), "--as", "i")
    said = emit(rfl, ".", "--as", "i", "--output", "../mine.rs", cwd=folder)

    assert (folder.parent / "mine.rs").read_text() == printed
    assert "../mine.rs: expanded macros of out_of_tree.rs" not in said  # stdout is for the text


def test_nothing_is_written_over_without_being_asked(
    rfl: Rfl, kernel: BuiltKernel, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mine.i"
    output.write_text("a day's work\n")
    words = [str(folder), "--as", "i", "--output", str(output)]

    refused = rfl("emit", *words, timeout=GUEST)

    assert "is there already" in refused.came_to(Verdict.USAGE)
    assert output.read_text() == "a day's work\n"

    emit(rfl, *words, "--force")
    first = snapshot(tmp_path)["mine.i"]
    emit(rfl, *words)  # the same again is no harm

    assert "impl kernel::Module for OutOfTree" in output.read_text()
    assert snapshot(tmp_path)["mine.i"] == first


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["hello", "--as", "asm"], ["ll, s, i, o, mir", "`asm`"]),
        (["hello", "--file", "main.rs"], ["no main.rs", "hello.rs"]),
        (["helo"], ["`helo`", "`hello`"]),
        (["samples"], ["samples", "no files"]),
        ([], ["--file"]),
        (["--file", "kernel/panik.c"], ["no kernel/panik.c", "kernel/panic.c"]),
        (["--file", "kernel/kexec.c"], ["kernel/kexec.c", "CONFIG_KEXEC"]),
        (["--file", "rust/kernel/print.rs"], ["a part of rust/kernel/lib.rs"]),
        (["--file", "kernel/panic.c", "--as", "mir"], ["kernel/panic.c", "MIR"]),
        (["hello", "--output", "/dev/null"], ["/dev/null", "ordinary"]),
        (["hello", "--output", "/no/such/folder/x"], ["/no/such/folder is not a folder"]),
        (["hello", "--kernel", "/no/such/tree"], ["/no/such/tree"]),
    ],
    ids=" ".join,
)
def test_a_mistake_is_told_in_a_sentence(
    rfl: Rfl, kernel: BuiltKernel, args: list[str], words: list[str]
) -> None:
    run: Run = rfl("emit", *args, timeout=GUEST)

    sentence = run.came_to(Verdict.USAGE)

    for word in words:
        assert word in sentence
    assert run.stdout == ""


def test_a_file_is_whole_or_not_there_when_interrupted(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    output = tmp_path / "kernel.ll"
    started = rfl.start("emit", "--file", "rust/kernel/lib.rs", "--output", str(output))
    assert waited_for(lambda: "rustc" in started.children().values(), 60)

    started.process.send_signal(signal.SIGINT)
    run = started.end(30)

    assert run.status == 128 + signal.SIGINT, run
    assert list(tmp_path.iterdir()) == []
    assert not list((rfl.store / "work" / "emit").glob("*"))
