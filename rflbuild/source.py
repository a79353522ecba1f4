"""The kernel's source: found, verified and unpacked once.

What comes from Debian, a tarball or git is immutable in the store. A folder
belongs to the user: it is never written to, and make decides what is stale.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from rflbuild import document, tree_edit
from rflbuild.debian import Archive, Package
from rflbuild.document import InvalidError
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import environment_error, usage_error

if TYPE_CHECKING:
    from rflbuild.overlay import Overlay

_MINIMA = "scripts/min-tool-version.sh"
_GIGABYTES = 3.0  # a .deb, its tarball and the tree that is unpacked from it
_UNPACK_TIMEOUT = 900.0
_CLONE_TIMEOUT = 3600.0
# The @ of a user, as in git+ssh://git@host/x, is in the authority and no ref's.
_GIT = re.compile(r"git\+(?P<url>(?:[\w+]+://[^/]*/|(?![\w+]+://)).+?)@(?P<ref>[^@:]+)$")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_MAKEFILE = re.compile(
    r"^VERSION = (\d+)\nPATCHLEVEL = (\d+)\nSUBLEVEL = (\d*)\nEXTRAVERSION =(?: (\S*))?$",
    re.MULTILINE,
)


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of configs/kernels.yaml: just one of debian, tarball and git."""

    debian: str | None = None
    tarball: str | None = None
    sha256: str | None = None
    git: str | None = None
    ref: str | None = None
    directory: str | None = None

    def check(self) -> None:
        """Raise InvalidError unless the entry names one place."""
        named = [n for n in ("debian", "tarball", "git", "directory") if getattr(self, n)]
        if len(named) != 1:
            raise InvalidError("a kernel has one of `debian`, `tarball`, `git` and `directory`")
        if self.debian and not re.fullmatch(r"linux-source-\d+(\.\d+)+", self.debian):
            raise InvalidError("`debian` is a package's name, such as linux-source-7.3")
        if bool(self.git) != bool(self.ref):
            raise InvalidError("`git` goes with `ref`, a branch, a tag or a commit")


class Kernels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """configs/kernels.yaml."""

    default: str
    suites: tuple[str, ...]
    kernels: dict[str, Origin]

    def check(self) -> None:
        """Raise InvalidError for an entry that does not hold, with the way to it."""
        for name, origin in self.kernels.items():
            try:
                origin.check()
            except InvalidError as error:
                raise InvalidError(error.what, ("kernels", name)) from error
        if self.default not in self.kernels:
            raise InvalidError(
                f"`default` names {self.default}, which `kernels` lacks", ("default",)
            )


@dataclass(frozen=True)
class Source:
    """A kernel tree: where it is, its version as (7, 3, 4), and the key of what it is.

    A `mutable` tree belongs to the user; its key names the place, not the content.
    """

    name: str
    path: Path
    version: tuple[int, ...]
    release: str
    key: str
    mutable: bool = False
    overlay: Overlay | None = None

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What a sandbox has to see: the tree, and what is laid over it."""
        return (self.path, *(self.overlay.mounts if self.overlay else ()))

    @property
    def laid(self) -> dict[str, str]:
        """The texts that are laid over the tree, by their paths in it."""
        files = self.overlay.files if self.overlay else {}
        return {str(name): text for name, text in files.items()}

    def read(self, name: str) -> str | None:
        """The text of a file of the tree, the one that is laid over it if one is; None without."""
        laid = self.overlay.files.get(PurePosixPath(name)) if self.overlay else None
        return laid if laid is not None else tree_edit.read(self.path / name)

    def place(self, name: str) -> Path:
        """Where on the host a file of the tree is, by its path there: in the tree, or laid over it.

        What is laid over it is there once `overlay.write` has been.
        """
        folders = self.overlay.folders if self.overlay else ()
        if self.overlay and any(PurePosixPath(name).is_relative_to(each) for each in folders):
            return self.overlay.work / name
        return self.path / name


def kernels(session: Session) -> Kernels:
    """The list of kernels that have a name."""
    return document.read(session.workspace.configs / "kernels.yaml", Kernels)


def locate(session: Session, wanted: str | None) -> tuple[str, Origin]:
    """What `--kernel` means, without fetching anything; RflError(usage) if nothing."""
    known = kernels(session)
    name = wanted or known.default
    if name in known.kernels:
        return name, known.kernels[name]
    git = _GIT.match(name)
    if git:
        return name, Origin(git=git["url"], ref=git["ref"])
    if name.startswith("git+"):
        raise usage_error(f"`{name}` names no ref: write git+URL@BRANCH, a tag or a commit")
    path = Path(name).expanduser()
    if path.is_dir():
        return name, Origin(directory=str(path.resolve()))
    if path.is_file():
        return name, Origin(tarball=str(path.resolve()))
    if "://" in name:
        url, _, checksum = name.partition("#sha256=")
        return name, Origin(tarball=url, sha256=checksum or None)
    if _VERSION.fullmatch(name):
        return name, Origin(debian=f"linux-source-{name}")
    raise usage_error(
        f"`{name}` is no kernel: give a name of configs/kernels.yaml "
        f"({', '.join(known.kernels)}), a version, a folder, a tarball or git+URL@REF"
    )


def prepare(session: Session, wanted: str | None) -> Source:
    """The kernel's source for `--kernel`, fetched and unpacked if it has to be."""
    name, origin = locate(session, wanted)
    if origin.directory:
        return _directory(name, Path(origin.directory).expanduser())
    if origin.debian:
        key, path = _from_debian(session, origin.debian)
    elif origin.tarball:
        key, path = _from_tarball(session, origin.tarball, origin.sha256)
    else:
        key, path = _from_git(session, str(origin.git), str(origin.ref))
    release = version_of(path)
    # Kbuild's saved commands name the place that links lead to.
    return Source(name, path.resolve(), _numbers(release), release, key)


