"""A guest that stands by for one run after the other.

What makes it ready goes on in the background: it is put back to what it was after its
boot, or, where that cannot be, another one boots.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rflbuild.boot import Boot
from rflbuild.chain import Links
from rflbuild.guest import Guest
from rflbuild.session import Session
from rflbuild.store import explain_os_error, remove_tree
from rflbuild.taint import taint_flags
from rflbuild.verdict import RflError

_TIMEOUT = 10.0  # seconds to put a guest back; a debug kernel under load takes one
_MOST_MESSAGES = 200_000  # of a kernel's log, which every run's own log begins with
# What the steps of a test can change without the kernel's finding fault with it, except for
# settings: those in /proc/sys are too many, and some change by themselves.
_STATE = """\
cat /proc/mounts /proc/modules
for card in /sys/class/net/*; do
    read -r flags <$card/flags
    read -r mtu <$card/mtu
    echo "$card $flags $mtu"
done
for device in /sys/bus/*/devices/* /dev/* /dev/*/*; do echo $device; done
ip -4 -o address
ip route
grep -s . /sys/kernel/debug/fail*/*
true
"""
# -1 is all processes but PID 1 and this shell. Their ends take a moment, in which they may hold
# a module. The kernel lists the newest module first.
_PUT_BACK = (
    """\
kill -9 -1
for attempt in 1 2 3 4 5 6 7 8; do
    fault=
    for module in $(cut -d ' ' -f 1 /proc/modules); do
        said=$(rmmod "$module" 2>&1) || fault=$said
    done
    [ -n "$fault" ] || break
    sleep 0.05
done
if [ -n "$fault" ]; then
    echo "$fault"
    exit 1
fi
find /tmp /root /run /modules -mindepth 1 -maxdepth 1 -exec rm -rf {} +
"""
    + _STATE
)


class Standby:
    """A guest that is there to be taken, used by one run, released, and taken again.

    Leaving the context ends it. All but `take` returns at once.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = session.workspace.results / f".boot-{os.getpid()}"
        self._boot: Boot | None = None
        self._guest: Guest | None = None
        self._thread: threading.Thread | None = None
        self._error: RflError | None = None
        self._cut = False
        self._state: list[str] = []
        self._mark = 0  # of the kernel's messages that were judged

    def __enter__(self) -> Self:
        _remove_stale(self._folder.parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cut_short()
        if self._guest:
            self._guest.stop()
        remove_tree(self._folder)

    def start(self, boot: Boot) -> None:
        """Boot a guest, instead of the one that there may be."""
        self._cut_short()
        self._boot = boot
        self._work(self._boot_anew)

    def take(self, folder: Path) -> Guest:
        """The guest for a run whose logs go to `folder`, as soon as it is ready.

        Raises RflError if none boots; the next call tries again.
        """
        self._wait()
        if self._error is None and (self._guest is None or self._is_in_trouble()):
            self._work(self._boot_anew)
            self._wait()
        error, self._error = self._error, None
        if error:
            for log in self._folder.glob("*"):
                log.replace(folder / log.name)
            sentence = error.sentence.replace(str(self._folder), str(folder))
            raise RflError(error.verdict, sentence, error.detail)
        assert self._guest  # noqa: S101 - there is one, or an error
        self._guest.begin_run(folder)
        return self._guest

    def release(self, *, broken: bool) -> None:
        """The run that took the guest is over; `broken` if the guest is of no use any more."""
        assert self._guest  # noqa: S101 - it was taken
        flags = taint_flags(self._guest.taint)
        broken |= self._guest.trouble(self._mark) is not None or any(f.fault for f in flags)
        self._mark = self._guest.console.mark()
        self._work(self._boot_anew if broken else self._put_back)

    def look(self) -> None:
        """See whether a guest that nobody uses got into trouble; if so, another one boots."""
        if self._guest and not self._is_busy() and self._is_in_trouble():
            self._work(self._boot_anew)

    def _is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _wait(self) -> None:
        if self._thread:
            self._thread.join()

    def _cut_short(self) -> None:
        """End what goes on in the background."""
        self._cut = True
        while self._thread and self._thread.is_alive():
            if self._guest:
                self._guest.end()
            self._thread.join(0.05)
        self._cut = False
        self._error = None

    def _is_in_trouble(self) -> bool:
        trouble = self._guest.trouble(self._mark) if self._guest else None
        if trouble:
            self._tell(f"after the verdict, {trouble.sentence}")
        return trouble is not None

    def _tell(self, why: str) -> None:
        self._session.terminal.note(f"the guest boots anew: {why}")

    # ---- in the background ---------------------------------------------------------------

    def _work(self, job: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                job()
            except RflError as error:
                self._error = error
            except OSError as error:
                self._error = explain_os_error(error, self._session.store.root)

        self._thread = threading.Thread(target=guarded, name="standby", daemon=True)
        self._thread.start()

    def _boot_anew(self) -> None:
        if self._guest:
            self._guest.stop()
            self._guest = None
        if self._cut:
            return
        assert self._boot  # noqa: S101 - `start` came first
        self._folder.mkdir(parents=True, exist_ok=True)
        guest = self._guest = Guest(self._session, self._boot, self._folder)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(guest)
                guest.wait_until_ready()
                self._state = guest.run(_STATE, _TIMEOUT).output.splitlines()
                stack.pop_all()
        except BaseException:
            self._guest = None
            raise
        self._mark = guest.console.mark()
        Links(self._session).add("boot", self._boot.shown, "", guest.boot_seconds, cached=False)

    def _put_back(self) -> None:
        fault = self._cannot_be_put_back()
        if fault and not self._cut:
            self._tell(fault)
            self._boot_anew()

    def _cannot_be_put_back(self) -> str:
        """Put the guest back to what it was after its boot; what is in the way, if anything is."""
        guest = self._guest
        assert guest  # noqa: S101 - it was released
        failed: RflError | None = None
        try:
            answer = guest.run(_PUT_BACK, _TIMEOUT)
        except RflError as error:
            failed = error
        if trouble := guest.trouble(self._mark) or failed:
            return f"after the verdict, {trouble.sentence}"
        lines = answer.output.splitlines()
        if answer.status:
            return f"what was loaded cannot be unloaded ({' '.join(lines)})"
        different = set(lines) ^ set(self._state)
        if different:
            return f"the run left the guest other than it was ({min(different)})"
        if guest.console.mark() > _MOST_MESSAGES:
            return "the kernel's log has become long"
        return ""


def _remove_stale(results: Path) -> None:
    """Remove what watches that were killed have left."""
    for folder in results.glob(".boot-*"):
        if not Path("/proc", folder.name.removeprefix(".boot-")).exists():
            remove_tree(folder)
