"""The documentation of a kernel's Rust by its own `make rustdoc`, and a module's joined to it.

The kernel's is made in a copy of what it needs of the build folder, which is not
written to. A module's folder leads to it by links, so that one can be read and
searched from the other.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import buildlog, kernel, module, savedcmd
from rflbuild.kernel import Kernel
from rflbuild.module import Copy, Module
from rflbuild.savedcmd import SavedCommand
from rflbuild.session import Session
from rflbuild.store import key_of, remove_tree, write_atomically
from rflbuild.verdict import RflError, Verdict, usage_error

_RECIPE = 1  # raise it when the way in which documentation is made changes
_GIGABYTES = 1.0
_TIMEOUT = 3600.0
_HTML = "html"
_COMMAND = "rustdoc-kernel.cmd"
# What of a build folder `make rustdoc` needs, so as to make nothing of it anew.
_NEEDED = {"arch", "include", "kernel", "rust", "scripts", "tools"}
_NOT_NEEDED = re.compile(r"vmlinux.*|\.tmp_.*|.*\.(a|ko|map)")
# Of the kernel crate's own command, what another crate's needs to have otherwise.
_OWN = ("--extern", "--output", "--crate-name")
# Of the command that compiles a module, what documenting it takes as well.
_TAKEN = re.compile(r"--extern|--cfg|-Zallow-features|-Zcrate-attr")


@dataclass(frozen=True)
class Crate:
    """A crate to document: its name, the command that compiles it, and its root's path."""

    name: str
    command: SavedCommand
    root: Path


@dataclass(frozen=True)
class Documentation:
    """The page to begin with, and what rustdoc warned of."""

    index: Path
    warnings: list[str]


def of_kernel(session: Session, built: Kernel) -> Documentation:
    """The documentation of a kernel's crates, made once; anew for a tree whose Rust has changed."""
    return Documentation(_of_kernel(session, built) / _HTML / "kernel" / "index.html", [])


def of_module(session: Session, owner: Module, built: Kernel) -> Documentation:
    """The documentation of a module's crates, private items included, with the kernel's.

    Raises RflError(build-error) if the module does not build.
    """
    roots = module.crate_roots(owner.directory)
    if not roots:
        raise usage_error(f"{owner.shown} compiles no Rust, and rustdoc reads nothing else")
    theirs = _of_kernel(session, built)
    with module.copied(session, owner, built) as copy:

        def make(into: Path) -> None:
            crates = _compiled(session, owner, built, copy, roots)
            _document(session, built, crates, theirs, into, copy.work, owner.shown)

        name = key_of(str(owner.directory), str(built.out))
        state = key_of(_RECIPE, copy.content, _state(built), owner.shown, roots)
        return _beginning(_kept(session, name, state, make))


def of_file(session: Session, built: Kernel, file: str, shown: str) -> Documentation:
    """The documentation of a crate of a kernel's own tree, by its root's path there.

    People know it as `shown`.

    Raises RflError(usage) if it is not compiled.
    """
    command = savedcmd.of_kernel(built, file)
    theirs = _of_kernel(session, built)
    crate = Crate(Path(file).stem.replace("-", "_"), command, Path(command.source))
    made = _beginning(
        _kept(
            session,
            key_of(file, str(built.out)),
            key_of(_RECIPE, built.source.read(file), _state(built)),
            lambda into: _document(session, built, [crate], theirs, into),
        )
    )
    return replace(made, warnings=[w.replace(f"{file}:", f"{shown}:") for w in made.warnings])


def _of_kernel(session: Session, built: Kernel) -> Path:
    """The folder of a kernel's documentation, which kernels with the same crates share."""
    state = _state(built)
    if not built.source.mutable:
        return session.store.build("rustdoc", state, lambda into: _make(session, built, into))
    name = key_of(str(built.out))
    return _kept(session, name, state, lambda into: _make(session, built, into))


