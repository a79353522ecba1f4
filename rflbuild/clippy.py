"""Clippy's words on Rust: of a module, or of a crate of the kernel's own build."""

from __future__ import annotations

from rflbuild import buildlog, diagnostics, module, savedcmd
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict, usage_error


def of_module(session: Session, owner: Module, built_for: Kernel) -> list[str]:
    """What clippy and rustc warn of in a module, with the user's paths.

    Raises RflError(build-error) if the module does not build.
    """
    if not module.crate_roots(owner.directory):
        raise usage_error(f"{owner.shown} compiles no Rust, and clippy reads nothing else")
    report = diagnostics.of_module(session, owner, built_for, clippy=True)
    if report.error:
        raise report.error
    return buildlog.diagnostics(report.text)


def of_kernel(session: Session, built: Kernel, command: SavedCommand) -> list[str]:
    """What clippy and rustc warn of in one crate of a kernel, which a saved command compiles.

    Raises RflError(build-error) if it does not compile.
    """
    if not command.is_rust:
        raise usage_error(f"{command.source} is no Rust, and clippy reads nothing else")
    with session.store.scratch("clippy") as folder:
        words = command.without_output()
        words[0] = built.toolchain.program("clippy-driver")
        words += [f"--emit=metadata={folder / 'crate.rmeta'}", "--out-dir", str(folder)]
        done = savedcmd.run(session, built, command, words, cwd=built.out, write=[folder])
    output = done.output.replace(f"{savedcmd.source_of(built)}/", "")
    if done.status:
        raise RflError(
            Verdict.BUILD_ERROR,
            f"clippy-driver does not compile {command.source}",
            buildlog.first_error(output),
        )
    return buildlog.diagnostics(output)
