"""A kernel's Rust bindings as C text: headers for bindgen and helpers, added and taken out again.

Nothing is written here. A tree is read by a function from a path in it to the file's
text; what comes out are the files that change. What a tree looks like is seen from it,
since it differs from version to version:

    rust/helpers/helpers.c   lists files such as pci.c by `#include` (since 6.12)
    rust/helpers.c           holds all helpers, each exported (before that)
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from rflbuild import headers, preprocessor
from rflbuild.document import InvalidError
from rflbuild.helper import PREFIX
from rflbuild.verdict import usage_error

HEADERS = "rust/bindings/bindings_helper.h"
_FOLDER = "rust/helpers"
_LIST = f"{_FOLDER}/helpers.c"
_SINGLE = "rust/helpers.c"
_MARK = "__rust_helper"
_EXPORT = re.compile(rf"^EXPORT_SYMBOL_GPL\({PREFIX}\w+\);\n", re.MULTILINE)
_NEW_FILE = "// SPDX-License-Identifier: GPL-2.0\n\n#include <{header}>\n"

Reader = Callable[[str], str | None]


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A C function for Rust: the header that declares it, and its helper if it needs one."""

    header: str
    helper: str = ""

    def check_for(self, name: str) -> None:
        """Raise InvalidError for a value that means nothing for a function of that name."""
        if not headers.is_name(self.header):
            raise InvalidError(f"`{self.header}` is no header such as linux/pci.h", ("header",))
        if self.helper and f"{PREFIX}{name}(" not in self.helper:
            raise InvalidError(f"the helper has no function {PREFIX}{name}", ("helper",))


@dataclass
class Edit:
    """Files that change, by their paths in the tree: the whole new text, None for no file.

    `includes` are the `#include` lines that were added, by path.
    """

    files: dict[str, str | None] = field(default_factory=dict)
    includes: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """How a tree has its helpers: `files` by path, the word in front of each, and its export.

    `listed` tells whether there is a list, in which a new file has to be named.
    """

    files: Mapping[str, str]
    listed: bool
    mark: str
    exported: bool

    def holding(self, name: str) -> str:
        """The file with the helper of a function; empty if there is none."""
        pattern = re.compile(rf"\b{PREFIX}{name}\s*\(")
        return next((path for path, text in self.files.items() if pattern.search(text)), "")

    def place(self, header: str) -> str:
        """The file for helpers of functions from a header; it may have to be made.

        That is the one with the header's name if it includes it, else one that is about
        that header alone, else the one with the header's name, whatever it includes.
        """
        if not self.listed:
            return next(iter(self.files))
        folder, name = posixpath.split(header.removesuffix(".h"))
        within, beside = f"{_FOLDER}/{folder}/{name}.c", f"{_FOLDER}/{name}.c"
        fit = {path: found for path, text in self.files.items() if (found := _included(text))}
        own = [path for path in (within, beside) if path in fit]
        alone = [path for path, found in fit.items() if found == [header]]
        found = [path for path in own if header in fit[path]] or alone or own
        if found:
            return found[0]
        has_folder = any(path.startswith(f"{_FOLDER}/{folder}/") for path in self.files)
        return within if has_folder or beside in self.files else beside


def _included(text: str) -> list[str]:
    """The headers that a file includes whatever the configuration."""
    return [
        each.what.strip("<>")
        for each in preprocessor.includes(text)
        if each.what.startswith("<") and not each.conditional
    ]


def form(read: Reader) -> Form:
    """How a tree has its helpers; RflError(usage) if it is none of the ways known here."""
    if read(HEADERS) is None:
        raise usage_error(f"the tree has no {HEADERS}, and so no bindings for Rust")
    listing = read(_LIST)
    if listing is not None:
        names = [each.what.strip('"') for each in preprocessor.includes(listing)]
        paths = [f"{_FOLDER}/{name}" for name in names if name.endswith(".c")]
        files = {path: text for path in paths if (text := read(path)) is not None}
        if not files:
            raise usage_error(
                f'{_LIST} lists no files by lines `#include "….c"`, as it should; '
                "nothing was changed"
            )
        marked = re.search(rf"^#\s*define {_MARK}\b", listing, re.MULTILINE)
        exported = any(_EXPORT.search(text) for text in files.values())
        return Form(files, True, _MARK if marked else "", exported)
    single = read(_SINGLE)
    if single is None or not _EXPORT.search(single):
        raise usage_error(
            f"the tree has neither {_LIST}, which lists files of helpers, nor {_SINGLE} with "
            f"`EXPORT_SYMBOL_GPL({PREFIX}…);` behind each; nothing was changed"
        )
    return Form({_SINGLE: single}, False, "", True)