def _beginning(place: Path) -> Documentation:
    """What was documented in a folder, from its first crate on."""
    first, *_ = (place / "crates").read_text().split()
    warnings = buildlog.diagnostics((place / "words").read_text())
    return Documentation(place / _HTML / first / "index.html", warnings)


def _kept(session: Session, name: str, state: str, make: Callable[[Path], None]) -> Path:
    """The newest of what changes, always in the same place; made anew for another `state`."""
    with session.store.lock(f"rustdoc-{name}"):
        folder = session.store.work("rustdoc", name)
        made, new, stamp = (folder / part for part in ("made", "new", "state"))
        if not stamp.is_file() or stamp.read_text() != state:
            remove_tree(new)
            new.mkdir()
            make(new)
            stamp.unlink(missing_ok=True)
            remove_tree(made)
            new.rename(made)
            write_atomically(stamp, state)
    return made


def _state(built: Kernel) -> str:
    """A key that changes when a kernel's crates were compiled anew."""
    crates = sorted((built.out / "rust").glob("lib*.rmeta"))
    stats = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in crates]
    return key_of(_RECIPE, stats)


def _make(session: Session, built: Kernel, into: Path) -> None:
    """Let the kernel's make document its crates, which takes a CPU-minute."""
    session.store.require_space(_GIGABYTES, "the kernel's documentation")
    log = session.store.work("logs", "rustdoc") / f"{built.source.release}-{built.key}.log"
    log.unlink(missing_ok=True)
    with (
        session.store.scratch("rustdoc-out") as out,
        session.terminal.progress("rustdoc of the kernel", None) as meter,
    ):
        _copy(built, out)
        words = [
            word
            for word in kernel.variables(session, built.toolchain, built.source)
            if not word.startswith("KRUSTFLAGS=")  # see _copy
        ]
        done = session.processes.run(
            kernel.make(
                built.toolchain,
                built.arch,
                built.source,
                out,
                f"-j{session.jobs}",
                *words,
                "rustdoc",
                write=kernel.ccache_folders(session),
            ),
            timeout=_TIMEOUT,
            cwd=out,
            env=kernel.build_environment(session),
            log=log,
            on_line=lambda line: meter.step() if line.startswith("  RUSTDOC ") else None,
        )
        if done.status:
            raise session.store.full_disk() or buildlog.failure(
                "the kernel's documentation", done.output, str(log)
            )
        shutil.copy2(out / ".rustdoc-kernel.cmd", into / _COMMAND)
        shutil.move(out / "Documentation" / "output" / "rust" / "rustdoc", into / _HTML)


def _copy(built: Kernel, out: Path) -> None:
    """Copy of a build folder what `make rustdoc` needs, so that make finds it up to date.

    Its saved commands name the folder in which they ran. They also remap paths, at which
    rustdoc 1.85 panics ("attempted to remap an already remapped filename").
    """

    def unneeded(folder: str, names: list[str]) -> list[str]:
        if Path(folder) != built.out:
            return []
        return [
            name
            for name in names
            if _NOT_NEEDED.fullmatch(name)
            or ((built.out / name).is_dir() and name not in _NEEDED and name != "source")
        ]

    shutil.copytree(built.out, out, symlinks=True, ignore=unneeded, dirs_exist_ok=True)
    tree = savedcmd.source_of(built)
    saved = (out / "rust" / ".kernel.o.cmd").read_text()
    ran_in = re.search(r"\bOBJTREE=(\S+)", saved)
    for path in (out / "rust").rglob(".*.cmd"):
        text = path.read_text()
        text = text.replace(f" --remap-path-prefix={tree}/=", "")
        text = text.replace(f"{tree}/", f"{built.source.path}/")
        path.write_text(text.replace(ran_in[1], str(out)) if ran_in else text)


