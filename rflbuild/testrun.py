"""A run: the guest boots while the module is built, then the steps, then one verdict."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rflbuild import (
    accelerator,
    chain,
    decode,
    delivery,
    ending,
    initramfs,
    kconfig,
    module,
    program,
    report,
    share,
    snapshot,
    steps,
    symbols,
    targets,
    testspec,
    userland,
)
from rflbuild.boot import Boot
from rflbuild.chain import Links, Request
from rflbuild.disk import Disk
from rflbuild.guest import Guest
from rflbuild.kernel import Kernel
from rflbuild.klog import SplatKind
from rflbuild.report import Result, SkippedStep, StepResult
from rflbuild.session import Session
from rflbuild.store import explain_os_error
from rflbuild.taint import taint_flags
from rflbuild.targets import Target
from rflbuild.terminal import duration, without_repeats
from rflbuild.testspec import Step, TestSpec, texts
from rflbuild.userland import Choice
from rflbuild.verdict import RflError, Verdict, usage_error


@dataclass(frozen=True)
class Order:
    """A run that was asked for; `timeout` bounds the whole of it, in seconds.

    A `quick` one takes the steps that the test marks so. `builtin` is for a module of
    the kernel's tree: as a part of the image. `choice` is the guest above the kernel.
    """

    target: str
    request: Request
    timeout: float | None = None
    quick: bool = False
    builtin: bool = False
    choice: Choice = field(default_factory=Choice)

    def command(self) -> str:
        """The command that makes the same run again."""
        given = (self.target, *self.request.words(), *self.choice.words())
        words = ["./rfl", "qemu-test", *map(_anchored, given)]
        if self.timeout:
            words += ["--timeout", f"{self.timeout:g}"]
        if self.quick:
            words.append("--quick")
        if self.builtin:
            words.append("--builtin")
        return shlex.join(words)


def _anchored(word: str) -> str:
    """A path that is there as one that holds from any folder; other words as they are."""
    path = Path(word).expanduser()
    is_path = "/" in word or word in (".", "..")
    return str(path.absolute()) if is_path and path.exists() else word


def run(session: Session, order: Order) -> Result:
    """Judge a target; whatever happens, the results folder says what it came to."""
    userland.check(order.choice)
    chain.check(session, order.request)
    target = replace(targets.find(session, order.target), builtin=order.builtin)
    folder, begun = report.open_folder(session.workspace.results, target.name)
    result = Result(target.name, order.command(), begun, folder, quick=order.quick)
    links = Links(session)
    with (
        recorded(session, result, links, time.monotonic()),
        bounded(order.timeout or target.spec.timeout),
    ):
        _run(session, order, target, result, links)
    return result


@contextlib.contextmanager
def recorded(session: Session, result: Result, links: Links, started: float) -> Iterator[None]:
    """Take an error as what a run came to, and write down the result, whatever happens.

    `started` is when the run began, by the monotonic clock.
    """
    try:
        yield
    except RflError as error:
        _end(session, result, error)
    except OSError as error:
        result.end_with(explain_os_error(error, session.store.root))
    finally:
        result.seconds = round(time.monotonic() - started, 3)
        result.links = links.done
        result.write()


def _end(session: Session, result: Result, error: RflError) -> None:
    """End a run with an error, its trace decoded if it has one; so with the step that met it."""
    explained = decode.explained(session, result.folder, error)
    result.end_with(explained)
    if result.steps and result.steps[-1].reason == error.sentence:
        result.steps[-1] = replace(result.steps[-1], reason=explained.sentence)


class _OutOfTime(BaseException):
    """The run's own time is over; not an Exception, so that nothing on the way takes it."""


