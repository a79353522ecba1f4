"""Edits of files in a tree of the user's: all of them are made, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rflbuild.store import write_atomically
from rflbuild.verdict import environment_error, usage_error


def read(path: Path) -> str | None:
    """The text of a file; None if it is not there. RflError(usage) if it is no text."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise usage_error(f"cannot read {path}: {error}") from error


@contextlib.contextmanager
def written(texts: Mapping[Path, str | None]) -> Iterator[None]:
    """Write files, or remove those without a text; if that or the context fails, none.

    Raises RflError(environment) for a file that cannot be written.
    """
    before = {path: read(path) for path in texts}
    try:
        for path, text in texts.items():
            _write(path, text)
        yield
    except BaseException:
        for path, text in before.items():
            if read(path) != text:
                _write(path, text)
        raise


def _write(path: Path, text: str | None) -> None:
    """Write a file, or remove it and a folder that it leaves empty."""
    try:
        if text is None:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            return
        path.parent.mkdir(exist_ok=True)
        write_atomically(path.resolve(), text)
    except OSError as error:
        raise environment_error(
            f"cannot write {path}: {error.strerror}; nothing was changed"
        ) from error
