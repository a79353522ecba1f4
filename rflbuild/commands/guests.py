"""Guests: a test in one, and a prompt in one."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import chain, targets
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.terminal import duration
from rflbuild.testspec import TestSpec
from rflbuild.verdict import Verdict, usage_error

if TYPE_CHECKING:
    from rflbuild.report import Result


def qemu_test(
    session: Session,
    wanted: str,
    request: Request,
    timeout: float | None,
    *,
    quick: bool = False,
    json: bool = False,
) -> int:
    """Judge a target; the exit code is the verdict's."""
    from rflbuild import testrun

    if timeout is not None and not 0 < timeout < math.inf:
        raise usage_error(f"--timeout is a number of seconds above 0, not {timeout:g}")
    result = testrun.run(session, testrun.Order(wanted, request, timeout, quick))
    if json:
        print(result.as_json())
    tell(session, result)
    return result.verdict.exit_code


def tell(session: Session, result: Result) -> None:
    """Say what a run came to: one line, below the details if it did not pass."""
    shown = os.path.relpath(result.folder)
    terminal = session.terminal
    if result.verdict is Verdict.PASS:
        word = terminal.paint("pass", "green")
        kernel = f"Linux {result.kernel['release']} {result.kernel['arch']}"
        terminal.line(
            f"{word:<10} {result.name} on {kernel}: {_counted(result)} in "
            f"{duration(result.seconds)}; {shown}"
        )
        return
    if result.detail:
        terminal.line(result.detail)
    word = terminal.paint(str(result.verdict), "red")
    terminal.line(f"{word}: {result.reason} [{shown}]")


def _counted(result: Result) -> str:
    """How many steps were taken, and how many were not."""
    quick = " (--quick)" if result.quick else ""
    skipped = f", {len(result.skipped)} skipped," if result.skipped else ""
    taken = len(result.steps)
    return f"{taken} step{'' if taken == 1 else 's'}{quick}{skipped}"


def shell(session: Session, wanted: str | None, request: Request) -> int:
    """The guest with a prompt for a person; with no terminal, stdin is run as a script."""
    from rflbuild import report, testrun
    from rflbuild.guest import Guest

    chain.check(session, request)
    target = targets.find(session, wanted) if wanted else None
    links = Links(session)
    if target:
        target, planned = targets.plan(session, target, request, links)
    else:
        planned = chain.plan(session, request, links)
    built = chain.build_kernel(session, planned, links)
    files: dict[str, Path] = {}
    spec = TestSpec()
    if target:
        files, _ = testrun.load(session, target, built, links)
        spec = target.spec
    folder, _ = report.open_folder(session.workspace.results, f"shell-{wanted or 'guest'}")
    person = sys.stdin.isatty() and sys.stdout.isatty()
    boot = testrun.boot_for(session, built, spec, person=person)
    with Guest(session, boot, folder) as running:
        running.put(files)
        if person:
            session.terminal.line(f"log        {folder / 'console.log'}")
            return running.wait_for_person()
        script = sys.stdin.read()
        running.wait_until_ready(testrun.BOOT_TIMEOUT)
        running.unpack(testrun.BOOT_TIMEOUT)
        answer = running.run(script, 3600.0)
        sys.stdout.write(answer.output)
        return answer.status
