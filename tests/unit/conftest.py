"""What the unit tests share: a session on a temporary folder, a little kernel tree, processes."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import arch
from rflbuild.kernel import Kernel
from rflbuild.process import Processes
from rflbuild.session import Session, Workspace
from rflbuild.source import Source
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from rflbuild.toolchain import Toolchain

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def repository() -> Path:
    """The checkout, whose shipped files some tests read."""
    return REPOSITORY


@pytest.fixture(scope="session")
def barred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs that no unit test may start, each replaced by one that fails."""
    folder = tmp_path_factory.mktemp("barred")
    for name in ("apt-get", "apt-cache", "mmdebstrap", "bwrap", "sudo", "make", "cargo", "rustup"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho 'E: a unit test started {name}'\nexit 99\n")
        program.chmod(0o755)
    return folder


@pytest.fixture
def environ(tmp_path: Path, barred: Path) -> dict[str, str]:
    """The environment of children: none of the settings of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{barred}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }


@pytest.fixture
def processes(environ: dict[str, str]) -> Iterator[Processes]:
    with Processes(environ) as running:
        yield running


@pytest.fixture
def screen() -> io.StringIO:
    """What the session's terminal shows."""
    return io.StringIO()


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped configs/ and templates/ that all tests share, not to be changed."""
    root = tmp_path_factory.mktemp("shipped")
    for name in ("configs", "templates"):
        shutil.copytree(REPOSITORY / name, root / name)
    return root


@pytest.fixture
def workspace(tmp_path: Path, shipped: Path) -> Workspace:
    """A workspace with what is shipped, and without modules and results."""
    root = tmp_path / "workspace"
    root.mkdir()
    for name in ("configs", "templates"):
        (root / name).symlink_to(shipped / name)
    return Workspace(root)


def _own(folder: Path) -> Path:
    shared = folder.resolve()
    folder.unlink()
    shutil.copytree(shared, folder)
    return folder


@pytest.fixture
def own_configs(workspace: Workspace) -> Path:
    """The workspace's configs/, to be changed at will."""
    return _own(workspace.configs)


@pytest.fixture
def own_templates(workspace: Workspace) -> Path:
    """The workspace's templates/, to be changed at will."""
    return _own(workspace.templates)


@pytest.fixture
def session(
    tmp_path: Path, workspace: Workspace, processes: Processes, screen: io.StringIO
) -> Session:
    """A session whose store, workspace and terminal are the test's own."""
    store = Store(tmp_path / "store")
    return Session(workspace, store, processes, Terminal(screen), jobs=1)


@pytest.fixture
def make_kernel_tree() -> Callable[..., Path]:
    """Makes a folder that looks like a Linux source of a version such as `7.3.4`."""

    def make(tree: Path, release: str = "7.3.4", extra: str = "") -> Path:
        version, patchlevel, sublevel = release.split(".")
        (tree / "scripts").mkdir(parents=True, exist_ok=True)
        (tree / "scripts" / "min-tool-version.sh").write_text("#!/bin/sh\necho 1.78.0\n")
        (tree / "Makefile").write_text(
            "# SPDX-License-Identifier: GPL-2.0\n"
            f"VERSION = {version}\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = {sublevel}\n"
            f"EXTRAVERSION ={f' {extra}' if extra else ''}\nNAME = Baby Opossum Posse\n"
        )
        return tree

    return make


@pytest.fixture
def built_with(tmp_path: Path, repository: Path) -> Callable[[str], Kernel]:
    """Makes a kernel of which nothing is there but its .config."""

    def make(config: str) -> Kernel:
        out = tmp_path / "kernel"
        out.mkdir(exist_ok=True)
        (out / ".config").write_text(config)
        tools = Toolchain("system", "key", (), lambda argv, _cwd, _read, _write: list(argv))
        source = Source("7.3", tmp_path / "source", (7, 3, 4), "7.3.4", "key")
        machine = arch.load(repository / "configs", "arm64")
        return Kernel(machine, source, tools, "defconfig", "key", out, 0.0)

    return make


@pytest.fixture
def make_program() -> Callable[..., Path]:
    """Makes a little executable shell script."""

    def make(path: Path, text: str = "exit 0") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def start_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python program that can import rflbuild, with pipes; ended with the test."""
    children: list[subprocess.Popen[str]] = []

    def start(program: str, *words: str, **environ: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": str(REPOSITORY),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Whether a process runs; a zombie, which only waits for its parent, does not."""

    def ask(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    return ask


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    """Whether something comes true within some seconds."""

    def wait(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    return wait
