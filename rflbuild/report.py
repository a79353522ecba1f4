"""What a run leaves: results/<time>-<name>/ with result.json and junit.xml beside the logs."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rflbuild.chain import Link
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict

_SCHEMA = 1  # raise it when a field of result.json changes its meaning


@dataclass(frozen=True)
class StepResult:
    """A step as it went: `messages` are the kernel's, `reason` says what did not hold."""

    title: str
    verdict: Verdict
    seconds: float
    output: str = ""
    messages: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class SkippedStep:
    """A step that was not taken, and why."""

    title: str
    reason: str


@dataclass
class Result:
    """A run as it goes; result.json is this."""

    name: str
    reproduce: str
    begun: str
    folder: Path
    verdict: Verdict = Verdict.ENVIRONMENT
    reason: str = "the run was interrupted"
    detail: str = ""
    seconds: float = 0.0
    kernel: dict[str, Any] = field(default_factory=dict)
    toolchain: dict[str, Any] = field(default_factory=dict)
    module: dict[str, Any] = field(default_factory=dict)
    guest: dict[str, Any] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    quick: bool = False
    steps: list[StepResult] = field(default_factory=list)
    skipped: list[SkippedStep] = field(default_factory=list)

    def end(self, verdict: Verdict, reason: str = "", detail: str = "") -> None:
        """The run has come to this."""
        self.verdict, self.reason, self.detail = verdict, reason, detail

    def end_with(self, error: RflError) -> None:
        """The run has come to an error."""
        self.end(error.verdict, error.sentence, error.detail)

    def as_json(self) -> str:
        """The text of result.json."""
        value = {"schema": _SCHEMA, **msgspec.to_builtins(self, enc_hook=str)}
        value["exit"] = self.verdict.exit_code
        return json.dumps(value, indent=2)

    def write(self) -> None:
        """Write result.json and junit.xml, each whole or not at all."""
        write_atomically(self.folder / "result.json", self.as_json() + "\n")
        write_atomically(self.folder / "junit.xml", self._junit())

    def _junit(self) -> str:
        """JUnit's XML: a test case for each step, and one for the run as a whole."""
        cases = [
            (s.title, s.seconds, s.verdict, s.reason, "\n".join([s.output, *s.messages]))
            for s in self.steps
        ]
        cases.append(("verdict", self.seconds, self.verdict, self.reason, self.detail))
        judged = [verdict for _, _, verdict, _, _ in cases]
        bad = (Verdict.PASS, Verdict.FAIL, Verdict.CRASH, Verdict.TIMEOUT)
        suite = ET.Element(
            "testsuite",
            name=_xml(f"rflbuild.{self.name}"),
            timestamp=self.begun,
            tests=str(len(cases) + len(self.skipped)),
            failures=str(sum(v in bad[1:] for v in judged)),
            errors=str(sum(v not in bad for v in judged)),
            skipped=str(len(self.skipped)),
            time=f"{self.seconds:.3f}",
        )
        for step in self.skipped:
            name = _xml(step.title)
            case = ET.SubElement(
                suite, "testcase", classname=_xml(f"rflbuild.{self.name}"), name=name, time="0.000"
            )
            ET.SubElement(case, "skipped", message=_xml(step.reason))
        for title, seconds, verdict, reason, output in cases:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=_xml(f"rflbuild.{self.name}"),
                name=_xml(title),
                time=f"{seconds:.3f}",
            )
            if verdict is not Verdict.PASS:
                kind = "failure" if verdict in bad else "error"
                words = ET.SubElement(case, kind, type=str(verdict), message=_xml(reason))
                words.text = _xml(output)
            elif output.strip():
                ET.SubElement(case, "system-out").text = _xml(output)
        ET.indent(suite)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode")


def _xml(text: str) -> str:
    """The text without the characters that XML 1.0 cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def open_folder(results: Path, name: str) -> tuple[Path, str]:
    """A new folder results/<time>-<name> and its time; `latest` comes to point to it."""
    now = datetime.datetime.now().astimezone()
    results.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "run"
    stem = f"{now:%Y%m%d-%H%M%S}-{slug}"
    for number in range(1, 1000):
        folder = results / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    link = results / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(results / "latest")
    return folder, now.isoformat(timespec="seconds")
