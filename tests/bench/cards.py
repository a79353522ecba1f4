"""The guest of `./rfl bench TARGET`: two drivers, each with two cards of its own.

One card of each is on QEMU's user network, for TCP and ping. The other one's frames
go to host_end.py, for the packet rates, because QEMU's user network handles one
datagram for each turn of its main loop.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import module
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.testspec import Machine
from rflbuild.verdict import usage_error
from tests.bench.host_end import HostEnd

IN_C = "e1000_c"  # the module and the driver, so that another one may be named e1000
_NAMED = 'e1000_driver_name[] = "e1000"'
_KBUILD = f"""obj-m := {IN_C}.o
{IN_C}-y := e1000_main.o e1000_hw.o e1000_ethtool.o e1000_param.o
"""
_HOST_MAC = "52:54:00:00:00:0c"


@dataclass(frozen=True)
class Card:
    """A card: its slot on the root bus, and its network, of which the guest has .20, the host .2.

    The slots' interrupt lines differ, since four of them in a row have four lines.
    """

    slot: int

    @property
    def mac(self) -> str:
        return f"52:54:00:00:01:{self.slot:02x}"

    @property
    def net(self) -> str:
        return f"10.0.{self.slot}"

    @property
    def host(self) -> str:
        return f"{self.net}.2"

    def up(self) -> str:
        """Shell commands that bring it up and wait for its carrier."""
        return f"""
            name=$(ls /sys/bus/pci/devices/0000:00:{self.slot:02x}.0/net) || exit 1
            ip address add {self.net}.20/24 dev $name && ip link set $name up || exit 1
            for i in $(seq 100); do
                [ "$(cat /sys/class/net/$name/carrier)" = 1 ] && break
                usleep 100000
            done
            """


@dataclass(frozen=True)
class Driver:
    """A driver: its modules in the order in which to load them, and its cards."""

    name: str
    objects: tuple[Path, ...]
    user: Card
    wire: Card

    def up(self) -> str:
        """Shell commands that bring its cards up; host_end.py does not speak ARP."""
        neighbour = f"arp -i $name -s {self.wire.host} {_HOST_MAC}"
        return "\n".join([self.user.up(), self.wire.up(), neighbour])


def pair(in_c: Sequence[Path], name: str, objects: Sequence[Path]) -> tuple[Driver, Driver]:
    """The driver in C and the other one."""
    return (
        Driver(IN_C, tuple(in_c), Card(0x10), Card(0x11)),
        Driver(name, tuple(objects), Card(0x12), Card(0x13)),
    )


def machine(drivers: Sequence[Driver], host: HostEnd) -> Machine:
    """The cards, and one CPU.

    A second one would compete with QEMU's main loop and with the host's end for the
    host's CPUs.
    """
    netdevs, devices = [], []
    wire = f"server=off,addr.type=inet,addr.host=127.0.0.1,addr.port={host.wire}"
    for driver in drivers:
        netdevs.append(f"user,id=net{driver.user.slot},net={driver.user.net}.0/24")
        netdevs.append(f"stream,id=net{driver.wire.slot},{wire}")
        devices += [
            f"e1000,netdev=net{card.slot},mac={card.mac},addr={card.slot:#x}"
            for card in (driver.user, driver.wire)
        ]
    return Machine(cpus=1, network=False, netdevs=tuple(netdevs), devices=tuple(devices))


def set_up(drivers: tuple[Driver, Driver]) -> str:
    """Shell commands that give each driver its cards and bring them up."""
    in_c, other = drivers
    # The other one's name is not known; it takes the cards that are not kept from it.
    kept = [
        f"echo {IN_C} >/sys/bus/pci/devices/0000:00:{card.slot:02x}.0/driver_override || exit 1"
        for card in (in_c.user, in_c.wire)
    ]
    objects = (*other.objects, *in_c.objects)
    loaded = [f"insmod /modules/{path.name} || exit 1" for path in objects]
    up = [driver.up() for driver in drivers]
    return "\n".join([*kept, *loaded, *up])


def in_c(session: Session, built: Kernel) -> Module:
    """The kernel's own driver as an external module; the kernel needs no option for it."""
    folder = session.store.work("bench", built.key) / IN_C
    folder.mkdir(exist_ok=True)
    for path in (built.source.path / "drivers/net/ethernet/intel/e1000").glob("*.[ch]"):
        shutil.copy(path, folder)
    main = folder / "e1000_main.c"
    text = main.read_text() if main.is_file() else ""
    if _NAMED not in text:
        raise usage_error(f"Linux {built.source.release} has no e1000 driver to compare with")
    main.write_text(text.replace(_NAMED, _NAMED.replace('"e1000"', f'"{IN_C}"')))
    (folder / "Kbuild").write_text(_KBUILD)
    return module.at(folder, IN_C)
