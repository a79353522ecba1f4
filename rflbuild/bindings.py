"""C functions that `new-binding` made reachable from Rust, kept in overlay/NAME.yaml.

Of a kernel that is not to be changed the file says what to lay over its source, so
that the next point release gets it anew. Of a tree of the user's own, where the edit
itself is made, it says what was added, so that it can be taken out again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rflbuild import bindings_edit, document, preprocessor, tree_edit
from rflbuild.bindings_edit import Binding, Edit
from rflbuild.document import InvalidError
from rflbuild.session import Workspace
from rflbuild.source import Source
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import RflError, environment_error, usage_error

FOLDER = "overlay"
_HEAD = """\
# Kept by `./rfl new-binding`, which writes it anew: comments are lost (docs/new-binding.md).
"""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """overlay/NAME.yaml: functions by name; for a user's tree its path and what was added.

    `includes` are the `#include` lines that were added, by the files they are in.
    """

    tree: str = ""
    bindings: dict[str, Binding] = {}
    includes: dict[str, tuple[str, ...]] = {}

    def check(self) -> None:
        """Raise InvalidError for a value that means nothing."""
        for name, binding in self.bindings.items():
            if not is_name(name):
                raise InvalidError(f"`{name}` is no name of a C function", ("bindings", name))
            try:
                binding.check_for(name)
            except InvalidError as error:
                raise InvalidError(error.what, ("bindings", name, *error.path)) from error

    def added(self) -> dict[str, list[str]]:
        """What was added, to be changed at will."""
        return {path: list(lines) for path, lines in self.includes.items()}


def is_name(text: str) -> bool:
    """Whether C can call a function so."""
    return bool(re.fullmatch(r"[A-Za-z_]\w*", text))


def record_path(workspace: Workspace, source: Source) -> Path:
    """Where the functions of a kernel are kept: by what `--kernel` calls it, made safe."""
    called = str(source.path.resolve()) if source.mutable else source.name
    plain = re.sub(r"[^\w.+-]+", "-", source.path.name if source.mutable else called).strip("-.")
    name = plain if plain == called else f"{plain[-40:]}-{key_of(called)[:8]}"
    return workspace.root / FOLDER / f"{name}.yaml"


def read(path: Path) -> Record:
    """A record; an empty one if there is no file. RflError(usage) for one that does not hold."""
    return document.read(path, Record) if path.is_file() else Record()


def write(path: Path, record: Record) -> None:
    """Write a record; one without a function is removed."""
    try:
        if not record.bindings:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others may be kept there
                path.parent.rmdir()
            return
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, text(record))
    except OSError as error:
        raise environment_error(f"cannot write {path}: {error.strerror}") from error


def text(record: Record) -> str:
    """A record as YAML. PyYAML would not write a text with tabs as lines of its own."""
    lines = [_HEAD.rstrip()]
    if record.tree:
        lines.append(f"tree: {_quoted(record.tree)}")
    lines.append("bindings:")
    for name, binding in sorted(record.bindings.items()):
        lines += [f"  {name}:", f"    header: {binding.header}"]
        if binding.helper:
            lines += ["    helper: |", *(f"      {line}" for line in binding.helper.splitlines())]
    if record.includes:
        lines.append("includes:")
    for file, added in sorted(record.includes.items()):
        lines += [f"  {file}:", *(f"    - {_quoted(line)}" for line in added)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _quoted(text: str) -> str:
    """A text as YAML, in which JSON's strings are strings."""
    return msgspec.json.encode(text).decode()


def overlay_files(workspace: Workspace, source: Source) -> dict[str, str]:
    """What the workspace's bindings change in a kernel: whole new texts by paths in the source.

    Empty without overlay/NAME.yaml, and for a tree of the user's own, in which the edit
    itself is made. Raises RflError(usage) if the source does not have the expected form.
    """
    path = record_path(workspace, source)
    if source.mutable or not path.is_file():
        return {}
    record = read(path)
    try:
        edit = bindings_edit.add(source.read, record.bindings)
    except RflError as error:
        shown = path.relative_to(workspace.root)
        raise usage_error(f"{shown} does not fit Linux {source.release}: {error}") from error
    return {name: text for name, text in edit.files.items() if text is not None}


@dataclass(frozen=True)
class Place:
    """Where the bindings of a kernel are kept: the record, and the tree if it is the user's own."""

    path: Path
    source: Source
    record: Record

    @classmethod
    def of(cls, workspace: Workspace, source: Source) -> Place:
        """The place for a kernel; RflError(usage) if its record does not hold."""
        path = record_path(workspace, source)
        return cls(path, source, read(path))

    def adding(self, name: str, binding: Binding) -> tuple[Place, Edit]:
        """The place with one more function, and what that changes in the source."""
        tree = self.source.read
        if not self.source.mutable:
            bindings = {**self.record.bindings, name: binding}
            return self._with(bindings, {}), bindings_edit.add(tree, bindings)
        bindings, includes = self._still_there(name)
        edit = bindings_edit.add(tree, {name: binding})
        for path, lines in edit.includes.items():
            includes.setdefault(path, []).extend(lines)
        return self._with({**bindings, name: binding}, includes), edit

    def removing(self, name: str) -> tuple[Place, Edit]:
        """The place without a function, and what that changes in the user's tree."""
        others = {key: each for key, each in self.record.bindings.items() if key != name}
        if not self.source.mutable:
            return self._with(others, {}), Edit()
        includes = self.record.added()
        edit = bindings_edit.remove(
            self.source.read, name, self.record.bindings[name], others, includes
        )
        for path, lines in edit.includes.items():
            includes[path] = [line for line in includes.get(path, ()) if line not in lines]
        return self._with(others, includes), edit

    def save(self, before: Place, edit: Edit) -> None:
        """Write the record and the files of a user's tree; all is as `before` if that fails.

        The record is never the one that knows less: when something is added it is
        written first, when something is taken out last.
        """
        changed = edit.files if self.source.mutable else {}
        files = {self.source.path / name: text for name, text in changed.items()}
        adds = len(self.record.bindings) >= len(before.record.bindings)
        if adds:
            write(self.path, self.record)
        try:
            with tree_edit.written(files):
                if not adds:
                    write(self.path, self.record)
        except BaseException:
            if adds:
                write(self.path, before.record)
            raise

    def _still_there(self, name: str) -> tuple[dict[str, Binding], dict[str, list[str]]]:
        """What is recorded, without what the tree has no more, as after a `git reset`.

        What is recorded of `name` stays: a run that was killed may not have come to it yet.
        """
        tree = self.source.read
        form = bindings_edit.form(tree)
        here = tree(bindings_edit.HEADERS) or ""

        def is_there(key: str, each: Binding) -> bool:
            has_header = preprocessor.has_include(here, f"<{each.header}>")
            return has_header and (not each.helper or bool(form.holding(key)))

        kept = {
            key: each
            for key, each in self.record.bindings.items()
            if key == name or is_there(key, each)
        }
        used = {f"<{each.header}>" for each in kept.values()}
        includes = {
            path: [what for what in lines if what in used or what.startswith('"')]
            for path, lines in self.record.added().items()
        }
        return kept, includes

    def _with(self, bindings: Mapping[str, Binding], includes: Mapping[str, list[str]]) -> Place:
        tree = str(self.source.path.resolve()) if self.source.mutable else ""
        added = {path: tuple(dict.fromkeys(lines)) for path, lines in includes.items() if lines}
        return Place(self.path, self.source, Record(tree, dict(bindings), added))
