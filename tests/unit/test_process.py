"""process: children run, are bounded, and are never left behind, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import process
from rflbuild.process import Processes
from rflbuild.verdict import RflError, Verdict

Start = Callable[..., subprocess.Popen[str]]

# Ignores SIGTERM, and says so once it does.
STUBBORN = ["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done"]


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time between SIGTERM and SIGKILL."""
    monkeypatch.setattr(process, "GRACE", 0.2)


def failure(do: Callable[[], object]) -> RflError:
    with pytest.raises(RflError) as caught:
        do()
    return caught.value


# ---- what comes back ----------------------------------------------------------------------


def test_output_errors_and_status_come_back(processes: Processes) -> None:
    done = processes.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10)

    assert (done.output, done.status) == ("out\nerr\n", 3)


def test_a_child_ended_by_a_signal_has_its_negative_number(processes: Processes) -> None:
    assert processes.run(["sh", "-c", "kill -9 $$"], timeout=10).status == -signal.SIGKILL


def test_output_that_is_no_utf_8_is_no_error(processes: Processes) -> None:
    assert "b" in processes.run(["printf", r"a\377b"], timeout=10).output


def test_a_child_that_closes_its_output_is_still_waited_for(processes: Processes) -> None:
    done = processes.run(["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 7"], timeout=10)

    assert done.status == 7


def test_a_child_that_reads_its_input_finds_it_empty(processes: Processes) -> None:
    assert processes.run(["cat"], timeout=10).output == ""


def test_a_child_runs_in_the_given_folder(processes: Processes, tmp_path: Path) -> None:
    assert processes.run(["pwd"], timeout=10, cwd=tmp_path).output == f"{tmp_path}\n"


def test_a_child_gets_our_environment_with_what_is_added(environ: dict[str, str]) -> None:
    with Processes({**environ, "ONE": "1"}) as processes:
        done = processes.run(["sh", "-c", "echo $ONE $TWO"], timeout=10, env={"TWO": "2"})

    assert done.output == "1 2\n"


