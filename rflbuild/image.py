"""The disk of the Debian guest: a qcow2 file with a root file system, and keys to get in.

Made from packages without a mount and without a guest: a tar from rootfs.py, in which
the files of templates/image/ are laid, becomes an ext4 file system by mke2fs -d.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from rflbuild import document, private_root, sandbox, toolchain
from rflbuild.arch import Arch
from rflbuild.initramfs import ADDRESS, GATEWAY
from rflbuild.kernel import Kernel
from rflbuild.private_root import PrivateRoot
from rflbuild.render import render
from rflbuild.rootfs import Rootfs
from rflbuild.sandbox import Mount
from rflbuild.session import Session
from rflbuild.store import key_of, remove_tree
from rflbuild.verdict import environment_error, usage_error

HOST_ALIAS = "rflbuild-guest"  # the image's name in `known_hosts`, for ssh -o HostKeyAlias
LABEL = "rootfs"
MODULES = "modules"  # an empty folder for modules to come to
NAMESERVER = "10.0.2.3"  # of QEMU's user network
_RECIPE = 3  # raise it when the way an image is made changes
_LEFT_OUT = {"etc/apt/apt.conf.d/99mmdebstrap"}  # how apt was told to work for mmdebstrap
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
_GIGABYTES = 2.0
_TIMEOUT = 600.0
_TOOLS = PrivateRoot(
    "the root with the image's tools",
    gigabytes=0.5,
    probe=("qemu-img", "--version"),
    otherwise="or give a ready image by --image",
)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """configs/debian.yaml: what the image is made of.

    `size` is the disk's, as mke2fs(8) takes it; `second_stage` says where the packages'
    own scripts run; `mask` has units and generators of
    systemd's, `tools` the packages of the private root that makes images.
    """

    suite: str
    size: str
    second_stage: Literal["auto", "host", "guest"]
    packages: tuple[str, ...]
    mask: tuple[str, ...]
    tools: tuple[str, ...]

    def check(self) -> None:
        """Raise InvalidError for a size that mke2fs does not take."""
        if not re.fullmatch(r"[1-9]\d*[MG]", self.size):
            raise document.InvalidError(f"`{self.size}` is no size such as 4G", ("size",))


@dataclass(frozen=True)
class Image:
    """A disk that is never changed, and what one needs to log into its guest by SSH.

    `identity` is root's private key; `known_hosts` has the host's under HOST_ALIAS.
    """

    disk: Path
    key: str
    identity: Path
    known_hosts: Path

    @property
    def folder(self) -> Path:
        """Where all of it lies in the store."""
        return self.disk.parent

    def packages(self) -> dict[str, str]:
        """The version of each package by its name."""
        found: dict[str, str] = json.loads((self.folder / "packages.json").read_text())
        return found


def recipe(session: Session) -> Recipe:
    """What configs/debian.yaml says."""
    return document.read(session.workspace.configs / "debian.yaml", Recipe)


def key(session: Session, arch: Arch, suite: str, packages: Sequence[str]) -> str:
    """The key of an image; `suite` may be empty, for the recipe's own."""
    made = recipe(session)
    texts = {name: path.read_text() for name, path in _template_files(session).items()}
    base = Rootfs(session, arch, suite or made.suite).key(made.packages)
    more = sorted(set(packages) - set(made.packages))
    return key_of("image", _RECIPE, base, more, made.size, _links(made), texts)


def has(session: Session, arch: Arch, suite: str, packages: Sequence[str]) -> bool:
    """Whether the image is in the store."""
    return session.store.has("image", key(session, arch, suite, packages))


def build(
    session: Session,
    arch: Arch,
    suite: str,
    packages: Sequence[str],
    kernel: Callable[[], Kernel] | None = None,
) -> Image:
    """The image of a suite with packages beside the recipe's; made if it is not there yet.

    `kernel` is called on hosts where a guest has to run the packages' own scripts.
    """
    made = recipe(session)
    suite = suite or made.suite
    if not _SUITE.fullmatch(suite):
        raise usage_error(f"`{suite}` is no suite of Debian's; a suite is a release's name")
    more = sorted(set(packages) - set(made.packages))
    its_key = key(session, arch, suite, more)
    maker = Rootfs(session, arch, suite, made.second_stage, kernel)
    folder = session.store.build(
        "image", its_key, lambda into: _make(session, maker, made, more, into)
    )
    return Image(folder / "disk.qcow2", its_key, folder / "id_ed25519", folder / "known_hosts")


def tools(session: Session) -> Path:
    """The private root with what makes images: mke2fs, qemu-img, qemu-user and their kin."""
    suite, _ = toolchain.recipe(session)
    return private_root.build(session, _TOOLS, suite, recipe(session).tools)


def _make(session: Session, maker: Rootfs, made: Recipe, more: Sequence[str], into: Path) -> None:
    session.store.require_space(_GIGABYTES, "an image of Debian")
    if more or not session.store.has("rootfs", maker.key(made.packages)):
        maker.check([*made.packages, *more])
    its_tools = tools(session)
    work = into / "work"
    work.mkdir()
    if more:
        root = work / "root.tar"
        maker.extend(made.packages, more, its_tools, root)
    else:
        root = maker.build(made.packages, its_tools)
    keys = _keys(session, its_tools, into)
    tree, raw = work / "tree.tar", work / "disk.raw"
    files = {**_templates(session), **keys, "etc/machine-id": f"{uuid.uuid4().hex}\n"}
    status = compose(root, tree, files, _links(made))
    (into / "packages.json").write_text(json.dumps(private_root.versions(status), indent=1))
    ext4 = ["mke2fs", "-q", "-t", "ext4", "-L", LABEL, "-m", "1", "-d", str(tree)]
    _run(session, its_tools, [*ext4, "-E", "lazy_itable_init=0", str(raw), made.size], work)
    to = str(into / "disk.qcow2")
    _run(session, its_tools, ["qemu-img", "convert", "-O", "qcow2", str(raw), to], into)
    remove_tree(work)


