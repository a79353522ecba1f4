"""settings: what editors are told, merged into what the user has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import jsonc, settings
from rflbuild.process import Processes
from rflbuild.session import Session
from rflbuild.settings import Wish
from rflbuild.subject import Subject
from rflbuild.targets import Target
from rflbuild.testspec import TestSpec

WANTED = (
    Wish(("rust-analyzer.linkedProjects",), "rust-project.json", "item"),
    Wish(("rust-analyzer.server.path",), "/store/new/rust-analyzer"),
    Wish(("clangd.arguments",), "--compile-commands-dir=/store/new", "item", "--compile-commands-"),
    Wish(("files.readonlyInclude", "/store/**"), True),
)


def is_ours(value: object) -> bool:
    return "/store/" in str(value)


def merged(text: str) -> settings.Merged:
    return settings.merge(text, WANTED, is_ours)


def test_a_folder_without_settings_gets_all() -> None:
    made = merged("")

    assert made.kept == ()
    assert jsonc.read(made.text) == {
        "rust-analyzer.linkedProjects": ["rust-project.json"],
        "rust-analyzer.server.path": "/store/new/rust-analyzer",
        "clangd.arguments": ["--compile-commands-dir=/store/new"],
        "files.readonlyInclude": {"/store/**": True},
    }


def test_merging_again_changes_nothing() -> None:
    once = merged('{\n  // mine\n  "a": 1\n}\n')

    assert merged(once.text) == once


def test_what_we_set_earlier_is_brought_up_to_date() -> None:
    old = merged("").text.replace("/store/new", "/store/old")

    made = merged(old)

    assert made.kept == ()
    assert "/store/old" not in made.text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"rust-analyzer.server.path": "mine"}', "rust-analyzer.server.path"),
        ('{"rust-analyzer.server.path": null}', "rust-analyzer.server.path"),
        ('{"rust-analyzer.linkedProjects": "mine"}', "rust-analyzer.linkedProjects"),
        ('{"clangd.arguments": ["--compile-commands-dir=mine"]}', "clangd.arguments"),
        ('{"files.readonlyInclude": []}', "files.readonlyInclude"),
        ('{"files.readonlyInclude": {"/store/**": false}}', "files.readonlyInclude"),
    ],
)
def test_what_the_user_has_otherwise_stays_and_is_told_of(text: str, kept: str) -> None:
    made = merged(text)

    assert made.kept == (kept,)
    assert text.removesuffix("}") in made.text


def test_lists_get_ours_beside_the_users() -> None:
    made = merged('{"rust-analyzer.linkedProjects": ["a"], "clangd.arguments": ["-j1"]}')

    value = jsonc.read(made.text)
    assert value["rust-analyzer.linkedProjects"] == ["a", "rust-project.json"]
    assert value["clangd.arguments"] == ["-j1", "--compile-commands-dir=/store/new"]


def test_a_check_command_is_known_as_ours_wherever_the_checkout_was(session: Session) -> None:
    ours = settings.ours(session)

    assert ours(["/elsewhere/rfl", "check", "/m", "--json"])
    assert ours([f"{session.store.root}/x", "--config-path"])
    assert not ours(["cargo", "check", "--message-format=json"])
    assert not ours(None)


def test_a_module_is_checked_by_its_folder_and_a_tree_by_the_file_that_was_saved(
    session: Session, tmp_path: Path
) -> None:
    rfl = str(session.workspace.root / "rfl")
    module = Subject(tmp_path, named=Target("mine", TestSpec(), tmp_path))
    tree = Subject(tmp_path, inside=tmp_path)

    assert settings.check_command(session, module, []) == [rfl, "check", str(tmp_path), "--json"]
    assert settings.check_command(session, tree, ["--kernel", "/linux"]) == [
        *(rfl, "check", "$saved_file", "--json"),
        *("--kernel", "/linux"),
    ]
    assert settings.check_command(session, Subject(tmp_path), []) == [rfl, "check", "--json"]


def test_a_store_of_ones_own_is_named_to_the_check_command(
    session: Session, environ: dict[str, str]
) -> None:
    with Processes({**environ, "RFLBUILD_CACHE": str(session.store.root)}) as processes:
        elsewhere = replace(session, processes=processes)
        command = settings.check_command(elsewhere, Subject(Path("/m")), [])

    assert command[:2] == ["env", f"RFLBUILD_CACHE={session.store.root}"]


def test_other_editors_get_rust_analyzers_settings_nested() -> None:
    assert settings.for_other_editors(
        [*WANTED, Wish(("rust-analyzer.check.overrideCommand",), ["rfl", "check"])]
    ) == {
        "linkedProjects": ["rust-project.json"],
        "check": {"overrideCommand": ["rfl", "check"]},
    }
