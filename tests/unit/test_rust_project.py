"""rust_project: the file that rust-analyzer reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rflbuild import rust_project

PROJECT = {
    "sysroot": "/s",
    "crates": [{"display_name": "core", "cfg": ['A="b"']}, {"display_name": "kernel"}],
}


def test_the_text_is_json_with_a_line_for_each_crate() -> None:
    text = rust_project.text_of(PROJECT)

    assert json.loads(text) == PROJECT
    assert len(text.splitlines()) == len(PROJECT["crates"]) + 2


def test_the_text_does_not_depend_on_the_order_of_keys() -> None:
    turned = {key: PROJECT[key] for key in reversed(PROJECT)}

    assert rust_project.text_of(turned) == rust_project.text_of(PROJECT)


@pytest.mark.parametrize(
    ("text", "generated"),
    [
        (rust_project.text_of(PROJECT), True),
        ('{"crates": [{"display_name": "mine"}]}', False),
        ('{"crates": {"a": 1}}', False),
        ('{"crates": 1}', False),
        ("[]", False),
        ("", False),
    ],
)
def test_a_project_of_a_kernel_is_nobodys_own_work(
    tmp_path: Path, text: str, generated: bool
) -> None:
    path = tmp_path / "rust-project.json"
    path.write_text(text)

    assert rust_project.is_generated(path) is generated
