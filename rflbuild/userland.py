"""What runs above the kernel in a guest: busybox from an initramfs, a Debian, an image."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import ssh
from rflbuild.chain import Links
from rflbuild.disk import Disk
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.ssh import Access
from rflbuild.verdict import usage_error

KINDS = ("initramfs", "debian")
WAYS = ("disk", "ssh", "share", "image")  # in which files come in; see delivery.py
_QCOW2 = b"QFI\xfb"  # how a qcow2 file begins (QEMU, docs/interop/qcow2.rst)


@dataclass(frozen=True)
class Choice:
    """What was asked for on the command line.

    A Debian is of a `suite`, with `packages` beside those of configs/debian.yaml. `image` is
    a disk of the user's own, with `initrd` and `root` if its root is not the whole disk, and
    `identity`, a private key of its root user. `persist` is an overlay that stays. With
    `over_ssh` commands go by SSH alone, and `files` is how files come in, one of WAYS
    (by default the disk, or SSH with `over_ssh`). A `fresh` guest boots, where else it
    may go on from where an earlier one had booted to.
    """

    kind: str = "initramfs"
    suite: str = ""
    packages: tuple[str, ...] = ()
    image: str = ""
    initrd: str = ""
    root: str = ""
    identity: str = ""
    persist: str = ""
    over_ssh: bool = False
    files: str = ""
    fresh: bool = False

    @property
    def way(self) -> str:
        """How files come in."""
        return self.files or ("ssh" if self.over_ssh else "disk")

    @property
    def on_disk(self) -> bool:
        """Whether the guest's root is on a disk."""
        return bool(self.kind != "initramfs" or self.image)

    def words(self) -> list[str]:
        """The options that make this choice again; what is the default is left out."""
        default = Choice()
        words = [] if self.kind == default.kind else ["--guest", self.kind]
        words += ["--suite", self.suite] if self.suite else []
        for package in self.packages:
            words += ["--package", package]
        for name in ("image", "initrd", "root", "identity", "persist", "files"):
            if getattr(self, name):
                words += [f"--{name}", getattr(self, name)]
        flags = {"--over-ssh": self.over_ssh, "--fresh": self.fresh}
        return [*words, *(flag for flag, given in flags.items() if given)]


def check(choice: Choice) -> None:
    """Raise RflError(usage) for what is wrong in a choice, before anything is built."""
    if choice.kind not in KINDS:
        raise usage_error(f"unknown guest `{choice.kind}`; there are: {', '.join(KINDS)}")
    if choice.files and choice.files not in WAYS:
        raise usage_error(f"--files: unknown way `{choice.files}`; there are: {', '.join(WAYS)}")
    _check_company(choice)
    if choice.files == "image" and choice.persist:
        raise usage_error(
            "--files image is for a copy of the image, and --persist for what lies on the image "
            "itself: leave one out"
        )
    for option in ("image", "initrd", "identity"):
        if getattr(choice, option) and not _file(getattr(choice, option)).is_file():
            raise usage_error(f"--{option}: there is no file {getattr(choice, option)}")
    if choice.way == "ssh":
        ssh.require()
        if choice.image and not choice.identity:
            raise usage_error(
                "SSH into an image of your own needs a key of its root user: give --identity"
            )


def _check_company(choice: Choice) -> None:
    """Raise RflError(usage) for an option without the one that it goes with."""
    ways = {f"files {way}": choice.files == way for way in ("ssh", "image")}
    groups = (
        (choice.kind == "debian", "--guest debian", _about(choice, "suite", "packages")),
        (choice.image, "--image", _about(choice, "initrd", "root", "identity")),
        (choice.on_disk, "--guest debian or --image", _about(choice, "persist", "over_ssh") | ways),
    )
    for there, company, options in groups:
        for option in (name for name, asked in options.items() if asked and not there):
            shown = option.replace("_", "-").replace("packages", "package")
            raise usage_error(f"--{shown} goes with {company}")


def _about(choice: Choice, *names: str) -> dict[str, bool]:
    return {name: bool(getattr(choice, name)) for name in names}


def prepare(session: Session, choice: Choice, kernel: Kernel, links: Links) -> Disk | None:
    """The disk of a choice for a kernel, made if need be; None for an initramfs."""
    if not choice.on_disk:
        return None
    disk = _own(choice) if choice.image else _debian(session, choice, kernel, links)
    if choice.persist:
        return replace(disk, overlay=_overlay(session, disk, _file(choice.persist)))
    return disk


def _own(choice: Choice) -> Disk:
    image = _file(choice.image)
    with image.open("rb") as file:
        format_name = "qcow2" if file.read(4) == _QCOW2 else "raw"
    initrd = _file(choice.initrd) if choice.initrd else None
    root = choice.root or ("LABEL=rootfs" if initrd else "/dev/vda")
    access = None
    if choice.identity:
        access = Access(_file(choice.identity), None)
    return Disk(image.name, image, format_name, initrd, root=root, access=access)


def _debian(session: Session, choice: Choice, kernel: Kernel, links: Links) -> Disk:
    from rflbuild import image  # which only this guest needs

    begun, arch = time.monotonic(), kernel.arch
    cached = image.has(session, arch, choice.suite, choice.packages)
    made = image.build(session, arch, choice.suite, choice.packages, lambda: kernel)
    what = " ".join(["Debian", choice.suite, arch.name]).replace("  ", " ")
    links.add("image", what, made.key, time.monotonic() - begun, cached=cached)
    return Disk("Debian", made.disk, access=Access(made.identity, made.known_hosts))


def _overlay(session: Session, disk: Disk, path: Path) -> Path:
    """The overlay of --persist, made if it is not there; RflError(usage) if it is another's."""
    from rflbuild import image_file

    if not path.parent.is_dir():
        raise usage_error(f"--persist: there is no folder {path.parent}")
    if not path.exists():
        disk.lay_over(session, path)
        return path
    base = image_file.backing_file(session, path)
    if base != disk.image:
        raise usage_error(
            f"--persist: {path} was made on {base or 'nothing'}, and not on {disk.image}: "
            "give another file"
        )
    return path


def _file(text: str) -> Path:
    return Path(text).expanduser().absolute()