def _keys(session: Session, root: Path, into: Path) -> dict[str, str]:
    """Make root's and the host's keys; returns the image's files."""
    passwd = into / "passwd"  # ssh-keygen wants to know who it is
    passwd.write_text(f"user:x:{os.geteuid()}:{os.getegid()}::/:/bin/sh\n")
    for name, comment in (("id_ed25519", "rflbuild"), ("host", HOST_ALIAS)):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
        known = [(passwd, Path("/etc/passwd"))]
        _run(session, root, [*argv, "-f", str(into / name)], into, known)
    passwd.unlink()
    private, public = into / "host", into / "host.pub"
    (into / "known_hosts").write_text(f"{HOST_ALIAS} {public.read_text()}")
    files = {
        "etc/ssh/ssh_host_ed25519_key": private.read_text(),
        "etc/ssh/ssh_host_ed25519_key.pub": public.read_text(),
        "root/.ssh/authorized_keys": (into / "id_ed25519.pub").read_text(),
    }
    private.unlink()
    public.unlink()
    return files


def _template_files(session: Session) -> dict[str, Path]:
    """The files of templates/image/, by their path below it; not what editors leave there."""
    folder = session.workspace.templates / "image"
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith("~")
    }


def _templates(session: Session) -> dict[str, str]:
    """The texts of the image's files, by their path in it."""
    values = {"address": ADDRESS, "gateway": GATEWAY, "nameserver": NAMESERVER}
    files = {}
    for name, path in _template_files(session).items():
        text = render(path, **values) if path.suffix == ".j2" else path.read_text()
        files[name.removesuffix(".j2")] = text
    return files


def _links(made: Recipe) -> dict[str, str]:
    """The image's symbolic links, and what each of them leads to.

    A unit or a generator that is a link to /dev/null is masked (systemd.generator(7)).
    """
    links = {"etc/systemd/network/99-default.link": "/dev/null"}  # keep the kernel's names
    for name in made.mask:
        folder = "system-generators" if name.endswith("-generator") else "system"
        links[f"etc/systemd/{folder}/{name}"] = "/dev/null"
    return links


def compose(root: Path, tree: Path, files: Mapping[str, str], links: Mapping[str, str]) -> str:
    """Write the tar `tree`: that of `root` with files of ours; returns dpkg's status file.

    A file that is there is replaced.
    """
    now = int(time.time())
    # systemd's first-boot work was done by the packages' scripts (systemd.unit(5),
    # ConditionNeedsUpdate=); it would be done again at each boot.
    stamps = dict.fromkeys(("etc/.updated", "var/.updated"), "")
    ours = {**stamps, **files}
    status = ""
    with tarfile.open(root) as source, tarfile.open(tree, "w", format=tarfile.PAX_FORMAT) as sink:
        there = set()
        for member in source:
            name = member.name.removeprefix("./")
            if name in ours or name in links or name in _LEFT_OUT:
                continue
            there.add(name)
            content = source.extractfile(member) if member.isreg() else None
            if content and name == "var/lib/dpkg/status":
                status = content.read().decode()
                content = io.BytesIO(status.encode())
            sink.addfile(member, content)
        for name in _folders([*ours, *links, f"{MODULES}/_"], there):
            sink.addfile(_entry(name, now, tarfile.DIRTYPE, 0o700 if ".ssh" in name else 0o755))
        for name, target in links.items():
            entry = _entry(name, now, tarfile.SYMTYPE, 0o777)
            entry.linkname = target
            sink.addfile(entry)
        for name, text in ours.items():
            data = text.encode()
            entry = _entry(name, now, tarfile.REGTYPE, 0o600 if name.endswith("_key") else 0o644)
            entry.size = len(data)
            sink.addfile(entry, io.BytesIO(data))
    return status


def _folders(names: Sequence[str], there: set[str]) -> Iterator[str]:
    """The folders that have to be made for some files, outer ones first."""
    needed = {str(folder) for name in names for folder in Path(name).parents} - {"."}
    yield from sorted(needed - there)


def _entry(name: str, now: int, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{name}")
    entry.type, entry.mode, entry.mtime = kind, mode, now
    entry.uname = entry.gname = "root"
    return entry


def _run(
    session: Session,
    root: Path,
    argv: Sequence[str],
    folder: Path,
    read: Sequence[Mount] = (),
) -> None:
    log = session.store.work("logs", "image") / "tools.log"
    command = sandbox.enter(root, argv, cwd=folder, read=read, write=[folder])
    done = session.processes.run(command, timeout=_TIMEOUT, log=log)
    if done.status:
        words = (done.output.strip().splitlines() or ["no output"])[-1]
        if "Could not allocate" in done.output:
            raise usage_error(
                "the packages do not fit into the image: raise `size` in configs/debian.yaml"
            )
        raise session.store.full_disk(done.output) or environment_error(
            f"{argv[0]} cannot make the image ({words}); see {log}"
        )
