"""report: what a run leaves in its results folder."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rflbuild import report
from rflbuild.chain import Link
from rflbuild.report import Result, SkippedStep, StepResult
from rflbuild.testspec import Machine
from rflbuild.verdict import RflError, Verdict

# Escape sequences, a NUL, U+FFFE and a lone surrogate: nothing of this can be in XML 1.0.
NASTY = "a\x1b[31m\x00b\x08\ufffe\udcff & <c> \"d\" ']]>'"


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return Result("hello", "./rfl qemu-test hello", "2026-01-01T12:00:00+00:00", tmp_path)


def as_json(result: Result) -> dict[str, Any]:
    result.write()
    value = json.loads((result.folder / "result.json").read_text())
    assert isinstance(value, dict)
    return value


def as_xml(result: Result) -> ET.Element:
    result.write()
    return ET.parse(result.folder / "junit.xml").getroot()  # noqa: S314 - our own


# ---- the folder ---------------------------------------------------------------------------


def test_a_results_folder_is_named_after_time_and_target(tmp_path: Path) -> None:
    folder, _ = report.open_folder(tmp_path / "results", "hello")

    assert folder.is_dir()
    assert re.fullmatch(r"\d{8}-\d{6}-hello", folder.name)


def test_runs_within_a_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = [report.open_folder(tmp_path, "hello")[0] for _ in range(5)]

    assert len(set(folders)) == 5


def test_latest_leads_to_the_last_run(tmp_path: Path) -> None:
    for _ in range(2):
        folder, _ = report.open_folder(tmp_path, "hello")

    assert (tmp_path / "latest").resolve() == folder


def test_latest_stays_true_when_the_results_are_moved(tmp_path: Path) -> None:
    folder, _ = report.open_folder(tmp_path / "results", "hello")
    (tmp_path / "results").rename(tmp_path / "moved")

    assert (tmp_path / "moved" / "latest").resolve() == tmp_path / "moved" / folder.name


def test_latest_is_replaced_although_a_killed_run_left_its_link(tmp_path: Path) -> None:
    (tmp_path / f".latest-{os.getpid()}").symlink_to("nowhere")

    folder, _ = report.open_folder(tmp_path, "hello")

    assert (tmp_path / "latest").resolve() == folder
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "latest"])


def test_a_target_given_as_a_path_has_a_folder_right_in_the_results(tmp_path: Path) -> None:
    folder, _ = report.open_folder(tmp_path, "shell-./modules/hello")

    assert folder.parent == tmp_path


def test_the_time_has_its_zone(tmp_path: Path) -> None:
    _, begun = report.open_folder(tmp_path, "hello")

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", begun)


# ---- result.json --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("pass", 0),
        ("fail", 1),
        ("usage", 2),
        ("build-error", 3),
        ("crash", 4),
        ("timeout", 5),
        ("environment", 6),
    ],
)
def test_the_verdict_and_its_exit_code_are_in_result_json(
    result: Result, verdict: str, code: int
) -> None:
    result.end(Verdict(verdict), "why")
    value = as_json(result)

    assert (value["verdict"], value["exit"], value["reason"]) == (verdict, code, "why")


def test_a_run_that_did_not_come_to_an_end_does_not_pass(result: Result) -> None:
    value = as_json(result)

    assert (value["verdict"], value["exit"]) == ("environment", 6)
    assert "interrupted" in value["reason"]


def test_a_run_may_end_with_an_error(result: Result) -> None:
    result.end_with(RflError(Verdict.BUILD_ERROR, "it does not build", "error: x"))
    value = as_json(result)

    assert (value["verdict"], value["reason"], value["detail"]) == (
        "build-error",
        "it does not build",
        "error: x",
    )


def test_links_steps_and_the_guest_are_in_result_json(result: Result) -> None:
    result.links = [Link("kernel", "Linux 7.3", "0123", 1.5)]
    result.steps = [StepResult("insmod hello", Verdict.PASS, 0.1, "out", ("hello",))]
    result.guest = {"accelerator": "tcg", "machine": Machine(cpus=4)}
    value = as_json(result)

    assert value["links"] == [
        {"name": "kernel", "what": "Linux 7.3", "key": "0123", "seconds": 1.5}
    ]
    assert value["steps"] == [
        {
            "title": "insmod hello",
            "verdict": "pass",
            "seconds": 0.1,
            "output": "out",
            "messages": ["hello"],
            "reason": "",
        }
    ]
    assert value["guest"]["machine"]["cpus"] == 4


def test_result_json_says_how_to_run_it_again_and_where_it_was(result: Result) -> None:
    value = as_json(result)

    assert value["reproduce"] == "./rfl qemu-test hello"
    assert value["folder"] == str(result.folder)
    assert value["schema"] == 1


def test_any_output_is_valid_json(result: Result) -> None:
    result.steps = [StepResult(NASTY, Verdict.PASS, 0.1, NASTY, (NASTY,))]

    assert as_json(result)["steps"][0]["output"] == NASTY


# ---- junit.xml ----------------------------------------------------------------------------


def test_each_step_is_a_case_and_the_run_is_the_last(result: Result) -> None:
    result.steps = [StepResult("one", Verdict.PASS, 0.1), StepResult("two", Verdict.PASS, 0.25)]
    result.end(Verdict.PASS)
    suite = as_xml(result)

    assert suite.get("tests") == "3"
    assert [case.get("name") for case in suite] == ["one", "two", "verdict"]
    assert suite[1].get("time") == "0.250"
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")


@pytest.mark.parametrize(
    ("verdict", "tag"),
    [
        ("fail", "failure"),
        ("crash", "failure"),
        ("timeout", "failure"),
        ("usage", "error"),
        ("build-error", "error"),
        ("environment", "error"),
    ],
)
def test_what_the_module_did_is_a_failure_and_the_rest_an_error(
    result: Result, verdict: str, tag: str
) -> None:
    result.end(Verdict(verdict), "why", "the detail")
    suite = as_xml(result)
    (words,) = suite[0]

    assert (words.tag, words.get("type"), words.get("message")) == (tag, verdict, "why")
    assert words.text == "the detail"
    assert suite.get("failures") == ("1" if tag == "failure" else "0")
    assert suite.get("errors") == ("1" if tag == "error" else "0")


def test_a_step_that_was_skipped_is_a_case_with_its_reason(result: Result) -> None:
    result.steps = [StepResult("one", Verdict.PASS, 0.1)]
    result.skipped = [SkippedStep("two", "the kernel is built without CONFIG_KASAN")]
    result.end(Verdict.PASS)
    suite = as_xml(result)

    assert (suite.get("tests"), suite.get("skipped")) == ("3", "1")
    assert [case.get("name") for case in suite if case.find("skipped") is not None] == ["two"]
    assert suite[-1].get("name") == "verdict"
    assert as_json(result)["skipped"] == [
        {"title": "two", "reason": "the kernel is built without CONFIG_KASAN"}
    ]


def test_a_step_that_failed_shows_its_output_and_the_kernels_messages(result: Result) -> None:
    result.steps = [StepResult("one", Verdict.FAIL, 0.1, "output", ("message",), "why")]
    (words,) = as_xml(result)[0]

    assert words.text == "output\nmessage"


def test_a_step_that_passed_shows_its_output(result: Result) -> None:
    result.steps = [StepResult("one", Verdict.PASS, 0.1, "output")]

    assert "output" in (as_xml(result)[0].findtext("system-out") or "")


@pytest.mark.parametrize("place", ["title", "output", "message", "reason", "detail", "name"])
def test_any_text_is_valid_xml(result: Result, place: str) -> None:
    def put(there: str) -> str:
        return NASTY if place == there else there

    step = (put("title"), Verdict.FAIL, 0.1, put("output"), (put("message"),), put("reason"))
    result.name = put("name")
    result.steps = [StepResult(*step)]
    result.end(Verdict.FAIL, "", put("detail"))
    texts = [
        text
        for element in as_xml(result).iter()
        for text in (*element.attrib.values(), element.text or "")
    ]

    assert any("""& <c> "d" ']]>'""" in text for text in texts)


def test_a_result_is_written_over_an_older_one(result: Result) -> None:
    result.write()
    result.end(Verdict.PASS)
    result.write()

    assert as_json(result)["verdict"] == "pass"
    assert sorted(path.name for path in result.folder.iterdir()) == ["junit.xml", "result.json"]
