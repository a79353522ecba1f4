"""What is wrong in a command line or a file is told in a sentence, before anything is built."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import MODULES, Rfl, snapshot

pytestmark = pytest.mark.timeout(120, func_only=True)


def refused(rfl: Rfl, *args: str, cwd: Path | None = None) -> str:
    """The sentence by which a command line is refused; nothing comes to be by it."""
    before = snapshot(rfl.workspace / "modules"), _names(rfl.results)
    sentence = rfl(*args, cwd=cwd).came_to(Verdict.USAGE)
    assert (snapshot(rfl.workspace / "modules"), _names(rfl.results)) == before
    return sentence


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["qemu-tset", "hello"], ["qemu-tset", "--list"]),
        (["qemu-test", "hello", "--kernal", "7.3"], ["--kernal", "--help"]),
        (["qemu-test"], ["target"]),
        (["qemu-test", "hello", "minimal"], ["minimal"]),
        (["new-module"], ["name"]),
        (["kernel", "--jobs", "many"], ["many"]),
        (["qemu-test", "helo"], ["`helo`", "`hello`"]),
        (["module", "samplse"], ["`samplse`", "`samples`"]),
        (["qemu-test", "zzz"], ["`zzz`", "hello", "samples"]),
        (["qemu-test", "hello", "--arch", "riscv"], ["`riscv`", "arm64", "x86_64"]),
        (["kernel", "--base", "tiny"], ["`tiny`", "virt", "defconfig"]),
        (["kernel", "--fragment", "debgu"], ["`debgu`", "`debug`"]),
        (["kernel", "--fragment", "no/such.config"], ["`no/such.config`", "debug"]),
        (["kernel", "--toolchain", "gcc"], ["`gcc`", "auto", "system", "debian"]),
        (["kernel", "--kernel", "latest"], ["`latest`", "7.3", "6.12", "rust-next"]),
        (["kernel", "--kernel", "git+https://example.org/linux.git"], ["git+URL@"]),
        (["kernel", "--kernel", "/no/such/tree"], ["/no/such/tree"]),
        (["new-module", "mine", "--kind", "helo"], ["`helo`", "`hello`"]),
        (["new-module", "mine", "--kind", "zzz"], ["`zzz`", "hello", "miscdevice"]),
        (["shell", "helo"], ["`helo`", "`hello`"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0][:1] != "`" else "",
)
def test_unknown_words_are_named_with_what_fits(
    rfl: Rfl, args: list[str], words: list[str]
) -> None:
    sentence = refused(rfl, *args)
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    "args",
    [
        ["qemu-test", "hello", "--timeout", "-1"],
        ["qemu-test", "hello", "--timeout", "nan"],
        ["kernel", "--jobs", "-1"],
    ],
    ids=" ".join,
)
def test_numbers_that_mean_nothing_are_refused(rfl: Rfl, args: list[str]) -> None:
    assert args[-2] in refused(rfl, *args)


@pytest.mark.parametrize(
    "name",
    [
        "Foo",
        "my-driver",
        "my driver",
        "9p",
        "../mine",
        "/tmp/mine",  # noqa: S108 - never made
        ".hidden",
        "fn",
        "int",
        "kernel",
        "option",
        "größe",
        "",
        "x" * 56,
        "a\nb",
        "$(reboot)",
    ],
    ids=repr,
)
def test_a_name_that_no_module_can_have_is_refused(rfl: Rfl, name: str) -> None:
    run = rfl("new-module", name)
    assert run.status == Verdict.USAGE.exit_code, run
    assert "Traceback" not in run.text
    assert run.stderr.startswith("usage: "), run
    assert not _names(rfl.workspace / "modules")


def test_a_broken_test_yaml_is_told_by_file_and_line(rfl: Rfl, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(MODULES / "out_of_tree", folder)
    file = folder / "test.yaml"

    for text, line, words in (
        ("steps:\n  - insmod: out_of_tree\n  - rnmod: out_of_tree\n", 3, ["`rnmod`", "`rmmod`"]),
        ("steps:\n  - insmod: out_of_tree\n    timeout: soon\n", 3, ["float", "timeout"]),
        ("machine:\n  memory: lots\n", 2, ["256M"]),
        ("steps:\n  - run: true\n", 2, ["str"]),
        ("steps:\n  - run: ls\n   output: x\n", 3, []),
        ("steps:\n  - run: ls\n    rmmod: out_of_tree\n", 2, ["rmmod", "run"]),
        ("- insmod: out_of_tree\n", 1, ["mapping"]),
    ):
        file.write_text(text)
        sentence = refused(rfl, "qemu-test", str(folder))
        assert sentence.startswith(f"{file}:{line}: "), sentence
        assert all(word in sentence for word in words), sentence


def test_a_test_that_names_a_missing_file_is_refused(rfl: Rfl, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(MODULES / "out_of_tree", folder)
    (folder / "test.yaml").write_text("files: [data.bin]\n")

    sentence = refused(rfl, "qemu-test", str(folder))

    assert str(folder / "test.yaml") in sentence
    assert "data.bin" in sentence


def test_a_broken_fragment_is_told_by_file_and_line(rfl: Rfl, tmp_path: Path) -> None:
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_CRC7=y\n\nCRC8=y\n")

    sentence = refused(rfl, "kernel", "--fragment", str(fragment))

    assert sentence.startswith(f"{fragment}:3: `CRC8=y`")


@pytest.mark.parametrize("command", ["qemu-test", "module", "shell"])
def test_a_folder_without_a_module_is_told_so(rfl: Rfl, tmp_path: Path, command: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "Makefile").write_text("all:\n\techo nothing of the kernel's\n")
    (tmp_path / "file").touch()

    for folder, words in (
        (empty, "holds no module"),
        (tmp_path, "holds no module"),
        (tmp_path / "file", "not a folder"),
        (tmp_path / "missing", "not a folder"),
    ):
        sentence = refused(rfl, command, str(folder))
        assert str(folder) in sentence
        assert words in sentence
    assert "holds no module" in refused(rfl, command, ".", cwd=empty)


def test_a_folder_without_a_kernel_is_told_so(rfl: Rfl, tmp_path: Path) -> None:
    assert re.search(
        rf"{tmp_path} holds no Linux source", refused(rfl, "kernel", "--kernel", str(tmp_path))
    )


def test_a_tarball_without_a_kernel_is_told_so(rfl: Rfl, tmp_path: Path) -> None:
    (tmp_path / "README").write_text("no kernel\n")
    tarball = tmp_path / "mine.tar.gz"
    with tarfile.open(tarball, "w:gz") as tar:
        tar.add(tmp_path / "README", "mine/README")

    assert "holds no Linux source" in refused(rfl, "new-module", "mine", "--kernel", str(tarball))

    tarball.with_name("mine.tar.gz.sha256").write_text("0" * 64)
    sentence = refused(rfl, "new-module", "mine", "--kernel", str(tarball))
    assert "SHA-256" in sentence
    assert str(tarball) in sentence

    tarball.with_name("mine.tar.gz.sha256").unlink()
    tarball.write_text("no archive either")
    assert str(tarball) in refused(rfl, "new-module", "mine", "--kernel", str(tarball))


def test_a_git_repository_without_a_kernel_is_told_so(rfl: Rfl, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git = ["git", "-C", str(repository), "-c", "user.name=nobody", "-c", "user.email=nobody@host"]
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(repository)], check=True)
    (repository / "README").write_text("no kernel\n")
    subprocess.run([*git, "add", "README"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "Begin"], check=True)
    url = f"git+file://{repository}"

    assert "holds no Linux source" in refused(rfl, "new-module", "mine", "--kernel", f"{url}@main")

    run = rfl("new-module", "mine", "--kernel", f"{url}@no-such-branch")
    assert "no-such-branch" in run.came_to(Verdict.USAGE)


def test_a_file_in_the_way_of_a_new_module_stays(rfl: Rfl, module_at: Callable[..., Path]) -> None:
    mine = rfl.workspace / "modules" / "mine"
    try:
        for make in (lambda: mine.write_text("mine"), mine.mkdir, lambda: mine.symlink_to("x")):
            make()
            assert "modules/mine is there already" in refused(rfl, "new-module", "mine")
            mine.rmdir() if mine.is_dir() else mine.unlink()
    finally:
        mine.unlink(missing_ok=True)


def test_a_test_of_the_kernels_own_modules_has_nothing_to_build(rfl: Rfl) -> None:
    assert "builds nothing" in refused(rfl, "module", "samples")
