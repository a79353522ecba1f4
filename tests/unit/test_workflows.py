"""The GitHub workflows: what they may do, what they run, and what their summary says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CALLED = ROOT / "workflows" / "qemu-test.yml"
PUBLISHED = ROOT / ".github" / "workflows" / "qemu-test.yml"
CI = ROOT / ".github" / "workflows" / "ci.yml"
DOCUMENT = ROOT / "docs" / "github-actions.md"
WORKFLOWS = [CALLED, PUBLISHED, CI]

_PINNED = re.compile(r"^\s*(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: str(path.relative_to(ROOT)))
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def _read(path: Path) -> dict[Any, Any]:
    value = yaml.safe_load(path.read_text())
    assert isinstance(value, dict)
    return value


def _jobs(path: Path) -> Iterator[dict[str, Any]]:
    yield from _read(path)["jobs"].values()


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in _jobs(path):
        yield from job["steps"]


def _call() -> dict[str, Any]:
    call: dict[str, Any] = _read(CALLED)[True]["workflow_call"]  # YAML 1.1 reads `on` as true
    return call


def _named(path: Path, name: str) -> dict[str, Any]:
    (found,) = [step for step in _steps(path) if step["name"] == name]
    return found


def _tool(*argv: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / argv[0]
    return subprocess.run(
        [str(tool), *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_github_finds_the_very_workflow_that_workflows_has() -> None:
    # GitHub follows no symbolic links in .github/workflows (actions/runner issue 1420).
    assert not PUBLISHED.is_symlink()
    assert CALLED.read_bytes() == PUBLISHED.read_bytes()


def test_every_action_is_pinned_by_its_commit(workflow: Path) -> None:
    uses = [line for line in workflow.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert uses
    assert [line for line in uses if not _PINNED.match(line)] == []


def test_an_action_is_pinned_to_one_version() -> None:
    commits: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for step in _steps(path):
            if "uses" in step:
                action, commit = step["uses"].split("@")
                repository = "/".join(action.split("/")[:2])  # cache/restore is of actions/cache
                commits.setdefault(repository, set()).add(commit)
    assert {name: found for name, found in commits.items() if len(found) > 1} == {}


def test_a_workflow_may_read_the_repository_and_no_more(workflow: Path) -> None:
    assert _read(workflow)["permissions"] == {"contents": "read"}
    assert [job["permissions"] for job in _jobs(workflow) if "permissions" in job] == []


def test_no_checkout_leaves_the_token_behind(workflow: Path) -> None:
    checkouts = [s for s in _steps(workflow) if s.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [s["name"] for s in checkouts if s["with"].get("persist-credentials") is not False] == []


def test_no_expression_is_pasted_into_a_script(workflow: Path) -> None:
    scripts = {step["name"]: step["run"] for step in _steps(workflow) if "run" in step}
    assert scripts
    assert [name for name, script in scripts.items() if "${{" in script] == []


def test_every_job_has_a_time_limit(workflow: Path) -> None:
    # A job of GitHub's own runners ends after 360 minutes, cut off, without its last steps.
    assert all(0 < job["timeout-minutes"] < 360 for job in _jobs(workflow))


def test_the_schema_of_github_holds() -> None:
    paths = [str(path.relative_to(ROOT)) for path in WORKFLOWS]
    done = _tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    paths = [str(path.relative_to(ROOT)) for path in WORKFLOWS]
    done = _tool("zizmor", "--offline", "--quiet", "--persona=pedantic", *paths)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_readmes_two_commands() -> None:
    scripts = [step.get("run") for step in _steps(CI)]
    assert "./rfl qemu-test hello" in scripts
    assert "./rfl test" in scripts
    assert scripts.index("./rfl qemu-test hello") < scripts.index("./rfl test")


def test_both_jobs_prepare_the_host_in_the_same_way() -> None:
    assert _named(CI, "Prepare the host")["run"] in _named(CALLED, "Prepare the host")["run"]


def test_what_is_restored_is_what_was_saved(workflow: Path) -> None:
    # The paths are a part of what a cache is found by.
    restored = [s["with"]["path"] for s in _steps(workflow) if "/cache/restore@" in str(s)]
    saved = [s["with"]["path"] for s in _steps(workflow) if "/cache/save@" in str(s)]
    assert len(restored) == 2
    assert restored == saved


def test_every_input_and_output_is_documented() -> None:
    call = _call()
    text = DOCUMENT.read_text()
    missing = [name for name in (*call["inputs"], *call["outputs"]) if f"`{name}`" not in text]
    assert missing == []


def test_every_input_reaches_the_run() -> None:
    rest = json.dumps(_read(CALLED)["jobs"])
    assert [name for name in _call()["inputs"] if f"inputs.{name}" not in rest] == []


class Summary:
    """The step that shows the verdict, run on results that a test makes up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "rflbuild" / "results"
        self.log = folder / "rfl.log"
        self.module = "drivers/foo"

    def record(self, **fields: object) -> None:
        value = {
            "name": "foo",
            "verdict": "pass",
            "reason": "",
            "detail": "",
            "seconds": 12.345,
            "kernel": {"release": "7.3.4", "arch": "arm64"},
            "steps": [{"title": "insmod foo", "verdict": "pass", "seconds": 0.1, "reason": ""}],
            "reproduce": "./rfl qemu-test ./drivers/foo",
        }
        (self.results / "latest").mkdir(parents=True)
        (self.results / "latest" / "result.json").write_text(json.dumps(value | fields))

    def show(self) -> tuple[str, dict[str, str]]:
        """The summary's text and the step's outputs."""
        step = _named(CALLED, "Show the verdict")
        summary, outputs = self.folder / "summary.md", self.folder / "outputs"
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.folder,
            check=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_OUTPUT": str(outputs),
                "MODULE": self.module,
                "KERNEL": "",
                "ARCH": "arm64",
                "TOOLCHAIN": "auto",
                "FRAGMENT": "",
            },
        )
        pairs = (line.split("=", 1) for line in outputs.read_text().splitlines())
        return summary.read_text(), dict(pairs)


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return Summary(tmp_path)


