"""Checking Rust of a kernel's own tree, by the commands with which its build made the objects.

Run again with another place for what it makes, such a command says what the build would say,
in a second, and the build's folder stays as it is. With other flags make itself would build
all Rust anew.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from rflbuild import buildlog, diagnostics, kernel, module, places, savedcmd
from rflbuild.diagnostics import JSON_FLAG, Report
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import RflError, Verdict, usage_error

_TIMEOUT = 600.0


def words(command: SavedCommand, compiler: str, into: Path) -> list[str]:
    """The command line that only checks a crate, in JSON; what it makes goes to `into`."""
    kept = [word for word in command.without_output()[1:] if word != JSON_FLAG]
    return [compiler, *kept, "--emit=metadata", f"--out-dir={into}", JSON_FLAG]


def of_file(built: Kernel, path: Path) -> list[SavedCommand]:
    """The crates of the last build that a Rust file is part of."""
    wanted = re.compile(rf"^  {re.escape(str(path))} \\?$", re.MULTILINE)
    folder = built.out / path.relative_to(built.source.path).parent
    for above in (folder, *folder.parents):
        if not above.is_relative_to(built.out):
            break
        found = [
            command
            for file in sorted(above.glob(".*.o.cmd"))
            for text in [file.read_text(errors="replace")]
            for command in [savedcmd.parse(text)]
            if command and command.is_rust and (command.source == str(path) or wanted.search(text))
        ]
        if found:
            return found
    return []


def check(
    session: Session,
    built: Kernel,
    path: Path,
    *,
    clippy: bool = False,
    owner: Module | None = None,
) -> Report:
    """What the compiler says of a file, or of all the crates in a folder, of a kernel's source.

    The kernel is the one that was last built. If the file is laid over its source, `owner` has
    the user's. Raises RflError(usage) for what that build did not compile.
    """
    relative = path.relative_to(built.source.path)
    place = built.source.place(str(relative))
    is_file = place.is_file()
    if is_file and path.suffix != ".rs":
        raise usage_error(
            f"{path} is no Rust, which is all that `check` reads of a kernel: `./rfl kernel` "
            "compiles the rest, and clangd shows what is wrong in C"
        )
    crates = of_file(built, path) if is_file else list(savedcmd.rust_of_kernel(built, path))
    if crates:
        reports = [of_crate(session, built, each, clippy=clippy) for each in crates]
        return _located(built, _joined(reports), relative, owner)
    beside = module.crate_roots(place.parent) if is_file else []
    is_own = built.source.mutable or str(relative) in built.source.laid
    if not is_own or path.name not in beside:
        raise usage_error(
            f"{path} is in nothing that the kernel's last build compiled: is its option set? "
            "`./rfl kernel` builds again, with the same --kernel and --fragment"
        )
    # It has not been built so far, for its errors perhaps: then there is nothing to disturb.
    told = [
        *kernel.variables(session, built.toolchain, built.source),
        f"RUSTFLAGS_{relative.stem}.o={JSON_FLAG}",
        str(relative.with_suffix(".o")),
    ]
    ccache = kernel.ccache_folders(session)
    with kernel.locked(session, built.out):
        done = kernel.run_make(session, built, *told, timeout=_TIMEOUT, write=ccache)
    if clippy and not done.status:
        return check(session, built, path, clippy=True, owner=owner)
    report = _report(session, built, done.output, done.status, str(relative))
    return _located(built, report, relative, owner)


def of_crate(session: Session, built: Kernel, crate: SavedCommand, *, clippy: bool) -> Report:
    """What the compiler says of a crate of the last build; its files are named as there."""
    name = key_of(str(built.out), crate.source)
    compiler = built.toolchain.program("clippy-driver" if clippy else "rustc")
    with session.store.lock(f"check-{name}"):
        into = session.store.work("check", name)
        argv = words(crate, compiler, into)
        done = savedcmd.run(session, built, crate, argv, cwd=built.out, write=[into])
    shown = os.path.relpath(crate.source, savedcmd.source_of(built))
    return _report(session, built, done.output, done.status, shown)


def _report(session: Session, built: Kernel, output: str, status: int, shown: str) -> Report:
    report = diagnostics.read(output)
    log = session.store.work("logs", "check") / f"{Path(shown).stem}-{built.out.name}.log"
    log.write_text(report.text)
    if status:
        error = session.store.full_disk() or buildlog.failure(shown, report.text, str(log))
        if error.verdict is not Verdict.BUILD_ERROR:
            raise error
        report = diagnostics.with_a_place(replace(report, error=error), [shown])
    return report


def _located(built: Kernel, report: Report, relative: Path, owner: Module | None) -> Report:
    laid = {str(relative): owner.directory / relative.name} if owner else {}
    return diagnostics.located(report, places.of_kernel(built, laid), owner)


def _joined(reports: list[Report]) -> Report:
    """Several reports as one; the first error is its error."""
    errors: list[RflError] = [each.error for each in reports if each.error]
    return Report(
        tuple(diagnostic for each in reports for diagnostic in each.diagnostics),
        "\n\n".join(each.text for each in reports if each.text),
        errors[0] if errors else None,
    )