def pinned(session: Session, wanted: str | None) -> str | None:
    """The key of a source that is in the store already; None if it must be fetched."""
    _, origin = locate(session, wanted)
    if origin.directory:
        return _directory("", Path(origin.directory).expanduser()).key
    note = session.store.noted(_pin(origin))
    key = str(note["key"]) if note else None
    return key if key and session.store.has("source", key) else None


def forget_pins(session: Session) -> list[str]:
    """Let the next use look again for newer versions; returns what was pinned."""
    folder = session.store.root / "notes"
    names = []
    for path in sorted(folder.glob("source-*.json")):
        noted = session.store.noted(path.stem)
        names.append(str(noted["what"]) if noted and "what" in noted else path.stem)
        path.unlink()
    return names


def is_tree(folder: Path) -> bool:
    """Whether a folder is the top of a Linux source."""
    return all((folder / name).is_file() for name in ("Makefile", _MINIMA))


def version_of(tree: Path, shown: str = "") -> str:
    """The release that a kernel tree's Makefile states, such as `7.3.4`.

    `shown` is what the user calls the tree. Raises RflError(usage) if it is none.
    """
    try:
        head = (tree / "Makefile").read_text(errors="replace")[:2000]
    except OSError:
        head = ""
    found = _MAKEFILE.search(head)
    if not found or not (tree / _MINIMA).is_file():
        raise usage_error(
            f"{shown or tree} holds no Linux source: no Makefile in it states a kernel's version"
        )
    version, patchlevel, sublevel, extra = found.groups()
    return f"{version}.{patchlevel}.{sublevel or 0}{extra or ''}"


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:3])


def _directory(name: str, path: Path) -> Source:
    release = version_of(path)
    return Source(name, path, _numbers(release), release, key_of("directory", str(path)), True)


def _pin(origin: Origin) -> str:
    return f"source-{key_of(msgspec.to_builtins(origin))}"


def _from_debian(session: Session, name: str) -> tuple[str, Path]:
    store = session.store
    pin = _pin(Origin(debian=name))
    note = store.noted(pin)
    if note and store.has("source", str(note["key"])):
        return str(note["key"]), _tree(store.path("source", str(note["key"])))
    suites = kernels(session).suites
    from rflbuild import debian

    debian.install_host_packages(session)
    archive = Archive(session, suites)
    package = archive.newest(name)
    if package is None:
        there = ", ".join(
            found.removeprefix("linux-source-") for found in archive.search("^linux-source-[0-9]")
        )
        raise usage_error(
            f"Debian has no {name} in {', '.join(suites)}; it has {there}: "
            "choose one of these, or give a tarball or git+URL@REF"
        )
    key = key_of("debian", package.name, package.version)
    store.require_space(_GIGABYTES, "the kernel's source")
    path = store.build("source", key, lambda into: _unpack_package(session, archive, package, into))
    store.note(pin, {"key": key, "what": f"{package.name} {package.version} ({package.suite})"})
    return key, _tree(path)


def _unpack_package(session: Session, archive: Archive, package: Package, into: Path) -> None:
    with session.terminal.progress(f"source {package.version}", None) as meter:
        archive.unpack(package, into)
        meter.step()
        (tarball,) = (into / "usr" / "src").glob("linux-source-*.tar.*")
        _extract(session, tarball, into, package.name)
    shutil.rmtree(into / "usr")


def _from_tarball(session: Session, place: str, checksum: str | None) -> tuple[str, Path]:
    store = session.store
    pin = _pin(Origin(tarball=place, sha256=checksum))
    note = store.noted(pin)
    if "://" in place and note and store.has("source", str(note["key"])):
        return str(note["key"]), _tree(store.path("source", str(note["key"])))
    with _local(session, place) as path:
        expected = checksum or _checksum_beside(path)
        actual = _sha256(path)
        if expected and actual != expected.lower():
            raise usage_error(
                f"{place} has the SHA-256 {actual}, not {expected}: fetch it again, or mend "
                "the checksum"
            )
        if not expected:
            session.terminal.note(f"{place} has no checksum beside it; its SHA-256 is {actual}")
        key = key_of("tarball", actual)
        store.require_space(_GIGABYTES, "the kernel's source")
        tree = store.build("source", key, lambda into: _extract(session, path, into, place))
    store.note(pin, {"key": key, "what": place})
    return key, _tree(tree)


