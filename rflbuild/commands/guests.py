"""Guests: a test in one, and a prompt in one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import chain, targets, userland
from rflbuild.chain import Links, Request
from rflbuild.console import DRAIN
from rflbuild.session import Session
from rflbuild.terminal import duration
from rflbuild.testspec import TestSpec
from rflbuild.userland import Choice
from rflbuild.verdict import Verdict, usage_error

if TYPE_CHECKING:
    from rflbuild.guest import Guest
    from rflbuild.report import Result

_SCRIPT_TIMEOUT = 3600.0  # seconds for a script of the user's, or until gdb lets the guest go


def qemu_test(
    session: Session,
    wanted: str,
    request: Request,
    choice: Choice,
    timeout: float | None,
    *,
    quick: bool = False,
    builtin: bool = False,
    json: bool = False,
) -> int:
    """Judge a target; the exit code is the verdict's."""
    from rflbuild import testrun

    if timeout is not None and not 0 < timeout < math.inf:
        raise usage_error(f"--timeout is a number of seconds above 0, not {timeout:g}")
    order = testrun.Order(wanted, request, timeout, quick, builtin, choice)
    result = testrun.run(session, order)
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
        root = result.guest["root"]
        kernel += "" if root == "initramfs" else f" and {root}"
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


def shell(
    session: Session,
    wanted: str | None,
    request: Request,
    choice: Choice,
    shared: Sequence[str] = (),
    *,
    gdb: bool = False,
    at_login: bool = False,
) -> int:
    """The guest with a prompt for a person; with no terminal, stdin is run as a script.

    In a guest on a disk the prompt comes by SSH, or is the login's if no key is known
    or it is asked for.
    """
    from rflbuild import delivery, report, share, symbols, testrun
    from rflbuild import gdb as debugger
    from rflbuild.guest import Guest

    userland.check(choice)
    chain.check(session, request)
    shares = share.parse(shared)
    target = targets.find(session, wanted) if wanted else None
    links = Links(session)
    if target:
        target, planned = targets.plan(session, target, request, links)
    else:
        planned = chain.plan(session, request, links)
    built = chain.build_kernel(session, planned, links)
    disk = userland.prepare(session, choice, built, links)
    if shares:
        share.require(built)
    if gdb:
        debugger.require(built)
    files: dict[str, Path] = {}
    spec = TestSpec()
    if target:
        files, _ = testrun.load(session, target, built, links)
        spec = target.spec
    folder, _ = report.open_folder(session.workspace.results, f"shell-{wanted or 'guest'}")
    known = symbols.of(
        built, files, target.module if target else None, target.in_kernel if target else None
    )
    symbols.write(known, folder)
    if gdb:
        debugger.write_attach(session, built, known, folder)
    person = sys.stdin.isatty() and sys.stdout.isatty()
    by_ssh = person and not at_login and disk is not None and disk.access is not None
    boot = testrun.boot_for(session, built, spec, disk, choice, person=person and not by_ssh)
    boot = replace(boot, shares=shares, gdb=gdb)
    with (
        delivery.into_image(session, boot, files, folder) as ready,
        Guest(session, ready, folder) as running,
    ):
        running.put(files)
        running.offer_ssh()  # for `rfl ssh` and `rfl scp` in another terminal
        for each in shares:
            how = " (read-only)" if each.read_only else ""
            session.terminal.line(f"share      {each.directory} is {each.place}{how}")
        if gdb:
            session.terminal.line("gdb        the guest waits for `./rfl gdb` in another terminal")
        patience = _SCRIPT_TIMEOUT if gdb else boot.patience
        if not person:
            return _scripted(running, patience)
        session.terminal.line(f"log        {folder / 'console.log'}")
        if by_ssh:
            return _visited(session, running, patience)
        if disk:
            leave = "`poweroff`, so that its file system is whole" if disk.overlay else "Ctrl-A x"
            session.terminal.line(
                f"login      {disk.user}, password {disk.password}; leave with {leave}"
            )
        return _attended(session, running)


def _attended(session: Session, running: Guest) -> int:
    """Leave the guest to the person at the terminal; QEMU's exit status, once it has ended."""
    status = running.wait_for_person()
    _tell_of_crash(session, running)
    return status


def _visited(session: Session, running: Guest, patience: float) -> int:
    """Bring a person into the guest by SSH; the exit status is the shell's."""
    from rflbuild import ssh

    running.wait_until_ready(patience)
    running.unpack()
    config = running.reach_by_ssh(patience)
    status = ssh.visit(session, config, check=running.check_disk)
    _tell_of_crash(session, running)
    return status


def _tell_of_crash(session: Session, running: Guest) -> None:
    running.console.drain(DRAIN if running.console.ended else 0)
    for splat in running.console.splats()[:1]:
        session.terminal.line(f"crash      {splat.headline}; `./rfl decode` shows where")


def _scripted(running: Guest, patience: float) -> int:
    """Run what stdin has in the guest; the exit status is the script's."""
    script = sys.stdin.read()
    running.wait_until_ready(patience)
    running.unpack()
    answer = running.run(script, _SCRIPT_TIMEOUT)
    sys.stdout.write(answer.output)
    return answer.status
