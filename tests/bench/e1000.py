"""`invoke bench TARGET`: a driver for QEMU's e1000 against the kernel's own in C.

Both run in the same guest, one after the other in each round, so that a drift of
the machine's speed hits both sides; what to hold on to are the ratios. The guest
has one CPU: a second one would compete with QEMU's main loop and with the host's
end for the host's CPUs. One card is on QEMU's user network, for TCP and ping; the
other one's frames go to host_end.py, for the packet rates, because QEMU's user
network handles one datagram for each turn of its main loop.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import chain, cli, module, program, report, targets, testrun
from rflbuild.chain import Links, Request
from rflbuild.guest import Guest
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import Store
from rflbuild.terminal import Terminal, table
from rflbuild.testspec import Machine, TestSpec
from rflbuild.verdict import RflError, Verdict, usage_error
from tests.bench import host_end
from tests.bench.host_end import HostEnd

SECONDS = 1  # of each run
ECHOES = 1000
TRACED = ("memory_region_ops_read", "memory_region_ops_write")
_IN_C = "e1000_c"  # the module that it builds; a Rust one may be named e1000
_KBUILD = f"""obj-m := {_IN_C}.o
{_IN_C}-y := e1000_main.o e1000_hw.o e1000_ethtool.o e1000_param.o
"""
_ACCESS = re.compile(
    rb"^memory_region_ops_(read|write) .* addr (0x\w+) .* name 'e1000-mmio'", re.MULTILINE
)
# drivers/net/ethernet/intel/e1000/e1000_hw.h
_REGISTERS = {
    0x0008: "STATUS",
    0x00C0: "ICR",
    0x00C4: "ITR",
    0x00C8: "ICS",
    0x00D0: "IMS",
    0x00D8: "IMC",
    0x2818: "RDT",
    0x3810: "TDH",
    0x3818: "TDT",
}


@dataclass(frozen=True)
class Card:
    """A card of the guest: its MAC, its own address and that of the host's end."""

    mac: str
    address: str
    host: str


USER = Card("52:54:00:00:00:0a", "10.0.3.20", "10.0.3.2")
WIRE = Card("52:54:00:00:00:0b", "10.0.4.20", "10.0.4.2")
_HOST_MAC = "52:54:00:00:00:0c"


@dataclass(frozen=True)
class Run:
    """A kind of traffic, as traffic.c names it; `each` is what a unit of its output is."""

    word: str
    title: str
    card: Card
    rate: str
    each: str
    scale: float  # units of traffic.c in one of `each`

    def command(self, host: HostEnd, seconds: int) -> str:
        """The command for the guest."""
        ports = {"tcp-send": host.sink, "tcp-recv": host.source}
        ports |= {"udp-send": host_end.DISCARD, "udp-recv": host_end.ANSWER}
        last = f"{ports[self.word]} {seconds}" if self.word in ports else ECHOES
        return f"/modules/traffic {self.word} {self.card.host} {last}"


RUNS = (
    Run("tcp-send", "TCP, guest to host", USER, "Mbit/s", "MiB", 1 << 20),
    Run("tcp-recv", "TCP, host to guest", USER, "Mbit/s", "MiB", 1 << 20),
    Run("udp-send", "frames of 60 bytes out", WIRE, "packets/s", "packet", 1),
    Run("udp-recv", "frames of 60 bytes in", WIRE, "packets/s", "packet", 1),
    Run("ping", "ping, median round trip", USER, "µs", "echo", 1),
)


@dataclass(frozen=True)
class Figures:
    """What a run came to: its rate, or µs for ping; the CPU's share; µs of it for each."""

    rate: float
    share: float
    cost: float


@dataclass(frozen=True)
class Accesses:
    """What a run cost; `counts` by the kind of access and the register's offset."""

    packets: int
    interrupts: int
    counts: collections.Counter[tuple[bytes, bytes]]

    def most(self) -> list[str]:
        """The registers accessed most, and how often for a packet."""
        words = []
        for (kind, address), count in self.counts.most_common(6):
            # The trace has the address in the machine's memory; the card's begins at 128 KiB.
            offset = int(address, 16) & 0x1FFFF
            name = _REGISTERS.get(offset, f"{offset:#x}")
            words.append(f"{name} {kind.decode()[0]} {count / self.packets:.3f}")
        return words


@dataclass(frozen=True)
class Driver:
    """A driver's modules, in the order in which to load them."""

    name: str
    objects: tuple[Path, ...]

    def loaded(self) -> str:
        """Shell commands that load it and wait for both cards' carriers."""
        insmod = [f"insmod /modules/{path.name} || exit 1" for path in self.objects]
        neighbour = f"arp -i $name -s {WIRE.host} {_HOST_MAC}"
        return "\n".join([*insmod, _up(USER), _up(WIRE), neighbour])

    def unloaded(self) -> str:
        """Shell commands that unload it."""
        return "\n".join(f"rmmod {path.stem} || exit 1" for path in reversed(self.objects))


