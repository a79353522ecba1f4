"""Watching: a verdict after each save."""

from __future__ import annotations

import select
import sys
import time

from rflbuild import chain, targets, testrun
from rflbuild.chain import Links, Request
from rflbuild.commands import guests
from rflbuild.session import Session
from rflbuild.terminal import duration

_PAUSE = 0.5  # seconds between two looks at the guest, and at whether anybody listens


def watch(session: Session, wanted: str, request: Request, *, quick: bool = False) -> int:
    """Judge a target now and after each save, until a signal ends it.

    What is wrong before the kernel is there ends it as it would end qemu-test.
    """
    from rflbuild.rounds import Rounds

    begun = time.monotonic()
    chain.check(session, request)
    found = targets.find(session, wanted)
    links = Links(session)
    _, planned = targets.plan(session, found, request, links)
    built = chain.build_kernel(session, planned, links)
    order = testrun.Order(wanted, request, quick=quick)
    terminal = session.terminal
    with Rounds(session, order, found, planned, built) as rounds:
        if rounds.fault:
            terminal.note(
                f"saves are noticed once a second only ({rounds.fault}): raise "
                "fs.inotify.max_user_instances and fs.inotify.max_user_watches"
            )
        result = rounds.take(begun)
        if result:
            guests.tell(session, result)
        terminal.line(f"{_word(session, 'watching')} {found.name}; Ctrl-C ends it")
        while True:
            save = rounds.wait(_PAUSE)
            _require_reader()
            if not save:
                continue
            word = "saved" if save.changed else "unchanged"
            terminal.line(f"{_word(session, word)} {', '.join(save.names)}")
            result = rounds.take(save.at) if save.changed else None
            if result:
                guests.tell(session, result)
                took = f"{duration(result.seconds)} from the save to the verdict"
                terminal.line(f"{_word(session, 'watching')} {found.name}: {took}")


def _word(session: Session, word: str) -> str:
    return session.terminal.paint(f"{word:<10}", "bold")


def _require_reader() -> None:
    """Raise BrokenPipeError if what we print goes nowhere any more, as behind `| head`."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # POLLERR is always told of (poll(2))
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError
