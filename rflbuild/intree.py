"""Modules in the kernel's own tree: a source file, a line in a Makefile, a `config` in a Kconfig.

Each has a folder modules/NAME/ with in-tree.yaml, which says where it is, and its
test. In a tree of the user's the three edits are made there. With a kernel from
the store the source file lies in modules/NAME/ as well, and is laid over the
kernel's source together with the Makefile and the Kconfig.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from rflbuild import document, kbuild, requirements, scaffold, tree_edit
from rflbuild.document import InvalidError
from rflbuild.fragment import Option
from rflbuild.kbuild import Entry, ShapeError
from rflbuild.scaffold import Kind
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.verdict import usage_error

FILE = "in-tree.yaml"
_NAMES = re.compile(r"[a-z][a-z0-9_]*")
# Of a kind's files those that only a module outside the tree needs.
_OUTSIDE = {".gitignore", "Kbuild", "Makefile", "README.md", requirements.FILE}


class InTree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """in-tree.yaml: a folder of the kernel, and what is built there by which option.

    `tree` is the user's kernel tree; without it the module is laid over a kernel's
    source from the store. `made` has the SHA-256 of each file as it was made.
    """

    into: str
    object: str
    option: str
    prompt: str
    depends: tuple[str, ...] = ()
    tree: str = ""
    made: dict[str, str] = {}

    def check(self) -> None:
        """Raise InvalidError for a value that could not be in a kernel."""
        if not _is_inside(self.into):
            raise InvalidError("`into` is a folder of the kernel, such as samples/rust", ("into",))
        if not _NAMES.fullmatch(self.object):
            raise InvalidError("`object` is a name such as rust_blinky", ("object",))
        if not re.fullmatch(r"[A-Z0-9_]+", self.option) or self.option.startswith("CONFIG_"):
            raise InvalidError("`option` is a name without CONFIG_", ("option",))

    @property
    def source(self) -> str:
        """The module's Rust file, by its path in the tree."""
        return f"{self.into}/{self.object}.rs"

    @property
    def makefile(self) -> str:
        """The Makefile that builds it."""
        return f"{self.into}/Makefile"

    @property
    def kconfig(self) -> str:
        """The Kconfig that has its option."""
        return f"{self.into}/Kconfig"

    @property
    def entry(self) -> Entry:
        """What goes into the Makefile and the Kconfig."""
        sample = " sample" if self.into.startswith("samples/") else ""
        text = (
            f"This option builds the Rust {self.prompt[:1].lower()}{self.prompt[1:]}{sample}.\n\n"
            f"To compile this as a module, choose M here:\n"
            f"the module will be called {self.object}.\n\n"
            "If unsure, say N.\n"
        )
        return Entry(self.option, self.object, self.prompt, text, self.depends)

    def setting(self, value: str, where: Path) -> Option:
        """The module's option with the value m or y."""
        return Option(self.option, value, str(where))


@dataclass(frozen=True)
class Change:
    """What adding or removing a module did: files written or removed, and files that stay."""

    written: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


def read(folder: Path) -> InTree | None:
    """The in-tree.yaml of a module's folder, if it has one."""
    path = folder / FILE
    return document.read(path, InTree) if path.is_file() else None


def files(module: InTree, folder: Path, source: Source) -> dict[str, str]:
    """The files by which a source gets the module of a folder: paths in the tree, and texts.

    Raises RflError(usage) if the source's Makefile or Kconfig has no place for it.
    """
    rust = folder / f"{module.object}.rs"
    if not rust.is_file():
        raise usage_error(f"{rust} is not there, though {folder / FILE} names it")
    return {module.source: rust.read_text(), **_edits(module, source)}


def add(session: Session, name: str, kind: Kind, source: Source, into: str) -> Change:
    """Make a module in a tree of the user's, or one to be laid over a source of the store.

    What is there already stays as it is. Raises RflError(usage), with nothing
    changed, if the tree has no place for it.
    """
    scaffold.check_name(name)
    folder = session.workspace.modules / name
    module, own, rust = _from_kind(session, name, kind, source, into)
    edits = _edits(module, source)
    there = read(folder)
    if there and (there.into, there.tree) != (module.into, module.tree):
        at = f"{there.into} of {there.tree or 'a kernel of the store'}"
        raise usage_error(f"modules/{name} is there already, in {at}: choose another name")
    if not there and (folder.exists() or folder.is_symlink()):
        raise usage_error(f"modules/{name} is there already: choose another name, or remove it")
    sums = {file: _sum(text) for file, text in {**own, f"{module.object}.rs": rust}.items()}
    own[FILE] = _document(module, sums)
    new: dict[Path, str | None] = {}
    if source.mutable:
        if not (source.path / module.source).exists():
            new[source.path / module.source] = rust
        new |= {source.path / at: text for at, text in edits.items() if text != source.read(at)}
    else:
        own[f"{module.object}.rs"] = rust
    with tree_edit.written(new):
        if not there:
            scaffold.make_folder(folder, own)
    return Change(written=(*new, *(() if there else (folder / file for file in own))))


def remove(session: Session, name: str) -> Change:
    """Undo `add`: take the lines out of a user's tree, and remove what nobody has worked on.

    A file that was edited since stays, and is named.
    """
    folder = session.workspace.modules / name
    module = read(folder)
    if module is None:
        raise usage_error(f"modules/{name} is no module of a kernel's tree: it has no {FILE}")
    edits: dict[Path, str | None] = {}
    made = {folder / file: checksum for file, checksum in module.made.items()}
    if module.tree:
        tree = Path(module.tree)
        made[tree / module.source] = made.pop(folder / f"{module.object}.rs", "")
        takes = {module.makefile: kbuild.remove_object, module.kconfig: kbuild.remove_config}
        for at, take_out in takes.items():
            file = tree / at
            before = tree_edit.read(file) or ""
            if (after := take_out(before, module.entry)) != before:
                edits[file] = after
    present = {file: checksum for file, checksum in made.items() if file.is_file()}
    kept = tuple(f for f, checksum in present.items() if _sum(f.read_text()) != checksum)
    doomed = tuple(file for file in present if file not in kept)
    with tree_edit.written(edits):
        for file in (*doomed, folder / FILE):
            file.unlink()
    with contextlib.suppress(OSError):  # it is not empty: something in it stays
        folder.rmdir()
    return Change(tuple(edits), doomed, kept)


def _from_kind(
    session: Session, name: str, kind: Kind, source: Source, into: str
) -> tuple[InTree, dict[str, str], str]:
    """A module as a kind has it: its in-tree.yaml, its test's files, and its Rust."""
    place = PurePosixPath(into)
    if not _is_inside(into) or not (source.path / place).is_dir():
        raise usage_error(f"Linux {source.release} has no folder {into}: give one by --into")
    sample = place.parts[0] == "samples"
    built = f"rust_{name}" if sample else name
    rendered = scaffold.files(session.workspace, kind, built, source.version, source.release)
    rust = rendered.pop(f"{built}.rs", "")
    own = {file: text for file, text in rendered.items() if file not in _OUTSIDE}
    code = [file for file in own if file.endswith((".rs", ".c", ".h", ".mk", ".py"))]
    if code or not rust:
        raise usage_error(
            f"the kind {kind.name} is more than one file of Rust, which a line in a Makefile does "
            "not build: choose another --kind"
        )
    needs = requirements.read(session.workspace.templates / kind.name)
    depends = [option for option, value in needs.options.items() if value != "n"]
    module = InTree(
        into=str(place),
        object=built,
        option=built.upper() if not sample else f"SAMPLE_{built.upper()}",
        prompt=" ".join(name.split("_")).capitalize(),
        depends=tuple(depends if sample else ["RUST", *depends]),
        tree=str(source.path) if source.mutable else "",
    )
    own = {
        file: text.replace(f"qemu-test {built}", f"qemu-test {name}") for file, text in own.items()
    }
    return module, own, rust


def _edits(module: InTree, source: Source) -> dict[str, str]:
    """The Makefile and the Kconfig of a module's folder with the module in them."""
    texts = {}
    for path in (module.makefile, module.kconfig):
        text = source.read(path)
        if text is None:
            raise usage_error(f"{source.path / module.into} has no {PurePosixPath(path).name}")
        texts[path] = text
    makefile, kconfig = texts.values()
    path = module.makefile
    try:
        texts[path] = kbuild.add_object(makefile, module.entry)
        path = module.kconfig
        texts[path] = kbuild.add_config(kconfig, module.entry, kbuild.options(makefile))
    except ShapeError as error:
        raise usage_error(
            f"{source.path / path} stays as it is: looked for {error}; choose another --into"
        ) from error
    return texts


def _document(module: InTree, made: Mapping[str, str]) -> str:
    """The text of in-tree.yaml."""
    value = {k: v for k, v in msgspec.to_builtins(module).items() if v and k != "made"}
    head = "# Where this module is in the kernel; `new-module NAME --in-tree --remove` undoes it.\n"
    sums = "# What was made, so that what is edited since is not removed.\n"
    return head + document.dump(value) + sums + document.dump({"made": dict(made)})


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_inside(into: str) -> bool:
    place = PurePosixPath(into)
    return not place.is_absolute() and bool(place.parts) and ".." not in place.parts
