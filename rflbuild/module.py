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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import buildlog, kernel, requirements
from rflbuild.kernel import Kernel
from rflbuild.session import Session, Workspace
from rflbuild.store import key_of, remove_tree, write_atomically
from rflbuild.verdict import RflError, Verdict, usage_error

_RECIPE = 2  # raise it when the way a module is built changes
_TIMEOUT = 1800.0
_MOST_FILES = 2000
_MOST_BYTES = 64_000_000
# What an external module's build leaves (the kernel's Makefile, target `clean`).
_PRODUCT = re.compile(
    r"(.*\.(o|ko|mod|mod\.c|a|so|rmeta|d|su|dwo|symtypes|order|symvers|i|ll|rsi|s)|\..*\.(cmd|d)"
    r"|rust-project\.json|compile_commands\.json|Module\.symvers|modules\.order"
    r"|bindings_generated\.(h|rs))$"
)
_SKIPPED_FOLDERS = {"__pycache__", "results", "target"}
# Hidden files are editors' swap files and settings; beside them editors leave backups
# (`a.rs~`), what they saved by themselves (Emacs: `#a.rs#`) and, for a moment, files by which
# they find out whether they may write (Vim: `4913`), or safe copies (JetBrains).
_EDITORS = re.compile(r"\..*|.*~|#.*#|4913|.*___jb_(tmp|old)___")
# `  --> hello.rs:3:5` of rustc's, `hello.c:3:5: error: …` of clang's.
_RELATIVE = re.compile(
    r"^(?P<lead> *(?:--> |::: )?)(?P<path>[\w+-][\w./+-]*\.(?:rs|c|h|S))(?=:\d)", re.MULTILINE
)
_PLAIN_PATH = re.compile(r"[\w./+~@-]+", re.ASCII)  # a path that make and the shell leave alone
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
        f"there is no module `{target}`; {hint} (or type `./rfl new-module {target}`)"
    )