def _up(card: Card) -> str:
    """Shell commands that bring a card up, by its MAC."""
    return f"""
        path=$(grep -l {card.mac} /sys/class/net/*/address) || exit 1
        name=$(basename ${{path%/address}})
        ip address add {card.address}/24 dev $name && ip link set $name up || exit 1
        for i in $(seq 100); do
            [ "$(cat /sys/class/net/$name/carrier)" = 1 ] && break
            usleep 100000
        done
        """


def _machine(host: HostEnd) -> Machine:
    """One CPU and two cards."""
    wire = f"addr.type=inet,addr.host=127.0.0.1,addr.port={host.wire}"
    return Machine(
        cpus=1,
        network=False,
        netdevs=("user,id=user,net=10.0.3.0/24", f"stream,id=wire,server=off,{wire}"),
        devices=(f"e1000,netdev=user,mac={USER.mac}", f"e1000,netdev=wire,mac={WIRE.mac}"),
    )


def main(target: str, rounds: int) -> None:
    """Measure and print; what is not built yet is made so first."""
    terminal = Terminal(sys.stdout)
    with cli.session(terminal, Store(cli.cache_folder(os.environ)), 0) as session:
        links = Links(session)
        found, planned = targets.plan(session, targets.find(session, target), Request(), links)
        if found.module is None:
            raise usage_error(f"{target} builds no module: give a driver for the e1000")
        built = chain.build_kernel(session, planned, links)
        in_c = Driver(_IN_C, _build(session, _in_c(session, built), built, links))
        ours = Driver(found.name, _build(session, found.module, built, links))
        folder, _ = report.open_folder(session.workspace.results, f"bench-{found.name}")
        drivers = (in_c, ours)
        into_guest = {path.name: path for driver in drivers for path in driver.objects}
        traffic = Path(__file__).with_name("traffic.c")
        into_guest["traffic"] = program.build(session, built, traffic)
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(host_end.serve())
            boot = testrun.boot_for(session, built, TestSpec(machine=_machine(host)))
            guest = stack.enter_context(Guest(session, boot, folder))
            guest.put(into_guest)
            guest.wait_until_ready(testrun.BOOT_TIMEOUT)
            guest.unpack(testrun.BOOT_TIMEOUT)
            bench = Bench(session, guest, host, folder / "qemu.log")
            _show(drivers, bench.rounds(drivers, rounds))
            _show_accesses(drivers, [bench.accesses(driver) for driver in drivers])


def _in_c(session: Session, built: Kernel) -> Module:
    """The kernel's own driver as an external module; the kernel needs no option for it."""
    folder = session.store.work("bench", built.key) / _IN_C
    folder.mkdir(exist_ok=True)
    for path in (built.source.path / "drivers/net/ethernet/intel/e1000").glob("*.[ch]"):
        shutil.copy(path, folder)
    (folder / "Kbuild").write_text(_KBUILD)
    return module.at(folder, _IN_C)


def _build(session: Session, wanted: Module, built: Kernel, links: Links) -> tuple[Path, ...]:
    made = module.build(session, wanted, built)
    links.add("module", wanted.name, made.key, made.seconds, cached=made.cached)
    return made.objects


