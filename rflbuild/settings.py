"""An editor's settings for a folder: what rust-analyzer and clangd have to be told.

They are merged into VS Code's .vscode/settings.json by its text (jsonc.py). What the user has set
otherwise stays, and is told of; what we set earlier is brought up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rflbuild import jsonc, rust_project
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.subject import Subject

FILE = ".vscode/settings.json"
_SAVED_FILE = "$saved_file"  # rust-analyzer puts the file's path there


@dataclass(frozen=True)
class Wish:
    """A setting. `how`: `set` it, or have the value as an `item` in its list.

    An item that begins with `option` goes for the same setting.
    """

    path: tuple[str, ...]
    value: Any
    how: str = "set"
    option: str = ""


@dataclass(frozen=True)
class Merged:
    """Settings with ours among them, and the names of those that the user has set otherwise."""

    text: str
    kept: tuple[str, ...]


def check_command(session: Session, subject: Subject, words: Sequence[str]) -> list[str]:
    """What rust-analyzer runs when a file is saved; `words` choose the kernel."""
    cache = session.processes.environ.get("RFLBUILD_CACHE")
    # An editor that was started elsewhere would look for the kernel in another store.
    command = ["env", f"RFLBUILD_CACHE={session.store.root}"] if cache else []
    command += [str(session.workspace.root / "rfl"), "check"]
    if subject.inside:
        command.append(_SAVED_FILE)  # of all that is in a tree, only what it is part of
    elif subject.named:
        command.append(str(subject.folder))
    return [*command, "--json", *words]


def wishes(
    session: Session,
    built: Kernel,
    check: Sequence[str],
    sysroot: Path | None,
    commands: Path | None,
) -> list[Wish]:
    """The settings for a folder with a rust-project.json; `commands` is clangd's folder, if any."""
    wanted = [
        Wish(("rust-analyzer.linkedProjects",), rust_project.FILE, "item"),
        Wish(("rust-analyzer.check.overrideCommand",), list(check)),
    ]
    rustfmt, clangd = "rustfmt", ""
    if sysroot:
        rustfmt, clangd = str(sysroot / "bin" / "rustfmt"), str(sysroot / "bin" / "clangd")
        server = str(sysroot / "bin" / "rust-analyzer")
        wanted.append(Wish(("rust-analyzer.server.path",), server))
    style = str(built.source.path / ".rustfmt.toml")
    wanted.append(
        Wish(("rust-analyzer.rustfmt.overrideCommand",), [rustfmt, "--config-path", style])
    )
    if commands:
        option = "--compile-commands-dir="
        wanted.append(Wish(("clangd.arguments",), f"{option}{commands}", "item", option))
        if clangd:
            wanted.append(Wish(("clangd.path",), clangd))
    # "Go to definition" leads there, and an edit would be one of everybody's kernel.
    wanted.append(Wish(("files.readonlyInclude", f"{session.store.root}/**"), True))
    return wanted


def merge(text: str, wanted: Sequence[Wish], is_ours: Callable[[Any], bool]) -> Merged:
    """Merge settings into a text; `is_ours` tells a value that we have set before.

    Raises jsonc.NotJsoncError for a text that is none.
    """
    kept = []
    for wish in wanted:
        change = _with_item if wish.how == "item" else _with_value
        changed = change(text, wish, is_ours)
        if changed is None:
            kept.append(wish.path[0])
        else:
            text = changed
    return Merged(text, tuple(kept))


def _with_value(text: str, wish: Wish, is_ours: Callable[[Any], bool]) -> str | None:
    """The text with a value set; None if the user has set another."""
    there = _at(jsonc.read(text), wish.path)
    if there is _MISSING or there == wish.value or is_ours(there):
        return jsonc.set_value(text, wish.path, wish.value)
    return None


def _with_item(text: str, wish: Wish, is_ours: Callable[[Any], bool]) -> str | None:
    """The text with an item in a list; None if the user has set what it would go against."""
    there = _at(jsonc.read(text), wish.path)
    if there is _MISSING:
        return jsonc.set_value(text, wish.path, [wish.value])
    if not isinstance(there, list):
        return None
    if wish.value in there:
        return text
    same = [each for each in there if wish.option and str(each).startswith(wish.option)]
    if not same:
        return jsonc.append(text, wish.path, wish.value)
    if all(is_ours(each) for each in same):
        others = [each for each in there if each not in same]
        return jsonc.set_value(text, wish.path, [*others, wish.value])
    return None


_MISSING = object()


def _at(value: Any, path: Sequence[str]) -> Any:
    """What is at a path; something else on the way is what is there."""
    for key in path:
        if not isinstance(value, dict):
            return value
        if key not in value:
            return _MISSING
        value = value[key]
    return value


def ours(session: Session) -> Callable[[Any], bool]:
    """Tells a value that names something of the store's, or our check command."""

    def is_ours(value: Any) -> bool:
        words = list(_words(value))
        checks = any(Path(word).name == "rfl" for word in words) and "check" in words
        return checks or any(str(session.store.root) in word for word in words)

    return is_ours


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)


def for_other_editors(wanted: Sequence[Wish]) -> dict[str, Any]:
    """The settings of rust-analyzer's as it takes them from any editor: nested, without prefix."""
    nested: dict[str, Any] = {}
    for wish in wanted:
        section, *keys = wish.path[0].split(".")
        if section == "rust-analyzer" and keys != ["server", "path"]:
            place = nested
            for key in keys[:-1]:
                place = place.setdefault(key, {})
            place[keys[-1]] = [wish.value] if wish.how == "item" else wish.value
    return nested
