"""A module's folder, and its build against a kernel.

The sources are copied into a work folder of the store and built there, so that
nothing is written into the user's folder, and an unchanged module is not built
again: its key comes from the copied content.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import buildlog, kernel, requirements
from rflbuild.kernel import Kernel
from rflbuild.session import Session, Workspace
from rflbuild.store import key_of, remove_tree, write_atomically
from rflbuild.verdict import RflError, Verdict, usage_error

_RECIPE = 1  # raise it when the way a module is built changes
_TIMEOUT = 1800.0
_MOST_FILES = 2000
_MOST_BYTES = 64_000_000
# What an external module's build leaves (the kernel's Makefile, target `clean`).
_PRODUCT = re.compile(
    r"(.*\.(o|ko|mod|mod\.c|a|so|rmeta|d|su|dwo|symtypes|order|symvers|i|ll|s)|\..*\.(cmd|d)"
    r"|rust-project\.json|compile_commands\.json|Module\.symvers|modules\.order"
    r"|bindings_generated\.(h|rs))$"
)
_SKIPPED_FOLDERS = set(
    ".cache .git .tmp_versions .venv .vscode __pycache__ results target".split()  # .cache: clangd's
)
# `  --> hello.rs:3:5` of rustc's, `hello.c:3:5: error: …` of clang's.
_RELATIVE = re.compile(
    r"^(?P<lead> *(?:--> |::: )?)(?P<path>[\w+-][\w./+-]*\.(?:rs|c|h|S))(?=:\d)", re.MULTILINE
)
_OBJ_M = re.compile(r"\bobj-(?:m|\$\(\w+\))\s*[:+?]?=|\bobj-m\b")


@dataclass(frozen=True)
class Module:
    """A folder that builds one kernel module or more; `shown` is its path for people."""

    name: str
    directory: Path
    shown: str


@dataclass(frozen=True)
class Built:
    """What a module's build left: each .ko, in the order in which to load them."""

    key: str
    objects: tuple[Path, ...]
    seconds: float
    log: Path

    @property
    def cached(self) -> bool:
        """Whether it was there already."""
        return self.seconds == 0


@dataclass(frozen=True)
class Copy:
    """A module's sources in the folder `work`, a key of their content, and the build's log."""

    work: Path
    content: str
    log: Path


def names(session: Session) -> list[str]:
    """The user's modules, sorted."""
    folder = session.workspace.modules
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def at(directory: Path, shown: str) -> Module:
    """The module in a folder; RflError(usage) if its Kbuild or Makefile builds none."""
    if not directory.is_dir():
        raise usage_error(f"{shown} is not a folder")
    if is_module(directory):
        return Module(directory.resolve().name, directory.resolve(), shown)
    raise usage_error(
        f"{shown} holds no module: it has neither a Kbuild nor a Makefile that sets `obj-m`"
    )


def is_module(directory: Path) -> bool:
    """Whether a folder has a Kbuild or a Makefile that builds a module."""
    files = (directory / name for name in ("Kbuild", "Makefile"))
    return any(file.is_file() and _OBJ_M.search(file.read_text(errors="replace")) for file in files)


def unknown(target: str, valid: Sequence[str]) -> RflError:
    """The error for a name that is neither a module nor a folder."""
    near = difflib.get_close_matches(target, valid, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(valid)}"
    return usage_error(
        f"there is no module `{target}`; {hint} (or type `invoke new-module {target}`)"
    )


def build(session: Session, module: Module, built_for: Kernel, *extra: str) -> Built:
    """Build a module against a kernel, if it is not there yet.

    `extra` are further words for make, such as CLIPPY=1; then it is built anew.
    Raises RflError(build-error) with the compiler's words.
    """
    with copied(session, module, built_for, *extra) as copy:
        key = key_of("module", _RECIPE, copy.content, built_for.key, module.name, extra)
        begun = time.monotonic()
        cached = session.store.has("module", key)
        place = session.store.build(
            "module",
            key,
            lambda into: _make(session, module, built_for, copy.work, into, copy.log, extra),
        )
    objects = tuple(place / line for line in (place / "order").read_text().split())
    return Built(key, objects, 0.0 if cached else time.monotonic() - begun, copy.log)


@contextlib.contextmanager
def copied(session: Session, module: Module, built_for: Kernel, *extra: str) -> Iterator[Copy]:
    """A module's sources in a work folder of the store, up to date and ours while this lasts.

    What make left there before is still there; `extra` is as for `build`, and has its own folder.
    """
    name = key_of(str(module.directory), built_for.key, extra)
    with session.store.lock(f"module-{name}"):
        work = session.store.work("module", name)
        content = _synchronise(module, _sources(session.workspace, module), work)
        log = session.store.work("logs", "module") / f"{module.name}-{name}.log"
        yield Copy(work, content, log)


def crate_roots(directory: Path) -> list[str]:
    """The Rust files below a folder that its makefiles make objects of, by their relative paths.

    As the kernel's scripts/generate_rust_analyzer.py finds them.
    """
    makefiles: dict[Path, str] = {}
    found = []
    for folder, subfolders, files in os.walk(directory):
        subfolders[:] = sorted(s for s in subfolders if s not in _SKIPPED_FOLDERS)
        here = Path(folder)
        for name in ("Makefile", "Kbuild"):
            if name in files:
                text = (here / name).read_text(errors="replace")
                makefiles[here] = makefiles.get(here, "") + text
        for name in sorted(files):
            path = here / name
            if path.suffix == ".rs" and any(
                re.search(rf"(?<![\w/-]){re.escape(str(path.relative_to(above))[:-3])}\.o\b", text)
                for above, text in makefiles.items()
                if path.is_relative_to(above)
            ):
                found.append(str(path.relative_to(directory)))
    return found


