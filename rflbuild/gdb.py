"""gdb at a running guest: what it needs of the kernel, and its command line."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rflbuild import buildlog, kconfig, kernel, stub
from rflbuild import symbols as tables
from rflbuild.kernel import Kernel
from rflbuild.render import render
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.symbols import Symbols
from rflbuild.verdict import environment_error, usage_error

ATTACH = "attach.gdb"
_NEEDED = ("DEBUG_INFO", "GDB_SCRIPTS")
_TIMEOUT = 120.0


def require(built: Kernel) -> None:
    """Raise RflError(usage) if a kernel was built without what gdb needs of it."""
    config = kconfig.read(built.out / ".config")
    missing = [f"CONFIG_{name}" for name in _NEEDED if config.get(name) != "y"]
    if missing:
        raise usage_error(
            f"the kernel (Linux {built.source.release} {built.label}) has nothing for gdb "
            f"({' and '.join(missing)} not set): give --fragment gdb"
        )


def scripts(session: Session, built: Kernel) -> Path:
    """The folder with a kernel's vmlinux-gdb.py and all that it imports.

    The kernel's `make scripts_gdb` puts them into the build folder, which may be in
    the store and final; so its Makefile of scripts/gdb/linux is taken as an external
    module's, in a folder of our own. Raises RflError(build-error).
    """
    origin = built.source.path / "scripts" / "gdb"
    files = sorted(path for path in origin.rglob("*") if path.suffix in (".py", ".in"))
    texts = [(str(path.relative_to(origin)), path.read_text()) for path in files]
    key = key_of("gdb", built.key, texts)

    def make(into: Path) -> None:
        linux = into / "scripts" / "gdb" / "linux"
        linux.mkdir(parents=True)
        (linux / "Kbuild").write_text("include $(srctree)/scripts/gdb/linux/Makefile\n")
        for path in origin.glob("linux/*.in"):
            shutil.copy(path, linux)
        log = session.store.work("logs", "gdb") / f"{built.key}.log"
        log.unlink(missing_ok=True)
        words = [f"M={linux}", "modules"]
        done = kernel.run_make(session, built, *words, timeout=_TIMEOUT, write=[linux], log=log)
        if done.status or not (linux / "constants.py").is_file():
            raise session.store.full_disk() or buildlog.failure(
                "the kernel's gdb scripts", done.output, str(log)
            )
        for path in origin.glob("linux/*.py"):
            shutil.copy(path, linux)
        shutil.copy(origin / "vmlinux-gdb.py", into)

    return session.store.build("gdb", key, make)


def write_attach(session: Session, built: Kernel, symbols: Symbols, folder: Path) -> None:
    """Write the script with which gdb attaches to the guest of a results folder."""
    templates = session.workspace.templates / "gdb"
    own = [symbols.directory] if symbols.directory else []
    text = render(
        templates / f"{ATTACH}.j2",
        vmlinux=symbols.vmlinux,
        scripts=scripts(session, built),
        follow=templates / "follow.py",
        socket=stub.SOCKET,
        modules=" ".join(_folders(symbols)),
        sources=[*own, symbols.source, symbols.out],
        source=symbols.source,
        moved=_moved(symbols),
    )
    (folder / ATTACH).write_text(text)


def _moved(symbols: Symbols) -> str:
    """Where the source was when the kernel was built, if it has moved, as a CI's cache may."""
    link = Path(symbols.out, "source")  # make O= leaves it
    built = str(link.readlink()) if link.is_symlink() else symbols.source
    return built if built != symbols.source else ""


def _folders(symbols: Symbols) -> list[str]:
    """The folders with the .ko files that a guest got."""
    return sorted({str(Path(path).parent) for path in symbols.modules.values()})


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others away from a results folder's guest; QEMU serves one gdb, and lets others wait.

    Raises RflError(usage) if somebody else is there.
    """
    with (folder / ATTACH).open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise usage_error(f"another gdb is at the guest of {folder.name}; quit it") from None
        yield


def command(
    session: Session, symbols: Symbols, folder: Path, words: Sequence[str], files: Sequence[Path]
) -> list[str]:
    """The command line of gdb at the guest of a results folder, with further words for it.

    `files` are those that the words name. Raises RflError(environment) if there is no gdb.
    """
    chain = tables.tools(session, symbols)
    gdb = "gdb-multiarch"  # for every architecture
    if chain.root is None:
        path = session.processes.environ.get("PATH")
        gdb = shutil.which(gdb, path=path) or shutil.which("gdb", path=path) or ""
        if not gdb:
            raise environment_error(
                "there is no gdb on the PATH: install gdb-multiarch, or use --toolchain debian"
            )
    read: list[Mount] = [folder, *files, session.workspace.templates, session.store.root / "gdb"]
    read += [Path(name) for name in (symbols.out, symbols.source, *_folders(symbols))]
    if symbols.directory:
        read.append(Path(symbols.directory))
    read += [(Path(there), Path(seen)) for there, seen in symbols.laid]
    argv = [gdb, "--quiet", "-x", ATTACH, *words]
    return chain.command(argv, cwd=folder, read=[place for place in read if _is_there(place)])


def _is_there(place: Mount) -> bool:
    """Whether a folder can be bound; the user's own may be gone since the guest was started."""
    return (place[0] if isinstance(place, tuple) else place).exists()