@contextlib.contextmanager
def bounded(timeout: float | None) -> Iterator[None]:
    """End everything after `timeout` seconds, wherever it is, as the verdict `timeout`."""
    if timeout is None:
        yield
        return

    def ring(_number: int, _frame: object) -> None:
        raise _OutOfTime

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    except _OutOfTime as end:
        why = "".join(f": {note}" for note in getattr(end, "__notes__", []))
        raise RflError(
            Verdict.TIMEOUT, f"the run did not end within its {timeout:g} s{why}"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _run(session: Session, order: Order, target: Target, result: Result, links: Links) -> None:
    target, planned = targets.plan(session, target, order.request, links)
    if order.choice.on_disk:
        target = targets.on_disk(target)
    kernel = chain.build_kernel(session, planned, links)
    disk = userland.prepare(session, order.choice, kernel, links)
    boot = boot_for(session, kernel, target.spec, disk, order.choice)
    if not (order.choice.fresh or kernel.source.mutable or target.in_tree):
        boot = snapshot.of(session, boot, result.folder)
    describe(result, kernel, boot)
    with contextlib.ExitStack() as stack:
        if boot.files == "image":  # they have to be there before the boot
            files, _ = load(session, target, kernel, links, result)
            boot = stack.enter_context(delivery.into_image(session, boot, files, result.folder))
        running = stack.enter_context(Guest(session, boot, result.folder))
        result.guest["command"] = shlex.join(running.command)
        files, names = load(session, target, kernel, links, result)
        symbols.write(symbols.of(kernel, files, target.module, target.in_kernel), result.folder)
        running.put(files)
        running.wait_until_ready()
        links.add("boot", boot.shown, "", running.boot_seconds, cached=False)
        running.unpack()
        if target.builtin and target.in_tree:
            judge_builtin(session, running, target.in_tree.object, target.spec, result)
        else:
            judge(session, running, target.spec, names, kernel, result)


def describe(result: Result, kernel: Kernel, boot: Boot) -> None:
    """Let a result say on what it was come by."""
    result.kernel = {
        "release": kernel.source.release,
        "source": kernel.source.name,
        "arch": kernel.arch.name,
        "config": kernel.label,
        "key": kernel.key,
    }
    result.toolchain = {"name": kernel.toolchain.name, "key": kernel.toolchain.key}
    result.guest = {
        "root": boot.disk.name if boot.disk else "initramfs",
        "accelerator": boot.accelerator,
        "machine": boot.machine,
        "resumed": boot.saved is not None,
    }


def boot_for(
    session: Session,
    kernel: Kernel,
    spec: TestSpec,
    disk: Disk | None = None,
    choice: Choice | None = None,
    *,
    person: bool = False,
) -> Boot:
    """The guest of a test: the kernel, its root and the machine that the test names."""
    choice = choice or Choice()
    if choice.way == "share":
        share.require(kernel)
    if disk:
        root = disk.initrd
    else:
        root = initramfs.build(session, kernel, initramfs.busybox(session, kernel.arch))
    chosen = accelerator.choose(session, kernel.toolchain, kernel.arch)
    return Boot(
        kernel.arch,
        spec.machine,
        kernel.toolchain,
        kernel.image,
        root,
        chosen.name,
        session.workspace.templates,
        person,
        disk=disk,
        over_ssh=choice.over_ssh,
        files=choice.way,
    )


def load(
    session: Session, target: Target, kernel: Kernel, links: Links, result: Result | None = None
) -> tuple[dict[str, Path], list[str]]:
    """The files that the guest gets, and the names of the modules in their order."""
    objects: tuple[Path, ...] = ()
    if target.module:
        built = module.build(session, target.module, kernel)
        objects = built.objects
        links.add("module", target.name, built.key, built.seconds, cached=built.cached)
        if result:
            result.module = {"name": target.name, "path": target.module.shown, "key": built.key}
    files = {path.name: path for path in objects}
    names = [path.stem for path in objects]
    if target.in_tree and not target.builtin:
        names = [target.in_tree.object]
        files[f"{names[0]}.ko"] = _in_tree(kernel, f"{names[0]}.ko")
    for step in target.spec.steps:
        name = step.insmod and not target.builtin and f"{step.insmod}.ko"
        if name and name not in files and step.applies(kernel.source.version):
            files[name] = _in_tree(kernel, name)
    for extra in target.spec.files:
        files[extra] = target.files / extra
    sources = [target.files / name for name in target.spec.programs]
    if target.spec.machine.peer:
        sources.append(session.workspace.templates / "guest" / "peer.c")
    for source in sources:
        files[source.stem] = program.build(session, kernel, source)
    return files, names


def _in_tree(kernel: Kernel, name: str) -> Path:
    """A module that the kernel itself was built with, such as a sample."""
    path = kernel.module(name)
    if path:
        return path
    raise usage_error(
        f"the test loads {name}, which neither the module's folder nor the kernel "
        f"({kernel.label}) builds: mend the step, or add its option by --fragment"
    )


def judge(
    session: Session,
    running: Guest,
    spec: TestSpec,
    modules: Sequence[str],
    kernel: Kernel,
    result: Result,
) -> None:
    """Take a test's steps in turn, until one does not hold, and give the verdict.

    `modules` are loaded and unloaded where the test has no steps.
    """
    allowed = [testspec.compile_text(text) for text in texts(spec.allow_log)]
    config = kconfig.read(kernel.out / ".config")
    for step in spec.chosen(quick=result.quick) or testspec.default_steps(modules):
        if not step.applies(kernel.source.version):
            continue
        if missing := step.lacks(config):
            _skip(session, step, missing, result)
        else:
            done = steps.take(running, step, spec.step_timeout)
            _judge(session, running, done, allowed, result)
    if result.skipped and not result.steps:
        raise usage_error(
            f"every step of the test was skipped ({result.skipped[0].reason}): "
            "give the options by --fragment"
        )
    if config.get("DEBUG_KMEMLEAK") == "y":
        _judge(session, running, steps.look_for_leaks(running), allowed, result)
    flags = taint_flags(running.taint)
    result.guest["taint"] = "".join(flag.letter for flag in flags)
    faults = [f"{flag.letter} ({flag.meaning})" for flag in flags if flag.fault]
    if faults and not allowed:
        raise RflError(
            Verdict.CRASH,
            f"the kernel is tainted {', '.join(faults)}, though its log was not understood as a "
            f"report; see {result.folder / 'console.log'}",
        )
    result.end(Verdict.PASS)


def judge_builtin(
    session: Session, running: Guest, module: str, spec: TestSpec, result: Result
) -> None:
    """Look for what a module of the image has said in the boot's log, and give the verdict."""
    allowed = [testspec.compile_text(text) for text in texts(spec.allow_log)]
    _judge(session, running, steps.boot_log(running, module, spec), allowed, result)
    result.end(Verdict.PASS)


def _judge(
    session: Session,
    running: Guest,
    done: StepResult,
    allowed: Sequence[re.Pattern[str]],
    result: Result,
) -> None:
    """Keep and show a step; RflError if it does not hold, or the kernel reported trouble."""
    trouble = [
        splat
        for splat in running.console.splats()
        if not any(p.search(m.text) for p in allowed for m in splat.messages)
    ]
    if trouble:
        error = ending.crash(trouble[0], result.folder)
        if trouble[0].kind is SplatKind.KMEMLEAK:
            error.detail += f"\n{done.output.strip()}"
        done = StepResult(
            done.title, Verdict.CRASH, done.seconds, done.output, done.messages, error.sentence
        )
    result.steps.append(done)
    _show(session, done)
    if trouble:
        raise error
    if done.verdict is not Verdict.PASS:
        detail = "\n".join([*done.messages[-20:], done.output.strip()]).strip()
        raise RflError(done.verdict, f"{done.title}: {done.reason}", detail)


def _skip(session: Session, step: Step, missing: Sequence[str], result: Result) -> None:
    options = " and ".join(f"CONFIG_{option}" for option in missing)
    skipped = SkippedStep(step.title, f"the kernel is built without {options}")
    result.skipped.append(skipped)
    word = session.terminal.paint("skipped", "yellow")
    session.terminal.line(f"  {word:<8} {skipped.title}: {skipped.reason}")


def _show(session: Session, done: StepResult) -> None:
    terminal = session.terminal
    good = done.verdict is Verdict.PASS
    word = terminal.paint("ok" if good else str(done.verdict), "green" if good else "red")
    terminal.line(f"  {word:<8} {done.title}  {terminal.paint(duration(done.seconds), 'dim')}")
    if good:
        for message in without_repeats(done.messages):
            terminal.line(f"           {terminal.paint(message, 'dim')}")
