"""What the compiler says of a module, as data: rustc's JSON diagnostics of the kernel's own build.

The module is built as ever but for `--error-format=json`, in a copy of its own, so that the
ordinary build is not disturbed. The answer is kept under the module's content: its warnings
are there again even though make would have nothing to do.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rflbuild import buildlog, kernel, module, places
from rflbuild.kernel import Kernel
from rflbuild.module import Copy, Module
from rflbuild.places import Places
from rflbuild.session import Session
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import RflError, Verdict

Diagnostic = dict[str, Any]  # https://doc.rust-lang.org/rustc/json.html, "Diagnostics"

BINDINGS = "bindings_generated.rs"  # as templates/bindings/bindings.py calls it
JSON_FLAG = "--error-format=json"
_RECIPE = 1  # raise it when the way a module is checked changes
_REPORT = "report.json"
_TIMEOUT = 1800.0
# There while make runs; its name is a product's, so that it is no source of the module's.
_UNFINISHED = ".unfinished.cmd"
# Of clang's and bindings.py's: `main.rs:3: error: …`; of modpost's, which knows no place.
_OTHER = re.compile(
    r"(?P<path>[^\s:]+):(?P<line>\d+)(?::(?P<column>\d+))?: (?:fatal )?"
    r"(?P<level>error|warning): (?P<words>.*)"
)
_NOISE = re.compile(r"make(?:\[\d+\])?: |  [A-Z]+ ")
_PLACE = re.compile(
    r"^(?P<lead> *(?:--> |::: )?)(?P<path>[\w./+-]*\w\.(?:rs|c|h|S))(?=:\d)", re.MULTILINE
)


@dataclass(frozen=True)
class Report:
    """What the compiler said: as data and as text, in the words of its own.

    File names are as the build has them until `located` makes them the host's.
    `error` is the end of a build that failed.
    """

    diagnostics: tuple[Diagnostic, ...]
    text: str
    error: RflError | None = None

    def count(self, level: str) -> int:
        """How many diagnostics of a level, `error` or `warning`, have a place."""
        return sum(each["level"] == level and bool(each["spans"]) for each in self.diagnostics)


def words(*, clippy: bool) -> list[str]:
    """What make is told on top, to check a module."""
    # With --keep-going a folder of two modules has the errors of both.
    return ["--keep-going", f"KRUSTFLAGS={JSON_FLAG}", *(["CLIPPY=1"] if clippy else [])]


def of_module(
    session: Session, checked: Module, built_for: Kernel, *, clippy: bool = False
) -> Report:
    """The report on a module for a kernel, from the store if nothing changed.

    Raises RflError for a build that fails for want of disk, memory or time.
    """
    with module.copied(session, checked, built_for, *words(clippy=clippy)) as copy:
        key = key_of("check", _RECIPE, copy.content, built_for.key, checked.name, clippy)

        def make(into: Path) -> None:
            found = run(session, checked, built_for, copy, clippy=clippy)
            (into / _REPORT).write_text(_as_json(found))
            if (copy.work / BINDINGS).exists():
                shutil.copy2(copy.work / BINDINGS, into)

        kept = session.store.build("check", key, make)
        report = _from_json((kept / _REPORT).read_text())
        renew_bindings(checked.directory, kept)
        there = places.of_module(built_for, copy.work, checked.directory)
        return located(report, there, checked)


def renew_bindings(own: Path, made: Path, *, new: bool = False) -> None:
    """Bring the bindings in a user's folder up to date with those that were made in `made`.

    rust-analyzer looks for what Rust includes beside the source. A folder without any gets
    them only when they are to be `new`; what plain make left there is make's to change.
    """
    source, mine = made / BINDINGS, own / BINDINGS
    if not source.exists() or (own / f".{BINDINGS}.cmd").exists() or not (new or mine.exists()):
        return
    content = source.read_bytes()
    if not mine.exists() or mine.read_bytes() != content:
        with contextlib.suppress(OSError) if not new else contextlib.nullcontext():
            write_atomically(mine, content)


def run(
    session: Session, checked: Module, built_for: Kernel, copy: Copy, *, clippy: bool = False
) -> Report:
    """Build a module's copy and return what was said; file names are relative to the copy."""
    unfinished = copy.work / _UNFINISHED
    if unfinished.exists():  # make was killed, and may have left half a file
        module.remove_products(copy.work)
    unfinished.touch()
    told = [f"M={copy.work}", *words(clippy=clippy), "modules"]
    done = kernel.run_make(session, built_for, *told, timeout=_TIMEOUT, write=[copy.work])
    output = done.output.replace(f"{copy.work}/", "")
    report = read(output)
    copy.log.write_text(report.text)
    # An object that make takes for new keeps its warnings to itself.
    named = {
        Path(span["file_name"]).suffix for each in report.diagnostics for span in each["spans"]
    }
    if ".rs" in named:
        module.remove_objects(copy.work, ".rs")
    if named - {".rs"}:
        module.remove_objects(copy.work, ".c")
    unfinished.unlink()
    if not done.status:
        return report
    error = session.store.full_disk() or buildlog.failure(
        f"the module {checked.name}", _without_noise(report.text) or output, str(copy.log)
    )
    if error.verdict is not Verdict.BUILD_ERROR:
        raise error
    return with_a_place(replace(report, error=error), module.crate_roots(checked.directory))


