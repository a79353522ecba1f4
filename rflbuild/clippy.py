"""Clippy's words on Rust: of a module, by `make CLIPPY=1` in a copy, or of the kernel's crates."""

from __future__ import annotations

from pathlib import Path

from rflbuild import buildlog, module, savedcmd
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import RflError, Verdict, usage_error

_RECIPE = 1  # raise it when the way in which clippy is asked changes
_WORD = "CLIPPY=1"


def of_module(session: Session, owner: Module, built_for: Kernel) -> list[str]:
    """What clippy and rustc warn of in a module, with the user's paths; kept by its content.

    Raises RflError(build-error) if the module does not build.
    """
    roots = [unit for unit in module.units(owner.directory) if unit.endswith(".rs")]
    if not roots:
        raise usage_error(f"{owner.shown} compiles no Rust, and clippy reads nothing else")
    targets = [str(Path(root).with_suffix(".o")) for root in roots]
    with module.copied(session, owner, built_for, _WORD) as copy:

        def ask(into: Path) -> None:
            for target in targets:  # what was compiled already would not be read again
                (copy.work / target).unlink(missing_ok=True)
            said = module.make_single(session, owner, built_for, copy, _WORD, *targets)
            (into / "words").write_text(said)

        key = key_of("clippy", _RECIPE, copy.content, built_for.key, owner.shown, targets)
        said = (session.store.build("clippy", key, ask) / "words").read_text()
    return buildlog.diagnostics(said)


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
