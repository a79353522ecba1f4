"""Files laid out as the kernel wants them: Rust by rustfmt, C by clang-format where it is.

Each file goes through the formatter's standard input: it is not written to, and no
`mod` leads to another that may not be there yet, as bindings that are generated.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import kernel, module
from rflbuild.kernel import Plan
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error

_CONFIGS = (".rustfmt.toml", "rustfmt.toml")
_TIMEOUT = 600.0
# $1 is a folder with a file for each number from 1 to $2, $3 how many formatters may run at
# once; after them, the formatter. It tells the numbers of what could not be formatted.
_EACH = """
folder=$1 count=$2 jobs=$3 job=0
shift 3
while [ "$job" -lt "$jobs" ]; do
    job=$((job + 1)) number=$job
    while [ "$number" -le "$count" ]; do
        "$@" <"$folder/$number" >"$folder/$number.out" 2>"$folder/$number.err" || echo "$number"
        number=$((number + jobs))
    done &
done
wait
"""


@dataclass(frozen=True)
class Formatted:
    """A file as it was read and as it should be; `shown` is its path for people."""

    path: Path
    shown: str
    before: bytes
    after: bytes

    @property
    def changed(self) -> bool:
        """Whether it is not as it should be."""
        return self.before != self.after

    def diff(self) -> str:
        """What would change, as a unified diff."""
        old, new = (
            text.decode(errors="replace").splitlines(keepends=True)
            for text in (self.before, self.after)
        )
        return "".join(difflib.unified_diff(old, new, self.shown, self.shown))

    def write(self) -> None:
        """Put the file in order. Raises RflError(usage) if it was edited since it was read."""
        place = self.path.resolve()  # what a link leads to, and not the link
        if place.read_bytes() != self.before:
            raise usage_error(
                f"{self.shown} was changed meanwhile, and is left as it is: try again"
            )
        write_atomically(place, self.after)


def rust_of_module(owner: Module) -> dict[Path, str]:
    """The Rust files of a module, and how to show them; those that are generated are left out."""
    return _of_module(owner, ".rs")


def c_of_module(owner: Module) -> dict[Path, str]:
    """The C files of a module, and how to show them."""
    return _of_module(owner, ".c", ".h")


def rust_of_tree(session: Session, plan: Plan) -> dict[Path, str]:
    """The Rust files of a kernel's tree that its own `make rustfmt` formats."""
    tree = plan.source.path
    argv = ["make", "--silent", "--no-print-directory", f"--directory={tree}"]
    argv += [f"ARCH={plan.arch.make_arch}", *plan.toolchain.make_variables]
    done = session.processes.run(
        plan.toolchain.command([*argv, "rustfmt", "RUSTFMT=echo"], cwd=tree, read=[tree]),
        timeout=_TIMEOUT,
        cwd=tree,
        env=kernel.build_environment(session),
    )
    paths = [Path(word) for word in done.output.split()]
    if done.status or not paths or not all((tree / path).is_file() for path in paths):
        raise environment_error(f"`make rustfmt` of {tree} does not tell its files", done.output)
    return {tree / path: str(tree / path) for path in sorted(paths)}


def rust(
    session: Session, plan: Plan, files: Mapping[Path, str], owner: Module | None = None
) -> list[Formatted]:
    """Rust files as rustfmt has them with the kernel's settings, or the module's own if it has any.

    Raises RflError(build-error) for what rustfmt cannot read.
    """
    own = [owner.directory / name for name in _CONFIGS] if owner else []
    config = next((path for path in own if path.is_file()), plan.source.path / ".rustfmt.toml")
    argv = [plan.toolchain.program("rustfmt"), "--config-path", str(config)]
    return _format(session, plan, argv, config, files)


def c(session: Session, plan: Plan, files: Mapping[Path, str]) -> list[Formatted] | None:
    """C files as clang-format has them with the kernel's settings; None without clang-format."""
    name = plan.toolchain.llvm("clang-format")
    if not plan.toolchain.tools(session, [name], session.store.root):
        return None
    config = plan.source.path / ".clang-format"
    argv = [name, f"--style=file:{config}", "--assume-filename=a.c"]
    return _format(session, plan, argv, config, files)


def _of_module(owner: Module, *suffixes: str) -> dict[Path, str]:
    return {
        owner.directory / path: f"{owner.shown}/{path}"
        for path in module.files(owner.directory)
        if path.suffix in suffixes and "generated" not in path.name
    }


def _format(
    session: Session, plan: Plan, argv: Sequence[str], config: Path, files: Mapping[Path, str]
) -> list[Formatted]:
    before = {path: path.read_bytes() for path in files}
    with session.store.scratch("format") as folder:
        for number, content in enumerate(before.values(), 1):
            (folder / str(number)).write_bytes(content)
        shell = ["sh", "-c", _EACH, "sh", str(folder), str(len(files)), str(session.jobs), *argv]
        done = session.processes.run(
            plan.toolchain.command(shell, cwd=folder, read=[config.parent], write=[folder]),
            timeout=_TIMEOUT,
            cwd=folder,
        )
        told = done.output.split()
        if told and all(word.isdecimal() for word in told):
            first = min(map(int, told))
            shown = list(files.values())[first - 1]
            words = (folder / f"{first}.err").read_text(errors="replace")
            raise RflError(
                Verdict.BUILD_ERROR,
                f"{argv[0]} cannot read {shown}; nothing was changed",
                words.replace("<stdin>", shown).rstrip(),
            )
        if done.status or told:
            raise environment_error(f"{argv[0]} does not run here", done.output.rstrip())
        made = [
            Formatted(path, files[path], content, (folder / f"{number}.out").read_bytes())
            for number, (path, content) in enumerate(before.items(), 1)
        ]
    for each in made:
        if each.before.strip() and not each.after:
            raise environment_error(f"{argv[0]} makes nothing of {each.shown}: is it complete?")
    return made
