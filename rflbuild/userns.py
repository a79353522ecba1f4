"""Commands run as root of a user namespace of their own, with ids 0 to 65535 mapped.

What Debian's packages do as root (chown, chroot, mount) works there, as root and
as an ordinary user, and nothing of the host's can be harmed: mounts, processes and
binfmt_misc are the namespace's own and go with it, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rflbuild.process import Completed
from rflbuild.session import Session
from rflbuild.verdict import environment_error

IDS = 65536  # as many as Debian's policy has (section 9.2.2)
_NAMESPACES = ["unshare", "--user", "--mount", "--pid", "--fork", "--kill-child"]
# A command started before the ids are mapped would lose its capabilities
# (capabilities(7), "Effect of user ID changes"); one executed afterwards gets them all.
_WAIT = 'read -r _ && exec "$@"'
_ADVICE = (
    "allow user namespaces (`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` on "
    "Ubuntu, `--privileged` for a container)"
)
_PATIENCE = 10.0  # seconds for `unshare` to have made its namespace


def run(
    session: Session,
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command as root of a new namespace; see Processes.run for the rest.

    Raises RflError(environment) where the host lets nobody make one.
    """
    done = session.processes.run(
        [*_NAMESPACES, "sh", "-c", _WAIT, "sh", *argv],
        timeout=timeout,
        cwd=cwd,
        env=env,
        log=log,
        on_line=on_line,
        on_start=lambda child: _admit(session, child),
    )
    if done.status and "unshare failed" in done.output:
        words = done.output.strip().splitlines()[-1]
        raise environment_error(f"this host lets nobody make a namespace ({words}): {_ADVICE}")
    return done


def _admit(session: Session, child: subprocess.Popen[bytes]) -> None:
    """Map the ids of a child's namespace, and let it go on.

    A child that ended says itself why; nothing is raised for it.
    """
    if not _has_namespace(child):
        return
    for kind in ("uid", "gid"):
        _map(session, kind, child.pid)
    assert child.stdin is not None  # noqa: S101 - `on_start` has a pipe
    with contextlib.suppress(BrokenPipeError):
        os.write(child.stdin.fileno(), b"\n")


def _has_namespace(child: subprocess.Popen[bytes]) -> bool:
    ours = Path("/proc/self/ns/user").stat().st_ino
    deadline = time.monotonic() + _PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child.pid}/ns/user").stat().st_ino != ours:
                return True
        time.sleep(0.005)
    return False


def _map(session: Session, kind: str, pid: int) -> None:
    """Write a map of ids (user_namespaces(7)); an ordinary user has newuidmap(1) do it."""
    if os.geteuid() == 0:
        try:
            Path(f"/proc/{pid}/{kind}_map").write_text(f"0 0 {IDS}\n")
        except OSError as error:  # as in a container that has fewer ids
            raise environment_error(
                f"root may not map {IDS} ids here ({error.strerror}): {_ADVICE}"
            ) from error
        return
    own = os.geteuid() if kind == "uid" else os.getegid()
    first = subordinate(Path(f"/etc/sub{kind}").read_text(), pwd.getpwuid(os.geteuid()).pw_name)
    words = [str(word) for word in (pid, 0, own, 1, 1, first, IDS - 1)]
    done = session.processes.run([f"new{kind}map", *words], timeout=60.0)
    if done.status:
        raise environment_error(
            f"new{kind}map does not map ids for a namespace ({done.output.strip()})"
        )


def subordinate(text: str, user: str) -> int:
    """The first of the ids that a user may map, from the text of /etc/subuid (subuid(5)).

    Raises RflError(environment) if there are not enough for Debian's packages.
    """
    for line in text.splitlines():
        name, first, count = [*line.split(":"), "", ""][:3]
        if name in (user, str(os.geteuid())) and count.isdecimal() and int(count) >= IDS - 1:
            return int(first)
    raise environment_error(
        f"{user} may not map {IDS - 1} ids: type `sudo usermod --add-subuids 100000-165535 "
        f"--add-subgids 100000-165535 {user}`, or run as root"
    )
