"""compile_commands.json: how the C of a kernel and of modules is compiled, as clangd wants it.

The kernel's own script reads the commands that its build has saved (scripts/clang-tools/
gen_compile_commands.py); here their files become the host's.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rflbuild import buildlog, places, program
from rflbuild.kernel import Kernel
from rflbuild.module import Copy, Module
from rflbuild.places import Places
from rflbuild.session import Session
from rflbuild.store import key_of, write_atomically

Entry = dict[str, Any]  # https://clang.llvm.org/docs/JSONCompilationDatabase.html, "Format"

FILE = "compile_commands.json"
_SHARED = "clangd"
_TIMEOUT = 300.0
_COMPILERS = ("ccache", "distcc", "sccache")  # what stands before the compiler's own name


def of_kernel(session: Session, built: Kernel) -> list[Entry]:
    """The C files that a kernel's build compiled, by their paths on the host."""
    name = key_of(str(built.out), built.key)
    into = session.store.work("commands", name)
    return _entries(session, built, built.out, into, places.of_kernel(built))


def of_module(session: Session, built: Kernel, copy: Copy, checked: Module) -> list[Entry]:
    """The C files of a module, by their paths in the user's folder, after its build in a copy."""
    into = session.store.work("commands", copy.work.name)
    there = places.of_module(built, copy.work, checked.directory)
    work, own = str(copy.work), str(checked.directory)
    return [
        {
            "arguments": [word.replace(work, own) for word in entry["arguments"]],
            "directory": own,
            "file": entry["file"],
        }
        for entry in _entries(session, built, copy.work, into, there)
        if Path(entry["file"]).is_relative_to(checked.directory)
    ]


def shared(session: Session, built: Kernel, folder: Path, entries: Sequence[Entry]) -> Path:
    """The one file for all folders that are edited with a kernel, theirs and the kernel's own.

    clangd indexes the kernel's C once for it; beside each folder it would do so again for each.
    """
    name = _name(built)
    with session.store.lock(f"clangd-{name}"):
        work = session.store.work(_SHARED, name)
        parts = work / "parts"
        parts.mkdir(exist_ok=True)
        kernels = parts / "kernel.json"
        if built.source.mutable or not kernels.exists():
            _write_part(kernels, built.out, of_kernel(session, built))
        if not folder.samefile(built.source.path):
            _write_part(parts / f"{key_of(str(folder))}.json", folder, entries)
        everything: list[Entry] = []
        for part in sorted(parts.glob("*.json")):
            value = json.loads(part.read_text())
            if Path(value["folder"]).is_dir():
                everything += value["entries"]
            else:
                part.unlink()
        text = text_of(everything)
        path = work / FILE
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text)
    return path


def keep_shared(session: Session, built: Kernel) -> None:
    """Let the store know that an editor uses what `shared` made, if it did."""
    if (session.store.root / "work" / _SHARED / _name(built)).is_dir():
        session.store.work(_SHARED, _name(built))


def _name(built: Kernel) -> str:
    return key_of(str(built.out))


def below(path: Path, folder: Path) -> list[Entry]:
    """Of the entries in a file, those of C in a folder."""
    entries: list[Entry] = json.loads(path.read_text())
    return [entry for entry in entries if Path(entry["file"]).is_relative_to(folder)]


def _write_part(path: Path, folder: Path, entries: Sequence[Entry]) -> None:
    write_atomically(path, json.dumps({"folder": str(folder), "entries": list(entries)}))


def of_programs(session: Session, built: Kernel, files: Iterable[Path]) -> list[Entry]:
    """The programs of a test, which are for the guest's user space."""
    return [_entry(program.command(session, built), built.out, path) for path in files]


def text_of(entries: Sequence[Entry]) -> str:
    """The entries as the text of the file, one for each C file; equal for equal entries."""
    by_file = {entry["file"]: entry for entry in entries}
    return json.dumps([by_file[name] for name in sorted(by_file)], indent=0) + "\n"


def _entries(
    session: Session, built: Kernel, folder: Path, into: Path, there: Places
) -> list[Entry]:
    """What the kernel's script finds below a folder, without the files that make generated."""
    log = session.store.work("logs", "commands") / f"{into.name}.log"
    log.unlink(missing_ok=True)
    script = built.source.path / "scripts" / "clang-tools" / "gen_compile_commands.py"
    argv = ["python3", str(script), "-d", str(folder), "-o", str(into / FILE)]
    done = session.processes.run(
        built.toolchain.command(
            argv, cwd=into, read={built.source.path, built.out, folder}, write=[into]
        ),
        timeout=_TIMEOUT,
        cwd=into,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        log=log,
    )
    if done.status:
        what = f"{FILE} of Linux {built.source.release}"
        raise session.store.full_disk() or buildlog.failure(what, done.output, str(log))
    entries = []
    for found in json.loads((into / FILE).read_text()):
        path = there.host(found["file"])
        # What is found in the build's folder only has been generated.
        if not path.is_relative_to(folder) and path.suffix == ".c":
            words = shlex.split(found["command"])
            entries.append(_entry(words[:-1], Path(found["directory"]), path))
    return entries


def _entry(words: Sequence[str], directory: Path, path: Path) -> Entry:
    kept = list(words)
    while kept and Path(kept[0]).name in _COMPILERS:
        kept.pop(0)
    return {"arguments": [*kept, str(path)], "directory": str(directory), "file": str(path)}
