"""Clippy's words on Rust: of a module, or of a crate of the kernel's own build."""

from __future__ import annotations

from rflbuild import buildlog, diagnostics, module, savedcmd, tree_check
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.verdict import usage_error


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
    report = tree_check.of_crate(session, built, command, clippy=True)
    if report.error:
        raise report.error
    return buildlog.diagnostics(report.text.replace(f"{savedcmd.source_of(built)}/", ""))
