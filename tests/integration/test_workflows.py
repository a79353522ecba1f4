"""The workflows' `run:` steps, executed in their order in a clean folder, as a runner would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT, CALLER = "rust/rflbuild", "somebody/third-party"
_TIMEOUT = 3 * 3600.0  # seconds for a step; a minute is enough, unless the kernel is not there yet

pytestmark = pytest.mark.timeout(4 * 3600)


# --- a runner ---------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|\|\||&&|==|!=|[!()]|[A-Za-z_][\w.-]*|\d+)")
_STATUS_FUNCTIONS = ("always", "cancelled", "failure", "success")


class Expression:
    """An expression of GitHub's language, as far as the project's workflows use it."""

    def __init__(self, text: str, contexts: Mapping[str, Any], *, failed: bool) -> None:
        self.tokens = _TOKEN.findall(text)
        assert re.fullmatch(rf"(?:{_TOKEN.pattern})+\s*", text), f"no expression: {text}"
        self.contexts = contexts
        self.functions = {
            "always": True,
            "cancelled": False,
            "failure": failed,
            "success": not failed,
        }

    def value(self) -> Any:
        found = self._either()
        assert not self.tokens, f"{self.tokens} is left over"
        return found

    def _accept(self, *tokens: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in tokens else ""

    def _either(self) -> Any:
        left = self._both()
        while self._accept("||"):
            right = self._both()
            left = left or right
        return left

    def _both(self) -> Any:
        left = self._compared()
        while self._accept("&&"):
            right = self._compared()
            left = left and right
        return left

    def _compared(self) -> Any:
        left = self._single()
        sign = self._accept("==", "!=")
        if not sign:
            return left
        return (left == self._single()) is (sign == "==")

    def _single(self) -> Any:
        if self._accept("!"):
            return not self._single()
        if self._accept("("):
            inner = self._either()
            assert self._accept(")")
            return inner
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token.isdigit():
            return int(token)
        if self._accept("("):
            assert self._accept(")"), f"{token}() with arguments"
            return self.functions[token]
        found: Any = self.contexts
        for name in token.split("."):  # what is not there is empty, in GitHub's language too
            found = found.get(name, "") if isinstance(found, Mapping) else ""
        return found


@dataclass(frozen=True)
class StepRun:
    """A step as it went; `status` is the exit code of a `run:` step."""

    name: str
    outcome: str
    status: int
    output: str


@dataclass
class JobRun:
    """A job as it went."""

    workspace: Path
    steps: list[StepRun] = field(default_factory=list)
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failed(self) -> list[StepRun]:
        return [step for step in self.steps if step.outcome == "failure"]

    def step(self, name: str) -> StepRun:
        (found,) = [step for step in self.steps if step.name == name]
        return found

    def told(self) -> str:
        return "\n".join(f"## {s.name}: {s.outcome} {s.status}\n{s.output}" for s in self.steps)


Checkouts = Mapping[str, Callable[[Path], None]]


class Runner:
    """Executes one job of a workflow: `run:` steps as they are, actions by what stands for them.

    A checkout is a copy, a cache is always empty, an upload is a list of files.
    Anything that this runner does not know of is an error, so that it tells no lies.
    """

    def __init__(self, folder: Path, workflow: Path, checkouts: Checkouts) -> None:
        self.workflow = yaml.safe_load(workflow.read_text())
        self.checkouts = checkouts
        self.temp = folder / "temp"
        self.run = JobRun(folder / "workspace")
        for path in (self.temp, self.run.workspace):
            path.mkdir(parents=True)
        self.contexts: dict[str, Any] = {
            "github": {
                "workspace": str(self.run.workspace),
                "repository": CALLER,
                "event_name": "push",
            },
            "job": {"workflow_repository": PROJECT, "workflow_sha": "0" * 40},
            "steps": {},
        }
        self.environment = self._environment()

    def execute(
        self, job_name: str, inputs: Mapping[str, object], leave_out: str | None = None
    ) -> JobRun:
        """Run a job; `leave_out` is a script that is skipped."""
        job = self.workflow["jobs"][job_name]
        self.contexts["inputs"] = self._inputs(inputs)
        self.environment |= self._texts(self.workflow.get("env", {}))
        self.environment |= self._texts(job.get("env", {}))
        defaults = {
            **self.workflow.get("defaults", {}).get("run", {}),
            **job.get("defaults", {}).get("run", {}),
        }
        for step in job["steps"]:
            if leave_out is None or step.get("run") != leave_out:
                self._step(step, defaults)
        self.run.summary = (self.temp / "summary").read_text()
        self.run.outputs = self._texts(job.get("outputs", {}))
        return self.run

    def _inputs(self, given: Mapping[str, object]) -> dict[str, object]:
        # YAML 1.1, and with it PyYAML, reads `on` as true.
        call = self.workflow[True].get("workflow_call") or {}
        declared = call.get("inputs", {})
        assert set(given) <= set(declared), f"unknown inputs: {set(given) - set(declared)}"
        missing = {name for name, one in declared.items() if one.get("required")} - set(given)
        assert not missing, f"required inputs: {missing}"
        return {name: one.get("default", "") for name, one in declared.items()} | dict(given)

    def _environment(self) -> dict[str, str]:
        """The variables of our own process and a runner's; sudo changes nothing here."""
        tools = self.temp / "bin"
        tools.mkdir()
        (tools / "sudo").write_text('#!/bin/sh\necho "left out: sudo $*"\n')
        (tools / "sudo").chmod(0o755)
        files = {"GITHUB_ENV": self.temp / "env", "GITHUB_STEP_SUMMARY": self.temp / "summary"}
        for path in files.values():
            path.touch()
        own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        return {
            **own,
            **{name: str(path) for name, path in files.items()},
            "PATH": f"{tools}:{own['PATH']}",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": CALLER,
            "GITHUB_WORKSPACE": str(self.run.workspace),
            "RUNNER_TEMP": str(self.temp),
        }

    def _evaluate(self, text: str) -> Any:
        return Expression(text, self.contexts, failed=bool(self.run.failed)).value()

    def _text(self, value: object) -> str:
        def replace(match: re.Match[str]) -> str:
            return self._text(self._evaluate(match[1]))

        if isinstance(value, bool):
            return str(value).lower()
        return re.sub(r"\$\{\{(.*?)\}\}", replace, str(value), flags=re.DOTALL)

    def _texts(self, values: Mapping[str, object]) -> dict[str, str]:
        return {name: self._text(value) for name, value in values.items()}

    def _wanted(self, condition: str) -> bool:
        text = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", condition.strip())
        if not any(f"{name}(" in text for name in _STATUS_FUNCTIONS):
            text = f"success() && ({text})"
        return bool(self._evaluate(text))

    def _step(self, step: dict[str, Any], defaults: Mapping[str, str]) -> None:
        known = {"id", "name", "if", "uses", "with", "run", "env", "shell", "working-directory"}
        assert set(step) <= known, f"this runner knows nothing of {set(step) - known}"
        outputs = self.temp / f"outputs-{len(self.run.steps)}"
        outputs.touch()
        if not self._wanted(str(step.get("if", "success()"))):
            done = StepRun(step["name"], "skipped", 0, "")
        elif "run" in step:
            done = self._script(step, {**defaults, **step}, outputs)
        else:
            self._action(step["uses"].split("@")[0], self._texts(step.get("with", {})))
            done = StepRun(step["name"], "success", 0, "")
        self.run.steps.append(done)
        lines = outputs.read_text().splitlines()
        assert all(re.match(r"[\w-]+=", line) for line in lines), f"no outputs: {lines}"
        if "id" in step:
            self.contexts["steps"][step["id"]] = {
                "outcome": done.outcome,
                "outputs": dict(line.split("=", 1) for line in lines),
            }

    def _script(self, step: dict[str, Any], how: Mapping[str, str], outputs: Path) -> StepRun:
        script = self.temp / f"{outputs.name}.sh"
        script.write_text(step["run"])
        # The two forms that GitHub documents: `shell: bash`, and no shell named.
        bash = {
            "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
            None: ["bash", "-e"],
        }[how.get("shell")]
        environment = self.environment | self._texts(step.get("env", {}))
        for line in (self.temp / "env").read_text().splitlines():
            name, _, value = line.partition("=")
            environment[name] = value
        log = outputs.with_suffix(".log")
        with log.open("w") as file:
            child = subprocess.Popen(
                [*bash, str(script)],
                cwd=self.run.workspace / self._text(how.get("working-directory", ".")),
                env=environment | {"GITHUB_OUTPUT": str(outputs)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = child.wait(_TIMEOUT)
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
        outcome = "failure" if status else "success"
        return StepRun(step["name"], outcome, status, log.read_text(errors="replace"))

    def _action(self, action: str, inputs: Mapping[str, str]) -> None:
        if action == "actions/checkout":
            repository = inputs.get("repository", CALLER)
            self.checkouts[repository](self.run.workspace / inputs.get("path", "."))
        elif action == "actions/upload-artifact":
            self.run.artifacts[inputs["name"]] = sorted(self._matching(inputs["path"]))
        else:
            assert action in {"actions/cache/restore", "actions/cache/save"}, action
            assert all(path.startswith("/") for path in inputs["path"].split()), inputs
            assert inputs["key"]

    def _matching(self, patterns: str) -> Iterator[str]:
        """The files below what the patterns match; one with `!` takes away what it matches."""
        root = self.run.workspace
        found: set[Path] = set()
        for pattern in patterns.split():
            matched = set(root.glob(pattern.removeprefix("!")))
            found = found - matched if pattern.startswith("!") else found | matched
        for top in found:
            for path in [top, *top.rglob("*")]:
                if path.is_file():
                    yield str(path.relative_to(root))


# --- a driver's repository --------------------------------------------------------------------

_MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0
KDIR ?= /lib/modules/`uname -r`/build

default:
	$(MAKE) -C $(KDIR) M=$$PWD
"""
_MODULE = """\
// SPDX-License-Identifier: GPL-2.0

//! A module that lives in a repository of its own.

use kernel::prelude::*;

module! {{
    type: ThirdParty,
    name: "{name}",
    authors: ["Somebody"],
    description: "A module out of the tree",
    license: "GPL",
}}

struct ThirdParty {{
    numbers: KVec<i32>,
}}

impl kernel::Module for ThirdParty {{
    fn init(_module: &'static ThisModule) -> Result<Self> {{
        let mut numbers = KVec::new();
        numbers.push({number}, GFP_KERNEL)?;
        pr_info!("third party: loaded\\n");
        Ok(ThirdParty {{ numbers }})
    }}
}}

impl Drop for ThirdParty {{
    fn drop(&mut self) {{
        pr_info!("third party: unloaded with {{:?}}\\n", self.numbers);
    }}
}}
"""


def _module(folder: Path, name: str, number: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Makefile").write_text(_MAKEFILE)
    (folder / "Kbuild").write_text(f"# SPDX-License-Identifier: GPL-2.0\nobj-m := {name}.o\n")
    (folder / f"{name}.rs").write_text(_MODULE.format(name=name, number=number))


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module at the top, a broken one below it, and Python that is not rflbuild's."""
    folder = tmp_path_factory.mktemp("caller")
    _module(folder, "rust_out_of_tree", "72")
    # rflbuild has a kind of this name, which is not what the caller means.
    _module(folder / "hello", "broken", '"seventy-two"')
    for name in ("tasks", "invoke", "yaml"):
        (folder / f"{name}.py").write_text("raise SystemExit('the caller has one too')\n")
    return folder


@pytest.fixture
def checkouts(caller: Path) -> Checkouts:
    def clone(into: Path) -> None:
        subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(into)], check=True
        )

    def copy(into: Path) -> None:
        shutil.copytree(caller, into)

    return {PROJECT: clone, CALLER: copy}