def build(session: Session, module: Module, built_for: Kernel, *extra: str) -> Built:
    """Build a module against a kernel, if it is not there yet.

    `extra` are further words for make, such as CLIPPY=1; then it is built anew.
    Raises RflError(build-error) with the compiler's words.
    """
    with copied(session, module, built_for, *extra) as copy:
        where = str(module.directory)
        key = key_of("module", _RECIPE, copy.content, built_for.key, module.name, where, extra)
        begun = time.monotonic()
        cached = session.store.has("module", key)
        place = session.store.build(
            "module",
            key,
            lambda into: _make(session, module, built_for, copy, into, extra),
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


def make(session: Session, module: Module, built_for: Kernel, copy: Copy, *words: str) -> str:
    """What make says of a module's copy, with the user's paths; `words` are for make.

    Raises RflError(build-error) with the compiler's words.
    """
    copy.log.unlink(missing_ok=True)
    done = kernel.run_make(
        session,
        built_for,
        f"M={copy.work}",
        *_paths_of_the_users(module, copy.work),
        *words,
        timeout=_TIMEOUT,
        write=[copy.work],
        log=copy.log,
    )
    output = _as_the_users(done.output, module, copy.work)
    if done.status:
        raise session.store.full_disk() or buildlog.failure(
            f"the module {module.name}", output, str(copy.log)
        )
    return output


def remove_products(work: Path) -> None:
    """Remove what make left in a module's copy."""
    for folder, _, names in os.walk(work):
        for name in names:
            if _PRODUCT.fullmatch(name):
                Path(folder, name).unlink()


def remove_objects(work: Path, suffix: str) -> None:
    """Remove what was compiled of the sources in a module's copy that end in `.rs` or `.c`."""
    for relative in files(work):
        if relative.suffix == suffix:
            (work / relative).with_suffix(".o").unlink(missing_ok=True)


def make_single(
    session: Session, module: Module, built_for: Kernel, copy: Copy, *words: str
) -> str:
    """As `make`, for the kernel's single targets, such as `main.o` or `main.ll`.

    The kernel's Makefile takes those of a `helpers.c` for its `help%`, and does
    without the configuration then, unless it is told.
    """
    return make(session, module, built_for, copy, "need-config=1", "need-compiler=1", *words)


def units(directory: Path, suffixes: Collection[str] = (".rs", ".c", ".S")) -> list[str]:
    """The files below a module's folder that its makefiles make an object of each, by their paths.

    They are found as scripts/generate_rust_analyzer.py of the kernel does, by the object's name.
    """
    makefiles: dict[Path, str] = {}

    def named_in(folder: Path) -> str:
        """What the makefiles of a folder say."""
        if folder not in makefiles:
            paths = (directory / folder / name for name in ("Kbuild", "Makefile"))
            texts = (path.read_text(errors="replace") for path in paths if path.is_file())
            makefiles[folder] = "".join(texts)
        return makefiles[folder]

    def is_named(path: Path) -> bool:
        return any(
            re.search(
                rf"(?<![\w/-]){re.escape(str(path.relative_to(above)))}\.o\b", named_in(above)
            )
            for above in path.parents
        )

    return [
        str(path)
        for path in files(directory)
        if path.suffix in suffixes and is_named(path.with_suffix(""))
    ]


def crate_roots(directory: Path) -> list[str]:
    """Those of a folder's units that are Rust: each is the root of a crate."""
    return units(directory, (".rs",))


def is_source(path: Path) -> bool:
    """Whether a path relative to a module's folder can be one of its sources.

    Neither products of a build can, nor what is hidden, nor what editors leave.
    """
    *folders, name = path.parts
    return _is_source(name) and all(map(_may_hold_sources, folders))


def _is_source(name: str) -> bool:
    return not (_PRODUCT.fullmatch(name) or _EDITORS.fullmatch(name))


def _may_hold_sources(folder: str) -> bool:
    return folder not in _SKIPPED_FOLDERS and not folder.startswith(".")


def files(directory: Path) -> Iterator[Path]:
    """The sources below a folder, as paths relative to it, sorted."""
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(filter(_may_hold_sources, subfolders))
        for name in sorted(filter(_is_source, names)):
            if Path(folder, name).is_file():
                yield Path(folder, name).relative_to(directory)


def _sources(workspace: Workspace, module: Module) -> dict[Path, Path]:
    """The module's files by their relative paths, with the means to make bindings if it needs any.

    Its own bindings.mk and bindings.py, if it has them, go before those of templates/.
    """
    found = {relative: module.directory / relative for relative in files(module.directory)}
    if requirements.read(module.directory).bindings:
        shipped = workspace.templates / requirements.BINDINGS
        found = {relative: shipped / relative for relative in files(shipped)} | found
    for test in ("test.yaml", "test-debian.yaml"):  # no build reads it
        found.pop(Path(test), None)
    return dict(sorted(found.items()))


def _synchronise(module: Module, sources: Mapping[Path, Path], work: Path) -> str:
    """Make `work` hold the module's sources; returns a key of their content.

    A file is written only when its content differs, so that make sees what
    changed and nothing else.
    """
    rows: list[tuple[str, str, bool]] = []
    contents: dict[Path, bytes] = {}
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
        contents[relative] = content
    for relative in list(files(work)):
        if relative not in contents:
            (work / relative).unlink()
    for (name, _, executable), content in zip(rows, contents.values(), strict=True):
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
    copy: Copy,
    into: Path,
    extra: Sequence[str],
) -> None:
    (copy.work / "modules.order").unlink(missing_ok=True)
    output = make(session, module, built_for, copy, *extra, "modules")
    if warnings := buildlog.warnings(output):
        more = f", and {len(warnings) - 1} more in {copy.log}" if len(warnings) > 1 else ""
        session.terminal.note(f"the compiler warns: {warnings[0]}{more}")
    objects = _order(copy.work)
    if not objects:
        raise RflError(
            Verdict.USAGE,
            f"{module.shown} builds no module: make left no .ko; the log is {copy.log}",
        )
    for path in objects:
        shutil.copy2(path, into / path.name)
    (into / "order").write_text("\n".join(path.name for path in objects))


def _paths_of_the_users(module: Module, work: Path) -> list[str]:
    """Words for make with which debug information names the user's files, not the copies."""
    if not _PLAIN_PATH.fullmatch(str(module.directory)):
        return []
    return [
        f"KCFLAGS=-ffile-prefix-map={work}={module.directory}",
        f"KRUSTFLAGS=--remap-path-prefix={work}={module.directory}",
    ]


def _as_the_users(output: str, module: Module, work: Path) -> str:
    """The compilers' words with the paths of the user's files instead of the copies'."""

    def shown(found: re.Match[str]) -> str:
        is_ours = (module.directory / found["path"]).is_file()
        return found["lead"] + (f"{module.shown}/{found['path']}" if is_ours else found["path"])

    for folder in (work, module.directory):
        output = output.replace(f"{folder}/", f"{module.shown}/")
    return _RELATIVE.sub(shown, output)


def _order(work: Path) -> list[Path]:
    """The .ko files that make left, in the order of its modules.order."""
    order = work / "modules.order"
    lines = order.read_text().split() if order.is_file() else []
    found = [_ko(work, line) for line in lines]
    return [path for path in found if path.is_file()]


def _ko(work: Path, line: str) -> Path:
    path = Path(line).with_suffix(".ko")
    return path if path.is_absolute() else work / path
