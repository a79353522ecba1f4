"""What a compiler makes of one file: LLVM IR, assembly, expanded macros, MIR, the object.

For a file of a module it is the kernel's own single target (`make M=… file.ll`), made in
the module's copy. A kernel's build folder is not written to: there the command that
compiled the file is run again, with its output elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import module, savedcmd
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error

FORMS = {
    "ll": "LLVM IR",
    "s": "assembly",
    "i": "expanded macros",
    "o": "the object",
    "mir": "Rust's mid-level representation",
}
_RUSTC = {"ll": "llvm-ir", "s": "asm", "mir": "mir"}
# scripts/Makefile.build: cpp_i_c, cc_s_c, cc_ll_c; cpp_s_S for assembly.
_CLANG = {
    "ll": ["-emit-llvm", "-S", "-fno-discard-value-names"],
    "s": ["-fverbose-asm", "-S"],
    "i": ["-E"],
}
_TIMEOUT = 900.0


@dataclass(frozen=True)
class Emitted:
    """What was made of `file`, of that form; an object's bytes or a text's."""

    file: str
    form: str
    content: bytes


def of_module(
    session: Session, owner: Module, built_for: Kernel, file: str | None, form: str
) -> Emitted:
    """What a module's build makes of one of its files, or of its only one.

    Raises RflError(usage) for another file or form, and RflError(build-error) with
    the compiler's words.
    """
    chosen = _choose(owner, file)
    _check(chosen, form)
    suffix = {"i": "rsi" if chosen.endswith(".rs") else "i", "mir": "ll"}.get(form, form)
    if chosen.endswith(".S") and form == "i":
        suffix = "s"
    target = Path(chosen).with_suffix(f".{suffix}")
    with module.copied(session, owner, built_for) as copy:
        module.make_single(session, owner, built_for, copy, str(target))
        made = copy.work / target
        if form == "mir":
            made = copy.work / target.with_suffix(".mir")
            saved = copy.work / target.with_name(f".{target.name}.cmd")
            command = savedcmd.parse(saved.read_text())
            assert command  # noqa: S101 - make has just saved it
            # From 6.13 on make runs in the module's folder, before in the kernel's.
            cwd = built_for.out if Path(command.target).is_absolute() else copy.work
            _rerun(session, built_for, command, form, made, cwd, [copy.work])
        content = made.read_bytes()
    if form != "o":
        content = content.replace(str(copy.work).encode(), owner.shown.encode())
    return Emitted(chosen, form, content)


def of_kernel(session: Session, built: Kernel, file: str, form: str) -> Emitted:
    """What a kernel's build makes of a file of its source, by its path there.

    Raises RflError(usage) for a file that is not compiled, and RflError(build-error)
    with the compiler's words.
    """
    chosen = inside(built.source.path, file) or os.path.normpath(file)
    command = savedcmd.of_kernel(built, chosen)
    _check(chosen, form)
    if form == "o":
        return Emitted(chosen, form, (built.out / command.target).read_bytes())
    with session.store.scratch("emit") as folder:
        made = folder / f"{Path(chosen).stem}.{form}"
        with session.terminal.progress(chosen, None):
            _rerun(session, built, command, form, made, built.out, [folder])
        if command.is_rust and form == "i":
            _rustfmt(session, built, made)
        return Emitted(chosen, form, made.read_bytes())


def as_text(session: Session, toolchain: Toolchain, emitted: Emitted, *, raw: bool) -> str:
    """What was made, for people: an object disassembled; names demangled unless `raw`."""
    if emitted.form == "o":
        flags = ["--disassemble", "--reloc", *([] if raw else ["--demangle"])]
        argv = [toolchain.llvm("llvm-objdump"), *flags, "-"]
    elif raw or emitted.form in ("i", "mir"):  # both have their names from the source
        return emitted.content.decode(errors="replace")
    else:
        argv = [toolchain.llvm("llvm-cxxfilt")]
    return _filter(session, toolchain, argv, emitted.content)


def inside(folder: Path, given: str) -> str | None:
    """The path relative to `folder` of a file in it, given as that or as any path that leads there.

    None if there is no such file.
    """
    path = Path(given).expanduser()
    for candidate in (folder / path, Path.cwd() / path):
        if candidate.is_file():
            normal = Path(os.path.normpath(candidate))
            for found, top in ((normal, folder), (candidate.resolve(), folder.resolve())):
                if found.is_relative_to(top):
                    return str(found.relative_to(top))
    return None


def _choose(owner: Module, file: str | None) -> str:
    """The file of a module that is meant: the one that is named, or the only crate's root."""
    units = module.units(owner.directory)
    roots = [unit for unit in units if unit.endswith(".rs")]
    if file is None:
        for found in (roots, units):
            if len(found) == 1:
                return found[0]
        which = f" ({', '.join(units)})" if units else ""
        raise usage_error(f"say by --file which file of {owner.shown} is meant{which}")
    chosen = inside(owner.directory, file)
    if chosen is None:
        raise usage_error(f"{owner.shown} has no {file}; it compiles {', '.join(units)}")
    if units and chosen not in units:
        raise usage_error(
            f"{owner.shown} does not compile {chosen} by itself; what it does: {', '.join(units)}"
        )
    return chosen