def remove_products(work: Path) -> None:
    """Remove what make left in a module's copy."""
    for folder, _, files in os.walk(work):
        for name in files:
            if _PRODUCT.fullmatch(name):
                Path(folder, name).unlink()


def remove_objects(work: Path, suffix: str) -> None:
    """Remove what was compiled of the sources in a module's copy that end in `.rs` or `.c`."""
    for relative in _files(work):
        if relative.suffix == suffix:
            (work / relative).with_suffix(".o").unlink(missing_ok=True)


def _files(directory: Path) -> Iterator[Path]:
    """The sources below a folder, as paths relative to it, sorted; products are left out."""
    for folder, subfolders, files in os.walk(directory):
        subfolders[:] = sorted(s for s in subfolders if s not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            # A link to nothing is how Emacs locks a file.
            if not _PRODUCT.fullmatch(name) and Path(folder, name).is_file():
                yield Path(folder, name).relative_to(directory)


def _sources(workspace: Workspace, module: Module) -> dict[Path, Path]:
    """The module's files by their relative paths, with the means to make bindings if it needs any.

    Its own bindings.mk and bindings.py, if it has them, go before those of templates/.
    """
    found = {relative: module.directory / relative for relative in _files(module.directory)}
    if requirements.read(module.directory).bindings:
        shipped = workspace.templates / requirements.BINDINGS
        found = {relative: shipped / relative for relative in _files(shipped)} | found
    return dict(sorted(found.items()))


def _synchronise(module: Module, sources: Mapping[Path, Path], work: Path) -> str:
    """Make `work` hold the module's sources; returns a key of their content.

    A file is written only when its content differs, so that make sees what
    changed and nothing else.
    """
    rows: list[tuple[str, str, bool]] = []
    files: dict[Path, bytes] = {}
    total = 0
    for relative, path in sources.items():
        content = path.read_bytes()
        total += len(content)
        if total > _MOST_BYTES or len(rows) >= _MOST_FILES:
            raise usage_error(
                f"{module.shown} is too large for a module's folder (over {_MOST_FILES} files or "
                f"{_MOST_BYTES // 1_000_000} MB): give the folder that holds the Kbuild alone"
            )
        executable = os.access(path, os.X_OK)
        rows.append((str(relative), hashlib.sha256(content).hexdigest(), executable))
        files[relative] = content
    for relative in list(_files(work)):
        if relative not in files:
            (work / relative).unlink()
    for (name, _, executable), content in zip(rows, files.values(), strict=True):
        copy = work / name
        if not copy.is_file() or copy.read_bytes() != content:
            if copy.is_dir():
                remove_tree(copy)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(copy, content)
        copy.chmod(0o755 if executable else 0o644)
    return key_of(rows)


def _make(
    session: Session,
    module: Module,
    built_for: Kernel,
    work: Path,
    into: Path,
    log: Path,
    extra: Sequence[str],
) -> None:
    log.unlink(missing_ok=True)
    (work / "modules.order").unlink(missing_ok=True)
    done = session.processes.run(
        kernel.make(
            built_for.toolchain,
            built_for.arch,
            built_for.source,
            built_for.out,
            f"M={work}",
            *extra,
            "modules",
            write=[work],
        ),
        timeout=_TIMEOUT,
        cwd=built_for.out,
        env=kernel.build_environment(session),
        log=log,
    )
    output = _as_the_users(done.output, module, work)
    if done.status:
        raise session.store.full_disk() or buildlog.failure(
            f"the module {module.name}", output, str(log)
        )
    if warnings := buildlog.warnings(output):
        more = f", and {len(warnings) - 1} more in {log}" if len(warnings) > 1 else ""
        session.terminal.note(f"the compiler warns: {warnings[0]}{more}")
    objects = _order(work)
    if not objects:
        raise RflError(
            Verdict.USAGE, f"{module.shown} builds no module: make left no .ko; the log is {log}"
        )
    for path in objects:
        shutil.copy2(path, into / path.name)
    (into / "order").write_text("\n".join(path.name for path in objects))


def _as_the_users(output: str, module: Module, work: Path) -> str:
    """The compilers' words with the paths of the user's files instead of the copies'."""

    def shown(found: re.Match[str]) -> str:
        is_ours = (module.directory / found["path"]).is_file()
        return found["lead"] + (f"{module.shown}/{found['path']}" if is_ours else found["path"])

    return _RELATIVE.sub(shown, output.replace(f"{work}/", f"{module.shown}/"))


def _order(work: Path) -> list[Path]:
    """The .ko files that make left, in the order of its modules.order."""
    order = work / "modules.order"
    lines = order.read_text().split() if order.is_file() else []
    found = [_ko(work, line) for line in lines]
    return [path for path in found if path.is_file()]


def _ko(work: Path, line: str) -> Path:
    path = Path(line).with_suffix(".ko")
    return path if path.is_absolute() else work / path