def _compiled(
    session: Session, owner: Module, built: Kernel, copy: Copy, roots: Sequence[str]
) -> list[Crate]:
    """The crates of a module's copy, once they are compiled."""
    objects = [Path(root).with_suffix(".o") for root in roots]
    module.make_single(session, owner, built, copy, *map(str, objects))
    crates = []
    for path in objects:
        command = savedcmd.parse((copy.work / path.with_name(f".{path.name}.cmd")).read_text())
        assert command  # noqa: S101 - make has saved it, or raised
        # A module of one crate is called as its .ko is, whatever its root.
        file = command.environment.get("RUST_MODFILE", path.stem) if len(roots) == 1 else path.stem
        name = Path(file).name.replace("-", "_")
        crates.append(Crate(name, command, copy.work / command.source))
    return crates


def _document(
    session: Session,
    built: Kernel,
    crates: Sequence[Crate],
    theirs: Path,
    into: Path,
    work: Path | None = None,
    shown: str = "",
) -> None:
    """Document crates in the empty folder `into`, beside links to the kernel's.

    Those of a module are in its copy `work`; people know it as `shown`.
    """
    like = savedcmd.parse((theirs / _COMMAND).read_text())
    assert like  # noqa: S101 - `make rustdoc` has saved it
    html = into / _HTML
    _join(theirs / _HTML, html)
    said = ""
    for crate in crates:
        if (html / crate.name).exists():
            raise usage_error(f"the crate `{crate.name}` has the name of one of the kernel's")
        words = [
            *_without_own(like),
            *_taken(crate.command),
            *("--crate-name", crate.name, "--output", str(html)),
            *("--document-private-items", "-Arustdoc::private_intra_doc_links"),
            str(crate.root),
        ]
        read = [theirs, *([work] if work else [])]
        done = savedcmd.run(
            session, built, crate.command, words, cwd=built.out, write=[into], read=read
        )
        output = done.output.replace(f"{savedcmd.source_of(built)}/", "")
        if work:
            output = output.replace(str(work), shown)
        if done.status:
            raise session.store.full_disk() or RflError(
                Verdict.BUILD_ERROR,
                f"rustdoc cannot read {crate.name}",
                buildlog.first_error(output),
            )
        said += output
        _lead_to_source(html / crate.name, built.source.path)
    (into / "crates").write_text("\n".join(crate.name for crate in crates))
    (into / "words").write_text(said)


def _lead_to_source(pages: Path, tree: Path) -> None:
    """Let links to `srctree/` (Documentation/rust/coding-guidelines.rst) lead into a tree."""
    for page in pages.rglob("*.html"):
        text = page.read_text()
        if 'href="srctree/' in text:
            page.write_text(text.replace('href="srctree/', f'href="{tree}/'))


def _join(theirs: Path, html: Path) -> None:
    """Begin a documentation that has the kernel's: its crates by links, its index as a copy.

    To rustdoc a crate whose folder is there is one that it can link to.
    """
    crates = {path.name for path in (theirs / "src").iterdir()}
    (html / "src").mkdir(parents=True)
    for name in crates:
        (html / "src" / name).symlink_to(theirs / "src" / name)
    for path in theirs.iterdir():
        if path.name in crates:
            (html / path.name).symlink_to(path)
        elif path.is_dir() and path.name != "src":
            shutil.copytree(path, html / path.name)
        elif path.is_file():
            shutil.copy2(path, html)


def _without_own(like: SavedCommand) -> Iterator[str]:
    """The words of the kernel crate's own command that hold for any crate."""
    words = iter(like.argv[:-1])  # the last is the crate's root
    for word in words:
        if word in _OWN:
            next(words, None)
        else:
            yield word


def _taken(command: SavedCommand) -> Iterator[str]:
    """The words of a module's command without which its crate would be another."""
    words = iter(command.argv)
    for word in words:
        if _TAKEN.match(word):
            yield word
            if "=" not in word:
                yield next(words, "")