class Bench:
    """A guest with two cards, and two drivers that take turns on them."""

    def __init__(self, session: Session, guest: Guest, host: HostEnd, log: Path) -> None:
        self._session = session
        self._guest = guest
        self._host = host
        self._log = log

    def rounds(self, drivers: Sequence[Driver], count: int) -> list[list[dict[str, Figures]]]:
        """The figures of each driver, in each round by the runs' words."""
        figures: list[list[dict[str, Figures]]] = [[] for _ in drivers]
        with self._session.terminal.progress("bench", count * len(drivers) * len(RUNS)) as meter:
            for number in range(count):
                order = list(zip(drivers, figures, strict=True))
                for driver, taken in order if number % 2 == 0 else reversed(order):
                    self._shell(driver.loaded())
                    taken.append({})
                    for run in RUNS:
                        taken[-1][run.word] = self._figures(run)
                        meter.step()
                    self._shell(driver.unloaded())
        return figures

    def accesses(self, driver: Driver) -> dict[str, Accesses]:
        """What each run costs in interrupts and in accesses to registers, by its word."""
        found = {}
        self._shell(driver.loaded())
        for run in RUNS:
            packets, interrupts = self._counters(run)
            begin = self._log.stat().st_size
            self._trace(enable=True)
            self._shell(run.command(self._host, 1))
            self._trace(enable=False)
            after = self._counters(run)
            with self._log.open("rb") as log:
                log.seek(begin)
                counts = collections.Counter(_ACCESS.findall(log.read()))
            found[run.word] = Accesses(after[0] - packets, after[1] - interrupts, counts)
        self._shell(driver.unloaded())
        return found

    def _figures(self, run: Run) -> Figures:
        begun = self._cpu_time()
        output = self._shell(run.command(self._host, SECONDS))
        busy = self._cpu_time() - begun
        values = {name: int(value) for name, value in map(str.split, output.splitlines())}
        count, nanoseconds = values["units"] / run.scale, values["nanoseconds"]
        rate = count / nanoseconds * 1e9
        if run.rate == "Mbit/s":
            rate *= run.scale * 8 / 1e6
        elif run.rate == "µs":
            rate = values["median"] / 1000
        return Figures(rate, busy / nanoseconds, busy / 1000 / count)

    def _cpu_time(self) -> int:
        """Nanoseconds that the guest's CPU has run; what the host took away is not in it.

        The first field of schedstat (Documentation/scheduler/sched-stats.rst).
        """
        (cpu,) = self._guest.qmp("query-cpus-fast")
        return int(Path(f"/proc/{cpu['thread-id']}/schedstat").read_text().split()[0])

    def _counters(self, run: Run) -> tuple[int, int]:
        """Packets both ways, and interrupts of all cards, since they came up."""
        name = f"$(dirname $(grep -l {run.card.mac} /sys/class/net/*/address))"
        output = self._shell(
            f"cat {name}/statistics/[rt]x_packets; grep -w $(basename {name}) /proc/interrupts"
        )
        received, sent, interrupts = output.splitlines()[:3]
        return int(received) + int(sent), int(interrupts.split()[1])

    def _trace(self, *, enable: bool) -> None:
        for event in TRACED:
            self._guest.qmp("trace-event-set-state", {"name": event, "enable": enable})

    def _shell(self, command: str) -> str:
        answer = self._guest.run(command, 60.0)
        if answer.status:
            log = "\n".join(message.text for message in self._guest.console.since(answer.mark))
            raise RflError(
                Verdict.FAIL,
                f"`{command.strip().splitlines()[0]}` and what follows fails in the guest",
                f"{log}\n{answer.output}".strip(),
            )
        return answer.output


def _show(drivers: Sequence[Driver], figures: list[list[dict[str, Figures]]]) -> None:
    rows = []
    for run in RUNS:
        theirs, ours = ([taken[run.word] for taken in side] for side in figures)
        lower = run.rate == "µs"
        rates = [[one.rate for one in side] for side in (theirs, ours)]
        costs = [[one.cost for one in side] for side in (theirs, ours)]
        rows.append(_row(f"{run.title}, {run.rate}", rates, lower=lower))
        shares = [statistics.median(one.share for one in side) for side in (theirs, ours)]
        rows.append(_row(f"  CPU for it, µs for each {run.each}", costs, lower=True, shares=shares))
    rounds = len(figures[0])
    names = [driver.name for driver in drivers]
    title = f"median of {rounds} rounds; above 1, {names[1]} is the better one"
    table(sys.stdout, title, ("what", *names, "ratio", "by round"), rows)


def _row(
    title: str, sides: Sequence[Sequence[float]], *, lower: bool, shares: Sequence[float] = ()
) -> tuple[str, ...]:
    """A row of the table; `lower` is better, or higher is."""
    theirs, ours = map(statistics.median, sides)
    by_round = sorted(b / a for a, b in zip(*(sides[::-1] if lower else sides), strict=True))
    cells = [f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in (theirs, ours)]
    if shares:
        cells = [f"{cell} ({share:.0%})" for cell, share in zip(cells, shares, strict=True)]
    ratio = theirs / ours if lower else ours / theirs
    return title, *cells, f"{ratio:.2f}", f"{by_round[0]:.2f} to {by_round[-1]:.2f}"


def _show_accesses(drivers: Sequence[Driver], found: Sequence[dict[str, Accesses]]) -> None:
    rows = []
    for run in RUNS:
        for driver, by_run in zip(drivers, found, strict=True):
            one = by_run[run.word]
            rows.append(
                (
                    run.title,
                    driver.name,
                    f"{one.interrupts / one.packets:.3f}",
                    f"{one.counts.total() / one.packets:.3f}",
                    ", ".join(one.most()),
                )
            )
    columns = ("what", "driver", "interrupts", "accesses", "of them")
    table(sys.stdout, "for each packet, with the accesses traced", columns, rows)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except RflError as error:
        sys.exit(cli._say(error))
