"""The command by which Kbuild made an object, which it saves beside it as `.NAME.o.cmd`.

With it one file can be compiled again, with the very flags of the kernel's build and
its output elsewhere, and nothing written into the build folder.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import kernel as kernels
from rflbuild.kernel import Kernel
from rflbuild.process import Completed
from rflbuild.session import Session
from rflbuild.verdict import RflError, usage_error

# scripts/Kbuild.include, "make-cmd"; before 6.2 it was `cmd_`.
_COMMAND = re.compile(r"^(?:saved)?cmd_(?P<target>\S+) := (?P<line>.*)$", re.MULTILINE)
# scripts/basic/fixdep.c
_SOURCE = re.compile(r"^source_\S+ := (\S+)$", re.MULTILINE)
_UNREAD = re.compile(r"#!\[allow\([^\]]*\bclippy::all\b")
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
_TIMEOUT = 900.0
_EMIT = ("--emit", "--out-dir", "-o")


@dataclass(frozen=True)
class SavedCommand:
    """How `target` is made of `source`: a compiler's command line and its environment.

    Paths are as make has them: absolute, or relative to the folder in which it runs.
    """

    target: str
    source: str
    environment: Mapping[str, str]
    argv: tuple[str, ...]

    @property
    def is_rust(self) -> bool:
        """Whether a Rust compiler makes it."""
        return self.source.endswith(".rs")

    def without_output(self) -> list[str]:
        """The command line with nothing said of its output, and no ccache before it."""
        words = list(self.argv[self.argv[0].endswith("ccache") :])
        kept: list[str] = []
        pairs = iter(words)
        for word in pairs:
            name = word.partition("=")[0]
            if name in _EMIT:
                if name == word:  # its value is the next word
                    next(pairs, None)
            elif word != "-c" and not re.match(r"-Wp,-MM?D,", word):
                kept.append(word)
        return kept


def parse(text: str) -> SavedCommand | None:
    """The command in the text of a .cmd file, if there is one; `source` is empty for what has none.

    What follows the compiler, such as objcopy or objtool, is left out.
    """
    found = _COMMAND.search(text)
    source = _SOURCE.search(text)
    if not found:
        return None
    line = found["line"].replace("$(pound)", "#").replace("$$", "$")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    environment: dict[str, str] = {}
    argv: list[str] = []
    for word in lexer:
        assignment = _ASSIGNMENT.fullmatch(word)
        if set(word) <= set(";&|<>"):
            break
        if assignment and not argv:
            environment[assignment[1]] = assignment[2]
        else:
            argv.append(word)
    return SavedCommand(found["target"], source[1] if source else "", environment, tuple(argv))


def run(
    session: Session,
    built: Kernel,
    command: SavedCommand,
    argv: Sequence[str],
    *,
    cwd: Path,
    write: Sequence[Path],
    read: Sequence[Path] = (),
) -> Completed:
    """Run `argv`, made of a saved command, in its environment.

    It sees the kernel's folders and `read`, and can write to those of `write` alone.
    """
    environment = {
        **kernels.build_environment(session),
        **command.environment,
        "RUSTC_BOOTSTRAP": "1",  # as the kernel's Makefile exports it, and the next one
        "CLIPPY_CONF_DIR": str(built.source.path),
    }
    if "OBJTREE" in environment:  # a kernel in the store was moved when it was ready
        environment["OBJTREE"] = str(built.out)
    seen = [source_of(built), *built.source.mounts, built.out, *read]
    return session.processes.run(
        built.toolchain.command(argv, cwd=cwd, read=seen, write=write),
        timeout=_TIMEOUT,
        cwd=cwd,
        env=environment,
    )


def source_of(kernel: Kernel) -> Path:
    """A kernel's source as its saved commands name it, which other paths may lead to as well."""
    link = kernel.out / "source"  # made by make for a build folder
    return link.readlink() if link.is_symlink() else kernel.source.path


def of_kernel(kernel: Kernel, file: str) -> SavedCommand:
    """The command by which a kernel's build compiled a file of its source, by its relative path.

    Raises RflError(usage) for a file that is not there, that is compiled as a part of
    another or that this configuration leaves out.
    """
    path = kernel.source.path / file
    if kernel.source.read(file) is None:
        there = [found.name for found in path.parent.glob("*") if found.suffix in (".c", ".rs")]
        near = difflib.get_close_matches(path.name, there, 1)
        hint = f"; did you mean {Path(file).parent / near[0]}?" if near else ""
        raise usage_error(f"Linux {kernel.source.release} has no {file}{hint}")
    own = kernel.out / Path(file).with_name(f".{path.stem}.o.cmd")
    above = [kernel.out / folder for folder in list(Path(file).parents)[:-1]]
    others = [cmd for folder in above for cmd in sorted(folder.glob(".*.cmd"))]
    for cmd in (own, *others):
        command = parse(cmd.read_text()) if cmd.is_file() else None
        if command and command.source == str(source_of(kernel) / file):
            return command
    raise _not_compiled(kernel, file, others)


def was_compiled(kernel: Kernel, file: str) -> bool:
    """Whether a kernel's build has compiled a file of its source, by its relative path."""
    try:
        return bool(of_kernel(kernel, file))
    except RflError:
        return False


def rust_of_kernel(kernel: Kernel, folder: Path | None = None) -> Iterator[SavedCommand]:
    """The commands by which a kernel's build compiled the Rust of its source, or of a part of it.

    Crates that no lint is to read are left out: those taken over from elsewhere, and bindings.
    """
    folder = folder.relative_to(kernel.source.path) if folder else Path()
    for cmd in sorted(kernel.out.rglob(".*.o.cmd")):
        text = cmd.read_text()
        source = _SOURCE.search(text)
        if not source or not source[1].endswith(".rs"):
            continue
        command, path = parse(text), Path(source[1])
        if (
            command
            and path.is_relative_to(source_of(kernel) / folder)
            and path.is_file()  # what is left of a crate that was removed is not
            and "--cap-lints=allow" not in command.argv
            and not _UNREAD.search(path.read_text(errors="replace"))
        ):
            yield command


def _not_compiled(kernel: Kernel, file: str, cmds: Sequence[Path]) -> RflError:
    """Why no object is made of a file that is there."""
    tree = source_of(kernel)
    path = str(tree / file)
    for cmd in cmds:
        text = cmd.read_text()
        command = parse(text)
        if command and re.search(rf"^  {re.escape(path)}(?: \\)?$", text, re.MULTILINE):
            whole = Path(command.source).relative_to(tree)
            return usage_error(f"{file} is compiled as a part of {whole}: give --file {whole}")
    what = f"Linux {kernel.source.release} {kernel.label} does not compile {file}"
    stem = re.escape(Path(file).stem)
    for name in ("Kbuild", "Makefile"):
        text = kernel.source.read(str(Path(file).with_name(name))) or ""
        option = re.search(rf"\$\((CONFIG_\w+)\)[^\n]*\b{stem}\.o\b", text)
        if option:
            return usage_error(f"{what}: {option[1]} is off; a --fragment can turn it on")
    return usage_error(f"{what}")
