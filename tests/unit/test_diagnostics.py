"""diagnostics: what the compilers say, as data and as text, with paths of the host."""

from __future__ import annotations

import json
from pathlib import Path

from rflbuild import diagnostics
from rflbuild.diagnostics import Diagnostic
from rflbuild.module import Module
from rflbuild.places import Places
from rflbuild.verdict import RflError, Verdict


def span(file: str, line: int = 3) -> dict[str, object]:
    return {"file_name": file, "line_start": line, "is_primary": True, "expansion": None}


def diagnostic(level: str, message: str, *spans: dict[str, object]) -> Diagnostic:
    rendered = f"{level}: {message}\n"
    if spans:
        rendered += f"  --> {spans[0]['file_name']}:{spans[0]['line_start']}:5\n   |\n\n"
    return {
        "$message_type": "diagnostic",
        "message": message,
        "code": None,
        "level": level,
        "spans": list(spans),
        "children": [],
        "rendered": rendered,
    }


OUTPUT = "\n".join(
    [
        "make: Entering directory '/linux'",
        "  RUSTC [M] mine.o",
        json.dumps(diagnostic("warning", "unused", span("mine.rs"))),
        "{ not JSON }",
        '{"reason": "other"}',
        "  CC [M]  helpers.o",
        "helpers.c:7:2: error: call to undeclared function 'f'",
        "    7 |         f();",
        "main.rs:12: error: none of the headers in module.yaml declares `g`",
        "make[2]: *** [Makefile:1: helpers.o] Error 1",
        "  MODPOST Module.symvers",
    ]
)


def test_rustcs_diagnostics_are_found_among_makes_lines() -> None:
    report = diagnostics.read(OUTPUT)

    assert report.diagnostics[0]["message"] == "unused"
    assert (report.count("warning"), report.count("error")) == (1, 2)


def test_errors_of_other_tools_take_the_same_form() -> None:
    _, of_c, of_bindings = diagnostics.read(OUTPUT).diagnostics

    assert of_c["spans"][0] | {"file_name": "helpers.c", "line_start": 7} == of_c["spans"][0]
    assert of_c["message"] == "call to undeclared function 'f'"
    assert of_bindings["spans"][0]["file_name"] == "main.rs"
    assert of_bindings["spans"][0]["column_start"] == 1
    # What rust-analyzer cannot do without (the crate cargo_metadata, DiagnosticSpan).
    assert {"byte_start", "byte_end", "line_end", "column_end", "text"} <= of_c["spans"][0].keys()


def test_the_text_is_what_the_compilers_said_and_not_what_make_did(tmp_path: Path) -> None:
    located = diagnostics.located(diagnostics.read(OUTPUT), Places((tmp_path,)))

    assert located.text.startswith("warning: unused\n  --> mine.rs:3:5\n   |\n")
    assert "helpers.c:7:2: error: call" in located.text
    assert "    7 |         f();" in located.text
    assert not {"make", "RUSTC", "MODPOST"} & set(located.text.replace("[", " ").split())


def test_files_are_the_users_in_data_and_called_as_the_user_does_in_text(tmp_path: Path) -> None:
    own, work, source = (tmp_path / name for name in ("own", "work", "linux"))
    for path in (own / "mine.rs", work / "mine.rs", source / "rust" / "kernel" / "print.rs"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    expansion = {"span": span("mine.rs"), "def_site_span": span("rust/kernel/print.rs")}
    said = diagnostic("error", "bad", {**span(str(work / "mine.rs")), "expansion": expansion})
    said["children"] = [diagnostic("note", "there", span("rust/kernel/print.rs"))]
    there = Places((own, source), work=work, own=own)

    located = diagnostics.located(
        diagnostics.read(json.dumps(said)), there, Module("own", own, "modules/own")
    )

    (moved,) = located.diagnostics
    assert moved["spans"][0]["file_name"] == str(own / "mine.rs")
    assert moved["spans"][0]["expansion"]["span"]["file_name"] == str(own / "mine.rs")
    kernels = str(source / "rust" / "kernel" / "print.rs")
    assert moved["children"][0]["spans"][0]["file_name"] == kernels
    assert f"--> {own}/mine.rs:3:5" in moved["rendered"]
    assert "--> modules/own/mine.rs:3:5" in located.text


def test_a_failure_without_a_place_in_rust_is_shown_at_the_top_of_the_module() -> None:
    report = diagnostics.read('ERROR: modpost: "f" [mine.ko] undefined!')
    failed = diagnostics.Report(
        report.diagnostics, report.text, RflError(Verdict.BUILD_ERROR, "no", report.text)
    )

    (added,) = diagnostics.with_a_place(failed, ["mine.rs", "other.rs"]).diagnostics

    assert added["spans"][0]["file_name"] == "mine.rs"
    assert added["spans"][0]["line_start"] == 1
    assert added["message"] == 'ERROR: modpost: "f" [mine.ko] undefined!'


def test_a_failurewith_a_place_in_rust_is_shown_there_alone() -> None:
    said = diagnostics.read(json.dumps(diagnostic("error", "bad", span("mine.rs"))))
    failed = diagnostics.Report(said.diagnostics, said.text, RflError(Verdict.BUILD_ERROR, "no"))

    assert diagnostics.with_a_place(failed, ["mine.rs"]) == failed


def test_a_report_survives_the_store() -> None:
    report = diagnostics.read(OUTPUT)
    error = RflError(Verdict.BUILD_ERROR, "it does not build", "the first error")
    failed = diagnostics.Report(report.diagnostics, report.text, error)

    read = diagnostics._from_json(diagnostics._as_json(failed))

    assert (read.diagnostics, read.text) == (failed.diagnostics, failed.text)
    assert read.error is not None
    assert (read.error.sentence, read.error.detail) == (error.sentence, error.detail)


def test_each_diagnostic_is_one_line_for_an_editor() -> None:
    lines = list(diagnostics.lines(diagnostics.read(OUTPUT)))

    assert [json.loads(line)["level"] for line in lines] == ["warning", "error", "error"]


def made(folder: Path, text: str = "// new\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / diagnostics.BINDINGS).write_text(text)
    return folder


def test_bindings_in_a_folder_are_renewed_but_not_brought_to_one_without(tmp_path: Path) -> None:
    work, own, bare = made(tmp_path / "work"), made(tmp_path / "own", "// old\n"), tmp_path / "bare"
    bare.mkdir()

    for folder in (own, bare):
        diagnostics.renew_bindings(folder, work)

    assert (own / diagnostics.BINDINGS).read_text() == "// new\n"
    assert not list(bare.iterdir())
    diagnostics.renew_bindings(bare, work, new=True)
    assert (bare / diagnostics.BINDINGS).read_text() == "// new\n"


def test_bindings_that_plain_make_keeps_are_left_to_it(tmp_path: Path) -> None:
    work, own = made(tmp_path / "work"), made(tmp_path / "own", "// of make's\n")
    (own / f".{diagnostics.BINDINGS}.cmd").touch()

    diagnostics.renew_bindings(own, work, new=True)

    assert (own / diagnostics.BINDINGS).read_text() == "// of make's\n"
