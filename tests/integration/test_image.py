"""The Debian guest's disk: what is in it, making it again, and what is said if it cannot be."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import cli, image, sandbox
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from rflbuild.verdict import Verdict
from tests.integration.conftest import share
from tests.integration.harness import BuiltKernel, Rfl, Run, examples, waited_for

IMAGE = 2400.0  # seconds to make an image from nothing; a quiet machine needs 150
MORE = 400.0  # seconds for a package more; a quiet machine needs 10
PACKAGE = "tree"  # small, and with nothing that it needs beside

pytestmark = pytest.mark.timeout(IMAGE + 300, func_only=True)


def disk(run: Run) -> Path:
    """The disk that a `debian-image` made."""
    assert run.status == 0, run
    (path,) = (line.split()[1] for line in run.stdout.splitlines() if line.startswith("disk "))
    return Path(path)


@pytest.fixture(scope="module")
def debian(rfl: Rfl, user_store: Path) -> Path:
    """The folder of the default image, made in the user's store if it is not there yet."""
    return disk(rfl.on(user_store)("debian-image", timeout=IMAGE)).parent


@pytest.fixture(scope="module")
def tools(user_store: Path, debian: Path) -> Path:
    """The private root with the image's tools."""
    with cli.session(Terminal(sys.stderr), Store(user_store), 1) as session:
        return image.tools(session)


