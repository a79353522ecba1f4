"""A kernel of the user's own is read and never written to; what it drops is told."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rflbuild.store import remove_tree
from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, KERNEL, BuiltKernel, Rfl, Run, snapshot, waited_for

pytestmark = pytest.mark.timeout(GUEST + 60, func_only=True)


@pytest.fixture
def dropping(tmp_path: Path) -> Path:
    """A fragment with an option that there is not, and one whose dependency is off."""
    path = tmp_path / "dropping.config"
    path.write_text("CONFIG_VIRTIO_NETT=y\n\n# a network card\nCONFIG_E1000=m\n")
    return path


@pytest.fixture(scope="module")
def tree(
    tmp_path_factory: pytest.TempPathFactory, kernel: BuiltKernel, user_store: Path
) -> Iterator[Path]:
    """A kernel tree of the user's own: the store's, by hard links."""
    source = kernel.plan.source.path.resolve()
    made = tmp_path_factory.mktemp("tree") / "linux"
    if made.parent.stat().st_dev != source.stat().st_dev:
        made = user_store / "tmp" / f"test-{os.getpid()}"
    shutil.copytree(source, made, symlinks=True, copy_function=os.link)
    yield made
    remove_tree(made)


@pytest.fixture(autouse=True)
def half_built(rfl: Rfl, kernel: BuiltKernel) -> Iterator[None]:
    """Remove what a configuration leaves in the session's store."""
    yield
    for folder in (rfl.store / "tmp").glob("kernel-*"):
        remove_tree(folder)


def told(run: Run, dropping: Path) -> None:
    """What is dropped is told line by line, with its place and its reason."""
    (unknown,) = re.findall(rf"^{dropping}:1: CONFIG_VIRTIO_NETT=y .*$", run.text, re.MULTILINE)
    assert re.search(r"\bVIRTIO_NET\b", unknown)
    (unmet,) = re.findall(rf"^{dropping}:4: CONFIG_E1000=m .*$", run.text, re.MULTILINE)
    assert "ETHERNET" in unmet or "NET_VENDOR_INTEL" in unmet


def test_a_dropped_option_is_told_and_the_users_tree_is_not_written_to(
    rfl: Rfl, tree: Path, dropping: Path
) -> None:
    before = snapshot(tree)
    built = set(rfl.store.glob("work/kernel/*/**/built-in.a"))

    run = rfl(
        *("kernel", "--kernel", tree.name, "--fragment", str(dropping)),
        cwd=tree.parent,
        timeout=GUEST,
    )

    sentence = run.came_to(Verdict.USAGE)
    assert "VIRTIO_NETT, E1000" in sentence
    assert "--allow-dropped" in sentence
    told(run, dropping)
    assert set(rfl.store.glob("work/kernel/*/**/built-in.a")) == built
    assert snapshot(tree) == before


def test_a_dropped_option_may_be_allowed(rfl: Rfl, dropping: Path) -> None:
    started = rfl.start("kernel", "--fragment", str(dropping), "--allow-dropped")

    # Past the configuration the compilers begin, and that is enough.
    assert waited_for(lambda: list(rfl.store.glob("tmp/kernel-*/.rflbuild-config")), GUEST)
    os.kill(started.pid, signal.SIGINT)
    run = started.end(60)

    assert run.status == 130, run
    assert re.search(r"^note .*VIRTIO_NETT, E1000", run.stdout, re.MULTILINE), run
    told(run, dropping)


@pytest.mark.parametrize("name", [".config", "include/config/auto.conf"])
def test_a_tree_that_was_built_in_place_is_told_so(rfl: Rfl, tree: Path, name: str) -> None:
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).touch()
    before = snapshot(tree)
    try:
        sentence = rfl("kernel", "--kernel", str(tree)).came_to(Verdict.USAGE)
        assert snapshot(tree) == before
    finally:
        (tree / name).unlink()
        if name != ".config":
            (tree / name).parent.rmdir()

    assert str(tree) in sentence
    assert "built in place" in sentence
    assert "mrproper" in sentence


@pytest.mark.slow
@pytest.mark.timeout(3 * KERNEL, func_only=True)
def test_a_tree_of_the_users_is_built_and_make_decides_what_is_stale(rfl: Rfl, tree: Path) -> None:
    before = snapshot(tree)

    first = rfl("qemu-test", "hello", "--kernel", str(tree), timeout=KERNEL)
    again = rfl("kernel", "--kernel", str(tree), timeout=KERNEL)

    first.passed()
    assert again.status == 0, again
    assert snapshot(tree) == before

    source = tree / "samples" / "rust" / "rust_minimal.rs"
    text = source.read_text()
    source.unlink()  # it is a link to the store's
    source.write_text(text.replace("Rust minimal sample (init)", "An edited sample"))
    run = rfl(
        *("shell", "--kernel", str(tree)),
        stdin="true",
        timeout=KERNEL,
    )
    assert run.status == 0, run
    built = (rfl.store / "work" / "kernel").glob("*/samples/rust/rust_minimal.ko")
    assert all(b"An edited sample" in path.read_bytes() for path in built)
