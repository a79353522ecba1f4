"""What a run leaves in results/ agrees with what it said."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import GUEST, MODULES, BuiltKernel, Rfl, Run

pytestmark = pytest.mark.timeout(GUEST + 60, func_only=True)


@dataclass(frozen=True)
class Kept:
    """A run and what it left."""

    run: Run
    folder: Path
    result: dict[str, Any]
    junit: ET.Element


def kept(rfl: Rfl, *args: str) -> Kept:
    run = rfl.test(*args)
    folder = (rfl.results / "latest").resolve()
    junit = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 - our own
    return Kept(run, folder, rfl.result(), junit)


@pytest.fixture(scope="module")
def passing(rfl: Rfl, kernel: BuiltKernel) -> Kept:
    return kept(rfl, "hello", "--json")


@pytest.fixture(scope="module")
def failing(rfl: Rfl, kernel: BuiltKernel) -> Kept:
    return kept(rfl, str(MODULES / "no_memory"), "--json")


def test_a_run_keeps_its_logs_and_its_result(passing: Kept) -> None:
    names = {path.name for path in passing.folder.iterdir()}

    assert {"console.log", "shell.log", "result.json", "junit.xml"} <= names
    assert "Hello from Rust!" in (passing.folder / "console.log").read_text()
    shell = (passing.folder / "shell.log").read_text()
    assert "insmod /modules/hello.ko" in shell
    assert "# exit status 0" in shell


def test_json_is_all_that_comes_out_and_is_the_result(passing: Kept, failing: Kept) -> None:
    for one in (passing, failing):
        assert json.loads(one.run.stdout) == one.result
        assert one.result["exit"] == one.run.status


def test_the_result_says_what_ran(passing: Kept, kernel: BuiltKernel) -> None:
    result = passing.result

    assert result["verdict"] == "pass"
    assert result["reason"] == ""
    assert result["name"] == "hello"
    assert Path(result["folder"]) == passing.folder
    assert result["kernel"]["release"] == kernel.plan.source.release
    assert result["kernel"]["key"] == kernel.out.name
    assert result["guest"]["accelerator"] in ("tcg", "kvm")
    assert f"-accel {result['guest']['accelerator']}" in result["guest"]["command"]
    links = [link["name"] for link in result["links"]]
    assert links == ["source", "toolchain", "kernel", "module", "boot"]
    assert 0 < sum(step["seconds"] for step in result["steps"]) < result["seconds"]
    assert {step["verdict"] for step in result["steps"]} == {"pass"}
    assert any("Hello from Rust!" in line for line in result["steps"][0]["messages"])


def test_junit_says_the_same(passing: Kept, failing: Kept) -> None:
    for one in (passing, failing):
        cases = one.junit.findall("testcase")
        assert int(one.junit.get("tests", "")) == len(cases)
        titles = [step["title"] for step in one.result["steps"]]
        assert [case.get("name") for case in cases] == [*titles, "verdict"]
    assert (passing.junit.get("failures"), passing.junit.get("errors")) == ("0", "0")
    assert (failing.junit.get("failures"), failing.junit.get("errors")) == ("2", "0")
    (failure,) = failing.junit.findall("testcase")[-1]
    assert failure.get("message") == failing.result["reason"]


def test_latest_points_to_the_newest(rfl: Rfl, kernel: BuiltKernel, passing: Kept) -> None:
    again = kept(rfl, "hello")

    assert again.folder != passing.folder
    assert again.folder.parent == rfl.results
    assert not (rfl.results / "latest").readlink().is_absolute()


def test_the_command_to_reproduce_it_does(
    rfl: Rfl, kernel: BuiltKernel, module_at: Callable[..., Path]
) -> None:
    folder = module_at(folder="it's mine")
    (folder.parent / "nothing.config").write_text("# Nothing on top.\n")
    first = rfl("qemu-test", ".", "--fragment", "../nothing.config", cwd=folder, timeout=GUEST)
    first.passed()
    result = rfl.result()

    program, *words = shlex.split(result["reproduce"])
    again = rfl(*words, timeout=GUEST)  # in the checkout, as people would

    assert program == "./rfl"
    again.passed()
    assert rfl.result()["module"]["key"] == result["module"]["key"]
    assert rfl.result()["kernel"] == result["kernel"]
