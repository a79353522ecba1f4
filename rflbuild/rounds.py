"""The rounds of a target that is watched: what is there is built, swapped and judged.

Between its rounds a guest goes on. A newer save ends the round that is under way.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from rflbuild import chain, kernel, report, requirements, scaffold, symbols, targets, testrun
from rflbuild.boot import Boot
from rflbuild.chain import Links
from rflbuild.guest import Guest
from rflbuild.kernel import Kernel, Plan
from rflbuild.report import Result
from rflbuild.session import Session, Workspace
from rflbuild.standby import Standby
from rflbuild.store import key_of, remove_tree
from rflbuild.targets import Target
from rflbuild.testrun import Order
from rflbuild.verdict import RflError, Verdict, usage_error
from rflbuild.watch import Place, Save, Watch

KEPT = 20  # rounds of one watch whose results, and modules, stay
_PATIENCE = 1.0  # seconds for which steps that are under way may go on after a save
_HARMLESS = (Verdict.FAIL, Verdict.USAGE)  # after which a guest can be put back
_ABSENCE = 1.0  # seconds for which a folder may be gone, as while git changes branches


class _SupersededError(Exception):
    """There is a newer save: what is under way is of no interest any more."""


class Rounds:
    """A target's rounds on one kernel, as long as the context lasts."""

    def __init__(
        self, session: Session, order: Order, target: Target, plan: Plan, built: Kernel
    ) -> None:
        self._session = session
        self._order = order
        self._name = target.name
        self._plan = plan
        self._kernel = built
        self._stack = contextlib.ExitStack()
        self._standby = Standby(session)
        self._stands: tuple[Boot, str] | None = None
        self._places = places(session.workspace, target)
        self._watch = Watch(self._places, self._on_change)
        # What a newer save ends, in the thread of the watch.
        self._lock = threading.Lock()
        self._count = 0
        self._builds = False
        self._steps_in: Guest | None = None
        self._interrupted = False
        self._judged = 0.0  # when the last round ended
        self._results: deque[Result] = deque()
        self._unused: tuple[Path, str] | None = None  # the results folder of a round that was ended

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self._standby)
            stack.enter_context(self._watch)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def fault(self) -> str:
        """Why saves are noticed once a second only; empty if they are at once."""
        return self._watch.fault

    def wait(self, seconds: float) -> Save | None:
        """The next save, if one comes in time; looks after the guest and old results first."""
        self._standby.look()
        while len(self._results) > KEPT:
            self._forget(self._results.popleft())
        save = self._watch.wait(seconds)
        # The end of a save that was taken before its editor was done with it is none of its own.
        return save if save and (save.changed or save.at > self._judged) else None

    def take(self, saved: float) -> Result | None:
        """Judge what is there; None if a newer save came meanwhile, for `wait` to tell of.

        `saved` is when it was saved, by the monotonic clock. Raises RflError(usage)
        if there is nothing any more.
        """
        self._require_folders()
        self._count += 1
        self._interrupted = False
        folder, begun = self._unused or report.open_folder(
            self._session.workspace.results, self._name
        )
        self._unused = folder, begun
        result = Result(self._name, self._order.command(), begun, folder, quick=self._order.quick)
        links = Links(self._session)
        try:
            with testrun.recorded(self._session, result, links, saved):
                self._round(result, links)
        except _SupersededError:
            return None
        if self._interrupted:
            return None
        self._results.append(result)
        self._unused = None
        self._judged = time.monotonic()
        return result

    def _round(self, result: Result, links: Links) -> None:
        session = self._session
        target = targets.again(session, self._order.target, self._kernel)
        self._kernel = self._kernel_of(target, links)
        boot = testrun.boot_for(session, self._kernel, target.spec)
        testrun.describe(result, self._kernel, boot)
        # A module of the kernel's own tree is another kernel by its key, and yet the same image.
        image = self._kernel.image.stat()
        stands = key_of(image.st_mtime_ns) if target.in_tree else self._kernel.key
        if self._stands != (boot, stands):
            self._standby.start(boot)
            self._stands = boot, stands
        running: Guest | None = None
        broken = False
        try:
            with testrun.bounded(target.spec.timeout):
                files, names = self._load(target, links, result)
                symbols.write(
                    symbols.of(self._kernel, files, target.module, target.in_kernel), result.folder
                )
                running = self._standby.take(result.folder)
                with self._stepping(running):
                    result.guest["command"] = shlex.join(running.command)
                    running.put(files)
                    running.unpack()
                    testrun.judge(session, running, target.spec, names, self._kernel, result)
        except (RflError, OSError) as error:
            harmless = isinstance(error, RflError) and error.verdict in _HARMLESS
            broken = not harmless
            raise
        finally:
            if running:
                # What a test has QEMU do is nothing that the guest could put back.
                asked_qemu = any(step.qmp for step in target.spec.chosen(quick=result.quick))
                self._standby.release(broken=broken or asked_qemu)

    def _kernel_of(self, target: Target, links: Links) -> Kernel:
        """The kernel as it is now; a module of its own tree is made by its build."""
        if not target.in_tree:
            return kernel.current(self._session, self._plan, self._kernel)
        self._builds = True
        try:
            self._require_newest()
            _, planned = targets.plan(self._session, target, self._order.request, links)
            return chain.build_kernel(self._session, planned, links)
        finally:
            self._builds = False

    def _load(
        self, target: Target, links: Links, result: Result
    ) -> tuple[dict[str, Path], list[str]]:
        self._builds = True
        try:
            self._require_newest()
            return testrun.load(self._session, target, self._kernel, links, result)
        finally:
            self._builds = False

    @contextlib.contextmanager
    def _stepping(self, running: Guest) -> Iterator[None]:
        with self._lock:
            self._steps_in = running
        try:
            self._require_newest()
            yield
        finally:
            with self._lock:
                self._steps_in = None

    def _require_newest(self) -> None:
        if self._watch.has_news():
            raise _SupersededError

    def _forget(self, result: Result) -> None:
        """Remove what a round left, and the module that it built if no later one has it."""
        remove_tree(result.folder)
        key = result.module.get("key")
        built_here = any(link.name == "module" and link.seconds for link in result.links)
        if built_here and not any(later.module.get("key") == key for later in self._results):
            self._session.store.remove("module", str(key))

    def _require_folders(self) -> None:
        """Raise RflError(usage) if a folder that is watched is gone for good."""
        until = time.monotonic() + _ABSENCE
        for place in self._places:
            while not place.folder.is_dir():
                if time.monotonic() > until:
                    raise usage_error(f"{place.folder} is gone: there is nothing to watch any more")
                time.sleep(0.02)

    def _on_change(self) -> None:
        """End what is under way, in the thread of the watch: a build now, steps in a while."""
        if self._builds:
            self._interrupted = True
            self._session.processes.interrupt()
        elif self._steps_in:
            timer = threading.Timer(_PATIENCE, self._end_steps, [self._count])
            timer.daemon = True
            timer.start()

    def _end_steps(self, count: int) -> None:
        """End the steps of a round, if they still go on."""
        with self._lock:
            if self._steps_in and self._count == count:
                self._interrupted = True
                self._steps_in.end()


def places(workspace: Workspace, target: Target) -> list[Place]:
    """Where the files lie that a target is made of."""
    if target.kind:
        folders = (target.kind.name, scaffold.COMMON, requirements.BINDINGS)
        return [Place(workspace.templates / folder) for folder in folders]
    if target.in_tree:
        own = Place(target.files)
        if not target.in_tree.tree:
            return [own]
        paths = (target.in_tree.source, target.in_tree.makefile, target.in_tree.kconfig)
        names = frozenset(Path(path).name for path in paths)
        return [own, Place(Path(target.in_tree.tree, target.in_tree.into), names)]
    tests = workspace.configs / "tests"
    beside = (*target.spec.files, *target.spec.programs) if target.files == tests else ()
    named = Place(tests, frozenset({f"{target.name}.yaml", *beside}))
    return [Place(target.module.directory), named] if target.module else [named]
