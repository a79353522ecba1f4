"""second_stage: a root that a guest finishes, and what comes back from it."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch as arches
from rflbuild import second_stage
from rflbuild.kernel import Kernel
from rflbuild.process import Processes
from rflbuild.rootfs import Rootfs
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def kernel(built_with: Callable[[str], Kernel]) -> Kernel:
    return built_with("")


def test_a_tar_on_a_disk_ends_where_its_files_do(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("./file")
        entry.size = 3000
        tar.addfile(entry, io.BytesIO(b"x" * 3000))
    with path.open("r+b") as disk:
        disk.truncate(1 << 30)

    second_stage.cut(path)

    assert path.stat().st_size == 512 + 3072 + 1024  # header, content, two blocks of zeros
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["./file"]


def test_the_guest_has_both_disks_and_no_network(kernel: Kernel) -> None:
    argv = second_stage.qemu(kernel, "tcg", Path("/a.raw"), Path("/b.tar"))

    drives = [word for word in argv if word.startswith("file=")]
    assert [drive.split(",")[0] for drive in drives] == ["file=/a.raw", "file=/b.tar"]
    assert "init=/second-stage/init" in argv[argv.index("-append") + 1].split()
    assert "-nodefaults" in argv
    assert not [word for word in argv if "net" in word]


@pytest.fixture
def guest(
    session: Session, kernel: Kernel, tmp_path: Path, make_program: Callable[..., Path]
) -> Callable[[str], None]:
    """Runs a second stage whose QEMU is a little script."""

    def run(script: str) -> None:
        make_program(tmp_path / "bin" / kernel.arch.qemu.binary, script)
        path = f"{tmp_path / 'bin'}:{session.processes.environ['PATH']}"
        with Processes({**session.processes.environ, "PATH": path}) as processes:
            own = dataclasses.replace(session, processes=processes)
            second_stage.run(own, kernel, tmp_path / "disk.raw", tmp_path / "root.tar")

    return run


def test_a_guest_that_fails_is_told_with_its_last_words(guest: Callable[[str], None]) -> None:
    with pytest.raises(RflError) as caught:
        guest("echo 'dpkg: error processing package x'; echo 'second stage: failed'")

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "(dpkg: error processing package x)" in caught.value.sentence


def test_a_guest_that_panics_is_no_success(guest: Callable[[str], None]) -> None:
    with pytest.raises(RflError, match="Kernel panic"):
        guest("echo 'Kernel panic - not syncing: No init found'; echo 'Memory Limit: none'")


def test_a_host_that_cannot_run_the_scripts_says_what_would(
    session: Session, tmp_path: Path
) -> None:
    arm64 = arches.load(session.workspace.configs, "arm64")
    maker = Rootfs(session, arm64, "trixie", "guest")

    with pytest.raises(RflError) as caught:
        maker.build(["apt"], tmp_path)

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "6.7" in caught.value.sentence