def _check(file: str, form: str) -> None:
    if form not in FORMS:
        raise usage_error(f"--as is one of {', '.join(FORMS)}, not `{form}`")
    if form == "mir" and not file.endswith(".rs"):
        raise usage_error(f"{file} is no Rust, and only Rust has MIR")
    if form == "ll" and file.endswith(".S"):
        raise usage_error(f"{file} is assembly, of which no LLVM IR is made: try --as i")


def _rerun(
    session: Session,
    built: Kernel,
    command: SavedCommand,
    form: str,
    made: Path,
    cwd: Path,
    write: Sequence[Path],
) -> None:
    """Compile a file again in another form, into `made`."""
    words = command.without_output()
    if command.is_rust and form == "i":
        words += ["-Zunpretty=expanded", "-o", str(made)]
    elif command.is_rust:
        words += [f"--emit={_RUSTC[form]}={made}", "--out-dir", str(made.parent)]
    else:
        if form == "s":  # as cc_s_c has it: without debug information and LTO
            words = [word for word in words if not re.match(r"-g|-flto|-fsplit-lto", word)]
        form = "i" if command.source.endswith(".S") else form
        words += [*_CLANG[form], "-o", str(made)]
    done = savedcmd.run(session, built, command, words, cwd=cwd, write=write)
    if done.status:
        raise session.store.full_disk() or RflError(
            Verdict.BUILD_ERROR, f"{words[0]} does not compile {command.source}", done.output
        )


def _rustfmt(session: Session, built: Kernel, made: Path) -> None:
    """Lay expanded macros out as the kernel's make does, where rustfmt is able to."""
    config = built.source.path / ".rustfmt.toml"
    argv = [built.toolchain.program("rustfmt"), "--config-path", str(config), str(made)]
    session.processes.run(
        built.toolchain.command(
            argv, cwd=made.parent, read=[built.source.path], write=[made.parent]
        ),
        timeout=_TIMEOUT,
        cwd=made.parent,
    )


def _filter(session: Session, toolchain: Toolchain, argv: Sequence[str], content: bytes) -> str:
    """What a tool that reads its standard input writes."""
    with session.store.scratch("filter") as folder:
        (folder / "in").write_bytes(content)
        shell = ["sh", "-c", 'exec "$@" <in >out', "sh", *argv]
        done = session.processes.run(
            toolchain.command(shell, cwd=folder, write=[folder]), timeout=_TIMEOUT, cwd=folder
        )
        if done.status:
            words = (done.output.strip().splitlines() or [f"it ended with {done.status}"])[-1]
            raise environment_error(f"{argv[0]} does not work here ({words}): is LLVM complete?")
        return (folder / "out").read_text(errors="replace")
