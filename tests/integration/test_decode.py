"""Stack traces with functions, files and lines: of a test that crashes, and of any log."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, Rfl, Run

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
PANICS = (MODULES / "panics" / "panics.rs").read_text().splitlines()
UNWRAP = next(number for number, line in enumerate(PANICS, 1) if "unwrap()" in line)


@dataclass(frozen=True)
class Crashed:
    """A run of a copy of tests/data/modules/panics in modules/, and what it left."""

    run: Run
    folder: Path
    result: dict[str, Any]

    @property
    def log(self) -> Path:
        return self.folder / "console.log"


@pytest.fixture(scope="module")
def crashed(rfl: Rfl) -> Iterator[Crashed]:
    module = rfl.workspace / "modules" / "panics"
    shutil.copytree(MODULES / "panics", module)
    run = rfl.test("panics")
    yield Crashed(run, (rfl.results / "latest").resolve(), rfl.result())
    shutil.rmtree(module)


def test_a_crash_begins_with_the_users_own_line(crashed: Crashed) -> None:
    sentence = crashed.run.came_to(Verdict.CRASH)

    assert sentence.startswith(f"modules/panics/panics.rs:{UNWRAP}: the kernel reported")


def test_a_crashs_trace_has_functions_files_and_lines(crashed: Crashed) -> None:
    lines = crashed.run.stdout.splitlines()
    trace = lines[lines.index("Call trace:") :]

    # Rust's names are demangled; calls that never return are where they are made ...
    assert any(
        re.fullmatch(r" core::option::\w+ \(core/src/option\.rs:\d+\)", line) for line in trace
    )
    # ... the user's own function, inlined, has a line of its own ...
    own = f"<panics::Panics as kernel::module::Module>::init (modules/panics/panics.rs:{UNWRAP})"
    assert f" {own} [panics] (inlined)" in trace
    # ... and so have the kernel's.
    assert any(re.fullmatch(r" do_one_initcall \(init/main\.c:\d+\)", line) for line in trace)


def test_a_crash_keeps_its_trace_decoded_and_as_it_came(crashed: Crashed) -> None:
    decoded = (crashed.folder / "crash.txt").read_text()

    assert decoded.rstrip("\n") == crashed.result["detail"]
    assert "do_one_initcall (init/main.c:" in decoded
    assert re.search(r"do_one_initcall\+0x\w+/0x\w+", crashed.log.read_text())


def test_what_is_no_trace_is_in_a_report_as_it_was(crashed: Crashed) -> None:
    raw = [re.sub(r"^\[[^]]*\] ", "", line) for line in crashed.log.read_text().splitlines()]
    decoded = crashed.result["detail"].splitlines()

    assert {line for line in raw if re.match(r"x\d+ ?:|Code:|pstate:", line)} >= {
        line for line in decoded if re.match(r"x\d+ ?:|Code:|pstate:", line)
    }
    assert sum(line.startswith("x") for line in decoded) > 5


@pytest.mark.parametrize("how", ["the last crash", "its folder", "its name in results"])
def test_a_report_can_be_decoded_later(rfl: Rfl, crashed: Crashed, how: str) -> None:
    words = {"the last crash": [], "its folder": [str(crashed.folder)]}

    run = rfl("decode", *words.get(how, [crashed.folder.name]))

    assert run.status == 0, run
    assert run.stdout.startswith(crashed.result["detail"])
    assert f"at modules/panics/panics.rs:{UNWRAP}" in run.stderr


@pytest.mark.parametrize("how", ["by its path", "on stdin"])
def test_a_whole_log_is_decoded_and_its_other_lines_are_kept(
    rfl: Rfl, crashed: Crashed, how: str
) -> None:
    text = crashed.log.read_text()

    by_path = how == "by its path"
    run = rfl("decode", str(crashed.log) if by_path else "-", stdin="" if by_path else text)

    assert run.status == 0, run
    kept = [line for line in text.splitlines() if "+0x" not in line]
    lines = run.stdout.splitlines()
    assert [line for line in lines if line in set(kept)] == kept
    assert not re.search(r" init_module\+0x\w+/0x\w+ \[panics\]", run.stdout)
    assert re.search(
        r"^\[ *\d+\.\d+\]  do_one_initcall \(init/main\.c:\d+\)$", run.stdout, re.MULTILINE
    )


def test_a_log_without_a_trace_comes_out_as_it_went_in(rfl: Rfl, crashed: Crashed) -> None:
    text = "one line\n\n  and another one\n"

    assert rfl("decode", "-", stdin=text).stdout == text


def test_a_warning_is_where_the_report_says(rfl: Rfl) -> None:
    lines = (MODULES / "warns" / "warns.rs").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "warn_on!" in line)

    run = rfl.test(str(MODULES / "warns"))

    sentence = run.came_to(Verdict.CRASH)
    assert sentence.startswith(f"{MODULES}/warns/warns.rs:{number}: the kernel reported WARNING")


def test_a_null_pointer_is_found_in_the_line_that_reads_it(rfl: Rfl) -> None:
    lines = (MODULES / "dereferences_null" / "dereferences_null.rs").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "read_volatile" in line)

    run = rfl.test(str(MODULES / "dereferences_null"))

    assert f"/dereferences_null.rs:{number}: the kernel reported oops" in run.came_to(Verdict.CRASH)
    assert re.search(
        r"^pc : init_module \(core/src/ptr/\S+:\d+\) \[deref", run.stdout, re.MULTILINE
    ), run


def test_a_module_that_hangs_is_found_in_its_loop(rfl: Rfl) -> None:
    lines = (MODULES / "spins" / "spins.rs").read_text().splitlines()
    loop = next(n for n, line in enumerate(lines, 1) if "loop {" in line)

    run = rfl.test(str(MODULES / "spins"))

    sentence = run.came_to(Verdict.TIMEOUT)
    found = re.match(rf"{re.escape(str(MODULES))}/spins/spins\.rs:(\d+): ", sentence)
    assert found, run
    assert loop <= int(found[1]) <= loop + 1


def test_a_kernel_of_the_users_own_is_decoded_with_paths_in_its_tree(
    rfl: Rfl, own_tree: Path
) -> None:
    run = rfl.test(str(MODULES / "panics"), "--kernel", str(own_tree))

    assert f"/panics.rs:{UNWRAP}: the kernel reported" in run.came_to(Verdict.CRASH)
    assert re.search(r"^ do_one_initcall \(init/main\.c:\d+\)$", run.stdout, re.MULTILINE), run
    assert re.search(
        r"^ core::option::\w+ \(core/src/option\.rs:\d+\)$", run.stdout, re.MULTILINE
    ), run
    assert "(rust/kernel/module.rs:" in run.stdout


# ---- what cannot be decoded ---------------------------------------------------------------


@pytest.fixture
def changed(crashed: Crashed, rfl: Rfl) -> Iterator[Callable[..., Path]]:
    """Makes a copy of the crashed run's folder, with other symbols."""
    copy = rfl.results / "20000101-000000-copy"

    def make(**symbols: object) -> Path:
        shutil.copytree(crashed.folder, copy)
        value = json.loads((copy / "symbols.json").read_text())
        (copy / "symbols.json").write_text(json.dumps({**value, **symbols}))
        return copy

    yield make
    shutil.rmtree(copy)


