"""The steps of a test: each action, and how it is judged by itself."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping

from rflbuild import errnos, testspec
from rflbuild.guest import Answer, Guest
from rflbuild.report import StepResult
from rflbuild.testspec import Step, TestSpec, find_in_order, texts
from rflbuild.verdict import RflError, Verdict

_UNLISTED = 99  # the exit status by which the guest tells of /proc/modules
# An object must be five seconds old, and one that was written to since the last scan is
# no suspect: MSECS_MIN_AGE and update_checksum() in the kernel's mm/kmemleak.c.
_LEAKS = """\
sleep 6
for scan in 1 2; do echo scan > /sys/kernel/debug/kmemleak || exit; done
cat /sys/kernel/debug/kmemleak
"""
_LEAKS_TIMEOUT = 300.0  # seconds; a scan takes two, and many on a loaded machine
_SETTLE = 0.2  # seconds for the console to bring what belongs to an error


def take(running: Guest, step: Step, default_timeout: float) -> StepResult:
    """One step, judged by itself; RflError is a crash, a time-out or QEMU's end."""
    begun = time.monotonic()
    mark = running.console.mark()
    timeout = step.timeout or default_timeout
    try:
        answer, reason = _ACTIONS[step.action](running, step, timeout)
        reason = reason or _log_reason(running, step, mark)
    except RflError as error:
        running.console.drain(_SETTLE)
        lines = tuple(m.text for m in running.console.since(mark))
        return StepResult(
            step.title, error.verdict, time.monotonic() - begun, "", lines, error.sentence
        )
    lines = tuple(m.text for m in running.console.since(mark))
    verdict = Verdict.FAIL if reason else Verdict.PASS
    seconds = round(time.monotonic() - begun, 4)
    return StepResult(step.title, verdict, seconds, answer.output, lines, reason)


def look_for_leaks(running: Guest) -> StepResult:
    """Let kmemleak look for memory that nothing points to (Documentation/dev-tools/kmemleak.rst).

    What it finds is the output, and its message in the kernel's log is a report.
    """
    title = "kmemleak finds no lost memory"
    mark = running.console.mark()
    answer = running.run(_LEAKS, _LEAKS_TIMEOUT)
    verdict, reason = Verdict.PASS, ""
    if answer.status:
        verdict = Verdict.FAIL
        reason = f"kmemleak has switched itself off, and so nothing is known: {answer.output}"
    lines = tuple(m.text for m in running.console.since(mark))
    return StepResult(title, verdict, round(answer.seconds, 4), answer.output, lines, reason)


def boot_log(running: Guest, module: str, spec: TestSpec) -> StepResult:
    """Look for what a module says when it is initialised, in the log since the boot began.

    What that is, the test says by the `log` of its first step that loads the module;
    without one, anything that begins with its name will do.
    """
    loads = (step for step in spec.steps if step.insmod == module and not step.fails)
    load = next(loads, Step(log=f"{module}: "))
    step = Step(log=load.log or f"{module}: ", within=load.within, log_not=load.log_not)
    begun = time.monotonic()
    reason = _log_reason(running, step, 0)
    lines = tuple(m.text for m in running.console.since(0) if m.text.startswith(f"{module}: "))
    verdict = Verdict.FAIL if reason else Verdict.PASS
    title = f"{module} is built in, and the boot log has its messages"
    return StepResult(title, verdict, round(time.monotonic() - begun, 4), "", lines, reason)


def _log_reason(running: Guest, step: Step, mark: int) -> str:
    """What the kernel's log lacks, or holds and should not; messages may come a little late."""
    expected = texts(step.log)
    deadline = time.monotonic() + step.within
    while True:
        lines = [m.text for m in running.console.since(mark)]
        missing = find_in_order(expected, lines)
        if missing is None or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if missing is not None:
        return f"the kernel's log has no `{missing}` after what was expected before it"
    for text in texts(step.log_not):
        pattern = testspec.compile_text(text)
        for line in lines:
            if pattern.search(line):
                return f"the kernel's log has `{line}`, and `{text}` is forbidden"
    return ""


