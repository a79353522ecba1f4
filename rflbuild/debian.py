"""Debian's archive: packages found, fetched, verified by apt and unpacked.

apt works in folders of its own below the store, so the host's lists and sources
are never touched. The mirror is mmdebstrap's default one, unless a setting
names another.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild.session import Session
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import RflError, environment_error, usage_error

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HOST_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "bwrap": "bubblewrap",
    "newuidmap": "uidmap",
}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian policy, section 5.6.7
_UPDATE_TIMEOUT = 300.0
_DOWNLOAD_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Package:
    """A package as the archive has it."""

    name: str
    version: str
    suite: str


def missing_host_packages() -> list[str]:
    """Debian packages that this host lacks to fetch packages and make a root."""
    names = [package for tool, package in HOST_PACKAGES.items() if not shutil.which(tool)]
    if not KEYRING.exists():
        names.append("debian-archive-keyring")
    return names


def install_host_packages(session: Session) -> None:
    """Install what `missing_host_packages` names, as root or by sudo.

    Raises RflError(environment), with the line to type, where neither works.
    """
    names = missing_host_packages()
    if not names:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
    advice = f"type `sudo apt install {' '.join(names)}` and try again"
    if not shutil.which("apt-get"):
        raise environment_error(
            f"this host lacks {', '.join(names)} and has no apt; install them, "
            "or use --toolchain system with --kernel DIRECTORY"
        )
    with session.store.lock("host-packages", quiet=True):
        names = missing_host_packages()
        if not names:
            return
        sudo: list[str] = []
        if os.geteuid():
            sudo = ["sudo", "--non-interactive"]
            if not shutil.which("sudo"):
                raise environment_error(f"this host lacks {', '.join(names)}; {advice}")
            session.terminal.note(f"this host lacks {', '.join(names)}: installing by sudo apt-get")
        else:
            session.terminal.note(f"this host lacks {', '.join(names)}: installing by apt-get")
        log = session.store.work("logs", "host") / "apt-install.log"
        log.unlink(missing_ok=True)
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        for argv in (["apt-get", "update"], install):
            done = session.processes.run(
                [*sudo, *argv], timeout=_DOWNLOAD_TIMEOUT, env=environment, log=log
            )
            if done.status and argv is install:
                last = _last_words(done.output)
                raise environment_error(f"cannot install {', '.join(names)} ({last}); {advice}")


class Archive:
    """A view of Debian's archive over several suites, for one architecture."""

    def __init__(self, session: Session, suites: Sequence[str], architecture: str = "") -> None:
        self._session = session
        self._suites = tuple(suites)
        self._architecture = architecture
        self._name = "-".join(suites) + (f"-{architecture}" if architecture else "")
        self._state = session.store.root / "work" / "apt" / self._name
        self._updated = False

    def newest(self, package: str) -> Package | None:
        """The newest version of a package over the suites; None if no suite has it."""
        self._update()
        rows = self._cache("madison", package)
        found = [
            Package(package, match[1], match[2])
            for match in re.finditer(r"\| *(\S+) *\| +\S+ +([^/\s]+)/\S+ \S+ Packages", rows)
        ]
        return found[0] if found else None  # apt lists the newest first

    def search(self, pattern: str) -> list[str]:
        """The names of packages that match a regular expression, sorted."""
        self._update()
        rows = self._cache("search", "--names-only", pattern)
        return sorted(line.split(" - ")[0] for line in rows.splitlines())

    def check(self, packages: Sequence[str]) -> None:
        """Raise RflError(usage), with near names, for a package that no suite has."""
        for name in packages:
            if not _PACKAGE.fullmatch(name):
                raise usage_error(f"`{name}` is no name of a Debian package")
        exact = "|".join(re.sub(r"([+.])", r"\\\1", name) for name in packages)
        unknown = sorted(set(packages) - set(self.search(f"^({exact})$")))
        if not unknown:
            return
        name = unknown[0]
        near = difflib.get_close_matches(name, self.search(f"^{name[:2]}"), 3)
        hint = f"; near names: {', '.join(near)}" if near else ""
        raise usage_error(f"Debian has no package {name} in {', '.join(self._suites)}{hint}")

    def unpack(self, package: Package, into: Path) -> None:
        """Fetch a package, which apt verifies, and unpack its files below `into`."""
        self._update()
        folder = into / ".deb"
        folder.mkdir(parents=True)
        self._run(
            "apt-get",
            ["download", f"{package.name}={package.version}"],
            _DOWNLOAD_TIMEOUT,
            f"cannot fetch {package.name} {package.version}",
            cwd=folder,
        )
        (file,) = folder.glob("*.deb")
        self._run_plain(["dpkg-deb", "--extract", str(file), str(into)], f"cannot unpack {file}")
        shutil.rmtree(folder)

    def _update(self) -> None:
        if self._updated:
            return
        with self._session.store.lock(f"apt-{self._name}"):
            if not self._updated:
                for folder in ("lists/partial", "cache/archives/partial"):
                    (self._state / folder).mkdir(parents=True, exist_ok=True)
                mirror = mirror_of(self._session, self._suites[0])
                signed = f"[signed-by={KEYRING}]"
                rows = [f"deb {signed} {mirror} {suite} main\n" for suite in self._suites]
                write_atomically(self._state / "sources.list", "".join(rows))
                where = f"cannot read Debian's package lists ({', '.join(self._suites)})"
                self._run("apt-get", ["update"], _UPDATE_TIMEOUT, where)
                self._updated = True

    def _cache(self, *words: str) -> str:
        return self._run("apt-cache", list(words), 60.0, "cannot search Debian's package lists")

    def _run(
        self, tool: str, words: Sequence[str], timeout: float, what: str, cwd: Path | None = None
    ) -> str:
        state = self._state
        options = {
            "Dir::Etc::SourceList": state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State::Lists": state / "lists",
            "Dir::State::Status": "/dev/null",
            "Dir::Cache": state / "cache",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
        }
        if self._architecture:
            options["APT::Architecture"] = self._architecture
            options["APT::Architectures"] = self._architecture
        argv = [tool, *(f"-o{name}={value}" for name, value in options.items()), *words]
        return self._run_plain(argv, what, timeout, cwd)

    def _run_plain(
        self, argv: Sequence[str], what: str, timeout: float = 600.0, cwd: Path | None = None
    ) -> str:
        log = self._session.store.work("logs", "apt") / f"{self._name}.log"
        done = self._session.processes.run(argv, timeout=timeout, cwd=cwd, log=log)
        if done.status:
            raise _no_suite(done.output) or environment_error(
                f"{what}: {_last_words(done.output)}; is there a network? The log is {log}"
            )
        return done.output