@contextlib.contextmanager
def _local(session: Session, place: str) -> Iterator[Path]:
    """A tarball as a local file: itself, or fetched for as long as the context lasts."""
    if "://" not in place:
        yield Path(place)
        return
    import http.client  # 0.05 s, for those who fetch by URL alone
    import urllib.request

    name = key_of(place)
    with session.store.lock(f"download-{name}"):
        path = session.store.work("download", name) / Path(place).name
        try:
            try:
                with urllib.request.urlopen(place, timeout=60) as answer, path.open("wb") as file:  # noqa: S310 - the user's own URL
                    shutil.copyfileobj(answer, file)
                    length = answer.headers.get("Content-Length")
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise environment_error(
                    f"cannot fetch {place}: {error}; is there a network?"
                ) from error
            if length and path.stat().st_size != int(length):
                raise environment_error(
                    f"cannot fetch {place}: the connection broke off; try again"
                )
            yield path
        finally:
            path.unlink(missing_ok=True)


def _checksum_beside(path: Path) -> str | None:
    beside = path.with_name(path.name + ".sha256")
    if not beside.is_file():
        return None
    match = re.search(r"\b[0-9a-fA-F]{64}\b", beside.read_text(errors="replace"))
    if not match:
        raise usage_error(f"{beside} holds no SHA-256 (64 hexadecimal digits)")
    return match[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extract(session: Session, tarball: Path, into: Path, shown: str) -> None:
    done = session.processes.run(
        ["tar", "--extract", f"--file={tarball}", f"--directory={into}", "--no-same-owner"],
        timeout=_UNPACK_TIMEOUT,
    )
    if done.status:
        words = (done.output.strip().splitlines() or ["no reason given"])[0]
        if "No space left on device" in done.output:
            raise OSError(errno.ENOSPC, "No space left on device", str(into))
        raise usage_error(f"{shown} does not unpack: {words}")
    version_of(_tree(into), shown)


def _tree(path: Path) -> Path:
    """The kernel tree in an unpacked folder: itself, or its only sub-folder."""
    if (path / "Makefile").is_file():
        return path
    folders = [entry for entry in path.iterdir() if (entry / "Makefile").is_file()]
    return folders[0] if len(folders) == 1 else path


def _from_git(session: Session, url: str, ref: str) -> tuple[str, Path]:
    """Fetch one commit, without history, and unpack it.

    A branch is asked for anew each time, since it moves; without a network the
    commit that was seen last serves.
    """
    store = session.store
    name = key_of(url)
    pin = _pin(Origin(git=url, ref=ref))
    with store.lock(f"git-{name}"):
        repository = store.work("git", name)
        if not (repository / "HEAD").exists():
            _git(session, repository, "init", "--quiet", "--bare")
        commit = _remote_commit(session, repository, url, ref)
        note = store.noted(pin)
        if commit is None and note and store.has("source", str(note["key"])):
            session.terminal.note(f"{url} does not answer; using {note['what']}")
            return str(note["key"]), _tree(store.path("source", str(note["key"])))
        key = key_of("git", commit) if commit else ""
        if not commit or not store.has("source", key):
            store.require_space(_GIGABYTES, "the kernel's source")
            done = session.processes.run(
                ["git", "-C", str(repository), "fetch", "--depth=1", url, ref],
                timeout=_CLONE_TIMEOUT,
                env={"LC_ALL": "C"},
            )
            if done.status:
                words = (done.output.strip().splitlines() or ["no reason given"])[-1]
                if "find remote ref" in done.output:
                    raise usage_error(f"{url} has no branch, tag or commit `{ref}`")
                raise environment_error(f"cannot fetch {ref} from {url}: {words}")
            commit = _git(session, repository, "rev-parse", "FETCH_HEAD^{commit}").strip()
            key = key_of("git", commit)

        def export(into: Path) -> None:
            tar = into / ".tree.tar"
            _git(session, repository, "archive", "--format=tar", f"--output={tar}", str(commit))
            _extract(session, tar, into, url)
            tar.unlink()

        path = store.build("source", key, export)
    store.note(pin, {"key": key, "what": f"{ref} of {url} at {commit}"})
    return key, path


def _remote_commit(session: Session, repository: Path, url: str, ref: str) -> str | None:
    """The commit that a remote's ref names now; None if it does not say."""
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        return ref
    done = session.processes.run(
        ["git", "-C", str(repository), "ls-remote", url, ref, f"{ref}^{{}}"], timeout=60.0
    )
    rows = [row.split("\t") for row in done.output.splitlines() if "\t" in row]
    commits = {name: commit for commit, name in rows}
    # git lists whatever ends in the ref; its own order of preference is gitrevisions(7)'s.
    for name in (ref, f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
        if name in commits:
            return commits[name]
    return None


def _git(session: Session, repository: Path, *words: str) -> str:
    done = session.processes.run(["git", "-C", str(repository), *words], timeout=300.0)
    if done.status:
        raise environment_error(f"git {words[0]} failed in {repository}: {done.output.strip()}")
    return done.output