def read(output: str) -> Report:
    """The report that is in the output of make with rustc's JSON among it."""
    found: list[Diagnostic] = []
    lines: list[str] = []
    for line in output.splitlines():
        diagnostic = _diagnostic(line)
        other = _OTHER.fullmatch(line)
        if diagnostic:
            found.append(diagnostic)
            lines.append(str(diagnostic.get("rendered") or diagnostic["message"]).rstrip() + "\n")
            continue
        lines.append(line)
        if other:
            place = (other["path"], int(other["line"]), int(other["column"] or 1))
            found.append(_made_up(other["level"], other["words"], *place))
    return Report(tuple(found), "\n".join(lines))


def with_a_place(report: Report, roots: list[str]) -> Report:
    """A failed build's report with an error that an editor can show.

    A linker or modpost names no line of Rust; then the first line of the module says it.
    """
    in_rust = any(
        each["level"] == "error" and span["file_name"].endswith(".rs")
        for each in report.diagnostics
        for span in each["spans"]
    )
    if in_rust or not roots or not report.error:
        return report
    message = report.error.detail.strip() or report.error.sentence
    added = _made_up("error", message, roots[0], 1, 1)
    return replace(report, diagnostics=(*report.diagnostics, added))


def _diagnostic(line: str) -> Diagnostic | None:
    """The diagnostic that is a line of rustc's; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if "spans" in value and "level" in value else None


def _made_up(level: str, message: str, path: str, line: int, column: int) -> Diagnostic:
    """A diagnostic of another tool's in the form of rustc's."""
    span = {
        "file_name": path,
        "byte_start": 0,
        "byte_end": 0,
        "line_start": line,
        "line_end": line,
        "column_start": column,
        "column_end": column + 1,
        "is_primary": True,
        "text": [],
        "label": None,
        "suggested_replacement": None,
        "suggestion_applicability": None,
        "expansion": None,
    }
    return {
        "$message_type": "diagnostic",
        "message": message,
        "code": None,
        "level": level,
        "spans": [span],
        "children": [],
        "rendered": f"{path}:{line}:{column}: {level}: {message}\n",
    }


def located(report: Report, there: Places, checked: Module | None = None) -> Report:
    """A report with the host's absolute paths, and in its text those that people use.

    What is in the folder of `checked` is called there as the user called the folder.
    """

    def absolute(name: str) -> str:
        return str(there.host(name))

    def shown(name: str) -> str:
        path = there.host(name)
        if checked and path.is_relative_to(checked.directory):
            return f"{checked.shown}/{path.relative_to(checked.directory)}"
        return str(path)

    error = report.error
    if error:
        error = RflError(error.verdict, error.sentence, _renamed(error.detail, shown))
    return replace(
        report,
        diagnostics=tuple(_moved(each, absolute) for each in report.diagnostics),
        text=_renamed(_without_noise(report.text), shown),
        error=error,
    )


def _moved(value: Any, name_of: Callable[[str], str]) -> Any:
    """A diagnostic, or a part of one, with other file names."""
    if isinstance(value, list):
        return [_moved(each, name_of) for each in value]
    if not isinstance(value, dict):
        return value
    moved = {key: _moved(each, name_of) for key, each in value.items()}
    if isinstance(value.get("file_name"), str):
        moved["file_name"] = name_of(value["file_name"])
    if isinstance(value.get("rendered"), str):
        moved["rendered"] = _renamed(value["rendered"], name_of)
    return moved


def _renamed(text: str, name_of: Callable[[str], str]) -> str:
    return _PLACE.sub(lambda found: found["lead"] + name_of(found["path"]), text)


def _without_noise(text: str) -> str:
    """The text without the lines in which make tells what it does."""
    return "\n".join(line for line in text.splitlines() if not _NOISE.match(line)).strip("\n")


def _as_json(report: Report) -> str:
    error = report.error
    value = {
        "diagnostics": report.diagnostics,
        "text": report.text,
        "error": [error.sentence, error.detail] if error else None,
    }
    return json.dumps(value)


def _from_json(text: str) -> Report:
    value = json.loads(text)
    error = RflError(Verdict.BUILD_ERROR, *value["error"]) if value["error"] else None
    return Report(tuple(value["diagnostics"]), value["text"], error)


def lines(report: Report) -> Iterator[str]:
    """The diagnostics as rust-analyzer's check command prints them: a line of JSON for each."""
    for each in report.diagnostics:
        yield json.dumps(each, ensure_ascii=False)
