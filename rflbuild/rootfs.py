"""Debian's packages, installed for an architecture into a tar: the root of a guest.

mmdebstrap does it as root of a user namespace. Where the architecture is not the
host's, the packages' own scripts run by qemu-user, which a binfmt_misc of the
namespace's own calls (Documentation/admin-guide/binfmt-misc.rst; from Linux 6.7 on).
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import debian, userns
from rflbuild.arch import Arch
from rflbuild.private_root import WITHOUT_DOCUMENTATION
from rflbuild.session import Session
from rflbuild.store import explain_os_error, key_of, remove_tree
from rflbuild.verdict import environment_error

_RECIPE = 1  # raise it when the way packages are installed changes
_TIMEOUT = 3600.0
# $1 is what to write to `register`, or nothing; the rest is the command.
_EMULATED = """
set -e
binfmt=/proc/sys/fs/binfmt_misc
if [ -n "$1" ]; then
    mount -t binfmt_misc none $binfmt
    printf %s "$1" >$binfmt/register
fi
shift
exec "$@"
"""
# Hooks of mmdebstrap, whose $1 is the root; the folder of packages comes in before them.
_TAKE_PACKAGES = 'mkdir -p "$1"/var/cache/apt/archives; find {0} -name "*.deb" -exec cp --link -t "$1"/var/cache/apt/archives {{}} +'
_KEEP_PACKAGES = 'find "$1"/var/cache/apt/archives -maxdepth 1 -name "*.deb" -exec cp --link --no-clobber -t {0} {{}} +'
_PASSWORD = 'echo root:root | chroot "$1" chpasswd'
_NO_HOST_KEYS = 'rm -f "$1"/etc/ssh/ssh_host_*'
_UNPACK = 'tar --extract --xattrs --xattrs-include="*" --exclude="./dev/*" --directory="$1" --file={0}'
# The way in which mmdebstrap itself has apt call the root's dpkg.
_INSTALL = (
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes -oDir::Bin::dpkg=env '
    '-oDPkg::Options::=--unset=TMPDIR -oDPkg::Options::=dpkg -oDPkg::Chroot-Directory="$1" '
    "install {0}"
)


@dataclass(frozen=True)
class Rootfs:
    """A root as a tar, and the mark under which the store has it."""

    tar: Path
    key: str


def key(session: Session, arch: Arch, suite: str, packages: Sequence[str]) -> str:
    """The key of the root with these packages."""
    return key_of("rootfs", _RECIPE, arch.debian, suite, sorted(packages), session.mirror)


def build(
    session: Session, arch: Arch, suite: str, packages: Sequence[str], tools: Path
) -> Path:
    """A tar with these packages installed; made once. `tools` is a root with qemu-user."""

    def make(into: Path) -> None:
        words = [
            "--variant=essential",
            f"--include={','.join(sorted(packages))}",
            f"--customize-hook={_PASSWORD}",
        ]
        _mmdebstrap(session, arch, suite, words, tools, into / "root.tar")

    return session.store.build("rootfs", key(session, arch, suite, packages), make) / "root.tar"


def extend(
    session: Session,
    arch: Arch,
    suite: str,
    base: Path,
    packages: Sequence[str],
    tools: Path,
    tar: Path,
) -> None:
    """Write to `tar` the root of `base` with further packages installed."""
    words = [
        "--variant=custom",
        f"--setup-hook={_UNPACK.format(shlex.quote(str(base)))}",
        f"--customize-hook={_INSTALL.format(shlex.join(packages))}",
    ]
    _mmdebstrap(session, arch, suite, words, tools, tar)


def _mmdebstrap(
    session: Session, arch: Arch, suite: str, words: Sequence[str], tools: Path, tar: Path
) -> None:
    name = f"{suite}-{arch.debian}"
    packages = session.store.work("packages", name)
    log = session.store.work("logs", "image") / f"{name}.log"
    scratch = tar.with_name("root")
    take, keep = (hook.format(shlex.quote(str(packages))) for hook in (_TAKE_PACKAGES, _KEEP_PACKAGES))
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--format=tar",
        f"--architectures={arch.debian}",
        f"--keyring={debian.KEYRING}",
        "--skip=check/qemu,download/empty",
        '--aptopt=APT::Sandbox::User "root"',
        *WITHOUT_DOCUMENTATION,
        f"--setup-hook={take}",
        f"--extract-hook={keep}",
        *words,
        f"--customize-hook={keep}",
        f"--customize-hook={_NO_HOST_KEYS}",
        suite,
        str(tar),
        *([session.mirror] if session.mirror else []),
    ]
    with session.store.lock(f"packages-{name}"):
        log.unlink(missing_ok=True)
        scratch.mkdir()
        try:
            with session.terminal.progress(f"Debian {suite} {arch.debian}", None) as meter:
                done = userns.run(
                    session,
                    ["sh", "-c", _EMULATED, "sh", registration(arch, tools), *argv],
                    timeout=_TIMEOUT,
                    env={"TMPDIR": str(scratch)},
                    log=log,
                    on_line=lambda _: meter.step(),
                )
        finally:
            _remove(session, scratch)
    if done.status:
        raise _why_not(session, done.output, log)


def registration(arch: Arch, tools: Path) -> str:
    """What makes the kernel run the architecture's programs by qemu-user; empty for our own.

    F: the interpreter is opened now, and so need not be in the root; P: the program
    gets its own name as argv[0].
    """
    if arch.native():
        return ""
    user = arch.qemu_user
    return f":rflbuild-{arch.name}:M::{user.magic}:{user.mask}:{tools}/usr/bin/{user.binary}:PF"


def _remove(session: Session, folder: Path) -> None:
    """Remove what the namespace's root left; its files are an ordinary user's by mapping only."""
    if os.geteuid():
        userns.run(session, ["rm", "-rf", str(folder)], timeout=300.0)
    remove_tree(folder)


def _why_not(session: Session, output: str, log: Path) -> Exception:
    if "No space left on device" in output:
        return explain_os_error(OSError(errno.ENOSPC, ""), session.store.root)
    errors = [line for line in output.splitlines() if line.startswith(("E:", "unshare:", "mount:"))]
    words = (errors or [line for line in output.splitlines() if line.strip()] or ["no output"])[0]
    return environment_error(
        f"mmdebstrap cannot install the image's packages ({words}); is there a network? See {log}"
    )