def test_the_summary_has_a_row_for_each_step(summary: Summary) -> None:
    summary.record()
    text, outputs = summary.show()
    assert "### foo on Linux 7.3.4 arm64: pass" in text
    assert "| insmod foo | pass | 0.1 |  |" in text
    assert "./rfl qemu-test ./drivers/foo" in text
    assert outputs["verdict"] == "pass"


def test_the_summary_says_why_it_did_not_build(summary: Summary) -> None:
    summary.record(
        verdict="build-error", reason="foo.rs:3 does not build", detail="error[E0308]", steps=[]
    )
    text, outputs = summary.show()
    assert ": build-error" in text
    assert "foo.rs:3 does not build" in text
    assert "<pre>\nerror[E0308]\n</pre>" in text
    assert "| step |" not in text
    assert outputs["verdict"] == "build-error"


def test_the_summary_comes_without_a_kernel(summary: Summary) -> None:
    summary.record(verdict="environment", kernel={}, steps=[], reason="no network")
    text, _ = summary.show()
    assert "### foo: environment" in text


def test_what_a_guest_says_cannot_break_the_table(summary: Summary) -> None:
    nasty = 'a | b\n</pre> <script>"$(id)"\'`id`'
    step = {"title": nasty, "verdict": "fail", "seconds": 1, "reason": nasty}
    summary.record(verdict="fail", reason=nasty, detail=nasty, reproduce=nasty, steps=[step])
    text, _ = summary.show()
    (row,) = [line for line in text.splitlines() if line.startswith("| a ")]
    assert row.count("|") == 5
    assert "<script>" not in text
    assert text.count("</pre>") == 2


def test_a_verdict_that_left_no_record_comes_from_the_log(summary: Summary) -> None:
    summary.log.write_text("source     cached\nusage: ./drivers/foo is not a folder\nbye\n")
    text, outputs = summary.show()
    assert "### drivers/foo: usage" in text
    assert "./drivers/foo is not a folder" in text
    assert outputs["verdict"] == "usage"


def test_no_verdict_is_told_as_such(summary: Summary) -> None:
    text, outputs = summary.show()
    assert "### drivers/foo: no verdict" in text
    assert outputs["verdict"] == ""


def test_an_artifact_has_a_name_that_github_takes(summary: Summary) -> None:
    summary.module = 'drivers/"a":<b>|*?\\'
    _, outputs = summary.show()
    assert re.fullmatch(r"results-[\w.-]+", outputs["artifact"])


def test_artifacts_of_two_modules_have_two_names(summary: Summary) -> None:
    _, first = summary.show()
    summary.module = "drivers-foo"
    _, second = summary.show()
    assert first["artifact"] != second["artifact"]
