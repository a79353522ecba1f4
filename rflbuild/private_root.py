"""A private root: a folder of the store with Debian's packages, which sandbox.enter enters.

It is made once by mmdebstrap and read-only from then on; the host's own packages
are not asked for more than debian.HOST_PACKAGES.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import debian, sandbox
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import environment_error

MANIFEST = "etc/rflbuild-packages.json"
# Documentation that nobody reads in a root, for mmdebstrap.
WITHOUT_DOCUMENTATION = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")
)
_RECIPE = 1  # raise it when the way a root is made changes
_TIMEOUT = 1800.0


@dataclass(frozen=True)
class PrivateRoot:
    """What a root is for: `what` names it in sentences.

    `probe` is a command of the root that must run in it, so that a host that forbids
    it is found out here; `otherwise` says what else to do then.
    """

    what: str
    gigabytes: float
    probe: tuple[str, ...]
    otherwise: str


def key(session: Session, suite: str, packages: Sequence[str]) -> str:
    """The key of the root with these packages."""
    return key_of("root", _RECIPE, (suite, packages), session.mirror)


def build(session: Session, root: PrivateRoot, suite: str, packages: Sequence[str]) -> Path:
    """The root with these packages, made if it is not in the store yet."""
    its_key = key(session, suite, packages)
    if not session.store.has("root", its_key):
        debian.install_host_packages(session)
        session.store.require_space(root.gigabytes, root.what)
    elif not shutil.which("bwrap"):  # a root that came from elsewhere, as from a CI's cache
        debian.install_host_packages(session)
    return session.store.build(
        "root", its_key, lambda into: _bootstrap(session, root, suite, packages, into)
    )


def versions(status: str) -> dict[str, str]:
    """Package versions from dpkg's status file (deb822 paragraphs)."""
    found = {}
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Version: "))
        )
        if fields:
            found[fields["Package"]] = fields["Version"]
    return found


def _bootstrap(
    session: Session, root: PrivateRoot, suite: str, packages: Sequence[str], into: Path
) -> None:
    """Make the root in the empty folder `into`.

    As root mmdebstrap writes the folder itself. An ordinary user gets a tar from
    mmdebstrap's user namespace and unpacks it, so that every file is the user's.
    """
    ordinary = os.geteuid() != 0
    logs = session.store.work("logs", "root")
    log = logs / "mmdebstrap.log"
    log.unlink(missing_ok=True)
    tar = into.with_suffix(".tar")
    argv = [
        # What root's mmdebstrap mounts goes with its namespace, even when it is killed.
        *([] if ordinary else ["unshare", "--mount"]),
        "mmdebstrap",
        "--variant=essential",
        f"--mode={'unshare' if ordinary else 'root'}",
        f"--format={'tar' if ordinary else 'directory'}",
        f"--include={','.join(packages)}",
        *WITHOUT_DOCUMENTATION,
        suite,
        str(tar if ordinary else into),
        *([session.mirror] if session.mirror else []),
    ]
    # The unshared root user must be able to enter the folder it works in.
    environment = {} if ordinary else {"TMPDIR": str(session.store.work("tmp", "mmdebstrap"))}
    try:
        with session.terminal.progress(root.what.removeprefix("the "), None) as meter:
            done = session.processes.run(
                argv,
                timeout=_TIMEOUT,
                env=environment,
                log=log,
                on_line=lambda _: meter.step(),
            )
        if done.status:
            raise environment_error(_why_not(root, done.output, log))
        if ordinary:
            unpack = ["tar", "--extract", "--no-same-owner", "--exclude=./dev/*"]
            done = session.processes.run(
                [*unpack, f"--file={tar}", f"--directory={into}"], timeout=600.0, log=log
            )
            if done.status:
                raise environment_error(f"the archive of {root.what} does not unpack; see {log}")
    finally:
        tar.unlink(missing_ok=True)
    _try_out(session, root, into)
    status = (into / "var/lib/dpkg/status").read_text()
    (into / MANIFEST).write_text(json.dumps(versions(status), indent=1))
    shutil.rmtree(into / "var", ignore_errors=True)  # dpkg's and apt's own; 100 MB


def _try_out(session: Session, root: PrivateRoot, folder: Path) -> None:
    """Run one of its commands once, so that a host that forbids it is found out here."""
    argv = sandbox.enter(folder, root.probe, cwd=Path("/"))
    done = session.processes.run(argv, timeout=60.0)
    if done.status:
        words = (done.output.strip().splitlines() or ["no output"])[-1]
        raise environment_error(
            f"bubblewrap cannot enter {root.what} ({words}): allow user namespaces "
            "(`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu), run as "
            f"root, {root.otherwise}"
        )


def _why_not(root: PrivateRoot, output: str, log: Path) -> str:
    lines = [line for line in output.splitlines() if line.startswith("E:")]
    words = lines[0] if lines else "no reason given"
    if "unshare" in output or "namespace" in output or "subuid" in output:
        return (
            f"mmdebstrap cannot work as an ordinary user here ({words}): run once as root, "
            f"{root.otherwise}; see {log}"
        )
    return f"mmdebstrap cannot make {root.what} ({words}); is there a network? See {log}"
