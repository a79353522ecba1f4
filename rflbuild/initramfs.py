"""The guest's root: a static busybox and an /init, packed by the kernel's gen_init_cpio."""

from __future__ import annotations

from pathlib import Path

from rflbuild import source as sources
from rflbuild.arch import Arch
from rflbuild.debian import Archive, install_host_packages, require
from rflbuild.kernel import Kernel
from rflbuild.render import render
from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.verdict import environment_error

# QEMU's user network (QEMU system emulation manual, "Using the user mode network stack").
ADDRESS, GATEWAY = "10.0.2.15", "10.0.2.2"
PAYLOAD_SERIAL = "rfl-payload"
PAYLOAD_OFFSET = 1 << 20
PAYLOAD_BLOCK = 1 << 16
_PAYLOAD = {
    "payload_offset": PAYLOAD_OFFSET,
    "payload_block": PAYLOAD_BLOCK,
    "payload_serial": PAYLOAD_SERIAL,
}
_PACKAGE = "busybox-static"
_INIT = "init.j2"
_SERVE = "serve.sh.j2"
_DESCRIPTION = "initramfs.desc.j2"


def busybox(session: Session, arch: Arch) -> Path:
    """A static busybox for the guest, from Debian's package for its architecture."""
    store = session.store
    if not has_busybox(session, arch):
        install_host_packages(session)
        suites = sources.kernels(session).suites[:1]
        archive = Archive(session, suites, arch.debian)
        package = require(archive.newest(_PACKAGE), _PACKAGE, suites)
        key = key_of(package.name, package.version, arch.debian)
        store.build("busybox", key, lambda into: archive.unpack(package, into))
        store.note(_pin(arch), {"key": key, "version": package.version})
    noted = store.noted(_pin(arch)) or {}
    return store.path("busybox", str(noted["key"])) / "usr/bin/busybox"


def has_busybox(session: Session, arch: Arch) -> bool:
    """Whether the guest's busybox is in the store."""
    noted = session.store.noted(_pin(arch))
    return noted is not None and session.store.has("busybox", str(noted["key"]))


def _pin(arch: Arch) -> str:
    return f"busybox-{arch.debian}"


def serving(templates: Path) -> str:
    """The shell's functions by which any guest serves rflbuild; `templates` is guest's folder."""
    return render(templates / _SERVE, **_PAYLOAD)


def build(session: Session, kernel: Kernel, busybox_path: Path) -> Path:
    """The initramfs for a kernel; made once for a busybox, a gen_init_cpio and templates."""
    templates = session.workspace.templates / "guest"
    files = (_INIT, _SERVE, _DESCRIPTION, "profile")
    texts = [(templates / name).read_text() for name in files]
    packer = kernel.out / "usr" / "gen_init_cpio"
    network = {"address": ADDRESS, "gateway": GATEWAY}
    key = key_of("initramfs", texts, network, _PAYLOAD, str(busybox_path), kernel.toolchain.key)

    def make(into: Path) -> None:
        init = into / "init"
        init.write_text(render(templates / _INIT, serve=serving(templates), **network))
        description = into / "initramfs.desc"
        description.write_text(
            render(
                templates / _DESCRIPTION,
                busybox=busybox_path,
                init=init,
                profile=templates / "profile",
            )
        )
        # Before 6.18 gen_init_cpio writes to its standard output alone.
        script = 'exec "$1" -t 0 "$2" >"$3"'
        words = [str(packer), str(description), str(into / "initramfs.cpio")]
        done = session.processes.run(
            kernel.toolchain.command(
                ["sh", "-c", script, "sh", *words],
                cwd=into,
                read=[kernel.out, busybox_path.parent, templates],
                write=[into],
            ),
            timeout=60.0,
            cwd=into,
        )
        if done.status:
            said = " ".join(done.output.split())
            raise session.store.full_disk() or environment_error(
                f"gen_init_cpio cannot pack the initramfs: {said}"
            )

    return session.store.build("initramfs", key, make) / "initramfs.cpio"
