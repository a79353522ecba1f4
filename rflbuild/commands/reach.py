"""Guests on a disk, reached by SSH and at their console."""

from __future__ import annotations

from dataclasses import replace

from rflbuild import chain, ssh, userland
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.userland import Choice
from rflbuild.verdict import usage_error


def console(session: Session, request: Request, choice: Choice) -> int:
    """A guest on a disk at whose login the person at the terminal is; QEMU's exit status."""
    from rflbuild.commands import guests

    return guests.shell(session, None, request, _on_disk(choice), at_login=True)


def ssh_into(session: Session, command: str, request: Request, choice: Choice) -> int:
    """Run a command, or a shell, in the guest that runs, else in one booted for it.

    With an image or a file to keep, it is always one booted for it. The exit status is the
    command's.
    """
    ssh.require()
    own = choice.image or choice.persist
    running = None if own else ssh.running(session.workspace.results)
    if running:
        return ssh.visit(session, running, *([command] if command else []))
    from rflbuild import report, testrun
    from rflbuild.guest import Guest
    from rflbuild.testspec import TestSpec

    choice = replace(_on_disk(choice), over_ssh=True)
    userland.check(choice)
    chain.check(session, request)
    links = Links(session)
    built = chain.build_kernel(session, chain.plan(session, request, links), links)
    disk = userland.prepare(session, choice, built, links)
    folder, _ = report.open_folder(session.workspace.results, "ssh")
    boot = testrun.boot_for(session, built, TestSpec(), disk, choice)
    with Guest(session, boot, folder) as guest:
        guest.wait_until_ready()
        config = guest.reach_by_ssh(boot.patience)
        words = [command] if command else []
        return ssh.visit(session, config, *words, check=guest.check_disk)


def scp(session: Session, source: str, destination: str) -> int:
    """Copy between here and the guest that runs; the exit status is scp's."""
    ssh.require()
    inside = [word for word in (source, destination) if word.startswith(f"{ssh.HOST}:")]
    if len(inside) != 1:
        raise usage_error(
            f"one of the two is in the guest, as {ssh.HOST}:PATH: "
            f"./rfl scp hello.ko {ssh.HOST}:/root/"
        )
    running = ssh.running(session.workspace.results)
    if not running:
        raise usage_error(
            "no guest on a disk runs: start one in another terminal, by ./rfl shell --guest debian"
        )
    return ssh.copy(session, running, source, destination)


def _on_disk(choice: Choice) -> Choice:
    """The choice, with the Debian guest where none on a disk was asked for."""
    return choice if choice.on_disk else replace(choice, kind="debian")
