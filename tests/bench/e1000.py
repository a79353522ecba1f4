"""`./rfl bench TARGET`: a driver for QEMU's e1000 against the kernel's own in C.

Both are loaded in the same guest, and take each kind of traffic in turn, a second
each, so that a drift of the machine's speed hits both sides; what to hold on to are
the ratios.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rflbuild import chain, cli, ending, module, program, report, targets, testrun
from rflbuild.chain import Links, Request
from rflbuild.guest import Guest
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import Store
from rflbuild.terminal import Terminal, table
from rflbuild.testspec import TestSpec
from rflbuild.verdict import RflError, Verdict, usage_error
from tests.bench import cards, host_end
from tests.bench.cards import Card, Driver
from tests.bench.host_end import HostEnd

SECONDS = 1  # of each run
ECHOES, ECHOES_APART = 1000, 150
TRACED = ("memory_region_ops_read", "memory_region_ops_write")
_TIMEOUT = 60.0
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
class Run:
    """A kind of traffic; `word` is traffic.c's.

    `each` is a `scale` of its units; the CPU's cost is given for one.
    """

    word: str
    title: str
    rate: str
    each: str
    scale: int = 1
    pause: int = 0  # milliseconds between pings

    @property
    def lower(self) -> bool:
        """Whether a lower rate is the better one."""
        return self.rate == "µs"

    def card(self, driver: Driver) -> Card:
        """The card that it goes over."""
        return driver.wire if self.word.startswith("udp") else driver.user

    def command(self, driver: Driver, host: HostEnd) -> str:
        """The command for the guest."""
        ports = {
            "tcp-send": host.sink,
            "tcp-recv": host.source,
            "udp-send": host_end.DISCARD,
            "udp-recv": host_end.ANSWER,
        }
        last = f"{ports.get(self.word)} {SECONDS}"
        if self.word == "ping":
            last = f"{ECHOES_APART if self.pause else ECHOES} {self.pause}"
        return f"/modules/traffic {self.word} {self.card(driver).host} {last}"


RUNS = (
    Run("tcp-send", "TCP, guest to host", "Mbit/s", "MiB", 1 << 20),
    Run("tcp-recv", "TCP, host to guest", "Mbit/s", "MiB", 1 << 20),
    Run("udp-send", "frames of 60 bytes out", "packets/s", "packet"),
    Run("udp-recv", "frames of 60 bytes in", "packets/s", "packet"),
    Run("ping", "pings, each at once after the other", "µs", "echo"),
    Run("ping", "pings, 4 ms apart", "µs", "echo", pause=4),
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


def main(target: str, rounds: int) -> None:
    """Measure and print; what is not built yet is made so first."""
    terminal = Terminal(sys.stdout)
    with cli.session(terminal, Store(cli.cache_folder(os.environ)), 0) as session:
        links = Links(session)
        found, planned = targets.plan(session, targets.find(session, target), Request(), links)
        if found.module is None:
            raise usage_error(f"{target} builds no module: give a driver for the e1000")
        built = chain.build_kernel(session, planned, links)
        in_c = _build(session, cards.in_c(session, built), built, links)
        drivers = cards.pair(in_c, found.name, _build(session, found.module, built, links))
        files = {path.name: path for driver in drivers for path in driver.objects}
        source = Path(__file__).with_name("traffic.c")
        files["traffic"] = program.build(session, built, source)
        folder, _ = report.open_folder(session.workspace.results, f"bench-{found.name}")
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(host_end.serve())
            spec = TestSpec(machine=cards.machine(drivers, host))
            running = stack.enter_context(
                Guest(session, testrun.boot_for(session, built, spec), folder)
            )
            running.put(files)
            running.wait_until_ready()
            running.unpack()
            bench = Bench(session, running, host, folder)
            bench.shell(cards.set_up(drivers))
            _show(drivers, [bench.round(drivers, turn) for turn in range(rounds)])
            _show_accesses(drivers, bench.accesses(drivers))


def _build(session: Session, wanted: Module, built: Kernel, links: Links) -> tuple[Path, ...]:
    made = module.build(session, wanted, built)
    links.add("module", wanted.name, made.key, made.seconds, cached=made.cached)
    return made.objects


class Bench:
    """A guest with two drivers, and what is measured there."""

    def __init__(self, session: Session, running: Guest, host: HostEnd, folder: Path) -> None:
        self._session = session
        self._guest = running
        self._host = host
        self._folder = folder

    def round(self, drivers: Sequence[Driver], turn: int) -> dict[tuple[Run, Driver], Figures]:
        """Each run by each driver; who comes first changes from turn to turn."""
        self._session.terminal.line(f"  … round {turn + 1}")
        order = drivers if turn % 2 else drivers[::-1]
        return {(run, driver): self._figures(run, driver) for run in RUNS for driver in order}

    def accesses(self, drivers: Sequence[Driver]) -> dict[tuple[Run, Driver], Accesses]:
        """What each run costs in interrupts and in accesses to registers."""
        return {(run, driver): self._traced(run, driver) for run in RUNS for driver in drivers}

    def shell(self, command: str) -> str:
        """What a command in the guest puts out; RflError when it fails, or the kernel does."""
        answer = self._guest.run(command, _TIMEOUT)
        if splats := self._guest.console.splats():
            raise ending.crash(splats[0], self._folder)
        if answer.status:
            log = "\n".join(message.text for message in self._guest.console.since(answer.mark))
            raise RflError(
                Verdict.FAIL,
                f"`{command.strip().splitlines()[-1].strip()}`, or what comes before it, fails "
                f"in the guest; see {self._folder / 'shell.log'}",
                f"{log}\n{answer.output}".strip(),
            )
        return answer.output

    def _figures(self, run: Run, driver: Driver) -> Figures:
        begun = self._cpu_time()
        output = self.shell(run.command(driver, self._host))
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

    def _traced(self, run: Run, driver: Driver) -> Accesses:
        before = self._counters(run.card(driver))
        log = self._folder / "qemu.log"
        begin = log.stat().st_size
        self._trace(enable=True)
        self.shell(run.command(driver, self._host))
        self._trace(enable=False)
        packets, interrupts = map(int.__sub__, self._counters(run.card(driver)), before)
        with log.open("rb") as file:
            file.seek(begin)
            counts = collections.Counter(_ACCESS.findall(file.read()))
        return Accesses(packets, interrupts, counts)

    def _counters(self, card: Card) -> tuple[int, int]:
        """Packets both ways, and interrupts, since the card came up."""
        output = self.shell(
            f"cd /sys/bus/pci/devices/0000:00:{card.slot:02x}.0 || exit 1\n"
            'cat net/*/statistics/[rt]x_packets; grep "^ *$(cat irq):" /proc/interrupts'
        )
        received, sent, interrupts = output.splitlines()
        return int(received) + int(sent), int(interrupts.split()[1])

    def _trace(self, *, enable: bool) -> None:
        for event in TRACED:
            self._guest.qmp("trace-event-set-state", {"name": event, "enable": enable})


def _show(
    drivers: tuple[Driver, Driver], rounds: Sequence[dict[tuple[Run, Driver], Figures]]
) -> None:
    in_c, other = drivers
    rows = []
    for run in RUNS:
        pairs = [(taken[run, in_c], taken[run, other]) for taken in rounds]
        rates = [(a.rate, b.rate) for a, b in pairs]
        rows.append(_row(f"{run.title}, {run.rate}", rates, lower=run.lower))
        costs = [(a.cost, b.cost) for a, b in pairs]
        row = _row(f"  CPU for it, µs for each {run.each}", costs, lower=True)
        shares = [statistics.median(one.share for one in side) for side in zip(*pairs, strict=True)]
        cells = [f"{row[1 + i]} ({share:.0%})" for i, share in enumerate(shares)]
        rows.append((row[0], *cells, *row[3:]))
    title = f"medians of {len(rounds)} rounds; above 1, {other.name} is the better one"
    columns = ("what", in_c.name, other.name, "ratio", "half of the rounds")
    table(sys.stdout, title, columns, rows)


def _row(title: str, pairs: Sequence[tuple[float, float]], *, lower: bool) -> tuple[str, ...]:
    """A row of the table; `lower` is better, or higher is. The ratio is of each round's pair."""
    cells = [
        f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        for value in map(statistics.median, zip(*pairs, strict=True))
    ]
    ratios = sorted(a / b if lower else b / a for a, b in pairs)
    left_out = len(ratios) // 4
    low, high = ratios[left_out], ratios[-1 - left_out]
    return title, *cells, f"{statistics.median(ratios):.2f}", f"{low:.2f} to {high:.2f}"


def _show_accesses(drivers: Sequence[Driver], found: dict[tuple[Run, Driver], Accesses]) -> None:
    rows = [
        (
            run.title,
            driver.name,
            f"{one.interrupts / one.packets:.3f}",
            f"{one.counts.total() / one.packets:.3f}",
            ", ".join(one.most()),
        )
        for (run, driver), one in found.items()
    ]
    columns = ("what", "driver", "interrupts", "accesses", "of them")
    table(sys.stdout, "for each packet, with the accesses traced", columns, rows)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except RflError as error:
        sys.exit(cli._say(error))
