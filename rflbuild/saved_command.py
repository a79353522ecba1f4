"""Checking Rust of a kernel's own tree: the commands by which its build made the objects.

Kbuild keeps each in a file `.NAME.o.cmd` beside the object (scripts/Kbuild.include). Run again
with another place for what it makes, it says what the build would say, in a second, and the
build's folder stays as it is. With other flags make itself would build all Rust anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import buildlog, diagnostics, kernel, module, places
from rflbuild.diagnostics import JSON_FLAG, Report
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import RflError, Verdict, usage_error

_TIMEOUT = 600.0
_SAVED = re.compile(r"(?:saved)?cmd_\S+ := (.*)")
_SOURCE = re.compile(r"^source_\S+ := (\S+)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
_RUSTC = "rustc"
_WITH_A_PLACE = ("--out-dir", "-o")  # options whose next word is where something is made


@dataclass(frozen=True)
class Saved:
    """A crate that the build compiled: its root file, and the command as words."""

    source: Path
    environment: dict[str, str]
    words: tuple[str, ...]

    def check(self, into: Path, *, clippy: bool) -> list[str]:
        """The command that only checks the crate, in JSON; what it makes goes to `into`."""
        kept: list[str] = []
        left_out = False
        for word in self.words[1:]:
            replaced = word == JSON_FLAG or word.startswith("--emit=")
            if not left_out and not replaced and word not in _WITH_A_PLACE:
                kept.append(word)
            left_out = not left_out and word in _WITH_A_PLACE
        compiler = self.words[0]
        if clippy:  # Debian's `rustc-1.85` goes with `clippy-driver` all the same
            compiler = str(Path(compiler).with_name("clippy-driver"))
        return [compiler, *kept, "--emit=metadata", f"--out-dir={into}", JSON_FLAG]


def parse(text: str) -> Saved | None:
    """The crate that a .cmd file is about; None if it is about something else."""
    found, source = _SAVED.match(text), _SOURCE.search(text)
    if not found or not source or not source[1].endswith(".rs"):
        return None
    line = found[1].replace("$(pound)", "#").replace("$$", "$")
    environment: dict[str, str] = {}
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    for word in lexer:
        if re.fullmatch(r"[;&|]+", word):
            break
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment and not words:
            environment[assignment[1]] = assignment[2]
        else:
            words.append(word)
    if not words or not Path(words[0]).name.startswith((_RUSTC, "clippy-driver")):
        return None
    return Saved(Path(source[1]), environment, tuple(words))


def of_file(built: Kernel, path: Path) -> list[Saved]:
    """The crates of the last build that a Rust file is part of."""
    wanted = re.compile(rf"^  {re.escape(str(path))} \\?$", re.MULTILINE)
    folder = built.out / path.relative_to(built.source.path).parent
    for above in (folder, *folder.parents):
        if not above.is_relative_to(built.out):
            break
        found = [
            saved
            for file in sorted(above.glob(".*.cmd"))
            for text in [file.read_text(errors="replace")]
            for saved in [parse(text)]
            if saved and (saved.source == path or wanted.search(text))
        ]
        if found:
            return found
    return []


def below(built: Kernel, folder: Path) -> Iterator[Saved]:
    """The crates of the last build whose root files are in a folder of the source, sorted.

    Of rust/ only the kernel crate, unless the folder is there: it leads to all the rest.
    """
    kernel_crate = built.source.path / "rust" / "kernel" / "lib.rs"
    libraries = built.source.path / "rust"
    for file in sorted((built.out / folder.relative_to(built.source.path)).rglob(".*.o.cmd")):
        saved = parse(file.read_text(errors="replace"))
        if not saved or not saved.source.is_relative_to(folder):
            continue
        is_library = saved.source.is_relative_to(libraries) and saved.source != kernel_crate
        if not is_library or folder.is_relative_to(libraries):
            yield saved


def check(session: Session, built: Kernel, path: Path, *, clippy: bool = False) -> Report:
    """What the compiler says of a file, or of all the crates in a folder, of a kernel's source.

    The kernel is the one that was last built. Raises RflError(usage) for what that build
    did not compile.
    """
    crates = of_file(built, path) if path.is_file() else list(below(built, path))
    if crates:
        return _joined([_check(session, built, each, clippy=clippy) for each in crates])
    relative = path.relative_to(built.source.path)
    beside = module.crate_roots(path.parent) if path.is_file() else []
    if not built.source.mutable or path.name not in beside:
        raise usage_error(
            f"{path} is in nothing that the kernel's last build compiled: is its option set? "
            "`./rfl kernel` builds again, with the same --kernel and --fragment"
        )
    # It has not been built so far, for its errors perhaps: then there is nothing to disturb.
    done = session.processes.run(
        kernel.make(
            built.toolchain,
            built.arch,
            built.source,
            built.out,
            *kernel.variables(session, built.toolchain, built.source),
            f"RUSTFLAGS_{relative.stem}.o={JSON_FLAG}",
            str(relative.with_suffix(".o")),
        ),
        timeout=_TIMEOUT,
        cwd=built.out,
        env=kernel.build_environment(session),
    )
    return _report(session, built, done.output, done.status, str(relative))


def _check(session: Session, built: Kernel, crate: Saved, *, clippy: bool) -> Report:
    name = key_of(str(built.out), str(crate.source))
    with session.store.lock(f"check-{name}"):
        into = session.store.work("check", name)
        done = session.processes.run(
            built.toolchain.command(
                crate.check(into, clippy=clippy),
                cwd=built.out,
                read=[built.source.path, built.out],
                write=[into],
            ),
            timeout=_TIMEOUT,
            cwd=built.out,
            env={
                **kernel.build_environment(session),
                **crate.environment,
                "OBJTREE": str(built.out),  # the folder may have moved since
                "RUSTC_BOOTSTRAP": "1",
                "CLIPPY_CONF_DIR": str(built.source.path),
            },
        )
    shown = str(crate.source.relative_to(built.source.path))
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
    return diagnostics.located(report, places.of_kernel(built))


def _joined(reports: list[Report]) -> Report:
    """Several reports as one; the first error is its error."""
    errors: list[RflError] = [each.error for each in reports if each.error]
    return Report(
        tuple(diagnostic for each in reports for diagnostic in each.diagnostics),
        "\n\n".join(each.text for each in reports if each.text),
        errors[0] if errors else None,
    )
