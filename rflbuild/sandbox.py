"""Commands run inside a private root by bubblewrap, with work folders at their own paths.

The root itself stays read-only and untouched: `/` is a tmpfs, the root's parts
are bound into it one by one, and then the work folders. The same path inside
and outside keeps the paths in build products true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

# /usr/local and the rest of /usr/src are left out, so that a kernel tree of the
# user's may lie there; rust-src's files do lie in /usr/src/rustc-VERSION.
_LEFT_OUT = {"local", "src"}


def enter(
    root: Path,
    argv: Sequence[str],
    *,
    cwd: Path,
    read: Iterable[Path] = (),
    write: Iterable[Path] = (),
) -> list[str]:
    """The command line that runs `argv` in `root`, in the folder `cwd`.

    `read` and `write` are folders of the host that are seen there at their own
    paths, read-only or not; they must exist. Works as root and, where the host
    lets users make namespaces, as an ordinary user.
    """
    command = ["bwrap", "--tmpfs", "/", "--proc", "/proc", "--dev-bind", "/dev", "/dev"]
    command += ["--setenv", "PATH", "/usr/sbin:/usr/bin"]
    command += ["--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for entry in sorted(root.iterdir()):
        if entry.is_symlink():  # /bin, /lib and so on, merged into /usr
            command += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
    shared = [root / "etc"]
    shared += [e for e in sorted((root / "usr").iterdir()) if e.name not in _LEFT_OUT]
    shared += sorted((root / "usr" / "src").glob("*"))
    for folder in shared:
        command += ["--ro-bind", str(folder), f"/{folder.relative_to(root)}"]
    for folder in read:
        command += ["--ro-bind", str(folder), str(folder)]
    for folder in write:
        command += ["--bind", str(folder), str(folder)]
    return [*command, "--chdir", str(cwd), "--", *argv]