def test_a_kernel_that_was_removed_is_said_to_be(rfl: Rfl, changed: Callable[..., Path]) -> None:
    folder = changed(out="/nowhere")

    sentence = rfl("decode", str(folder)).came_to(Verdict.ENVIRONMENT)

    assert "is not in /nowhere any more: make the run again" in sentence


def test_without_its_module_the_kernels_part_is_decoded(
    rfl: Rfl, changed: Callable[..., Path]
) -> None:
    folder = changed(modules={})

    run = rfl("decode", str(folder))

    assert run.status == 0, run
    assert "do_one_initcall (init/main.c:" in run.stdout
    assert re.search(r" init_module\+0x\w+/0x\w+ \[panics\]", run.stdout)


def test_a_kernel_that_was_built_anew_is_noted(rfl: Rfl, changed: Callable[..., Path]) -> None:
    run = rfl("decode", str(changed(mutable=True)))

    assert run.status == 0, run
    assert "has been built anew since this run: lines may be off" in run.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere"], "/nowhere is neither a log nor a folder of results/"),
        (["20000101-000000-clean"], "the log of 20000101-000000-clean has no report of the kernel"),
    ],
)
def test_what_is_no_crash_is_refused(rfl: Rfl, words: list[str], said: str) -> None:
    clean = rfl.results / "20000101-000000-clean"
    clean.mkdir(parents=True, exist_ok=True)
    (clean / "console.log").write_text("[    0.000000] Booting Linux\n")

    assert said in rfl("decode", *words).came_to(Verdict.USAGE)

    shutil.rmtree(clean)


def test_a_checkout_without_runs_says_so(rfl: Rfl, tmp_path: Path) -> None:
    fresh = Rfl(tmp_path / "fresh", rfl.store)
    shutil.copytree(rfl.workspace / "rflbuild", fresh.workspace / "rflbuild")
    shutil.copy(rfl.workspace / "tasks.py", fresh.workspace)

    assert "no run in results/ has crashed" in fresh("decode").came_to(Verdict.USAGE)
    assert "there is no run in results/" in fresh("decode", "-").came_to(Verdict.USAGE)


def test_a_person_whose_guest_crashed_is_told_how_to_see_where(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", str(MODULES / "warns"), timeout=GUEST) as terminal:
        terminal.expect_exact("guest:~# ")
        terminal.sendline("insmod /modules/warns.ko; exit")
        terminal.expect(r"crash +WARNING: .*; `\./rfl decode` shows where")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == 0

    run = rfl("decode")

    assert f"{MODULES}/warns/warns.rs:" in run.stderr, run
