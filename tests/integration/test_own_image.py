"""Images of the user's own, and what may be wrong with them.

Most are small: a busybox with a getty and a login of its own boots in two seconds. A Debian by
other means than our builder's is in test_dqib.py.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, DebianImage, Rfl

pytestmark = pytest.mark.timeout(GUEST + 60, func_only=True)
MEGABYTE = 1 << 20
# `openssl passwd -5`, of `root` and of another word.
ROOT = "$5$rflbuild$mUQWqjjgzk1nVkcxO9UVPonH5m/S5xbKXbj.1XSO3r4"
OTHER = "$5$rflbuild$MPBwLGvgvDmTIg2N.yFM3xLFPA1evUyOKKd1mFkrNj1"
RC = """\
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
hostname small
"""
GETTY = "hvc0::respawn:/bin/busybox getty -L 0 hvc0 vt100\n"


@pytest.fixture
def make(debian: DebianImage, rfl: Rfl, tmp_path: Path) -> Callable[..., Path]:
    """Makes an image of one ext4 file system on the whole disk, with a busybox in it.

    `console` is what inittab says of hvc0, `password` root's, encrypted, and `rc` what is run
    before. Without an `init` nothing is in the file system.
    """

    def made(
        password: str = ROOT, console: str = GETTY, rc: str = RC, *, init: bool = True
    ) -> Path:
        root = tmp_path / "root"
        for name in ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp"):
            (root / name).mkdir(parents=True)
        if init:
            (binary,) = (rfl.store / "busybox").glob("*/usr/bin/busybox")
            (root / "bin" / "busybox").write_bytes(binary.read_bytes())
            (root / "bin" / "sh").symlink_to("busybox")
            (root / "sbin" / "init").symlink_to("../bin/busybox")
            (root / "etc" / "rc").write_text(rc)
            for path in (root / "bin" / "busybox", root / "etc" / "rc"):
                path.chmod(0o755)
        (root / "etc" / "inittab").write_text(f"::sysinit:/etc/rc\n{console}")
        (root / "etc" / "passwd").write_text(f"root:{password}:0:0:root:/root:/bin/sh\n")
        words = ["mke2fs", "-q", "-t", "ext4", "-L", "rootfs", "-E", "root_owner=0:0"]
        done = debian.tool(*words, "-d", "root", "own.raw", "16M", folder=tmp_path)
        assert done.returncode == 0, done.stdout
        return tmp_path / "own.raw"

    return made


@pytest.fixture
def small(make: Callable[..., Path]) -> Path:
    return make()


def judged(rfl: Rfl, verdict: Verdict, *words: str) -> str:
    """The sentence of a run of hello that did not pass; the image is as it was."""
    image = Path(words[words.index("--image") + 1])
    before = image.read_bytes()
    sentence = rfl.test("hello", *words).came_to(verdict)
    assert image.read_bytes() == before
    return sentence


def test_a_raw_image_with_a_getty_is_logged_into(rfl: Rfl, small: Path) -> None:
    before = small.read_bytes()

    rfl.test("hello", "--image", str(small)).passed()

    assert small.read_bytes() == before


def test_a_qcow2_image_is_told_from_a_raw_one(
    rfl: Rfl, debian: DebianImage, small: Path, tmp_path: Path
) -> None:
    words = ["qemu-img", "convert", "-O", "qcow2", str(small), "own.disk"]
    assert debian.tool(*words, folder=tmp_path).returncode == 0

    rfl.test("hello", "--image", str(tmp_path / "own.disk")).passed()


def test_an_image_that_changed_is_not_gone_on_from_where_it_had_booted_to(
    rfl: Rfl, make: Callable[..., Path], tmp_path: Path
) -> None:
    image = make()
    rfl.test("hello", "--image", str(image)).passed()
    image.rename(tmp_path / "before.raw")
    (tmp_path / "root").rename(tmp_path / "before")
    make(rc=f"{RC}mkdir /changed\n")

    run = rfl("shell", "--image", str(image), stdin="ls /", timeout=GUEST)

    assert run.status == 0, run
    assert "changed" in run.stdout.split()
    rfl.test("hello", "--image", str(image)).passed()


def test_a_partition_is_a_root_if_it_is_named(rfl: Rfl, small: Path, tmp_path: Path) -> None:
    content = small.read_bytes()
    # A master boot record: one partition of Linux's, from the first megabyte on.
    entry = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, len(content) // 512)
    record = (b"\0" * 446 + entry).ljust(510, b"\0") + b"\x55\xaa"
    whole = tmp_path / "whole.raw"
    whole.write_bytes(record.ljust(MEGABYTE, b"\0") + content)

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(whole))
    rfl.test("hello", "--image", str(whole), "--root", "/dev/vda1").passed()

    assert f"no file system on /dev/vda of {whole}" in sentence
    assert "--root for a partition, as /dev/vda1" in sentence


def test_garbage_is_told_as_no_file_system(rfl: Rfl, chance: random.Random, tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(chance.randbytes(MEGABYTE))

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(path))

    assert f"no file system on /dev/vda of {path}" in sentence


def test_an_image_that_is_cut_off_is_told_in_qemus_words(
    rfl: Rfl, debian: DebianImage, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.qcow2"
    cut.write_bytes(debian.disk.read_bytes()[:80])

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(cut))

    fresh = judged(rfl, Verdict.ENVIRONMENT, "--image", str(cut), "--fresh")

    assert re.match(rf"qemu-img cannot lay \S+ over {cut} \(.*header too short\)", sentence)
    assert re.match(rf"QEMU cannot use {cut} \(.*header too short\)", fresh)


def test_an_image_with_no_init_is_told(rfl: Rfl, make: Callable[..., Path]) -> None:
    image = make(init=False)

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(image))

    assert sentence.startswith(f"{image} has no init that runs (")


def test_another_password_is_told(rfl: Rfl, make: Callable[..., Path]) -> None:
    image = make(password=OTHER)

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(image))

    assert sentence.startswith(f"{image} does not let root in with the password `root`: ")
    assert "--over-ssh and --identity" in sentence


def test_a_root_without_a_password_needs_none(rfl: Rfl, make: Callable[..., Path]) -> None:
    rfl.test("hello", "--image", str(make(password=""))).passed()


def test_an_automatic_login_is_taken(rfl: Rfl, make: Callable[..., Path]) -> None:
    image = make(console="hvc0::respawn:-/bin/sh\n")

    rfl.test("hello", "--image", str(image)).passed()


def test_a_path_may_have_spaces_and_commas_in_it(
    rfl: Rfl, small: Path, tmp_path: Path, module_at: Callable[..., Path]
) -> None:
    folder = tmp_path / "mine, and others"
    folder.mkdir()
    image = small.rename(folder / "a, b.raw")
    module = module_at(test="files: [Makefile]\nsteps:\n  - run: test -f /modules/Makefile\n")
    other = module.rename(tmp_path / "my module")

    words = ["--image", str(image), "--fresh"]
    rfl.test(str(other), *words, "--files", "image").passed()
    rfl.test(str(other), *words, "--persist", str(folder / "c, d.qcow2")).passed()


def test_a_console_without_a_login_is_a_time_out_that_says_so(
    rfl: Rfl, make: Callable[..., Path]
) -> None:
    image = make(console="")

    sentence = judged(rfl, Verdict.TIMEOUT, "--image", str(image), "--timeout", "15")

    assert "the image showed no login prompt on hvc0" in sentence


def test_a_guest_that_ends_while_it_boots_is_told(rfl: Rfl, make: Callable[..., Path]) -> None:
    image = make(rc=f"{RC}poweroff -f\n")

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(image))

    assert sentence.startswith("the guest ended itself while it booted")


def test_files_cannot_be_put_into_a_partition(
    rfl: Rfl, chance: random.Random, tmp_path: Path
) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(chance.randbytes(MEGABYTE))

    sentence = judged(rfl, Verdict.ENVIRONMENT, "--image", str(path), "--files", "image")

    assert sentence.startswith(f"debugfs cannot write into {path} (")
    assert not list((rfl.results / "latest").glob("*.raw"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--guest", "windows"], "unknown guest `windows`; there are: initramfs, debian"),
        (["--files", "pigeon"], "--files: unknown way `pigeon`"),
        (["--files", "ssh"], "--files ssh goes with --guest debian or --image"),
        (["--over-ssh"], "--over-ssh goes with --guest debian or --image"),
        (["--persist", "x.qcow2"], "--persist goes with --guest debian or --image"),
        (["--guest", "debian", "--initrd", "x"], "--initrd goes with --image"),
        (["--guest", "debian", "--root", "/dev/vda1"], "--root goes with --image"),
        (["--guest", "debian", "--identity", "x"], "--identity goes with --image"),
        (["--image", "there/is/none"], "--image: there is no file there/is/none"),
        (["--image", "."], "--image: there is no file ."),
        (["--image", "tasks.py", "--initrd", "none"], "--initrd: there is no file none"),
        (["--image", "tasks.py", "--over-ssh"], "SSH into an image of your own needs a key"),
        (["--image", "tasks.py", "--files", "ssh"], "SSH into an image of your own needs a key"),
        (
            ["--guest", "debian", "--files", "image", "--persist", "x"],
            "--files image is for a copy of the image",
        ),
        (
            ["--guest", "debian", "--persist", "no/folder/x.qcow2"],
            "--persist: there is no folder ",
        ),
    ],
)
def test_options_that_do_not_fit_are_told(
    rfl: Rfl, debian: DebianImage, words: list[str], said: str
) -> None:
    assert rfl.test("hello", *words).came_to(Verdict.USAGE).startswith(said)


def test_a_folder_that_cannot_be_written_to_keeps_nothing(
    rfl: Rfl, debian: DebianImage, tmp_path: Path
) -> None:
    path = tmp_path / "shut" / "x.qcow2"
    path.parent.mkdir()
    run = rfl(
        *["qemu-test", "hello", "--guest", "debian", "--persist", str(path)],
        wrapper=rfl.read_only(path.parent),
        timeout=GUEST,
    )

    assert str(path) in run.came_to(Verdict.ENVIRONMENT)
