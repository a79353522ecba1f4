"""The .config in a kernel's build folder: made, and made anew when what it comes from changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import buildlog, kconfig, kconfig_inputs, requirements
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict

if TYPE_CHECKING:
    from rflbuild.kernel import Plan

_TIMEOUT = 300.0


@contextlib.contextmanager
def made(session: Session, plan: Plan, out: Path, log: Path) -> Iterator[None]:
    """Configure in `out` unless it is done and nothing that it comes from changed since.

    Make is to run in the context: it tells what that is.
    """
    configured, noted = out / ".rflbuild-config", out / ".rflbuild-kconfig"
    text = f"{plan.config.target}\n{plan.config.text()}"
    changes = plan.source.mutable or plan.source.overlay is not None
    fresh = configured.exists() and configured.read_text() == text
    if changes:
        fresh = fresh and kconfig_inputs.are_as_noted(noted, out, plan.source, plan.arch.srcarch)
    begun = time.time_ns()
    if not fresh:
        configured.unlink(missing_ok=True)
        _configure(session, plan, out, log)
        write_atomically(configured, text)
    check_options(plan, out)
    yield
    if changes and not fresh:
        kconfig_inputs.note(noted, out, plan.source, plan.arch.srcarch, begun)


def check_options(plan: Plan, out: Path) -> None:
    """Hold the configuration in a build folder against what the plan's module needs."""
    if plan.needs:
        values = kconfig.read(out / ".config")
        requirements.check_options(plan.needs, plan.source, plan.arch, plan.config.label, values)


def _configure(session: Session, plan: Plan, out: Path, log: Path) -> None:
    """Make .config and hold it against what was asked for."""
    make_config(session, plan, out, plan.config.target, log)
    complete_config(session, plan, out, log)
    _refuse_dropped(session, plan, kconfig.read(out / ".config"))


def make_config(session: Session, plan: Plan, out: Path, target: str, log: Path) -> None:
    """Run one of make's configuration targets, such as `allnoconfig`, in a build folder.

    Raises RflError(build-error) with the words of Kconfig.
    """
    done = session.processes.run(
        plan.make(out, target),
        timeout=_TIMEOUT,
        cwd=out,
        env=plan.environment(session),
        log=log,
    )
    if done.status:
        raise session.store.full_disk() or buildlog.failure(
            f"the configuration ({target})", done.output, str(log)
        )


def complete_config(session: Session, plan: Plan, out: Path, log: Path) -> None:
    """Put a plan's options on top of the .config that its base's target made."""
    with (out / ".config").open("a") as file:
        file.write(plan.config.text())
    make_config(session, plan, out, "olddefconfig", log)


def _refuse_dropped(session: Session, plan: Plan, values: Mapping[str, str]) -> None:
    """Raise RflError(usage) if a plan's options are not in the .config that came of them.

    Where that is allowed it is only told.
    """
    lost = kconfig.dropped(plan.config, values)
    if not lost:
        return
    why = kconfig.explain(plan.source, plan.arch, lost, values)
    sentence = (
        f"Linux {plan.source.release} drops {len(lost)} of the options asked for "
        f"({', '.join(o.name for o in lost[:3])}{', …' if len(lost) > 3 else ''})"
    )
    if plan.allow_dropped:
        session.terminal.note(f"{sentence}:\n{why}")
        return
    raise RflError(
        Verdict.USAGE,
        f"{sentence}: mend the fragment, or give --allow-dropped",
        why,
    )
