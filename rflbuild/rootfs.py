"""Debian's packages, installed for an architecture into a tar: the root of a guest.

mmdebstrap does it as root of a user namespace. Where the architecture is not the
host's, the packages' own scripts run by qemu-user, which a binfmt_misc of the
namespace's own calls (Documentation/admin-guide/binfmt-misc.rst; from Linux 6.7 on).
Where that is not to be had, they run in a guest (second_stage.py).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import debian, initramfs, second_stage, userns
from rflbuild.arch import Arch
from rflbuild.kernel import Kernel
from rflbuild.private_root import WITHOUT_DOCUMENTATION
from rflbuild.session import Session
from rflbuild.store import key_of, remove_tree
from rflbuild.verdict import RflError, environment_error

_RECIPE = 1  # raise it when the way packages are installed changes
_TIMEOUT = 3600.0
# $1 is what to write to `register`, or nothing; the rest is the command. Where a
# namespace cannot have its own binfmt_misc, the host's may know the architecture.
_EMULATED = """
binfmt=/proc/sys/fs/binfmt_misc
if [ -n "$1" ] && mount -t binfmt_misc none $binfmt; then
    printf %s "$1" >$binfmt/register
fi
shift
exec "$@"
"""
# Hooks of mmdebstrap, whose $1 is the root. Packages come from and go to a folder of the
# store by hard links, so that none is fetched twice and an end half-way loses none.
_TAKE = """
set -e
mkdir -p "$1"/var/cache/apt/archives
find {0} -name '*.deb' -exec cp --link -t "$1"/var/cache/apt/archives {{}} +
"""
_KEEP = """
find "$1"/var/cache/apt/archives -maxdepth 1 -name '*.deb' \\
    -exec cp --link --no-clobber -t {0} {{}} +
"""
_FINISH = """
set -e
echo root:root | chroot "$1" chpasswd
rm -f "$1"/etc/ssh/ssh_host_*
"""
# Of a root that a guest has to finish: its packages, in the order of need.
_LEAVE_TO_GUEST = """
set -e
mkdir "$1"/{folder}
install --mode=755 {init} "$1"/{folder}/init
for deb in $MMDEBSTRAP_ESSENTIAL; do
    cp --link "$1$deb" "$1"/{folder}/
    [ "$(dpkg-deb --field "$1$deb" Essential)" != yes ] || echo "${{deb##*/}}"
done >"$1"/{folder}/essential
"""
_UNPACK = """
tar --extract --xattrs --xattrs-include='*' --exclude='./dev/*' --directory="$1" --file={0}
"""
# The way in which mmdebstrap itself has apt call the root's dpkg.
_INSTALL = """
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes -oDir::Bin::dpkg=env \\
    -oDPkg::Options::=--unset=TMPDIR -oDPkg::Options::=dpkg -oDPkg::Chroot-Directory="$1" \\
    install {0}