def mirror_of(session: Session, suite: str) -> str:
    """The address of the mirror: the setting's, else the one mmdebstrap chooses."""
    if session.mirror:
        return session.mirror
    name = f"mirror-{key_of(suite)}"
    install_host_packages(session)
    with session.store.lock(name, quiet=True):
        noted = session.store.noted(name)
        if noted:
            return str(noted["mirror"])
        mirror = _ask_mmdebstrap(session, suite)
        session.store.note(name, {"mirror": mirror})
    return mirror


def _ask_mmdebstrap(session: Session, suite: str) -> str:
    """The mirror in the sources.list of a root without packages, which takes 2 s to make."""
    folder = session.store.work("mirror", suite)
    tar = folder / "probe.tar"
    mode = "chrootless" if os.geteuid() else "root"
    make = ["mmdebstrap", "--variant=custom", "--format=tar", f"--mode={mode}", suite, str(tar)]
    done = session.processes.run(make, timeout=_UPDATE_TIMEOUT, env={"TMPDIR": str(folder)})
    text = ""
    if not done.status:
        show = ["tar", "--extract", "--to-stdout", f"--file={tar}", "./etc/apt/sources.list"]
        text = session.processes.run(show, timeout=60.0).output
    shutil.rmtree(folder, ignore_errors=True)
    match = re.search(r"^deb (?:\[[^]]*\] )?(\S+)", text, re.MULTILINE)
    if not match:
        raise _no_suite(done.output) or environment_error(
            f"mmdebstrap finds no mirror for {suite}: {_last_words(done.output)}; "
            "is there a network? RFLBUILD_MIRROR may name a mirror"
        )
    return match[1]


def require(package: Package | None, name: str, suites: Sequence[str]) -> Package:
    """The package, or RflError(usage) that says where it was looked for."""
    if package is None:
        raise usage_error(f"Debian has no package {name} in {', '.join(suites)}")
    return package


def _no_suite(output: str) -> RflError | None:
    """The error for a suite that the archive, which did answer, does not have."""
    found = re.search(r"^E: The repository '\S+ (\S+) Release' does not have", output, re.MULTILINE)
    if not found or "404" not in output:
        return None
    return usage_error(
        f"Debian's archive has no suite `{found[1]}`; a suite is a release's name, such as trixie"
    )


def _last_words(output: str) -> str:
    """The line of apt's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:", "sudo:"))]
    return (errors or lines or ["no output"])[-1]