@pytest.fixture(scope="module")
def tool(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program of the image's tools on `disk.raw`, the default image's content."""
    folder = tmp_path_factory.mktemp("disk")

    def run(*words: str, read: Path | None = None) -> str:
        argv = sandbox.enter(tools, words, cwd=folder, read=[read] if read else [], write=[folder])
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    return run


@pytest.fixture(scope="module")
def raw(tool: Callable[..., str], debian: Path) -> str:
    """The name of the default image's file system, for `tool`."""
    tool("qemu-img", "convert", "-O", "raw", str(debian / "disk.qcow2"), "disk.raw", read=debian)
    return "disk.raw"


@pytest.fixture(scope="module")
def content(tool: Callable[..., str], raw: str) -> Callable[[str], str]:
    """The text of a file in the default image."""
    return lambda path: tool("debugfs", "-R", f"cat {path}", raw)


@pytest.fixture
def own_store(tmp_path: Path, debian: Path, user_store: Path) -> Iterator[Path]:
    """A store with the packages of the default image, and with no image."""
    store = tmp_path / "store"
    store.mkdir()
    share(user_store, store)
    (store / "image").unlink(missing_ok=True)
    yield store
    mounts = Path("/proc/self/mounts").read_text()
    assert str(store) not in mounts


# ---- what is in it --------------------------------------------------------------------------


def test_the_file_system_is_clean(tool: Callable[..., str], raw: str) -> None:
    tool("e2fsck", "-fn", raw)


def test_the_root_is_found_by_its_label(tool: Callable[..., str], raw: str) -> None:
    assert tool("e2label", raw).strip() == "rootfs"


def test_nobody_gets_in_over_the_network_by_a_password(content: Callable[[str], str]) -> None:
    assert "Include /etc/ssh/sshd_config.d/*.conf" in content("/etc/ssh/sshd_config")
    words = dict(
        line.split(" ", 1)
        for line in content("/etc/ssh/sshd_config.d/guest.conf").splitlines()
        if not line.startswith("#")
    )
    assert words["PasswordAuthentication"] == "no"
    assert words["KbdInteractiveAuthentication"] == "no"
    assert words["PermitRootLogin"] == "prohibit-password"


def test_the_key_beside_the_disk_opens_it(content: Callable[[str], str], debian: Path) -> None:
    identity = debian / "id_ed25519"

    assert identity.stat().st_mode & 0o077 == 0
    assert content("/root/.ssh/authorized_keys") == (debian / "id_ed25519.pub").read_text()


def test_the_guest_is_known_by_its_host_key(content: Callable[[str], str], debian: Path) -> None:
    alias, *key = (debian / "known_hosts").read_text().split()

    assert alias == image.HOST_ALIAS
    assert content("/etc/ssh/ssh_host_ed25519_key.pub").split() == key


def test_there_are_no_host_keys_but_the_images(tool: Callable[..., str], raw: str) -> None:
    listing = tool("debugfs", "-R", "ls -p /etc/ssh", raw)
    names = {row.split("/")[5] for row in listing.splitlines() if "ssh_host" in row}

    assert names == {"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}


def test_root_has_a_password_for_the_console(content: Callable[[str], str]) -> None:
    fields = dict(line.split(":", 2)[:2] for line in content("/etc/shadow").splitlines())

    assert fields["root"].startswith("$")


def test_modules_have_a_folder(tool: Callable[..., str], raw: str) -> None:
    assert "directory" in tool("debugfs", "-R", "stat /modules", raw)


def test_every_package_that_was_asked_for_is_installed(debian: Path, rfl: Rfl) -> None:
    with cli.session(Terminal(sys.stderr), Store(rfl.store), 1) as session:
        asked = set(image.recipe(session).packages)

    assert asked <= set(json.loads((debian / "packages.json").read_text()))


# ---- making it again ------------------------------------------------------------------------


def test_an_image_that_is_there_costs_nothing(rfl: Rfl, user_store: Path, debian: Path) -> None:
    before = (debian / "disk.qcow2").stat().st_mtime_ns
    run = rfl.on(user_store)("debian-image")

    assert disk(run).parent == debian
    assert "cached" in run.stdout
    assert (debian / "disk.qcow2").stat().st_mtime_ns == before


def test_an_end_half_way_leaves_nothing_and_two_at_once_make_one_image(
    rfl: Rfl, own_store: Path, debian: Path, chance: random.Random
) -> None:
    runs = rfl.on(own_store)
    started = runs.start("debian-image", "--package", PACKAGE)
    assert waited_for(lambda: "mmdebstrap" in started.children().values(), MORE)
    waited_for(lambda: False, chance.uniform(0, 4))  # from its start to its end
    os.kill(started.pid, signal.SIGINT)
    assert started.end(60.0).status == 128 + signal.SIGINT
    assert list((own_store / "tmp").iterdir()) == []
    assert not (own_store / "image").exists()

    first, second = (runs.start("debian-image", "--package", PACKAGE) for _ in range(2))
    made = {disk(each.end(MORE)) for each in (first, second)}

    assert len(made) == 1
    (folder,) = {path.parent for path in made}
    names = set(json.loads((folder / "packages.json").read_text()))
    assert names - set(json.loads((debian / "packages.json").read_text())) == {PACKAGE}
    for name in ("known_hosts", "id_ed25519"):  # each image has its own
        assert (folder / name).read_text() != (debian / name).read_text()


@pytest.mark.slow
def test_a_guest_finishes_what_the_host_cannot(
    rfl: Rfl, own_store: Path, debian: Path, kernel: BuiltKernel
) -> None:
    (own_store / "rootfs").unlink()
    recipe = rfl.workspace / "configs" / "debian.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace("second-stage: auto", "second-stage: guest"))
    try:
        run = rfl.on(own_store)("debian-image", timeout=IMAGE)
    finally:
        recipe.write_text(text)

    packages = json.loads((disk(run).parent / "packages.json").read_text())
    assert packages == json.loads((debian / "packages.json").read_text())
    (tar,) = (own_store / "rootfs").glob("*/root.tar")
    with tarfile.open(tar) as root:
        names = set(root.getnames())
    assert "./second-stage" not in names
    assert "./var/lib/dpkg/info/openssh-server.list" in names


def test_the_guide_shows_what_is_run_here() -> None:
    shown = [words for words in examples("debian") if words[0] == "debian-image"]

    assert shown == [["debian-image"], ["debian-image", "--package", PACKAGE]]


# ---- bad input ------------------------------------------------------------------------------


def test_a_suite_that_debian_does_not_have_is_told(rfl: Rfl, own_store: Path) -> None:
    sentence = rfl.on(own_store)("debian-image", "--suite", "trixi").came_to(Verdict.USAGE)

    assert "no suite `trixi`" in sentence


def test_a_package_that_debian_does_not_have_is_told_with_near_names(
    rfl: Rfl, own_store: Path
) -> None:
    sentence = rfl.on(own_store)("debian-image", "--package", "starce").came_to(Verdict.USAGE)

    assert "no package starce" in sentence
    assert "strace" in sentence


def test_an_unknown_architecture_is_told_with_the_known_ones(rfl: Rfl) -> None:
    sentence = rfl("debian-image", "--arch", "arm65").came_to(Verdict.USAGE)

    assert "arm64, x86_64" in sentence


def test_a_mirror_that_does_not_answer_is_told(rfl: Rfl, own_store: Path) -> None:
    nowhere = {"RFLBUILD_MIRROR": "http://127.0.0.1:9/debian"}
    run = rfl.on(own_store).start("debian-image", env=nowhere).end(120.0)

    assert "network" in run.came_to(Verdict.ENVIRONMENT)


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(rfl: Rfl, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=64m none "$0" && exec "$@"'
    wrapper = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not to be had here")
    run = rfl.on(tmp_path).start(
        "debian-image", wrapper=[*wrapper, "sh", "-c", script, str(tmp_path)]
    )

    assert "2.0 GB" in run.end(60.0).came_to(Verdict.ENVIRONMENT)
