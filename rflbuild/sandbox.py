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

# A folder of the host's at its own path, or a folder and the path where it is seen.
Mount = Path | tuple[Path, Path]


def enter(
    root: Path,
    argv: Sequence[str],
    *,
    cwd: Path,
    read: Iterable[Mount] = (),
    write: Iterable[Path] = (),
) -> list[str]:
    """The command line that runs `argv` in `root`, in the folder `cwd`.

    `read` and `write` are folders of the host that are seen there, read-only or
    not; they must exist. Works as root and, where the host lets users make
    namespaces, as an ordinary user.
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
    for mount in read:
        command += ["--ro-bind", *_places(mount)]
    for folder in write:
        command += ["--bind", str(folder), str(folder)]
    return [*command, "--chdir", str(cwd), "--", *argv]


def lay_over(argv: Sequence[str], *, cwd: Path, read: Iterable[Mount]) -> list[str]:
    """The command line that runs `argv` on the host, with some folders in the place of others."""
    moved = [mount for mount in read if isinstance(mount, tuple)]
    if not moved:
        return list(argv)
    command = ["bwrap", "--dev-bind", "/", "/"]
    for mount in moved:
        command += ["--ro-bind", *_places(mount)]
    return [*command, "--chdir", str(cwd), "--", *argv]


def _places(mount: Mount) -> tuple[str, str]:
    folder, place = mount if isinstance(mount, tuple) else (mount, mount)
    return str(folder), str(place)
