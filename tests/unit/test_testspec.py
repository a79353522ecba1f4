"""testspec: what a test.yaml may say, and what is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import testspec
from rflbuild.testspec import Machine, Step, TestSpec, find_in_order
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.yaml"


def mistake(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(RflError) as caught:
        testspec.read(file)
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence.replace(str(file), "")


def only_step(file: Path, text: str) -> Step:
    file.write_text(f"steps:\n  - {text}\n")
    (step,) = testspec.read(file).steps
    return step


# ---- what fits ----------------------------------------------------------------------------


def test_an_empty_file_is_the_default_test(file: Path) -> None:
    file.write_text("")

    assert testspec.read(file) == TestSpec()


def test_every_shipped_test_of_configs_is_valid(repository: Path) -> None:
    for path in (repository / "configs" / "tests").glob("*.yaml"):
        testspec.read(path)


def test_a_whole_test_is_read(file: Path) -> None:
    (file.parent / "disk.img").touch()
    file.write_text(
        "machine: {memory: 1G, cpus: 4, devices: [e1000], append: quiet}\n"
        "files: [disk.img]\n"
        "step-timeout: 5\n"
        "timeout: 60\n"
        "allow-log: /^WARNING/\n"
        "steps:\n"
        "  - insmod: one\n"
        "    params: {irq: 5, name: x}\n"
        "    log: [a, /b+/]\n"
        "    log-not: c\n"
        "    within: 2\n"
        "  - qmp: {execute: device_add, arguments: {driver: e1000}}\n"
    )
    read = testspec.read(file)

    assert read.machine == Machine("1G", 4, devices=("e1000",), append="quiet")
    assert (read.step_timeout, read.timeout, read.files) == (5, 60, ("disk.img",))
    assert [step.action for step in read.steps] == ["insmod", "qmp"]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("insmod: a", "insmod"),
        ("rmmod: a", "rmmod"),
        ("run: a", "run"),
        ("wait-for: a", "wait_for"),
        ("ping: a", "ping"),
        ("qmp: {execute: stop}", "qmp"),
        ("log: a", "log"),
        ("log-not: a", "log"),
        ("{insmod: a, log: b}", "insmod"),
    ],
)
def test_a_step_has_the_action_that_it_names(file: Path, text: str, action: str) -> None:
    assert only_step(file, text).action == action


@pytest.mark.parametrize(("word", "value"), [("on", "on"), ("y", "y"), ("true", True)])
def test_a_boolean_parameter_is_true_or_what_the_kernel_reads_as_true(
    file: Path, word: str, value: object
) -> None:
    assert only_step(file, f"{{insmod: a, params: {{x: {word}}}}}").params["x"] == value


@pytest.mark.parametrize("text", ["52:54:00:12:34:56", "12:34:56"])
def test_a_mac_address_as_a_parameter_is_no_number_of_base_60(file: Path, text: str) -> None:
    step = only_step(file, f"{{insmod: a, params: {{mac: {text}}}}}")

    assert step.params == {"mac": text}


@pytest.mark.parametrize("name", ["EINVAL", "EOPNOTSUPP", "EDEADLK", "EPROBE_DEFER", "ENOTSUPP"])
def test_a_step_may_fail_with_any_errno_of_the_kernel(file: Path, name: str) -> None:
    assert only_step(file, f"{{insmod: a, fails: {name}}}").fails == name


# ---- mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{insmod: a, rmmod: b}", "not insmod and rmmod"),
        ("{run: a, wait-for: b}", "not run and wait-for"),
        ("{name: nothing to do}", "insmod, rmmod, run, wait-for, ping, qmp and log"),
        ("{insmod: }", "insmod, rmmod, run, wait-for, ping, qmp and log"),
        ("", "mapping"),
        ("insmod a", "mapping"),
        ("{insmod: a, parms: {b: 1}}", "did you mean `params`?"),
        ("{insmod: ../a}", "no module's name"),
        ("{insmod: a.ko}", "no module's name"),
        ("{rmmod: a b}", "no module's name"),
        ("{insmod: a, fails: EFOO}", "`EFOO` is no errno"),
        ("{insmod: a, fails: einval}", "`einval` is no errno"),
        ("{run: a, fails: EINVAL}", "`fails` goes with insmod and rmmod only"),
        ("{run: a, params: {b: 1}}", "`params` goes with insmod only"),
        ("{insmod: a, status: 1}", "`status` goes with run only"),
        ("{insmod: a, output: b}", "`output` goes with run only"),
        ("{run: a, count: 3}", "`count` goes with ping only"),
        ("{log: a, status: 0}", "`status` goes with run only"),
        ("{insmod: a, log: /(/}", "/(/ is no regular expression"),
        ("{insmod: a, log-not: [b, '/[/']}", "/[/ is no regular expression"),
        ("{run: a, output: '/*/'}", "/*/ is no regular expression"),
        ("{insmod: a, timeout: 0}", "timeout"),
        ("{insmod: a, timeout: -1}", "timeout"),
        ("{insmod: a, within: 0}", "within"),
        ("{insmod: a, timeout: 10000000}", "timeout"),
        ("{insmod: a, timeout: 5s}", "timeout"),
        ("{ping: a, count: 0}", "count"),
        ("{insmod: a, since: 6.13}", "since"),
        ("{insmod: a, until: 7}", "until"),
        ("{insmod: a, since: '6'}", "since"),
        ("{insmod: a, since: 6.13.1}", "since"),
        ("{insmod: a, params: {ratio: 1.5}}", "params"),
        ("{insmod: a, params: {list: [1]}}", "params"),
        ("{insmod: a, params: {true: 1}}", "bool"),
        ("{qmp: stop}", "mapping"),
        ("{qmp: {arguments: {}}}", "`execute`"),
        ("{qmp: {execute: stop, argument: {}}}", "did you mean `arguments`?"),
        ("{run: true}", "bool"),
        ("{run: a, needs: KASAN}", "a list"),
        ("{run: a, needs: [CONFIG_KASAN]}", "needs"),
        ("{run: a, needs: [kasan]}", "needs"),
        ("{run: a, quick: 1}", "quick"),
    ],
)
def test_a_mistake_in_a_step_names_its_line(file: Path, text: str, words: str) -> None:
    said = mistake(file, f"step-timeout: 5\nsteps:\n  - insmod: fine\n  - {text}\n")

    assert said.startswith(":4: ")
    assert words in said


@pytest.mark.parametrize("action", ["insmod", "rmmod", "run", "wait-for", "ping", "log"])
def test_an_empty_action_is_a_mistake_and_not_a_step_that_passes(file: Path, action: str) -> None:
    assert mistake(file, f"steps:\n  - {action}: ''\n").startswith(":2: ")


def test_a_mistake_in_a_value_names_the_line_of_the_value(file: Path) -> None:
    said = mistake(file, "steps:\n  - insmod: a\n    log: b\n    fails: EFOO\n")

    assert said.startswith(":4: ")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("machine:\n  cpus: 2\n  memory: 256\n", 3, "memory"),
        ("machine:\n  memory: 256MB\n", 2, "256M"),
        ("machine:\n  memory: 0M\n", 2, "256M"),
        ("machine:\n  memory: -1G\n", 2, "256M"),
        ("machine:\n  cpus: 0\n", 2, "machine.cpus"),
        ("machine:\n  cpus: 65\n", 2, "machine.cpus"),
        ("machine:\n  devices: [e1000, -nic]\n", 2, "-device"),
        ("machine:\n  devices: e1000\n", 2, "a list"),
        ("machine:\n  netdevs: [-user]\n", 2, "-netdev"),
        ("machine:\n  network: none\n", 2, "machine.network"),
        ("machine:\n  device: [e1000]\n", 2, "did you mean `devices`?"),
        ("\ntimeout: 0\n", 2, "timeout"),
        ("\nstep-timeout: 3601\n", 2, "step-timeout"),
        ("\nprograms: [poke.sh]\n", 2, "a file of C"),
        ("step_timeout: 5\n", 1, "did you mean `step-timeout`?"),
        ("\nallow-log: /(/\n", 2, "regular expression"),
        ("- insmod: a\n", 1, "expected a mapping, got a list"),
    ],
)
def test_a_mistake_beside_the_steps_names_its_line(
    file: Path, text: str, line: int, words: str
) -> None:
    said = mistake(file, text)

    assert said.startswith(f":{line}: ")
    assert words in said


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert "gone.img" in mistake(file, "files: [gone.img]\n")


def test_a_program_that_is_not_there_is_named(file: Path) -> None:
    assert "gone.c" in mistake(file, "programs: [gone.c]\n")


def test_a_broken_link_is_no_file(file: Path) -> None:
    (file.parent / "link.img").symlink_to("nowhere")

    assert "link.img" in mistake(file, "files: [link.img]\n")


# ---- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "version", "applies"),
    [
        (Step(log="a"), (6, 12, 5), True),
        (Step(log="a", since="6.13"), (6, 12, 99), False),
        (Step(log="a", since="6.13"), (6, 13, 0), True),
        (Step(log="a", since="6.9"), (6, 12), True),
        (Step(log="a", since="6.10"), (6, 9), False),
        (Step(log="a", until="6.13"), (6, 12, 99), True),
        (Step(log="a", until="6.13"), (6, 13, 0), False),
        (Step(log="a", since="6.13", until="7.0"), (6, 19), True),
        (Step(log="a", since="6.13", until="7.0"), (7, 0), False),
    ],
)
def test_a_step_is_for_kernels_from_since_up_to_but_not_until(
    step: Step, version: tuple[int, ...], applies: bool
) -> None:
    assert step.applies(version) is applies


# ---- what is left out ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        ({"KASAN": "y", "FAILSLAB": "m"}, ()),
        ({"KASAN": "y"}, ("FAILSLAB",)),
        ({"KASAN": "y", "FAILSLAB": "n"}, ("FAILSLAB",)),
        ({}, ("KASAN", "FAILSLAB")),
    ],
)
def test_a_step_lacks_the_options_that_a_kernel_was_built_without(
    config: dict[str, str], lacks: tuple[str, ...]
) -> None:
    assert Step(run="a", needs=("KASAN", "FAILSLAB")).lacks(config) == lacks


def test_a_quick_run_has_the_steps_that_are_marked_so() -> None:
    spec = TestSpec(steps=(Step(run="a", quick=True), Step(run="b"), Step(run="c", quick=True)))

    assert [step.run for step in spec.chosen(quick=True)] == ["a", "c"]
    assert [step.run for step in spec.chosen(quick=False)] == ["a", "b", "c"]


def test_a_test_without_marks_is_quick_as_a_whole() -> None:
    spec = TestSpec(steps=(Step(run="a"), Step(run="b")))

    assert spec.chosen(quick=True) == spec.steps


# ---- titles and defaults ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "title"),
    [
        (Step(insmod="a"), "insmod a"),
        (Step(insmod="a", params={"b": 1, "c": "d"}), "insmod a b=1 c=d"),
        (Step(wait_for="test -e /dev/a"), "wait-for test -e /dev/a"),
        (Step(run="a\n  b\n"), "run a b"),
        (Step(log=("a", "b")), "log a, b"),
        (Step(log_not="a"), "log a"),
        (Step(run="a", name="the third read"), "the third read"),
    ],
)
def test_a_title_says_what_the_step_does_in_one_line(step: Step, title: str) -> None:
    assert step.title == title


def test_a_long_title_is_cut() -> None:
    title = Step(run="x" * 200).title

    assert len(title) == 70
    assert title.endswith("…")


def test_modules_without_a_test_are_loaded_in_turn_and_unloaded_in_reverse() -> None:
    steps = testspec.default_steps(["a", "b"])

    assert [step.title for step in steps] == ["insmod a", "insmod b", "rmmod b", "rmmod a"]


# ---- texts in their order -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "lines", "missing"),
    [
        pytest.param([], [], None, id="nothing"),
        pytest.param(["a"], ["xax"], None, id="a substring"),
        pytest.param(["a"], ["A"], "a", id="another case"),
        pytest.param(["a", "b"], ["a", "-", "b"], None, id="in order"),
        pytest.param(["b", "a"], ["a", "b"], "a", id="out of order"),
        pytest.param(["a", "b"], ["a b"], None, id="in one line"),
        pytest.param(["b", "a"], ["a b"], "a", id="in one line, out of order"),
        pytest.param(["a", "a"], ["a"], "a", id="twice where there is one"),
        pytest.param(["a", "a"], ["a a"], None, id="twice in one line"),
        pytest.param(["a", "a"], ["a", "a"], None, id="twice in two lines"),
        pytest.param(["aba", "ba"], ["ababa"], None, id="one after the other"),
        pytest.param(["aba", "bab"], ["ababa"], "bab", id="overlapping"),
        pytest.param(["ab"], ["a", "b"], "ab", id="over two lines"),
        pytest.param(["a.c"], ["abc"], "a.c", id="a dot is a dot"),
        pytest.param(["[1, 2]"], ["x [1, 2]"], None, id="brackets are brackets"),
        pytest.param(["/a.c/"], ["abc"], None, id="a regular expression"),
        pytest.param(["/^b/"], ["a", "b"], None, id="at the beginning"),
        pytest.param(["a", "/^b/"], ["ab"], "/^b/", id="no new beginning within a line"),
        pytest.param(["/a+$/", "b"], ["aaa", "b"], None, id="at the end"),
        pytest.param([r"/\d+/", r"/\d+/"], ["12"], r"/\d+/", id="a greedy one takes it all"),
        pytest.param(["/dev/a"], ["x /dev/a"], None, id="a path"),
        pytest.param(["/"], ["a/b"], None, id="a slash alone"),
        pytest.param(["a", "b", "c"], ["a", "c", "b"], "c", id="the first that is missing"),
    ],
)
def test_texts_are_found_one_after_the_other(
    expected: list[str], lines: list[str], missing: str | None
) -> None:
    assert find_in_order(expected, lines) == missing
