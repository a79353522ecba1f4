"""What an editor needs: a project that its language servers understand, and errors on save."""

from __future__ import annotations

from pathlib import Path

from rflbuild import chain, diagnostics, kconfig, requirements, saved_command, subject
from rflbuild.chain import Links, Request
from rflbuild.diagnostics import Report
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.verdict import RflError


def check(
    session: Session,
    wanted: str | None,
    request: Request,
    *,
    clippy: bool = False,
    json: bool = False,
) -> int:
    """Show what the compiler says of a module; build-error if it does not build.

    Without a name: of all in modules/, or of a kernel tree of the user's.
    """
    chain.check(session, request)
    found = subject.find(session, wanted, request)
    links = Links(session)
    built = subject.kernel_for(session, found, request, links)
    errors: list[RflError] = []
    for each in [found.inside] if found.inside else found.modules:
        name, report = _report(session, each, built, clippy=clippy)
        links.add("check", f"{name}: {_counted(report)}", "", report.seconds, cached=False)
        if json:
            for line in diagnostics.lines(report):
                print(line)
        elif report.text:
            session.terminal.line(report.text)
        if report.error:
            errors.append(report.error)
    if errors:  # what the compiler said is on the screen already
        raise RflError(errors[0].verdict, errors[0].sentence)
    return 0


def _report(
    session: Session, what: Module | Path, built: Kernel, *, clippy: bool
) -> tuple[str, Report]:
    """The report on a module, or on a file or folder of the kernel's source; what to call it."""
    if isinstance(what, Path):
        name = str(what.relative_to(built.source.path))
        return name, saved_command.check(session, built, what, clippy=clippy)
    try:
        _refuse_unfit(what, built)
    except RflError as error:
        return what.name, Report((), f"{error.verdict}: {error.sentence}", error)
    return what.name, diagnostics.of_module(session, what, built, clippy=clippy)


def _counted(report: Report) -> str:
    """How many errors and warnings there are, in words."""
    counts = ((report.count(level), level) for level in ("error", "warning"))
    return ", ".join(f"{count} {level}{'s' * (count != 1)}" for count, level in counts)


def _refuse_unfit(checked: Module, built: Kernel) -> None:
    """Raise RflError(usage) for what a module.yaml asks of the kernel in vain."""
    needs = checked.directory / requirements.FILE
    if needs.is_file():
        requirements.check_source(needs, built.source, built.arch)
        values = kconfig.read(built.out / ".config")
        requirements.check_options(needs, built.source, built.arch, built.label, values)
