"""share: which folders a guest may have, and what they are called there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import share
from rflbuild.kernel import Kernel
from rflbuild.share import Share
from rflbuild.verdict import RflError, Verdict


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def test_a_folder_is_writable_unless_it_is_given_read_only(data: Path) -> None:
    shares = share.parse([str(data), f"{data}:ro", f"{data}:rw"])

    assert [s.read_only for s in shares] == [False, True, False]
    assert {s.directory for s in shares} == {data}


def test_it_has_its_own_name_in_the_guest(data: Path) -> None:
    assert share.parse([str(data)])[0].place == "/mnt/data"


def test_a_relative_folder_and_a_link_are_what_they_lead_to(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data.parent / "link").symlink_to(data)
    monkeypatch.chdir(data)

    assert [s.directory for s in share.parse([".", "../link"])] == [data, data]


def test_two_of_one_name_are_two(tmp_path: Path) -> None:
    for name in ("a/data", "b/data"):
        (tmp_path / name).mkdir(parents=True)

    names = [s.name for s in share.parse([f"{tmp_path}/a/data", f"{tmp_path}/b/data"])]

    assert names == ["data", "data-2"]


@pytest.mark.parametrize(
    ("name", "known_as"),
    [("with spaces, and commas", "with-spaces-and-commas"), ("…", "share"), ("x" * 80, "x" * 31)],
)
def test_a_name_is_what_a_tag_of_9p_can_be(tmp_path: Path, name: str, known_as: str) -> None:
    (tmp_path / name).mkdir()

    assert share.parse([str(tmp_path / name)])[0].name == known_as


def test_the_root_can_be_shared() -> None:
    assert share.parse(["/:ro"]) == (Share("share", Path("/"), read_only=True),)


def test_a_folder_whose_name_ends_like_a_mode_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "data:ro").mkdir()

    (found,) = share.parse([f"{tmp_path}/data:ro"])

    assert (found.directory.name, found.read_only) == ("data:ro", False)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    said = usage(lambda: share.parse([f"{tmp_path}/none:ro"]))

    assert f"there is no folder {tmp_path}/none" in said


def test_a_file_is_refused_with_what_to_do(data: Path) -> None:
    (data / "file").touch()

    said = usage(lambda: share.parse([str(data / "file")]))

    assert "is a file; share the folder it is in" in said


def test_a_folder_that_one_may_not_read_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who runs CI, may read everything

    assert "not yours to read" in usage(lambda: share.parse([str(data)]))


@pytest.mark.parametrize("missing", ["CONFIG_9P_FS=y", "CONFIG_NET_9P_VIRTIO=y"])
def test_a_kernel_without_9p_is_refused_with_what_it_lacks(
    built_with: Callable[[str], Kernel], missing: str
) -> None:
    lines = {"CONFIG_9P_FS=y", "CONFIG_NET_9P_VIRTIO=y"} - {missing}

    said = usage(lambda: share.require(built_with("\n".join(lines))))

    assert "Linux 7.3.4 defconfig" in said
    assert f"--fragment share, or build it with {missing}" in said


def test_9p_in_a_module_is_not_enough(built_with: Callable[[str], Kernel]) -> None:
    kernel = built_with("CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=y\n")

    assert "CONFIG_9P_FS=y" in usage(lambda: share.require(kernel))


def test_a_kernel_with_9p_will_do(built_with: Callable[[str], Kernel]) -> None:
    share.require(built_with("CONFIG_9P_FS=y\nCONFIG_NET_9P_VIRTIO=y\n"))
