"""A guest's root on a disk: a Debian of ours, or an image that the user brings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rflbuild.initramfs import serving
from rflbuild.render import render
from rflbuild.session import Session
from rflbuild.ssh import Access

MEMORY = "512M"  # the least that systemd and what runs under it is given


@dataclass(frozen=True)
class Disk:
    """An image with a whole userland, and how one gets into it.

    `image` is never written to: a run works on an overlay that goes with it, or on
    `overlay`, which stays. `backing` is what the image itself lies on, if it is an overlay
    of ours. A `temporary` image goes as soon as QEMU has it open. `initrd` is the image's
    own, if it needs one. `user` and `password` are the console's; `access` is by SSH, if it
    is known how.
    """

    name: str
    image: Path
    format: str = "qcow2"
    initrd: Path | None = None
    overlay: Path | None = None
    backing: Path | None = None
    temporary: bool = False
    root: str = "/dev/vda"
    user: str = "root"
    password: str = "root"  # as the Debian Quick Image Baker and courses have it
    access: Access | None = None

    def arguments(self, console: str) -> list[str]:
        """What it adds to the kernel's command line; `console` is the serial port's device.

        The serial port is the kernel's alone: no status of services, no prompt. Network
        cards keep the kernel's names, as the steps of tests know them (systemd(1),
        kernel-command-line(7), systemd.net-naming-scheme(7)).
        """
        quiet = ["systemd.show_status=false", f"systemd.mask=serial-getty@{console}.service"]
        # A terminal whose kind is known is not asked for its size, which takes a second.
        plain = ["systemd.tty.term.hvc0=dumb", "systemd.tty.rows.hvc0=24"]
        plain.append("systemd.tty.columns.hvc0=80")
        return [f"root={self.root}", "rw", "net.ifnames=0", *quiet, *plain]

    def lay_over(self, session: Session, path: Path) -> None:
        """Make an overlay on the image: a qcow2 file that takes what the guest writes."""
        from rflbuild import image_file  # which only guests on a disk need

        image_file.lay_over(session, self.image, self.format, path)


def script(templates: Path) -> str:
    """What the shell of a guest is told to run, so that it serves rflbuild."""
    guest = templates / "guest"
    return render(guest / "disk.sh.j2", serve=serving(guest))