def _insmod(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    params = " ".join(shlex.quote(f"{k}={_parameter(v)}") for k, v in step.params.items())
    load = f"insmod /modules/{step.insmod}.ko {params}"
    answer = running.run(f"{load} || exit\n{_listed(step.insmod)} || exit {_UNLISTED}", timeout)
    if answer.status == _UNLISTED:
        return answer, "insmod succeeded, and yet it is not in /proc/modules"
    return answer, _load_reason("insmod", step, answer)


def _rmmod(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    unload = f"rmmod {step.rmmod}"
    answer = running.run(f"{unload} || exit\n! {_listed(step.rmmod)} || exit {_UNLISTED}", timeout)
    if answer.status == _UNLISTED:
        return answer, "rmmod succeeded, and yet it is still in /proc/modules"
    return answer, _load_reason("rmmod", step, answer)


def _listed(name: str | None) -> str:
    """A command that tells whether the kernel lists a module; in its list `-` has become `_`."""
    return f"grep -q '^{str(name).replace('-', '_')} ' /proc/modules"


def _load_reason(tool: str, step: Step, answer: Answer) -> str:
    """Whether insmod or rmmod failed as it should, by the name of its errno."""
    words = answer.output.strip()
    if answer.status == 0:
        return f"{tool} succeeded, and {step.fails} was expected" if step.fails else ""
    named = errnos.name_in(words)
    if step.fails and named and errnos.number(named) == errnos.number(step.fails):
        return ""
    told = f"{named} ({words})" if named else words
    return f"{tool} failed with {told}" + (f", not {step.fails}" if step.fails else "")


def _parameter(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _shell(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    answer = running.run(str(step.run), timeout)
    wanted = step.status or 0
    if answer.status != wanted:
        return answer, f"it exited with {answer.status}, not {wanted}"
    missing = find_in_order(texts(step.output), answer.output.splitlines())
    if missing is not None:
        return answer, f"its output has no `{missing}` after what was expected before it"
    return answer, ""


def _wait_for(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    limit = max(int(timeout), 1)
    loop = f"until {{ {step.wait_for}\n}} >/dev/null 2>&1; do sleep 0.05; done"
    answer = running.run(f"timeout {limit} sh -c {shlex.quote(loop)}", timeout + 5)
    return answer, f"it did not come true within {limit} s" if answer.status else ""


def _ping(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    answer = running.run(f"ping -c {step.count} -W 2 {shlex.quote(str(step.ping))}", timeout)
    lines = [line for line in answer.output.splitlines() if "packet loss" in line]
    if answer.status or not any(", 0% packet loss" in line for line in lines):
        return answer, f"packets were lost ({lines[0] if lines else answer.output.strip()})"
    return answer, ""


def _qmp(running: Guest, step: Step, timeout: float) -> tuple[Answer, str]:
    assert step.qmp  # noqa: S101 - `action` says so
    begun = time.monotonic()
    told = running.qmp(step.qmp.execute, step.qmp.arguments)
    reason = ""
    if step.qmp.execute == "device_del":
        reason = _released(running, str(step.qmp.arguments.get("id")), timeout)
    return Answer(0, str(told), time.monotonic() - begun, 0), reason


def _released(running: Guest, device: str, timeout: float) -> str:
    """Wait until a device is gone: device_del only asks the guest to let go of it."""
    deadline = time.monotonic() + timeout
    while any(
        entry["name"] == device
        for entry in running.qmp("qom-list", {"path": "/machine/peripheral"})
    ):
        if time.monotonic() > deadline:
            return f"the guest did not let go of the device `{device}` within {timeout:g} s"
        time.sleep(0.05)
    return ""


def _look(_running: Guest, _step: Step, _timeout: float) -> tuple[Answer, str]:
    return Answer(0, "", 0.0, 0), ""


_ACTIONS: Mapping[str, Callable[[Guest, Step, float], tuple[Answer, str]]] = {
    "insmod": _insmod,
    "rmmod": _rmmod,
    "run": _shell,
    "wait_for": _wait_for,
    "ping": _ping,
    "qmp": _qmp,
    "log": _look,
}
