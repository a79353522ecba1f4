"""snapshot: which guests are kept, and what their keys hang on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import arch, snapshot
from rflbuild.boot import Boot
from rflbuild.disk import Disk
from rflbuild.session import Session
from rflbuild.share import Share
from rflbuild.testspec import Machine
from rflbuild.toolchain import Toolchain


@pytest.fixture
def boot(tmp_path: Path, repository: Path) -> Boot:
    """A guest of an image and an initramfs that are files."""
    for name in ("Image", "initramfs.cpio", "disk.qcow2"):
        (tmp_path / name).write_bytes(b"content")
    tools = Toolchain("tools", "key", (), lambda argv, _cwd, _read, _write: list(argv))
    return Boot(
        arch.load(repository / "configs", "arm64"),
        Machine(),
        tools,
        tmp_path / "Image",
        tmp_path / "initramfs.cpio",
        "tcg",
        repository / "templates",
    )


def on_disk(boot: Boot) -> Boot:
    return replace(boot, initrd=None, disk=Disk("Debian", boot.image.with_name("disk.qcow2")))


@pytest.mark.parametrize(
    "change",
    [
        {"person": True},
        {"gdb": True},
        {"over_ssh": True},
        {
            "shares": (
                Share(
                    "mine",
                    Path("/"),
                ),
            )
        },
        {"files": "share"},
        {"files": "image"},
        {"accelerator": "kvm"},
        {"machine": Machine(devices=("pci-testdev",))},
    ],
    ids=str,
)
def test_what_belongs_to_one_run_boots(
    session: Session, boot: Boot, change: dict[str, object], tmp_path: Path
) -> None:
    asked = replace(boot, **change)  # type: ignore[arg-type]

    assert snapshot.of(session, asked, tmp_path) is asked


def test_an_overlay_of_the_users_boots(session: Session, boot: Boot, tmp_path: Path) -> None:
    disk = on_disk(boot).disk
    assert disk
    asked = replace(on_disk(boot), disk=replace(disk, overlay=tmp_path / "mine.qcow2"))

    assert snapshot.of(session, asked, tmp_path) is asked


@pytest.mark.parametrize(
    "change",
    [
        lambda boot: replace(boot, machine=Machine(memory="512M")),
        lambda boot: replace(boot, machine=Machine(devices=("e1000",))),
        lambda boot: replace(boot, toolchain=replace(boot.toolchain, key="another")),
        on_disk,
    ],
    ids=["memory", "devices", "QEMU", "disk"],
)
def test_another_machine_is_another_guest(boot: Boot, change: Callable[[Boot], Boot]) -> None:
    assert snapshot.key(change(boot)) != snapshot.key(boot)


@pytest.mark.parametrize("name", ["Image", "initramfs.cpio"])
def test_another_file_is_another_guest(boot: Boot, name: str) -> None:
    before = snapshot.key(boot)
    os.utime(boot.image.with_name(name), ns=(1, 1))

    assert snapshot.key(boot) != before


def test_another_image_is_another_guest(boot: Boot) -> None:
    before = snapshot.key(on_disk(boot))
    boot.image.with_name("disk.qcow2").write_bytes(b"longer content")

    assert snapshot.key(on_disk(boot)) != before


def test_the_same_guest_has_the_same_key(boot: Boot) -> None:
    assert snapshot.key(replace(boot)) == snapshot.key(boot)


def test_a_guest_that_cannot_be_saved_is_not_tried_again(
    session: Session, boot: Boot, tmp_path: Path
) -> None:
    session.store.note(f"unsaved-{snapshot.key(boot)}", {"why": "a device"})

    assert snapshot.of(session, boot, tmp_path) is boot