@pytest.fixture
def qemu_test(tmp_path: Path, checkouts: Checkouts) -> Callable[[str], JobRun]:
    """The reusable workflow, called for a module of the caller's."""

    def call(module: str) -> JobRun:
        runner = Runner(tmp_path / "runner", ROOT / "workflows" / "qemu-test.yml", checkouts)
        return runner.execute("qemu-test", {"module": module, "arch": "arm64"})

    return call


def test_a_third_party_module_passes_on_the_workflow(qemu_test: Callable[[str], JobRun]) -> None:
    job = qemu_test(".")
    assert not job.failed, job.told()
    results = job.workspace / "rflbuild" / "results" / "latest"
    record = json.loads((results / "result.json").read_text())
    assert record["verdict"] == "pass"
    assert record["name"] == CALLER.split("/")[1]
    assert job.outputs == {"verdict": "pass"}
    assert re.search(r"^### third-party on Linux [\w.~+-]+ arm64: pass$", job.summary, re.MULTILINE)
    assert re.search(r"^\| insmod rust_out_of_tree \| pass \|", job.summary, re.MULTILINE)
    ((name, files),) = job.artifacts.items()
    assert name.startswith("results-")
    assert {Path(file).name for file in files} >= {"result.json", "junit.xml", "console.log"}
    assert not [file for file in files if "/latest/" in file]


def test_a_module_that_does_not_build_fails_the_workflow(
    qemu_test: Callable[[str], JobRun],
) -> None:
    job = qemu_test("hello")
    assert [step.name for step in job.failed] == ["Test the module"], job.told()
    assert job.step("Test the module").status == 3
    assert job.outputs == {"verdict": "build-error"}
    assert re.search(r"^### hello on Linux .*: build-error$", job.summary, re.MULTILINE)
    assert "broken.rs" in job.summary
    ((_, files),) = job.artifacts.items()
    assert "result.json" in {Path(file).name for file in files}


def test_the_projects_own_workflow_runs_the_readmes_first_command(
    tmp_path: Path, checkouts: Checkouts
) -> None:
    # Its second command is `./rfl test`, which is what runs this test.
    own = {CALLER: checkouts[PROJECT]}
    runner = Runner(tmp_path / "runner", ROOT / ".github" / "workflows" / "ci.yml", own)
    job = runner.execute("readme", {}, leave_out="./rfl test")
    assert not job.failed, job.told()
    output = job.step("Test the module hello").output
    assert re.search(r"^pass +hello on Linux ", output, re.MULTILINE), output
    assert job.artifacts["results"]
