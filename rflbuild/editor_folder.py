"""The files that an editor finds in the folder that it opens; nothing of the user's is lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import compile_commands, jsonc, rust_project, settings
from rflbuild.jsonc import NotJsoncError
from rflbuild.session import Session
from rflbuild.settings import Wish
from rflbuild.store import write_atomically
from rflbuild.verdict import environment_error, usage_error


@dataclass(frozen=True)
class EditorFolder:
    """A folder that an editor opens; `check` comes before anything is made for it."""

    session: Session
    path: Path

    def check(self) -> None:
        """Raise RflError unless every file can be written, and none would be lost by it.

        environment: the folder is read-only; usage: a file there is the user's own, or is no
        JSON with comments.
        """
        settings_file = self.path / settings.FILE
        for place in (settings_file, settings_file.parent, self.path):
            if place.exists() and not os.access(place, os.W_OK):
                raise environment_error(
                    f"cannot write {place}: make it writable, or copy the folder elsewhere"
                )
        if settings_file.parent.exists() and not settings_file.parent.is_dir():
            raise usage_error(f"{settings_file.parent} is not a folder: move it away")
        project = self.path / rust_project.FILE
        if project.exists() and not rust_project.is_generated(project):
            raise usage_error(f"{project} is not one for the kernel: move it away, or rename it")
        self._settings()

    def write_project(self, project: str) -> bool:
        """Write rust-project.json; whether it is another one now."""
        return _write(self.path / rust_project.FILE, project)

    def write_commands(self, commands: str) -> bool | None:
        """Write compile_commands.json; None if there is one that we did not write."""
        path = self.path / compile_commands.FILE
        # Ours names the headers in the kernel's build folder, which is the store's.
        if path.exists() and str(self.session.store.root) not in path.read_text(errors="replace"):
            return None
        return _write(path, commands)

    def write_settings(self, wanted: Sequence[Wish]) -> tuple[bool, tuple[str, ...]]:
        """Merge into the settings; whether they are others now, and what the user has otherwise."""
        merged = settings.merge(self._settings(), wanted, settings.ours(self.session))
        path = self.path / settings.FILE
        path.parent.mkdir(exist_ok=True)
        return _write(path, merged.text), merged.kept

    def _settings(self) -> str:
        """The text of the settings, empty if there is none; RflError(usage) if it is no JSONC."""
        path = self.path / settings.FILE
        if not path.exists():
            return ""
        try:
            text = path.read_bytes().decode()  # as it is, with Windows' line ends
            if isinstance(jsonc.read(text), dict):
                return text
            what = "line 1: it is no object"
        except NotJsoncError as error:
            what = str(error)
        except UnicodeDecodeError:
            what = "it is not in UTF-8"
        except OSError as error:
            what = error.strerror or "it cannot be read"
        raise usage_error(
            f"{path} is no JSON with comments ({what}), and stays as it is: mend it or move it away"
        )


def _write(path: Path, text: str) -> bool:
    """Write a file unless it has that text already; whether it was written."""
    path = path.resolve()  # a link stays one
    content = text.encode()
    mode = None
    if path.exists():
        if path.read_bytes() == content:
            return False
        mode = path.stat().st_mode & 0o7777
    write_atomically(path, content)
    if mode is not None:
        path.chmod(mode)
    return True