def add(read: Reader, bindings: Mapping[str, Binding]) -> Edit:
    """What changes in a tree for these functions; nothing for one that it has already.

    Raises RflError(usage) if the tree does not have the expected form.
    """
    edit = Edit()
    seen = _through(read, edit)
    for name, binding in bindings.items():
        found = form(seen)
        if binding.helper and not found.holding(name):
            _check_mark(name, binding, found)
            _add_helper(seen, edit, found, binding)
        _include(seen, edit, HEADERS, f"<{binding.header}>")
    return edit


def remove(
    read: Reader,
    name: str,
    binding: Binding,
    others: Mapping[str, Binding],
    added: Mapping[str, list[str]],
) -> Edit:
    """What changes in a tree when a function is taken out of it that `add` put there.

    `others` are those that stay, `added` the `#include` lines that `add` put there for
    all of them. `includes` of the result are the lines that were taken out.
    Raises RflError(usage) if somebody has changed the helper since.
    """
    edit = Edit()
    seen = _through(read, edit)
    found = form(seen)
    path = found.holding(name) if binding.helper else ""
    if path:
        text = found.files[path]
        if f"\n{binding.helper}" not in text:
            line = text[: text.index(f"{PREFIX}{name}")].count("\n") + 1
            raise usage_error(
                f"{path}:{line}: {PREFIX}{name} was changed since new-binding wrote it: take it "
                "out by hand; nothing was changed"
            )
        edit.files[path] = text.replace(f"\n{binding.helper}", "", 1)
    what = f"<{binding.header}>"
    in_file = {each.header for other, each in others.items() if found.holding(other) == path}
    listed = f'"{path.removeprefix(f"{_FOLDER}/")}"'
    if listed in added.get(_LIST, ()):  # a file that new-binding made
        if PREFIX not in str(edit.files[path]):
            edit.files[path] = None
            edit.includes[path] = list(added.get(path, ()))
            _exclude(seen, edit, _LIST, listed)
    elif path and binding.header not in in_file and what in added.get(path, ()):
        _exclude(seen, edit, path, what)
    used = {each.header for each in others.values()}
    if binding.header not in used and what in added.get(HEADERS, ()):
        _exclude(seen, edit, HEADERS, what)
    return edit


def _through(read: Reader, edit: Edit) -> Reader:
    """A tree as it is after an edit so far."""
    return lambda path: edit.files[path] if path in edit.files else read(path)


def _check_mark(name: str, binding: Binding, found: Form) -> None:
    """A helper that was written for a tree of another form does not fit."""
    has = _MARK in binding.helper
    if has == bool(found.mark):
        return
    raise usage_error(
        f"the helper of {name} has {'the' if has else 'no'} {_MARK} of "
        f"{'newer' if has else 'older'} kernels, and this kernel's helpers "
        f"{'do not' if has else 'do'}: take it out by `new-binding {name} --remove` and bind it "
        "again; nothing was changed"
    )


def _add_helper(seen: Reader, edit: Edit, found: Form, binding: Binding) -> None:
    """Put a helper at the end of its file, which is made and listed if it is not there."""
    path = found.place(binding.header)
    what = f"<{binding.header}>"
    text = found.files.get(path)
    if text is None:
        edit.files[path] = f"{_NEW_FILE.format(header=binding.header)}\n{binding.helper}"
        edit.includes.setdefault(path, []).append(what)
        _include(seen, edit, _LIST, f'"{path.removeprefix(f"{_FOLDER}/")}"')
        return
    at = len(text)
    if not found.listed:  # what follows the last helper is no helper
        at = [each.end() for each in _EXPORT.finditer(text)][-1]
    edit.files[path] = f"{text[:at]}\n{binding.helper}{text[at:]}"
    _include(seen, edit, path, what)


def _include(seen: Reader, edit: Edit, path: str, what: str) -> None:
    text = seen(path)
    if text is not None and not preprocessor.has_include(text, what):
        edit.files[path] = preprocessor.add_include(path, text, what)
        edit.includes.setdefault(path, []).append(what)


def _exclude(seen: Reader, edit: Edit, path: str, what: str) -> None:
    text = seen(path)
    if text is not None and preprocessor.has_include(text, what):
        edit.files[path] = preprocessor.remove_include(text, what)
    edit.includes.setdefault(path, []).append(what)
