"""compile_commands: the entries that clangd reads, by the host's paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rflbuild import compile_commands
from rflbuild.arch import load
from rflbuild.kernel import Kernel
from rflbuild.module import Copy, Module
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain

SCRIPT = """\
import json, os, sys
folder, into = sys.argv[2], sys.argv[4]
files = [os.path.join(top, name) for top, _, names in os.walk(folder) for name in names]
files += [os.path.join(sys.path[0], "..", "..", "lib", "string.c")]
json.dump([
    {
        "directory": folder,
        "file": os.path.realpath(file),
        "command": f"ccache clang -I{folder}/include -DNAME='a b' -c -o x.o {file}",
    }
    for file in files if file.endswith((".c", ".S"))
], open(into, "w"))
"""


@pytest.fixture
def built(session: Session, tmp_path: Path) -> Kernel:
    """A kernel whose source has a script in the place, and with the words, of the real one."""
    source, out = tmp_path / "linux", tmp_path / "out"
    for path in (
        source / "lib" / "string.c",
        source / "lib" / "memcpy.S",
        out / "lib" / "generated.c",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    script = source / "scripts" / "clang-tools" / "gen_compile_commands.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    tools = Toolchain("x", "x", (), lambda argv, _cwd, _read, _write: list(argv))
    arch = load(session.workspace.configs, "arm64")
    tree = Source("x", source, (7, 3), "7.3.4", "x")
    return Kernel(arch, tree, tools, "virt", "k", out, 0.0)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("helpers.c", "mine.mod.c"):
        (work / name).touch()
    return Copy(work, "x", tmp_path / "log")


@pytest.fixture
def own(tmp_path: Path) -> Module:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "helpers.c").touch()
    return Module("mine", folder, "modules/mine")


def test_the_kernels_own_c_is_there_and_what_was_generated_is_not(
    session: Session, built: Kernel
) -> None:
    (entry,) = compile_commands.of_kernel(session, built)

    assert entry["file"] == str(built.source.path / "lib" / "string.c")
    assert entry["directory"] == str(built.out)
    assert entry["arguments"][:3] == ["clang", f"-I{built.out}/include", "-DNAME=a b"]
    assert entry["arguments"][-1] == entry["file"]


def test_a_modules_c_is_the_users_file_with_the_users_folder_in_its_flags(
    session: Session, built: Kernel, copy: Copy, own: Module
) -> None:
    (entry,) = compile_commands.of_module(session, built, copy, own)

    assert entry["file"] == str(own.directory / "helpers.c")
    assert entry["directory"] == str(own.directory)
    assert f"-I{own.directory}/include" in entry["arguments"]
    assert not [word for word in entry["arguments"] if str(copy.work) in word]


def test_all_folders_share_one_file_with_the_kernel(
    session: Session, built: Kernel, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        entry = {"arguments": ["clang"], "directory": "/", "file": f"{folder}/x.c"}
        path = compile_commands.shared(session, built, folder, [entry])
    kernels = str(built.source.path / "lib" / "string.c")
    assert files(path, tmp_path) == {f"{folders[0]}/x.c", f"{folders[1]}/x.c", kernels}
    assert files(path, built.source.path) == {kernels}

    folders[0].rmdir()
    compile_commands.shared(session, built, folders[1], [])
    assert files(path, tmp_path) == {kernels}


def files(path: Path, folder: Path) -> set[str]:
    return {entry["file"] for entry in compile_commands.below(path, folder)}


def test_the_text_has_each_file_once_in_order() -> None:
    entries = [{"file": name, "arguments": [number]} for number, name in enumerate("bab")]

    text = compile_commands.text_of(entries)

    assert json.loads(text) == [
        {"file": "a", "arguments": [1]},
        {"file": "b", "arguments": [2]},
    ]
