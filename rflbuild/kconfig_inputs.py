"""The files that a configuration comes from, and whether they are as they were.

Make, too, sees that a Kconfig file changed; but an option that is new to it gets its default
then, whatever was asked for.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from rflbuild.source import Source
from rflbuild.store import write_atomically

_LOADED = "include/config/auto.conf.cmd"  # names all files that Kconfig has read


def note(file: Path, out: Path, source: Source, srcarch: str, begun: int) -> None:
    """Note in `file` what the inputs are, unless one was changed after `begun`.

    Make has to have run Kconfig in its folder `out` since then, a time in nanoseconds.
    """
    try:
        found = _inputs(out, source, srcarch)
    except FileNotFoundError:  # make has not come so far
        return
    if all(changed < begun for changed, _ in found.values()):
        write_atomically(file, json.dumps(found))


def are_as_noted(file: Path, out: Path, source: Source, srcarch: str) -> bool:
    """Whether the inputs are what `note` found."""
    try:
        return bool(json.loads(file.read_text()) == _inputs(out, source, srcarch))
    except FileNotFoundError:
        return False


def _inputs(out: Path, source: Source, srcarch: str) -> dict[str, list[int]]:
    """The time and the size of each file that can change what Kconfig makes."""
    listed = (out / _LOADED).read_text().partition("deps_config :=")[2].partition("\n\n")[0]
    names = set(listed.replace("\\", " ").split())
    for pattern in ("Makefile", "scripts/*", f"arch/{srcarch}/configs/*"):
        names |= {str(path.relative_to(source.path)) for path in source.path.glob(pattern)}
    found = {}
    for name in sorted(names):
        with contextlib.suppress(FileNotFoundError):
            stat = source.place(name).stat()
            found[name] = [stat.st_mtime_ns, stat.st_size]
    return found