def test_a_child_gets_nothing_of_the_environment_around_us(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KCFLAGS", "-O3")

    assert processes.run(["sh", "-c", "echo [$KCFLAGS]"], timeout=10).output == "[]\n"


def test_a_descriptor_is_passed_on(processes: Processes) -> None:
    reader, writer = os.pipe()
    child = processes.start(["sh", "-c", f"echo here >/proc/self/fd/{writer}"], pass_fds=[writer])
    child.wait(10)
    os.close(writer)

    assert os.read(reader, 100) == b"here\n"
    os.close(reader)


# ---- lines and logs -----------------------------------------------------------------------


def test_each_line_comes_whole_and_once(processes: Processes) -> None:
    lines: list[str] = []
    script = "printf 'one\ntw'; sleep 0.05; printf 'o\nthree'"
    processes.run(["sh", "-c", script], timeout=10, on_line=lines.append)

    assert lines == ["one", "two", "three"]


def test_the_log_has_a_line_as_soon_as_it_comes(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[str] = []

    def look(_line: str) -> None:
        seen.append(log.read_text())
        (tmp_path / "go").touch()

    script = "echo one; until [ -e go ]; do sleep 0.01; done; echo two"
    processes.run(["sh", "-c", script], timeout=10, cwd=tmp_path, log=log, on_line=look)

    assert seen == ["one\n", "one\ntwo\n"]


def test_a_log_that_is_there_is_gone_on_with(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("one", "two"):
        processes.run(["echo", word], timeout=10, log=log)

    assert log.read_text() == "one\ntwo\n"


# ---- what goes wrong ----------------------------------------------------------------------


def test_a_missing_program_is_an_environment_error_that_names_it(processes: Processes) -> None:
    error = failure(lambda: processes.run(["no-such-program"], timeout=10))

    assert error.verdict is Verdict.ENVIRONMENT
    assert "no-such-program" in error.sentence


def test_a_program_that_may_not_be_run_is_an_environment_error(
    processes: Processes, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")

    error = failure(lambda: processes.run([str(script)], timeout=10))

    assert error.verdict is Verdict.ENVIRONMENT
    assert str(script) in error.sentence


def test_a_missing_folder_is_not_blamed_on_the_program(
    processes: Processes, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"

    error = failure(lambda: processes.run(["true"], timeout=10, cwd=folder))

    assert str(folder) in error.sentence


def test_an_exception_while_a_line_is_handled_ends_the_child(
    processes: Processes, is_alive: Callable[[int], bool]
) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(["sh", "-c", "echo $$; exec sleep 60"], timeout=10, on_line=interrupt)

    assert not is_alive(pids[0])


# ---- time-outs ----------------------------------------------------------------------------


@pytest.mark.usefixtures("short_grace")
def test_a_time_out_ends_a_child_that_ignores_sigterm(
    processes: Processes, is_alive: Callable[[int], bool]
) -> None:
    pids: list[int] = []

    error = failure(
        lambda: processes.run(STUBBORN, timeout=1.5, on_line=lambda line: pids.append(int(line)))
    )

    assert error.verdict is Verdict.TIMEOUT
    assert not is_alive(pids[0])


def test_a_time_out_names_the_log(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "build.log"

    error = failure(lambda: processes.run(["sleep", "60"], timeout=0.1, log=log))

    assert str(log) in error.sentence


def test_what_came_before_a_time_out_is_in_the_log(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "build.log"

    failure(lambda: processes.run(["sh", "-c", "echo a; exec sleep 60"], timeout=1.5, log=log))

    assert log.read_text() == "a\n"


# ---- the end of children, by us -----------------------------------------------------------


def test_what_a_child_leaves_running_ends_with_it(
    processes: Processes, is_alive: Callable[[int], bool]
) -> None:
    done = processes.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"], timeout=10)

    assert done.status == 0
    assert not is_alive(int(done.output))


def test_an_end_does_not_wait_for_zombies(start_python: Start) -> None:
    # As in a container whose first process reaps nothing: here that is the program itself.
    child = start_python(
        "import ctypes, os, time\n"
        "from rflbuild.process import Processes\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER\n"
        "with Processes(dict(os.environ)) as processes:\n"
        "    begun = time.monotonic()\n"
        "    processes.run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 &'], timeout=10)\n"
        "    print(time.monotonic() - begun)\n"
    )
    seconds, complaints = child.communicate(timeout=60)

    assert complaints == ""
    assert float(seconds) < process.GRACE / 2


@pytest.mark.usefixtures("short_grace")
def test_leaving_the_context_ends_what_still_runs(
    environ: dict[str, str], is_alive: Callable[[int], bool]
) -> None:
    with Processes(environ) as processes:
        child = processes.start(STUBBORN, output=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()

    assert not is_alive(child.pid)


@pytest.mark.usefixtures("short_grace")
def test_a_foreground_child_that_ignores_sigterm_is_ended(processes: Processes) -> None:
    child = processes.start(STUBBORN, output=subprocess.PIPE, foreground=True)
    assert child.stdout
    child.stdout.readline()

    processes.stop(child)

    assert child.poll() == -signal.SIGKILL


def test_a_foreground_child_stays_in_our_process_group(processes: Processes) -> None:
    child = processes.start(["sleep", "60"], foreground=True)

    assert os.getpgid(child.pid) == os.getpgrp()


def test_stopping_from_another_thread_makes_run_raise(processes: Processes) -> None:
    timer = threading.Timer(0.2, processes.stop_all)
    timer.start()

    error = failure(lambda: processes.run(["sleep", "60"], timeout=5))

    timer.join()
    assert error.verdict is Verdict.ENVIRONMENT
    assert "stopped" in error.sentence


def test_stopping_while_a_line_is_handled_makes_run_raise_at_once(processes: Processes) -> None:
    def stop(_line: str) -> None:
        thread = threading.Thread(target=processes.stop_all)
        thread.start()
        thread.join()

    begun = time.monotonic()
    error = failure(
        lambda: processes.run(["sh", "-c", "echo a; exec sleep 60"], timeout=3, on_line=stop)
    )

    assert error.verdict is Verdict.ENVIRONMENT
    assert time.monotonic() - begun < 3


def test_nothing_starts_once_all_is_stopped(processes: Processes) -> None:
    processes.stop_all()

    error = failure(lambda: processes.start(["true"]))

    assert "being stopped" in error.sentence


def test_one_end_does_not_touch_the_children_of_another_invocation(
    environ: dict[str, str], is_alive: Callable[[int], bool]
) -> None:
    with Processes(environ) as other:
        child = other.start(["sleep", "60"])
        with Processes(environ) as processes:
            processes.run(["true"], timeout=10)
        time.sleep(0.1)  # the watchdog of `processes` looks around

        assert is_alive(child.pid)


# ---- the end of children, when we are killed ----------------------------------------------

LEAVES_CHILDREN = """
import os, sys
from rflbuild.process import Processes
with Processes(dict(os.environ)) as processes:
    processes.run(["sh", "-c", sys.argv[1]], timeout=60, on_line=lambda s: print(s, flush=True))
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo $$; exec sleep 60", id="a child"),
        pytest.param("sleep 60 & echo $!; wait", id="a grandchild"),
        pytest.param("setsid sh -c 'echo $$; exec sleep 60' & wait", id="in a session of its own"),
        pytest.param("trap '' TERM HUP INT; echo $$; while :; do sleep 1; done", id="stubborn"),
    ],
)
def test_nothing_is_left_when_we_are_killed(
    script: str,
    start_python: Start,
    is_alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], bool]], bool],
) -> None:
    program = start_python(LEAVES_CHILDREN, script)
    assert program.stdout
    pid = int(program.stdout.readline())
    assert is_alive(pid)

    program.kill()

    assert eventually(lambda: not is_alive(pid))


def test_nothing_is_left_when_our_whole_process_group_is_killed(
    start_python: Start,
    is_alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], bool]], bool],
) -> None:
    program = start_python(LEAVES_CHILDREN, "echo $$; exec sleep 60")
    assert program.stdout
    pid = int(program.stdout.readline())

    os.killpg(program.pid, signal.SIGKILL)

    assert eventually(lambda: not is_alive(pid))


def test_nothing_is_left_of_an_invocation_within_one_that_is_killed(
    start_python: Start,
    is_alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], bool]], bool],
    tmp_path: Path,
) -> None:
    # `./rfl test` runs pytest, which runs `./rfl qemu-test`, which runs QEMU.
    inner = tmp_path / "inner.py"
    inner.write_text(LEAVES_CHILDREN)
    command = f"exec {sys.executable} {inner} 'echo $$; exec sleep 60'"
    program = start_python(LEAVES_CHILDREN, command)
    assert program.stdout
    pid = int(program.stdout.readline())

    program.kill()

    try:
        assert eventually(lambda: not is_alive(pid))
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


# ---- what is of no interest any more ----------------------------------------------------------


def test_an_interrupted_run_returns_and_what_was_started_goes_on(
    processes: Processes, is_alive: Callable[[int], bool]
) -> None:
    started = processes.start(["sleep", "1000"])
    timer = threading.Timer(0.2, processes.interrupt)
    timer.start()
    done = processes.run(["sh", "-c", "sleep 1000 & wait"], timeout=30)
    timer.join()

    assert done.status == -signal.SIGTERM
    assert is_alive(started.pid)
    assert processes.run(["echo", "next"], timeout=10).output == "next\n"
