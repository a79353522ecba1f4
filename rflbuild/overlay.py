"""Files laid over a kernel's source that is not to be changed.

A source of the store stays as it is. What a workspace adds to it lies in whole
folders of a work folder, hard links to the source's files but for the ones that
differ, and is seen at the source's own path by whatever runs in a sandbox. So a
build folder that was made from the source alone goes on being valid, and only what
depends on the files that differ is compiled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import key_of, remove_tree, write_atomically

_FOLDERS = ".rflbuild-folders"  # in the work folder: the folders that were ever laid


@dataclass(frozen=True)
class Overlay:
    """The files that differ from a source's, by their paths in it.

    `over` is the source's own path and `work` where the folders are that take its
    folders' place. `scope` names the build folder that they belong to; it is the
    same for whatever these files come to be later. `earlier` are folders that such
    files were in before: they stay laid, or make would not see that theirs went back.
    """

    files: Mapping[PurePosixPath, str]
    over: Path
    work: Path
    scope: str
    earlier: tuple[PurePosixPath, ...] = ()

    @property
    def folders(self) -> list[PurePosixPath]:
        """The folders that have another in their place, none within another."""
        found: list[PurePosixPath] = []
        for folder in sorted({*self.earlier, *(name.parent for name in self.files)}):
            if not any(folder.is_relative_to(other) for other in found):
                found.append(folder)
        return found

    @property
    def mounts(self) -> tuple[tuple[Path, Path], ...]:
        """Each such folder and the path where it is seen."""
        return tuple((self.work / folder, self.over / folder) for folder in self.folders)


def lay(session: Session, source: Source, files: Mapping[str, str], scope: str) -> Source:
    """The source with files laid over it, on top of what is laid over it already.

    They are written when the kernel is built, under its lock. `scope` is a key of
    the workspace and of what in it the files are for.
    """
    if not files:
        return source
    below = source.overlay.files if source.overlay else {}
    named = {**below, **{PurePosixPath(name): text for name, text in files.items()}}
    work = session.store.work("overlay", key_of(str(source.path), scope))
    key = key_of("overlay", source.key, sorted(files.items()))
    record = work / _FOLDERS
    earlier = record.read_text().splitlines() if record.is_file() else []
    folders = tuple(PurePosixPath(folder) for folder in earlier)
    return replace(source, key=key, overlay=Overlay(named, source.path, work, scope, folders))


def write(source: Source) -> None:
    """Make the folders hold what they should; only what changed gets a new time of change."""
    overlay = source.overlay
    if not overlay:
        return
    for folder in overlay.folders:
        if folder not in overlay.earlier:
            _link(source.path / folder, overlay.work / folder)
    write_atomically(overlay.work / _FOLDERS, "".join(f"{f}\n" for f in overlay.folders))
    for folder in overlay.folders:
        _restore(source, overlay, folder)
    for name, text in overlay.files.items():
        path = overlay.work / name
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)


def _link(folder: Path, into: Path) -> None:
    half = into.with_name(f".{into.name}.half")
    remove_tree(half)
    half.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, half, symlinks=True, copy_function=os.link)
    remove_tree(into)
    half.rename(into)


def _restore(source: Source, overlay: Overlay, folder: PurePosixPath) -> None:
    """Give back what an earlier state of the overlay changed, as new files that make sees."""
    for place, _, names in os.walk(overlay.work / folder):
        for name in names:
            path = Path(place, name)
            relative = path.relative_to(overlay.work)
            own = source.path / relative
            if PurePosixPath(relative) in overlay.files or path.is_symlink():
                continue
            if not own.is_file():
                path.unlink()
            elif not path.samefile(own) and path.read_bytes() != own.read_bytes():
                write_atomically(path, own.read_bytes())
