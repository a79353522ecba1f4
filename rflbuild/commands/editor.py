"""What an editor needs: a project that its language servers understand, and errors on save."""

from __future__ import annotations

import contextlib
import json as jsons
import os
import time
from dataclasses import replace
from pathlib import Path

from rflbuild import (
    chain,
    compile_commands,
    diagnostics,
    kconfig,
    module,
    requirements,
    rust_project,
    settings,
    source,
    subject,
    sysroot,
    testspec,
    tree_check,
)
from rflbuild.chain import Links, Request
from rflbuild.compile_commands import Entry
from rflbuild.diagnostics import Report
from rflbuild.editor_folder import EditorFolder
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.settings import Wish
from rflbuild.subject import Subject
from rflbuild.targets import Target
from rflbuild.verdict import RflError, Verdict, usage_error


def rust_analyzer(
    session: Session, wanted: str | None, request: Request, *, json: bool = False
) -> int:
    """Write what language servers need into the folder that an editor opens for the target."""
    chain.check(session, request)
    found = subject.find(session, wanted, request)
    own = found.named or source.locate(session, request.kernel)[1].directory
    if found.inside and not own:
        raise usage_error(
            f"{found.folder} is in the store, where nothing is edited: `./rfl rust-analyzer` sets "
            "up this checkout, from which the kernel can be read"
        )
    if found.inside and found.inside != found.folder:
        raise usage_error(
            f"{wanted} is part of the kernel in {found.folder}: open that, and type "
            f"`./rfl rust-analyzer --kernel {found.folder}`"
        )
    folder = EditorFolder(session, found.folder)
    folder.check()
    links = Links(session)
    built = subject.kernel_for(session, found, request, links)
    servers = sysroot.of(session, built.toolchain)
    modules = [each for each in found.modules if _fits(session, found, each, built)]
    entries = [entry for each in modules for entry in _prepared(session, each, built, links)]
    entries += [entry for each in found.laid for entry in _programs(session, each.files, built)]
    roots = [each.directory / at for each in modules for at in module.crate_roots(each.directory)]
    roots += [each.own_file for each in found.laid]
    project = rust_project.make(session, built, roots, found.folder, servers)
    shared = compile_commands.shared(session, built, found.folder, entries)
    if found.inside:
        entries = compile_commands.below(shared, found.folder)
    check_command = settings.check_command(session, found, _words(session, request))
    wishes = settings.wishes(
        session, built, check_command, servers, shared.parent if entries else None
    )

    written = [(rust_project.FILE, folder.write_project(rust_project.text_of(project)))]
    if entries:
        is_new = folder.write_commands(compile_commands.text_of(entries))
        if is_new is not None:
            written.append((compile_commands.FILE, is_new))
        else:
            session.terminal.note(f"{found.folder / compile_commands.FILE} is yours, and stays")
    is_new, kept = folder.write_settings(wishes)
    written.append((settings.FILE, is_new))
    for name, is_new in written:
        shown = os.path.relpath(found.folder / name)
        session.terminal.link("editor", shown, "written" if is_new else "unchanged")
    for name in kept:
        session.terminal.note(f"{settings.FILE} has another {name}, and keeps it")
    if json:
        print(_as_json(found, wishes, servers, shared.parent if entries else None))
    return 0


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
    if json:
        _keep_for_editors(session, built)
    errors: list[RflError] = []
    parts: list[Module | Path | Target] = [*found.modules, *found.laid]
    for each in [found.inside] if found.inside else parts:
        begun = time.monotonic()
        if isinstance(each, Target):
            name, report = each.name, _report_laid(session, each, request, links, clippy=clippy)
        else:
            name, report = _report(session, each, built, clippy=clippy)
        seconds = time.monotonic() - begun
        links.add("check", f"{name}: {_counted(report)}", "", seconds, cached=False)
        if json:
            for line in diagnostics.lines(report):
                print(line)
        elif report.text:
            session.terminal.line(report.text)
        if report.error:
            errors.append(report.error)
    for error in errors[1:]:
        session.terminal.note(error.sentence)
    if errors:  # what the compiler said is on the screen already
        raise RflError(errors[0].verdict, errors[0].sentence)
    return 0


def _report(
    session: Session, what: Module | Path, built: Kernel, *, clippy: bool
) -> tuple[str, Report]:
    """The report on a module, or on a file or folder of the kernel's source; what to call it."""
    if isinstance(what, Path):
        inside = what != built.source.path
        name = str(what.relative_to(built.source.path)) if inside else "the tree"
        return name, tree_check.check(session, built, what, clippy=clippy)
    try:
        _refuse_unfit(what, built)
    except RflError as error:
        return what.name, Report((), "", error)
    return what.name, diagnostics.of_module(session, what, built, clippy=clippy)


