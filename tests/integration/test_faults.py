"""Whatever a module or a test does to the guest, there is a true verdict, and in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rflbuild.boot import BOOT_TIMEOUT
from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, BuiltKernel, Rfl, Run, Started

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
Steps = Callable[[str], str]
MARGIN = 60.0  # seconds on top of a time-out, on a machine with a lot to do
# Two words of code, WFI and a branch back to it, at an address where the first CPU begins
# (QEMU's "Generic Loader"): a machine that neither says nor does anything, nor costs anything.
HANG = """\
machine:
  devices:
    - loader,addr=0x4e000000,data=0x17ffffffd503207f,data-len=8
    - loader,addr=0x4e000000,cpu-num=0
steps:
  - run: "true"
"""


@pytest.fixture(scope="module", autouse=True)
def hanging_guest(rfl: Rfl, kernel: BuiltKernel) -> Iterator[Started]:
    """A guest that does not boot. It takes a minute, so it runs beside the other tests."""
    test = rfl.workspace / "configs" / "tests" / "hanging_guest.yaml"
    test.write_text(HANG)
    with rfl.nothing_runs_on():
        yield rfl.start("qemu-test", "hanging_guest")
    test.unlink()


def judged(rfl: Rfl, target: str, verdict: Verdict) -> tuple[Run, str, dict[str, Any]]:
    """A run, its sentence and its result.json, which agree."""
    run = rfl.test(target)
    sentence = run.came_to(verdict)
    (folder,) = (
        path
        for path in rfl.results.iterdir()
        if not path.is_symlink() and sentence.endswith(f"results/{path.name}]")
    )
    result = rfl.result(folder)
    assert result["verdict"] == verdict
    assert result["exit"] == verdict.exit_code
    assert sentence.startswith(result["reason"])
    return run, sentence, result


def test_a_compile_error_is_shown_in_the_compilers_words(rfl: Rfl) -> None:
    folder = MODULES / "does_not_compile"

    run, sentence, _ = judged(rfl, str(folder), Verdict.BUILD_ERROR)

    assert "does_not_compile does not build" in sentence
    assert "error[E0308]: mismatched types" in run.text
    assert f"--> {folder / 'does_not_compile.rs'}:19:" in run.text
    (log,) = (word for word in sentence.split() if word.endswith(".log"))
    assert "error[E0308]" in Path(log).read_text()


def test_a_module_that_refuses_to_load_fails_by_the_name_of_its_errno(rfl: Rfl) -> None:
    _, sentence, result = judged(rfl, str(MODULES / "no_memory"), Verdict.FAIL)

    assert sentence.startswith("insmod no_memory: insmod failed with ENOMEM")
    assert [step["verdict"] for step in result["steps"]] == ["fail"]


def test_a_panic_of_rust_is_a_crash_with_its_message(rfl: Rfl) -> None:
    run, sentence, _ = judged(rfl, str(MODULES / "panics"), Verdict.CRASH)

    assert "panics.rs:20:" in sentence
    assert "called `Option::unwrap()` on a `None` value" in run.text
    assert "init_module" in run.text


def test_a_null_dereference_is_a_crash_with_its_trace(rfl: Rfl) -> None:
    run, sentence, result = judged(rfl, str(MODULES / "dereferences_null"), Verdict.CRASH)

    assert "NULL pointer dereference at virtual address 0000000000000010" in sentence
    assert "init_module" in run.text
    console = Path(result["folder"], "console.log").read_text()
    assert "---[ end trace" in console
    line = int(sentence.partition("console.log:")[2].split()[0])
    assert "NULL pointer dereference" in console.splitlines()[line - 1]


def test_a_warning_is_a_crash_though_all_steps_pass(rfl: Rfl) -> None:
    run, sentence, _ = judged(rfl, str(MODULES / "warns"), Verdict.CRASH)

    assert "WARNING" in sentence
    assert "init_module" in run.text


def test_a_warning_that_the_test_allows_is_none(rfl: Rfl, module_at: Callable[..., Path]) -> None:
    folder = module_at("warns", 'allow-log: "/WARNING: .*warns.rs/"\nsteps: [{insmod: warns}]\n')

    rfl.test(str(folder)).passed()


@pytest.mark.parametrize("name", ["spins", "sleeps"])
def test_a_load_that_never_ends_is_a_timeout_with_its_stack(rfl: Rfl, name: str) -> None:
    run, sentence, result = judged(rfl, str(MODULES / name), Verdict.TIMEOUT)

    assert f"/{name}.rs:" in sentence.partition(f": insmod {name}: ")[0]
    assert "did not end within 3 s" in sentence
    assert "init_module (" in run.text
    assert f"[{name}]" in run.text
    assert 3.0 <= result["steps"][-1]["seconds"] < 3.0 + MARGIN


def test_a_step_ends_at_its_timeout(rfl: Rfl, steps: Steps) -> None:
    name = steps("steps:\n  - run: echo begun; sleep 1000\n    timeout: 1\n  - run: 'true'\n")

    _, sentence, result = judged(rfl, name, Verdict.TIMEOUT)

    assert "sleep 1000" in sentence
    assert "within 1 s" in sentence
    (step,) = result["steps"]
    assert step["verdict"] == "timeout"
    assert 1.0 <= step["seconds"] < 1.0 + MARGIN
    assert "\nbegun\n" in Path(result["folder"], "shell.log").read_text()


@pytest.mark.parametrize(
    "flood", ["yes", "while :; do echo '<6>more' > /dev/kmsg; done"], ids=["shell", "console"]
)
def test_a_flood_of_words_is_a_timeout_too(rfl: Rfl, steps: Steps, flood: str) -> None:
    name = steps(f'steps:\n  - run: "{flood}"\n    timeout: 1\n')

    _, sentence, _ = judged(rfl, name, Verdict.TIMEOUT)

    assert "within 1 s" in sentence


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("run: 'false'", "exited with 1, not 0"),
        ("run: echo one\n    output: two", "no `two`"),
        ("run: echo '<6>hello' > /dev/kmsg\n    log: good day", "no `good day`"),
        ("run: echo '<6>hello' > /dev/kmsg\n    log-not: hello", "`hello` is forbidden"),
        ("insmod: rust_minimal\n    fails: EEXIST", "EEXIST was expected"),
        ("rmmod: rust_minimal", "rmmod failed with E"),
        ("wait-for: test -e /tmp/x\n    timeout: 1", "did not come true within 1 s"),
        ("ping: 10.0.2.99", "packets were lost"),
    ],
)
def test_a_check_that_does_not_hold_is_a_failure(
    rfl: Rfl, steps: Steps, step: str, words: str
) -> None:
    _, sentence, result = judged(rfl, steps(f"steps:\n  - {step}\n  - run: 'true'\n"), Verdict.FAIL)

    assert words in sentence
    assert [taken["verdict"] for taken in result["steps"]] == ["fail"]


def test_a_panic_ends_the_run_at_once(rfl: Rfl, steps: Steps) -> None:
    name = steps("steps:\n  - run: echo c > /proc/sysrq-trigger\n    timeout: 1000\n")

    run, sentence, _ = judged(rfl, name, Verdict.CRASH)

    assert "Kernel panic - not syncing: sysrq triggered crash" in sentence
    assert "Call trace:" in run.text


@pytest.mark.parametrize("command", ["poweroff -f", "reboot -f"])
def test_a_guest_that_ends_itself_fails(rfl: Rfl, steps: Steps, command: str) -> None:
    name = steps(f"steps:\n  - run: {command}\n    timeout: 1000\n  - run: 'true'\n")

    _, sentence, result = judged(rfl, name, Verdict.FAIL)

    assert sentence.startswith(f"run {command}: ")
    assert "reboot: " in sentence
    assert len(result["steps"]) == 1


def test_a_kernel_that_panics_while_it_boots_is_a_crash(rfl: Rfl, steps: Steps) -> None:
    name = steps("machine:\n  append: rdinit=/nonexistent\nsteps:\n  - run: 'true'\n")

    _, sentence, result = judged(rfl, name, Verdict.CRASH)

    assert "Kernel panic - not syncing: " in sentence
    assert not result["steps"]


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ("devices: [no-such-card]", "'no-such-card' is not a valid device model name"),
        ("devices: ['e1000,colour=red']", "colour"),
        ("memory: 8M", "too large to fit in RAM"),
    ],
)
def test_a_machine_that_qemu_refuses_is_told_in_qemus_words(
    rfl: Rfl, steps: Steps, machine: str, words: str
) -> None:
    name = steps(f"machine:\n  {machine}\nsteps:\n  - run: 'true'\n")

    _, sentence, _ = judged(rfl, name, Verdict.USAGE)

    assert words in sentence


def test_the_whole_run_ends_at_its_timeout(rfl: Rfl, steps: Steps) -> None:
    name = steps("steps:\n  - run: sleep 1000\n    timeout: 1000\n")

    run = rfl.test(name, "--timeout", "5")

    assert "5 s" in run.came_to(Verdict.TIMEOUT)
    assert rfl.result()["verdict"] == "timeout"
    assert rfl.result()["seconds"] < 5.0 + MARGIN


def test_a_guest_that_hangs_without_a_word_is_a_timeout(rfl: Rfl, hanging_guest: Started) -> None:
    run = hanging_guest.end(BOOT_TIMEOUT + MARGIN)

    sentence = run.came_to(Verdict.TIMEOUT)
    assert "the guest did not boot within" in sentence
    assert "console.log" in sentence
