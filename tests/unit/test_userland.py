"""userland: what is chosen to run above the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import userland
from rflbuild.chain import Links
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.userland import Choice
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def kernel(built_with: Callable[[str], Kernel]) -> Kernel:
    return built_with("")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    path.write_bytes(b"QFI\xfb\0\0\0\3")
    return path


def refused(choice: Choice) -> str:
    with pytest.raises(RflError) as caught:
        userland.check(choice)
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def test_an_unknown_guest_is_told_the_known_ones() -> None:
    sentence = refused(Choice("fedora"))

    assert "fedora" in sentence
    assert "initramfs, debian" in sentence


@pytest.mark.parametrize(
    "choice",
    [Choice("debian", initrd="x"), Choice("debian", root="x"), Choice("debian", identity="x")],
)
def test_what_is_about_an_image_needs_one(choice: Choice) -> None:
    assert "--image" in refused(choice)


@pytest.mark.parametrize(
    ("choice", "option"),
    [(Choice(persist="x.qcow2"), "--persist"), (Choice(over_ssh=True), "--over-ssh")],
)
def test_what_is_about_a_disk_needs_one(choice: Choice, option: str) -> None:
    assert option in refused(choice)


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refused(Choice(image=str(tmp_path / "none")))


def test_ssh_into_an_image_of_ones_own_needs_a_key(image: Path) -> None:
    assert "--identity" in refused(Choice(image=str(image), over_ssh=True))


def test_an_initramfs_has_no_disk(session: Session, kernel: Kernel) -> None:
    assert userland.prepare(session, Choice(), kernel, Links(session)) is None


def test_the_format_of_an_image_is_what_its_file_says(
    session: Session, kernel: Kernel, image: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "image"
    raw.write_bytes(bytes(512))

    formats = []
    for path in (image, raw):
        disk = userland.prepare(session, Choice(image=str(path)), kernel, Links(session))
        assert disk
        formats.append((disk.format, disk.root))

    assert formats == [("qcow2", "/dev/vda"), ("raw", "/dev/vda")]


def test_with_an_initrd_the_root_is_found_by_its_label(
    session: Session, kernel: Kernel, image: Path
) -> None:
    choice = Choice(image=str(image), initrd=str(image))

    disk = userland.prepare(session, choice, kernel, Links(session))

    assert disk
    assert disk.root == "LABEL=rootfs"  # as the Debian Quick Image Baker has it


def test_a_choice_is_made_again_by_its_words() -> None:
    choice = Choice("debian", persist="my.qcow2", over_ssh=True, fresh=True)

    words = "--guest debian --persist my.qcow2 --over-ssh --fresh"
    assert choice.words() == words.split()
    assert Choice().words() == []
