"""A run may be ended at any moment, in any way: nothing is left behind, and the next one works."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rflbuild.store import RESUMABLE, remove_tree
from tests.integration.harness import GUEST, BuiltKernel, Rfl, Run, Started, waited_for

pytestmark = pytest.mark.timeout(GUEST + 120, func_only=True)
ENDS = 20.0  # seconds from a signal to the end: grace periods, on a busy machine


@dataclass
class Changing:
    """A module that is never the same, so that each run builds it, and how long that takes."""

    rfl: Rfl
    folder: Path
    seconds: float = 0.0

    def start(self) -> Started:
        """Begin a run on a new state of the module."""
        with (self.folder / "out_of_tree.rs").open("a") as file:
            file.write(f"// {uuid.uuid4()}\n")
        return self.rfl.start("qemu-test", str(self.folder))

    def result_folders(self) -> set[Path]:
        return {path for path in self.rfl.results.iterdir() if not path.is_symlink()}


@pytest.fixture
def changing(rfl: Rfl, kernel: BuiltKernel, module_at: Callable[..., Path]) -> Changing:
    made = Changing(rfl, module_at())
    made.seconds = made.start().end(GUEST).seconds
    return made


def at_a_moment(changing: Changing, chance: random.Random) -> Started:
    """A run at a random moment between its first instruction of ours and about its end."""
    started = changing.start()
    assert waited_for(lambda: started.handles(signal.SIGTERM), GUEST)
    moment = chance.random() * changing.seconds
    print(f"after {moment:.3f} s of about {changing.seconds:.3f} s")  # noqa: T201 - if it fails
    time.sleep(moment)
    return started


def interrupted(run: Run, number: signal.Signals) -> None:
    """Judge a run that a signal reached; it may have been over by then."""
    assert "Traceback" not in run.text, run
    if run.status == 0:
        run.passed()
        return
    assert run.status == 128 + number, run
    lines = [line for line in run.stderr.splitlines() if line.startswith("interrupted by ")]
    assert len(lines) == 1, run
    assert number.name in lines[0]


def to_the_group(pid: int, number: signal.Signals) -> None:
    os.killpg(pid, number)


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize(
    ("send", "number"),
    [
        (to_the_group, signal.SIGINT),
        (os.kill, signal.SIGINT),
        (os.kill, signal.SIGTERM),
    ],
    ids=["ctrl-c", "sigint", "sigterm"],
)
def test_a_signal_ends_a_run_in_order(
    changing: Changing,
    chance: random.Random,
    send: Callable[[int, signal.Signals], None],
    number: signal.Signals,
    attempt: int,
) -> None:
    before = changing.result_folders()
    started = at_a_moment(changing, chance)

    send(started.pid, number)
    run = started.end(ENDS)

    interrupted(run, number)
    for folder in changing.result_folders() - before:
        result = changing.rfl.result(folder)
        over = result["verdict"] == "pass"
        assert over or "interrupted" in result["reason"], result
        assert over or run.status, run
        assert (folder / "junit.xml").is_file()


def test_impatience_is_no_problem(changing: Changing, chance: random.Random) -> None:
    started = at_a_moment(changing, chance)

    for _ in range(8):
        to_the_group(started.pid, signal.SIGINT)
        time.sleep(chance.random() / 20)
    run = started.end(ENDS)

    interrupted(run, signal.SIGINT)


def test_ctrl_c_on_a_terminal_ends_a_run(rfl: Rfl, kernel: BuiltKernel, changing: Changing) -> None:
    with rfl.on_terminal("qemu-test", str(changing.folder)) as terminal:
        terminal.expect("kernel .*cached")
        terminal.sendintr()
        terminal.expect("interrupted by SIGINT")
        terminal.expect_exact("\n")
        assert not terminal.read().strip()
        terminal.wait()
        assert terminal.exitstatus == 130


@pytest.mark.parametrize("attempt", range(4))
def test_a_killed_run_leaves_nothing_and_the_next_one_passes(
    changing: Changing, chance: random.Random, attempt: int
) -> None:
    started = at_a_moment(changing, chance)

    started.kill()
    started.end(ENDS)

    changing.rfl.test(str(changing.folder)).passed()


def test_two_runs_of_the_same_at_once_both_pass(changing: Changing) -> None:
    before = changing.result_folders()
    first = changing.start()
    second = changing.rfl.start("qemu-test", str(changing.folder))

    runs = [first.end(GUEST), second.end(GUEST)]

    for run in runs:
        run.passed()
    folders = changing.result_folders() - before
    assert len(folders) == 2
    assert {changing.rfl.result(folder)["verdict"] for folder in folders} == {"pass"}
    assert len({changing.rfl.result(folder)["module"]["key"] for folder in folders}) == 1


@pytest.mark.slow
def test_a_first_run_killed_in_the_middle_leaves_nothing(rfl: Rfl, tmp_path: Path) -> None:
    started = rfl.on(tmp_path / "store").start("kernel", "--toolchain", "debian")
    assert waited_for(
        lambda: (
            (
                "mmdebstrap" in started.children().values()
                and list(tmp_path.glob("store/tmp/root-*/*"))
            )
            or started.process.poll() is not None
        ),
        GUEST,
    )
    if started.process.poll() is not None:
        pytest.skip(f"packages are not to be had here: {started.end(1)}")

    started.kill()
    started.end(ENDS)

    mounts = Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in mounts
    assert not (tmp_path / "store" / "root").exists()
    remove_tree(tmp_path / "store")


@pytest.fixture
def fragment(tmp_path: Path) -> Path:
    """An option more, which makes another kernel."""
    path = tmp_path / "mine.config"
    path.write_text("CONFIG_LOG_BUF_SHIFT=16\n")
    return path


@pytest.fixture
def half_built(rfl: Rfl, kernel: BuiltKernel, fragment: Path) -> Iterator[Callable[[], set[Path]]]:
    """What is under way in the store; it is removed at the end."""

    def folders() -> set[Path]:
        return set((rfl.store / "tmp").glob("kernel-*"))

    before = folders()
    yield lambda: folders() - before
    for folder in folders() - before:
        remove_tree(folder)


def objects_of(folder: Path) -> dict[Path, int]:
    """What was compiled so far, and when; only tools of the host, at this stage."""
    if not (folder / ".rflbuild-config").exists():
        return {}
    found = {}
    for path in folder.glob("scripts/*/*.o"):
        with contextlib.suppress(FileNotFoundError):
            if path.parent.name not in ("basic", "kconfig"):
                found[path] = path.stat().st_mtime_ns
    return found


def compiling(rfl: Rfl, fragment: Path, half_built: Callable[[], set[Path]], more: int) -> Started:
    """A kernel's build that has compiled some more files than there were."""
    known = {path for folder in half_built() for path in objects_of(folder)}
    started = rfl.start("kernel", "--fragment", str(fragment))

    def far_enough() -> bool:
        if started.process.poll() is not None:
            pytest.fail(str(started.end(1)))
        made = {path for folder in half_built() for path in objects_of(folder)}
        return len(made - known) >= more

    assert waited_for(far_enough, GUEST)
    return started


def test_a_kernels_build_is_resumed_after_ctrl_c_and_begun_anew_after_a_kill(
    rfl: Rfl, fragment: Path, half_built: Callable[[], set[Path]]
) -> None:
    kernels = {path.name for path in (rfl.store / "kernel").iterdir()}

    started = compiling(rfl, fragment, half_built, 3)
    to_the_group(started.pid, signal.SIGINT)
    interrupted(started.end(ENDS), signal.SIGINT)
    (folder,) = half_built()
    assert (folder / RESUMABLE).exists()
    first = objects_of(folder)

    started = compiling(rfl, fragment, half_built, 1)
    started.kill()
    started.end(ENDS)
    second = objects_of(folder)
    assert not (folder / RESUMABLE).exists()
    assert first.items() <= second.items()

    started = rfl.start("kernel", "--fragment", str(fragment))
    assert waited_for(lambda: not any(path.exists() for path in second), GUEST)
    started.process.terminate()
    interrupted(started.end(ENDS), signal.SIGTERM)
    assert {path.name for path in (rfl.store / "kernel").iterdir()} == kernels
