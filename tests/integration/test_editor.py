"""Setting up the folder that an editor opens: what is written, and what is left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import jsonc
from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, BuiltKernel, Rfl, examples, git, replace, snapshot

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]


def test_setting_up_twice_changes_nothing(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("c_headers")
    first = rfl("rust-analyzer", str(folder), timeout=GUEST)
    assert first.status == 0, first
    before = snapshot(folder)

    second = rfl("rust-analyzer", str(folder), timeout=GUEST)

    assert second.status == 0, second
    assert snapshot(folder) == before
    lines = [line.split() for line in second.stdout.splitlines() if line.startswith("editor ")]
    assert [line[-1] for line in lines] == ["unchanged"] * 3


def test_settings_that_are_there_keep_what_the_user_wrote(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    settings = folder / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(
        "{\n\t// two of my own\n"
        '\t"rust-analyzer.linkedProjects": ["tools/Cargo.toml"], // mine\n'
        '\t"rust-analyzer.server.path": "my-own", /* a newer one */\n}\n'
    )

    run = rfl("rust-analyzer", str(folder), timeout=GUEST)

    assert run.status == 0, run
    assert ".vscode/settings.json has another rust-analyzer.server.path, and keeps it" in run.stdout
    text = settings.read_text()
    assert "\t// two of my own\n" in text
    assert '["tools/Cargo.toml", "rust-project.json"], // mine\n' in text
    assert '\t"rust-analyzer.server.path": "my-own", /* a newer one */\n' in text
    assert str(folder) in jsonc.read(text)["rust-analyzer.check.overrideCommand"]


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (".vscode/settings.json", '{\n "a": 1 "b": 2\n}', "is no JSON with comments (line 2: "),
        (".vscode/settings.json", "[]", "is no JSON with comments (line 1: it is no object)"),
        ("rust-project.json", '{"crates": []}', "is not one for the kernel"),
    ],
)
def test_a_file_that_would_be_lost_is_refused_before_anything_is_written(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt, file: str, text: str, sentence: str
) -> None:
    folder = module_at()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    before = snapshot(folder)

    run = rfl("rust-analyzer", str(folder))

    assert sentence in run.came_to(Verdict.USAGE)
    assert snapshot(folder) == before


def test_a_compilation_database_of_the_users_stays(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("c_headers")
    (folder / "compile_commands.json").write_text("[]\n")

    run = rfl("rust-analyzer", str(folder), timeout=GUEST)

    assert run.status == 0, run
    assert "compile_commands.json is yours, and stays" in run.stdout
    assert (folder / "compile_commands.json").read_text() == "[]\n"


def test_a_read_only_folder_is_said_to_be_one(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    before = snapshot(folder)

    run = rfl("rust-analyzer", ".", cwd=folder, wrapper=rfl.read_only(folder))

    assert f"cannot write {folder}" in run.came_to(Verdict.ENVIRONMENT)
    assert snapshot(folder) == before


def test_a_module_that_does_not_build_can_be_edited_all_the_same(
    rfl: Rfl, kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at("does_not_compile")

    run = rfl("rust-analyzer", str(folder), timeout=GUEST)

    assert run.status == 0, run
    project = json.loads((folder / "rust-project.json").read_text())
    assert project["crates"][-1]["root_module"] == "does_not_compile.rs"


def test_without_a_target_the_checkout_has_all_modules_and_the_kernels_samples(
    rfl: Rfl, kernel: BuiltKernel
) -> None:
    names = ("first_desk", "second_desk")
    try:
        for name in names:
            assert rfl("new-module", name).status == 0
        run = rfl("rust-analyzer", timeout=GUEST)
        assert run.status == 0, run
        project = json.loads((rfl.workspace / "rust-project.json").read_text())
        roots = [rfl.workspace / crate["root_module"] for crate in project["crates"]]

        assert [root for root in roots if not root.is_file()] == []
        assert {rfl.workspace / "modules" / name / f"{name}.rs" for name in names} <= set(roots)
        assert "rust_minimal.rs" in {root.name for root in roots}
        told = jsonc.read((rfl.workspace / ".vscode" / "settings.json").read_text())
        assert told["rust-analyzer.check.overrideCommand"][-2:] == ["check", "--json"]

        checked = rfl("check", timeout=GUEST)
        assert checked.status == 0, checked
        assert [line.split()[1] for line in checked.stdout.splitlines() if "check " in line] == [
            f"{name}:" for name in names
        ]
    finally:
        for name in names:
            shutil.rmtree(rfl.workspace / "modules" / name, ignore_errors=True)
        shutil.rmtree(rfl.workspace / ".vscode", ignore_errors=True)
        (rfl.workspace / "rust-project.json").unlink(missing_ok=True)


def test_an_older_kernel_is_described_too(
    rfl: Rfl, kernel_6_12: BuiltKernel, module_at: ModuleAt
) -> None:
    folder = module_at()
    replace(folder / "out_of_tree.rs", 'authors: ["rflbuild"]', 'author: "rflbuild"')

    run = rfl("rust-analyzer", str(folder), "--kernel", "6.12", timeout=GUEST)

    assert run.status == 0, run
    project = json.loads((folder / "rust-project.json").read_text())
    roots = [folder / crate["root_module"] for crate in project["crates"]]
    assert [root for root in roots if not root.is_file()] == []
    assert roots[-1] == folder / "out_of_tree.rs"


def test_a_kernel_in_the_store_is_not_edited(rfl: Rfl, kernel: BuiltKernel) -> None:
    tree = rfl.store / "source" / kernel.plan.source.key / kernel.plan.source.path.name

    run = rfl("rust-analyzer", str(tree))

    assert "is in the store, where nothing is edited" in run.came_to(Verdict.USAGE)


def test_an_unknown_name_is_met_with_near_ones(rfl: Rfl, kernel: BuiltKernel) -> None:
    for task in ("rust-analyzer", "check"):
        assert "did you mean `hello`?" in rfl(task, "helo").came_to(Verdict.USAGE)
        sentence = rfl(task, "hello").came_to(Verdict.USAGE)
        assert "`./rfl new-module NAME --kind hello`" in sentence


def test_a_tree_of_the_users_own_is_set_up_and_stays_clean_for_git(
    rfl: Rfl, own_tree: Path
) -> None:
    run = rfl("rust-analyzer", "--kernel", str(own_tree), timeout=GUEST)

    assert run.status == 0, run
    assert (own_tree / ".vscode").is_dir()
    assert git(own_tree, "status", "--porcelain") == ""
    project = json.loads((own_tree / "rust-project.json").read_text())
    crates = {crate["display_name"]: crate for crate in project["crates"]}
    assert crates["rust_minimal"]["root_module"] == str(own_tree / "samples/rust/rust_minimal.rs")
    assert crates["kernel"]["is_workspace_member"]
    entries = json.loads((own_tree / "compile_commands.json").read_text())
    assert str(own_tree / "lib/string.c") in {entry["file"] for entry in entries}
    told = jsonc.read((own_tree / ".vscode" / "settings.json").read_text())
    command = told["rust-analyzer.check.overrideCommand"]
    assert command[-4:] == ["$saved_file", "--json", "--kernel", str(own_tree)]


def test_each_example_of_the_guide_does_what_it_says(rfl: Rfl, own_tree: Path) -> None:
    made = [rfl.workspace / name for name in ("modules/blinky", ".vscode", "rust-project.json")]
    try:
        for words in examples("editor"):
            run = rfl(*(w.replace("~/linux", str(own_tree)) for w in words), timeout=GUEST)
            assert run.status == 0, run
    finally:
        for path in made:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
