"""SSH into a guest: a file that `ssh -F` takes, and waiting until sshd answers."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild.session import Session
from rflbuild.verdict import environment_error

BATCH = ("-o", "BatchMode=yes")  # of an ssh or scp that may ask nobody, as for a passphrase
HOST = "guest"  # what the guest is called in its ssh_config
CONFIG = "ssh_config"
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(\d+) ")
_PORT = re.compile(r"^    Port (\d+)$", re.MULTILINE)
_PAUSE = 0.1  # seconds between two looks at a port


@dataclass(frozen=True)
class Access:
    """How SSH gets in: the private key, and the file with the guest's host keys.

    Host keys are filed under the name `alias` (ssh_config(5), HostKeyAlias). Those of an
    image of the user's are not known; what comes by a port of our own QEMU's is believed.
    """

    identity: Path
    known_hosts: Path | None
    alias: str = "rflbuild-guest"


def require() -> None:
    """Raise RflError(environment) if this host has no ssh and scp."""
    missing = [name for name in ("ssh", "scp") if not shutil.which(name)]
    if missing:
        raise environment_error(
            f"this host lacks {' and '.join(missing)}: type `sudo apt install openssh-client`"
        )


def forwarded_port(usernet: str) -> int | None:
    """The port on 127.0.0.1 that QEMU has forwarded, from its `info usernet`."""
    match = _FORWARD.search(usernet)
    return int(match[1]) if match else None


def config(access: Access, port: int) -> str:
    """An ssh_config by which the guest is the host `guest` (ssh_config(5))."""
    identity = str(access.identity).replace("%", "%%")
    known_hosts = str(access.known_hosts or "/dev/null").replace("%", "%%")
    return f"""\
Host {HOST}
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile "{identity}"
    IdentitiesOnly yes
    UserKnownHostsFile "{known_hosts}"
    HostKeyAlias {access.alias}
    StrictHostKeyChecking {"yes" if access.known_hosts else "no"}
    PasswordAuthentication no
    LogLevel ERROR
"""


def command(config_file: Path, *words: str, options: Sequence[str] = ()) -> list[str]:
    """The command line of an ssh into the guest."""
    return ["ssh", "-F", str(config_file), *options, HOST, *words]


def visit(
    session: Session, config_file: Path, *words: str, check: Callable[[], None] | None = None
) -> int:
    """Be in the guest at our own terminal, in a shell or for one command; its exit status.

    `check` is called meanwhile, each second, and may raise.
    """
    child = _foreground(session, command(config_file, *words))
    while check:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(1.0)
        check()
    return child.wait()


def copy(session: Session, config_file: Path, source: str, destination: str) -> int:
    """Copy by scp, folders with all that is in them; its exit status."""
    return _foreground(session, copying(config_file, source, destination)).wait()


def copying(
    config_file: Path, source: str, destination: str, options: Sequence[str] = ()
) -> list[str]:
    """The command line of an scp; a path in the guest is `guest:PATH`."""
    return ["scp", "-r", "-F", str(config_file), *options, source, destination]


def _foreground(session: Session, argv: list[str]) -> subprocess.Popen[bytes]:
    return session.processes.start(argv, stdin=None, output=None, foreground=True)


def running(results: Path) -> Path | None:
    """The ssh_config of the newest guest that answers.

    A guest's goes when the guest goes; that of a run that was killed goes here.
    """
    found = []
    for path in results.glob(f"*/{CONFIG}"):
        with contextlib.suppress(FileNotFoundError):  # a guest has just gone
            match = _PORT.search(path.read_text())
            if match and not path.parent.is_symlink():  # as `latest` is
                found.append((path.stat().st_mtime, path, int(match[1])))
    for _, path, port in sorted(found, reverse=True):
        if has_banner(port, 2.0):
            return path
        if not _is_open(port):
            path.unlink(missing_ok=True)
    return None


def _is_open(port: int) -> bool:
    """Whether anybody listens on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2.0).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def has_banner(port: int, seconds: float) -> bool:
    """Whether sshd says its version on a port of 127.0.0.1 in time (RFC 4253, section 4.2).

    QEMU takes the connection before the guest does, so that only what is said counts.
    """
    begun = time.monotonic()
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection,
    ):
        connection.settimeout(seconds)
        if connection.recv(4) == b"SSH-":
            return True
    time.sleep(max(0.0, min(_PAUSE, seconds - (time.monotonic() - begun))))
    return False