def _report_laid(
    session: Session, what: Target, request: Request, links: Links, *, clippy: bool
) -> Report:
    """The report on a module that is laid over a kernel."""
    assert what.in_tree  # noqa: S101 - one that is laid has it
    try:
        built = subject.laid_kernel(session, what, request, links)
    except RflError as error:
        report = Report((), error.detail, error)
        return diagnostics.with_a_place(report, [str(what.own_file)])
    owner = Module(what.name, what.files, f"modules/{what.name}")
    path = built.source.path / what.in_tree.source
    return tree_check.check(session, built, path, clippy=clippy, owner=owner)


def _counted(report: Report) -> str:
    """How many errors and warnings there are, in words."""
    if report.error and report.error.verdict is Verdict.USAGE:
        return "not for this kernel"
    counts = ((report.count(level), level) for level in ("error", "warning"))
    return ", ".join(f"{count} {level}{'s' * (count != 1)}" for count, level in counts)


def _refuse_unfit(checked: Module, built: Kernel) -> None:
    """Raise RflError(usage) for what a module.yaml asks of the kernel in vain."""
    needs = checked.directory / requirements.FILE
    if needs.is_file():
        requirements.check_source(needs, built.source, built.arch)
        values = kconfig.read(built.out / ".config")
        requirements.check_options(needs, built.source, built.arch, built.label, values)


def _keep_for_editors(session: Session, built: Kernel) -> None:
    """Keep `./rfl clean` from removing what an editor that asks for diagnostics uses, too."""
    with contextlib.suppress(RflError):  # a root without language servers can check all the same
        sysroot.of(session, built.toolchain)
    compile_commands.keep_shared(session, built)


def _fits(session: Session, found: Subject, each: Module, built: Kernel) -> bool:
    """Whether a module can be for the kernel; one that was asked for has been held against it."""
    try:
        _refuse_unfit(each, built)
    except RflError as error:
        if found.named:
            raise
        session.terminal.note(f"{each.name} is left out: {error.sentence}")
        return False
    return True


def _prepared(session: Session, each: Module, built: Kernel, links: Links) -> list[Entry]:
    """Build a module, so that its bindings are there, and return how its C is compiled.

    Errors in it are nothing to wait for: an editor is there to mend them.
    """
    with module.copied(session, each, built, *diagnostics.words(clippy=False)) as copy:
        begun = time.monotonic()
        report = diagnostics.run(session, each, built, copy)
        seconds = time.monotonic() - begun
        links.add("module", f"{each.name}: {_counted(report)}", "", seconds, cached=False)
        diagnostics.renew_bindings(each.directory, copy.work, new=True)
        entries = compile_commands.of_module(session, built, copy, each)
    return entries + _programs(session, each.directory, built)


def _programs(session: Session, folder: Path, built: Kernel) -> list[Entry]:
    """How the programs of the test in a folder are compiled."""
    try:
        programs = testspec.read(folder / "test.yaml").programs
    except (RflError, FileNotFoundError):  # a mistake in a test is told of when it is run
        programs = ()
    return compile_commands.of_programs(session, built, [folder / name for name in programs])


def _words(session: Session, request: Request) -> list[str]:
    """The options that choose the same kernel from any folder."""
    origin = source.locate(session, request.kernel)[1]
    kernel = request.kernel
    if kernel and Path(kernel).expanduser().exists():
        kernel = origin.directory or origin.tarball or kernel
    shipped = session.workspace.configs / "kconfig"
    fragments = tuple(
        each if (shipped / f"{each}.config").is_file() else str(Path(each).expanduser().resolve())
        for each in request.fragments
    )
    return replace(request, kernel=kernel, fragments=fragments).words()


def _as_json(
    found: Subject, wishes: list[Wish], servers: Path | None, commands: Path | None
) -> str:
    """What other editors have to be told, as a program reads it."""
    clangd = [str(servers / "bin" / "clangd") if servers else "clangd"]
    value = {
        "folder": str(found.folder),
        "server": str(servers / "bin" / "rust-analyzer") if servers else "rust-analyzer",
        "settings": settings.for_other_editors(wishes),
        "clangd": [*clangd, f"--compile-commands-dir={commands}"] if commands else None,
    }
    return jsons.dumps(value, indent=2)
