"""rounds: where the files of a target lie, and a folder that goes."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from rflbuild import arch, rounds, targets
from rflbuild.chain import Link, Request
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Kernel, Plan
from rflbuild.report import Result
from rflbuild.rounds import Rounds
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.testrun import Order
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict


def make_module(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    return folder


def watched(session: Session, wanted: str) -> set[Path]:
    """The files that are watched for a target, relative to the workspace."""
    return {
        (place.folder / name).relative_to(session.workspace.root)
        for place in rounds.places(session.workspace, targets.find(session, wanted))
        for name in place.files()
    }


def test_a_module_is_its_folder_and_the_test_of_its_name(
    session: Session, own_configs: Path
) -> None:
    make_module(session.workspace.modules / "mine")
    (own_configs / "tests" / "data.bin").touch()
    (own_configs / "tests" / "mine.yaml").write_text("files: [data.bin]")

    assert watched(session, "mine") == {
        Path("modules/mine/Kbuild"),
        Path("configs/tests/mine.yaml"),
        Path("configs/tests/data.bin"),
    }


def test_a_kind_is_its_folder_and_what_is_common_to_kinds(session: Session) -> None:
    found = watched(session, "e1000")

    assert {
        Path("templates/e1000/receive.rs"),
        Path("templates/e1000/net/device.rs"),
        Path("templates/common/Kbuild"),
        Path("templates/bindings/bindings.py"),
    } <= found
    assert not [path for path in found if "hello" in path.parts]


def test_a_test_of_the_kernels_own_modules_is_one_file(session: Session) -> None:
    assert watched(session, "samples") == {Path("configs/tests/samples.yaml")}


@pytest.fixture
def of_a_folder(session: Session, tmp_path: Path) -> Rounds:
    """The rounds of a folder `mine`, on what stands for a kernel."""
    folder = make_module(tmp_path / "mine")
    tools = Toolchain("none", "key", (), lambda argv, _cwd, _read, _write: list(argv))
    source = Source("7.3", tmp_path, (7, 3, 4), "7.3.4", "key")
    arm64 = arch.load(session.workspace.configs, "arm64")
    plan = Plan(arm64, source, tools, Kconfig("virt", "allnoconfig", (), 0))
    built = Kernel(arm64, source, tools, "virt", "key", tmp_path, 0.0)
    target = targets.find(session, str(folder))
    return Rounds(session, Order(str(folder), Request()), target, plan, built)


def test_a_folder_that_is_gone_ends_it(of_a_folder: Rounds, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mine")
    with of_a_folder, pytest.raises(RflError) as caught:
        of_a_folder.take(time.monotonic())

    assert caught.value.verdict is Verdict.USAGE
    assert caught.value.sentence.startswith(f"{tmp_path / 'mine'} is gone")


def test_a_folder_that_is_gone_for_a_moment_is_waited_for(
    of_a_folder: Rounds, tmp_path: Path
) -> None:
    (tmp_path / "mine").rename(tmp_path / "aside")
    back = threading.Timer(0.3, (tmp_path / "aside").rename, [tmp_path / "mine"])
    back.start()
    of_a_folder._require_folders()
    back.join()

    assert (tmp_path / "mine").is_dir()


def test_leaving_the_rounds_leaves_no_thread_and_no_folder(
    of_a_folder: Rounds, session: Session
) -> None:
    before = threading.active_count()
    stale = session.workspace.results / ".boot-999999999"
    stale.mkdir(parents=True)
    with of_a_folder:
        pass

    assert threading.active_count() == before
    assert not list(session.workspace.results.iterdir())


def test_what_old_rounds_left_is_removed_but_for_modules_that_are_not_theirs_alone(
    of_a_folder: Rounds, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "KEPT", 1)
    for name, key, seconds in (
        ("1", "alone", 1.0),
        ("2", "cached", 0.0),
        ("3", "again", 1.0),
        ("4", "again", 0.0),
    ):
        folder = session.workspace.results / name
        folder.mkdir(parents=True)
        session.store.build("module", key, lambda into: (into / "a.ko").touch())
        result = Result("mine", "", "", folder, module={"key": key})
        result.links = [Link("module", "mine", key, seconds)]
        of_a_folder._results.append(result)
    with of_a_folder:
        of_a_folder.wait(0)

    assert [path.name for path in session.workspace.results.iterdir()] == ["4"]
    assert {path.name for path in (session.store.root / "module").iterdir()} == {"cached", "again"}
