"""payload: the tar that a guest unpacks, and modules without their debug information."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import payload
from rflbuild.initramfs import PAYLOAD_BLOCK, PAYLOAD_OFFSET
from rflbuild.session import Session
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name in ("blinky.ko", "data"):
        (tmp_path / name).write_text(f"{name} as it was")
    return {name: tmp_path / name for name in ("blinky.ko", "data")}


@pytest.fixture
def toolchain_with(tmp_path: Path, make_program: Callable[..., Path]) -> Callable[[str], Toolchain]:
    """Makes a toolchain whose llvm-strip is a shell script."""

    def make(script: str) -> Toolchain:
        program = make_program(tmp_path / "bin" / "llvm-strip", script)
        return Toolchain(
            "system", "key", (), lambda argv, _cwd, _read, _write: [str(program), *argv[1:]]
        )

    return make


def test_the_guest_is_told_how_many_blocks_the_tar_has(files: dict[str, Path]) -> None:
    content = payload.pack(files, 1)

    count = int(content[:PAYLOAD_BLOCK].split()[0])
    assert 0 <= count * PAYLOAD_BLOCK - (len(content) - PAYLOAD_BLOCK) < PAYLOAD_BLOCK


def test_the_tar_has_the_files_and_nothing_of_the_hosts(files: dict[str, Path]) -> None:
    content = payload.pack(files, 1)

    with tarfile.open(fileobj=io.BytesIO(content[PAYLOAD_BLOCK:])) as tar:
        assert tar.getnames() == list(files)
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in tar} == {(0, 0, "", 0)}


def test_more_than_the_disk_takes_is_told_of(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "PAYLOAD_BYTES", PAYLOAD_OFFSET + PAYLOAD_BLOCK)

    with pytest.raises(RflError, match="larger than") as caught:
        payload.pack(files, 1)
    assert caught.value.verdict is Verdict.ENVIRONMENT


def test_modules_alone_are_stripped_and_the_stores_stay_whole(
    session: Session, files: dict[str, Path], toolchain_with: Callable[[str], Toolchain]
) -> None:
    tools = toolchain_with('shift; for file; do echo bare >"$file"; done')

    bare = payload.without_debug_info(session, tools, files)

    assert list(bare) == list(files)
    assert bare["blinky.ko"].read_text() == "bare\n"
    assert bare["data"] == files["data"]
    assert files["blinky.ko"].read_text() == "blinky.ko as it was"


def test_what_was_stripped_is_not_stripped_again(
    session: Session, files: dict[str, Path], toolchain_with: Callable[[str], Toolchain]
) -> None:
    bare = payload.without_debug_info(session, toolchain_with("exit 0"), files)

    assert payload.without_debug_info(session, toolchain_with("exit 1"), files) == bare


def test_a_ko_that_is_none_goes_as_it_is(
    session: Session, files: dict[str, Path], toolchain_with: Callable[[str], Toolchain]
) -> None:
    tools = toolchain_with('echo half >"$2"; exit 1')

    bare = payload.without_debug_info(session, tools, files)

    assert bare["blinky.ko"].read_text() == "blinky.ko as it was"


def test_without_modules_nothing_is_run(
    session: Session, files: dict[str, Path], toolchain_with: Callable[[str], Toolchain]
) -> None:
    data = {"data": files["data"]}

    assert payload.without_debug_info(session, toolchain_with("exit 1"), data) == data
    assert not session.store.root.joinpath("stripped").exists()
