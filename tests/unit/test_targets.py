"""targets: what a name or a path on the command line means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch, targets
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.targets import Target
from rflbuild.testspec import TestSpec
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict

LINUX = Source("x", Path("/x"), (999, 0), "999.0.0", "")


def make_module(folder: Path, test: str | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    if test is not None:
        (folder / "test.yaml").write_text(test)
    return folder


def titles(target: Target) -> list[str]:
    return [step.title for step in target.spec.steps]


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- names --------------------------------------------------------------------------------


def test_a_name_means_the_users_module_first(session: Session) -> None:
    folder = make_module(session.workspace.modules / "hello", "steps: [{run: mine}]")

    target = targets.find(session, "hello")

    assert target.module is not None
    assert (target.module.directory, target.module.shown) == (folder, "modules/hello")
    assert titles(target) == ["run mine"]


def test_a_name_means_a_kind_next(session: Session, own_configs: Path) -> None:
    (own_configs / "tests" / "hello.yaml").write_text("steps: [{run: named}]")

    target = targets.find(session, "hello")

    assert target.module is None
    assert target.kind is not None
    assert target.kind.name == "hello"


def test_a_name_means_a_test_of_configs_then(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_module(tmp_path / "samples", "steps: [{run: folder}]")
    monkeypatch.chdir(tmp_path)

    target = targets.find(session, "samples")

    assert (target.module, target.kind) == (None, None)
    assert titles(target)[0] == "insmod rust_minimal"


def test_a_name_means_a_folder_here_last(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_module(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)

    module = targets.find(session, "mine").module

    assert module is not None
    assert module.directory == folder


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("helo", "hello"), ("smaples", "samples"), ("my_drivr", "my_driver")],
)
def test_an_unknown_name_names_a_near_one(session: Session, wanted: str, near: str) -> None:
    make_module(session.workspace.modules / "my_driver")

    assert f"did you mean `{near}`?" in usage(lambda: targets.find(session, wanted))


def test_an_unknown_name_names_them_all_when_none_is_near(session: Session) -> None:
    make_module(session.workspace.modules / "my_driver")

    said = usage(lambda: targets.find(session, "xyzzy"))

    for name in ("my_driver", "hello", "samples"):
        assert name in said


# ---- folders ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{folder}", "{folder}/", "./mine", "mine/", "~/mine"])
def test_a_path_means_a_folder(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    folder = make_module(tmp_path / "mine", "steps: [{run: folder}]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    target = targets.find(session, form.format(folder=folder))

    assert target.module is not None
    assert target.module.directory == folder
    assert (target.name, target.files) == ("mine", folder)
    assert titles(target) == ["run folder"]


def test_a_dot_means_the_folder_one_is_in(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_module(tmp_path / "mine"))

    assert targets.find(session, ".").name == "mine"


def test_a_path_is_not_taken_for_a_kind(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_module(tmp_path / "hello")
    monkeypatch.chdir(tmp_path)

    module = targets.find(session, "./hello").module

    assert module is not None
    assert module.directory == folder


def test_a_path_that_is_not_there_is_refused(session: Session) -> None:
    assert "./gone is not a folder" in usage(lambda: targets.find(session, "./gone"))


def test_a_folder_without_a_module_is_refused(session: Session) -> None:
    (session.workspace.modules / "empty").mkdir(parents=True)

    assert "modules/empty holds no module" in usage(lambda: targets.find(session, "empty"))


# ---- tests of modules ---------------------------------------------------------------------


def test_a_module_without_a_test_has_the_default_one(session: Session) -> None:
    make_module(session.workspace.modules / "mine")

    assert targets.find(session, "mine").spec == TestSpec()


def test_a_module_without_a_test_has_the_one_of_its_name(
    session: Session, own_configs: Path
) -> None:
    make_module(session.workspace.modules / "mine")
    (own_configs / "tests" / "mine.yaml").write_text("steps: [{run: named}]")

    target = targets.find(session, "mine")

    assert titles(target) == ["run named"]
    assert target.files == own_configs / "tests"


def test_a_modules_own_test_is_taken_before_the_one_of_its_name(
    session: Session, own_configs: Path
) -> None:
    make_module(session.workspace.modules / "mine", "steps: [{run: own}]")
    (own_configs / "tests" / "mine.yaml").write_text("steps: [{run: named}]")

    assert titles(targets.find(session, "mine")) == ["run own"]


def test_a_guest_on_a_disk_has_a_test_of_its_own_if_there_is_one(session: Session) -> None:
    folder = make_module(session.workspace.modules / "blinky", "steps: [{run: one}]")
    target = targets.find(session, "blinky")

    assert titles(targets.on_disk(target)) == ["run one"]

    (folder / "test-debian.yaml").write_text("steps: [{run: other}]")

    assert titles(targets.on_disk(target)) == ["run other"]
    assert titles(target) == ["run one"]


def test_a_mistake_in_a_modules_test_names_its_line(session: Session) -> None:
    folder = make_module(session.workspace.modules / "mine", "steps:\n  - isnmod: a\n")

    said = usage(lambda: targets.find(session, "mine"))

    assert said.startswith(f"{folder / 'test.yaml'}:2: ")


# ---- kinds --------------------------------------------------------------------------------


def test_a_kind_becomes_a_module_for_the_kernel(session: Session) -> None:
    target = targets.for_kernel(session, targets.find(session, "hello"), LINUX)

    assert target.module is not None
    assert (target.module.name, target.module.shown) == ("hello", "templates/hello")
    assert (target.module.directory / "hello.rs").is_file()
    assert titles(target)[0] == "insmod hello"
    assert target.files == target.module.directory


def test_a_kind_that_did_not_change_is_not_written_again(session: Session) -> None:
    found = targets.find(session, "hello")
    first = targets.for_kernel(session, found, LINUX).files
    times = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    second = targets.for_kernel(session, found, LINUX).files

    assert {path: path.stat().st_mtime_ns for path in second.iterdir()} == times


def test_a_file_that_left_a_kind_is_not_in_its_module(
    session: Session, own_templates: Path
) -> None:
    extra = own_templates / "hello" / "extra.rs"
    extra.write_text("// gone soon\n")
    found = targets.find(session, "hello")
    targets.for_kernel(session, found, LINUX)
    extra.unlink()

    assert not (targets.for_kernel(session, found, LINUX).files / "extra.rs").exists()


def test_a_kind_stays_in_its_folder_when_it_changes(session: Session, own_templates: Path) -> None:
    found = targets.find(session, "hello")
    first = targets.for_kernel(session, found, LINUX).files
    times = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    with (own_templates / "hello" / "rfl_module.rs").open("a") as file:
        file.write("// changed\n")
    second = targets.for_kernel(session, found, LINUX).files

    changed = {path.name for path in second.iterdir() if path.stat().st_mtime_ns != times[path]}
    assert second == first
    assert changed == {"hello.rs"}
    assert (second / "hello.rs").read_text().endswith("// changed\n")


def test_a_kernel_that_is_too_old_for_a_kind_is_refused(session: Session) -> None:
    old = Source("x", Path("/x"), (5, 10, 1), "5.10.1", "")

    said = usage(lambda: targets.for_kernel(session, targets.find(session, "hello"), old))

    assert "5.10.1" in said


def test_a_users_module_is_the_same_for_every_kernel(session: Session) -> None:
    make_module(session.workspace.modules / "mine")
    found = targets.find(session, "mine")

    assert targets.for_kernel(session, found, LINUX) is found


# ---- module.yaml --------------------------------------------------------------------------


def test_a_mistake_in_module_yaml_is_found_with_the_target(
    session: Session, tmp_path: Path
) -> None:
    path = make_module(tmp_path / "mine") / "module.yaml"
    path.write_text("kernel: '>=7.3'\noption: {}\n")

    assert usage(lambda: targets.find(session, str(path.parent))).startswith(f"{path}:2: ")


def test_a_version_that_does_not_fit_is_told_before_anything_is_fetched(
    session: Session, tmp_path: Path
) -> None:
    path = make_module(tmp_path / "mine") / "module.yaml"
    path.write_text("kernel: '>=99.0'\n")
    target = targets.find(session, str(path.parent))

    said = usage(lambda: targets.plan(session, target, Request(kernel="6.12"), Links(session)))

    assert said.startswith(f"{path}:1: it needs Linux 99.0 or newer, and this is 6.12")
    assert not (session.store.root / "source").exists()


def test_so_is_that_of_a_kind_in_the_form_it_has_for_that_kernel(session: Session) -> None:
    target = targets.find(session, "pci")

    said = usage(lambda: targets.plan(session, target, Request(kernel="6.12"), Links(session)))

    assert said.startswith(f"{session.workspace.templates}/pci/module.yaml:1: it needs Linux 7.3")


# ---- once more, for a kernel that is built --------------------------------------------------


@pytest.fixture
def built(session: Session, tmp_path: Path) -> Kernel:
    """What stands for a kernel of 7.3.4 with one header and one option."""
    tree, out = tmp_path / "linux", tmp_path / "out"
    (tree / "include" / "linux").mkdir(parents=True)
    (tree / "include" / "linux" / "pci.h").touch()
    (tree / "Kconfig").write_text('config PCI\n\tbool "PCI"\n')
    out.mkdir()
    (out / ".config").write_text("CONFIG_PCI=y\n")
    arm64 = arch.load(session.workspace.configs, "arm64")
    source = Source("7.3", tree, (7, 3, 4), "7.3.4", "key")
    tools = Toolchain("none", "key", (), lambda argv, _cwd, _read, _write: list(argv))
    return Kernel(arm64, source, tools, "virt", "key", out, 0.0)


def test_a_target_is_found_as_it_is_now(session: Session, tmp_path: Path, built: Kernel) -> None:
    folder = make_module(tmp_path / "mine", "steps: [{run: one}]")
    first = targets.again(session, str(folder), built)
    (folder / "test.yaml").write_text("steps: [{run: two}]")
    (folder / "module.yaml").write_text("options: {PCI: y}\nheaders: [linux/pci.h]\n")

    assert titles(first) == ["run one"]
    assert titles(targets.again(session, str(folder), built)) == ["run two"]


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ("kernel: '>=99.0'", "it needs Linux 99.0 or newer, and this is 7.3.4"),
        ("headers: [linux/pcy.h]", "Linux 7.3.4 has no linux/pcy.h; did you mean linux/pci.h?"),
        ("options: {PCI: n}", "it needs PCI=n, and in Linux 7.3.4 virt it is built in"),
    ],
)
def test_what_a_target_needs_now_is_held_against_the_kernel_that_is_built(
    session: Session, tmp_path: Path, built: Kernel, needs: str, said: str
) -> None:
    folder = make_module(tmp_path / "mine")
    targets.again(session, str(folder), built)
    (folder / "module.yaml").write_text(needs)

    assert said in usage(lambda: targets.again(session, str(folder), built))


def test_a_kind_is_rendered_again(session: Session, own_templates: Path, built: Kernel) -> None:
    targets.again(session, "hello", built)
    (own_templates / "hello" / "test.yaml").write_text("steps: [{run: mine}]")

    assert titles(targets.again(session, "hello", built)) == ["run mine"]