"""


@dataclass(frozen=True)
class Rootfs:
    """The roots of a suite for an architecture.

    `tools` is a private root with qemu-user and mke2fs; `kernel` builds one that a guest
    can finish a root with, for hosts that cannot.
    """

    session: Session
    arch: Arch
    suite: str
    second_stage: str = "auto"
    kernel: Callable[[], Kernel] | None = None

    def build(self, packages: Sequence[str], tools: Path) -> Path:
        """A tar with these packages installed, and those that every Debian has; made once."""

        def make(into: Path) -> None:
            if self._is_for_guest(tools):
                self._in_guest(packages, tools, into / "root.tar")
            else:
                words = ["--variant=essential", f"--include={','.join(sorted(packages))}"]
                self._here(words, tools, into / "root.tar")

        return self.session.store.build("rootfs", self.key(packages), make) / "root.tar"

    def extend(self, base: Sequence[str], packages: Sequence[str], tools: Path, tar: Path) -> None:
        """Write to `tar` the root of the packages `base` with further ones installed."""
        if self._is_for_guest(tools):
            self._in_guest([*base, *packages], tools, tar)
            return
        root = self.build(base, tools)
        words = [
            "--variant=custom",
            f"--setup-hook={_UNPACK.format(shlex.quote(str(root)))}",
            f"--customize-hook={_INSTALL.format(shlex.join(packages))}",
        ]
        self._here(words, tools, tar)

    def key(self, packages: Sequence[str]) -> str:
        """The key of the root with these packages."""
        names = sorted(packages)
        return key_of("rootfs", _RECIPE, self.arch.debian, self.suite, names, self.session.mirror)

    def check(self, packages: Sequence[str]) -> None:
        """Raise RflError(usage) for a suite or a package that Debian does not have."""
        debian.Archive(self.session, [self.suite], self.arch.debian).check(packages)

    def _is_for_guest(self, tools: Path) -> bool:
        """Whether the packages' scripts have to run in a guest."""
        if self.second_stage != "auto":
            return self.second_stage == "guest"
        if self.arch.native():
            return False
        probe = [str(initramfs.busybox(self.session, self.arch)), "true"]
        done = userns.run(self.session, emulated(self.arch, tools, probe), timeout=60.0)
        return done.status != 0

    def _here(self, words: Sequence[str], tools: Path, tar: Path) -> None:
        """Have all of it done by mmdebstrap."""
        folder = shlex.quote(str(self._packages()))
        take, keep = _TAKE.format(folder), _KEEP.format(folder)
        self._mmdebstrap(
            [
                f"--setup-hook={take}",
                f"--extract-hook={keep}",
                *words,
                f"--customize-hook={keep}",
                f"--customize-hook={_FINISH}",
            ],
            tools,
            tar,
        )

    def _in_guest(self, packages: Sequence[str], tools: Path, tar: Path) -> None:
        """Have packages unpacked by mmdebstrap, and installed by a guest."""
        if self.kernel is None:
            raise environment_error(
                f"this host cannot run programs for {self.arch.name}: a Linux from 6.7 on can, "
                "or one that has Debian's package qemu-user-binfmt"
            )
        kernel = self.kernel()
        folder = shlex.quote(str(self._packages()))
        init = self.session.workspace.templates / "second-stage" / "init"
        leave = _LEAVE_TO_GUEST.format(folder=second_stage.FOLDER, init=shlex.quote(str(init)))
        first, disk = tar.with_name("first.tar"), tar.with_name("first.raw")
        self._mmdebstrap(
            [
                "--variant=extract",
                "--include=?essential",
                f"--include={','.join(sorted(packages))}",
                f"--setup-hook={_TAKE.format(folder)}",
                f"--extract-hook={_KEEP.format(folder)}",
                f"--extract-hook={leave}",
            ],
            tools,
            first,
        )
        second_stage.lay_out(self.session, tools, first, disk)
        first.unlink()
        second_stage.run(self.session, kernel, disk, tar)
        disk.unlink()

    def _packages(self) -> Path:
        """The folder with the packages that were fetched so far."""
        return self.session.store.work("packages", f"{self.suite}-{self.arch.debian}")

    def _mmdebstrap(self, words: Sequence[str], tools: Path, tar: Path) -> None:
        session, name = self.session, f"{self.suite}-{self.arch.debian}"
        log = session.store.work("logs", "image") / f"{name}.log"
        scratch = tar.with_name("scratch")
        argv = [
            "mmdebstrap",
            "--mode=root",
            "--format=tar",
            f"--architectures={self.arch.debian}",
            f"--keyring={debian.KEYRING}",
            "--skip=check/qemu,download/empty",
            '--aptopt=APT::Sandbox::User "root"',
            *WITHOUT_DOCUMENTATION,
            *words,
            self.suite,
            str(tar),
            *([session.mirror] if session.mirror else []),
        ]
        with session.store.lock(f"packages-{name}"):
            log.unlink(missing_ok=True)
            scratch.mkdir()
            try:
                with session.terminal.progress(f"Debian {name}", None) as meter:
                    done = userns.run(
                        session,
                        emulated(self.arch, tools, argv),
                        timeout=_TIMEOUT,
                        env={"TMPDIR": str(scratch)},
                        log=log,
                        on_line=lambda _: meter.step(),
                    )
            finally:
                _remove(session, scratch)
        if done.status:
            raise _why_not(session, done.output, log)


def emulated(arch: Arch, tools: Path, argv: Sequence[str]) -> list[str]:
    """The command that runs another in a namespace, with the architecture's programs by qemu-user.

    F: the interpreter is opened now, and so need not be in the root; P: the program
    gets its own name as argv[0].
    """
    user = arch.qemu_user
    interpreter = f"{tools}/usr/bin/{user.binary}"
    line = f":rflbuild-{arch.name}:M::{user.magic}:{user.mask}:{interpreter}:PF"
    return ["sh", "-c", _EMULATED, "sh", "" if arch.native() else line, *argv]


def _remove(session: Session, folder: Path) -> None:
    """Remove what the namespace's root left; its files are an ordinary user's by mapping only."""
    if os.geteuid():
        userns.run(session, ["rm", "-rf", str(folder)], timeout=300.0)
    remove_tree(folder)


def _why_not(session: Session, output: str, log: Path) -> RflError:
    errors = [line for line in output.splitlines() if line.startswith("E:")]
    words = (errors or [line for line in output.splitlines() if line.strip()] or ["no output"])[0]
    return session.store.full_disk(output) or environment_error(
        f"mmdebstrap cannot install the image's packages ({words}); is there a network? See {log}"
    )
