"""tasking: what a task's body is handed, and which options it has without naming them."""

from __future__ import annotations

from typing import Any

import pytest
from invoke.context import Context
from invoke.tasks import Task

from rflbuild.chain import Request
from rflbuild.cli import Options
from rflbuild.tasking import Run, task
from rflbuild.userland import Choice

Given = list[tuple[Run, tuple[Any, ...]]]


@pytest.fixture
def given() -> Given:
    """What the task of a test was handed."""
    return []


def names(made: Task[Any]) -> set[str | None]:
    return {argument.name for argument in made.get_arguments()}


def test_a_task_without_options_is_the_default_request(given: Given) -> None:
    @task()
    def look(run: Run) -> None:
        given.append((run, ()))

    look(Context())

    assert given == [(Run(Request(), Choice(), Options()), ())]


def test_a_tasks_options_become_a_request(given: Given) -> None:
    @task(json=True, help={"target": "what"})
    def look(run: Run, target: str, quick: bool = False) -> None:
        given.append((run, (target, quick)))

    look(
        Context(),
        target="here",
        quick=True,
        kernel="",
        arch="x86_64",
        toolchain="system",
        base="defconfig",
        fragment=["debug"],
        allow_dropped=True,
        jobs=3,
        json=True,
        debug=True,
    )

    request = Request(None, "x86_64", "system", "defconfig", ("debug",), True)
    assert given == [(Run(request, Choice(), Options(3, json=True, debug=True)), ("here", True))]


def test_a_task_about_no_kernel_has_no_options_for_one() -> None:
    @task(kernel=False, help={"days": "how many"})
    def look(run: Run, days: float = 1.0) -> None: ...

    assert names(look) == {"days", "debug"}


def test_the_options_of_the_body_come_first() -> None:
    @task(help={"target": "what"})
    def look(run: Run, target: str) -> None: ...

    assert next(argument.name for argument in look.get_arguments()) == "target"
    assert names(look) >= {"kernel", "arch", "toolchain", "base", "fragment", "jobs", "debug"}


def test_a_list_may_be_given_again() -> None:
    @task(help={"file": "one or more"})
    def look(run: Run, file: list[str] | None = None) -> None: ...

    lists = {argument.name for argument in look.get_arguments() if argument.kind is list}
    assert lists == {"file", "fragment"}


def test_each_option_has_a_help() -> None:
    @task(json=True)
    def look(run: Run) -> None: ...

    assert all(argument.help for argument in look.get_arguments())


def test_an_option_may_go_without_its_value() -> None:
    @task(optional=["diff"], help={"diff": "with what"})
    def look(run: Run, diff: str = "") -> None: ...

    argument = next(each for each in look.get_arguments() if each.name == "diff")
    assert argument.optional
    assert argument.takes_value
