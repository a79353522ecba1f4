"""klog, taint and errnos: messages, reports, taint flags and error codes.

The logs in tests/data/klog were captured from kernels 6.12.107 and 7.3.4 for
arm64 in QEMU 10 (`-M virt -cpu cortex-a72 -smp 2`), while small C and Rust
modules failed on purpose. Boot messages are cut off, but for clean-boot.log.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rflbuild import errnos
from rflbuild.klog import (
    LogReader,
    Message,
    Splat,
    SplatKind,
    parse_line,
)
from rflbuild.taint import taint_flags

LOGS = Path(__file__).parents[1] / "data/klog"
K = SplatKind


def read(data: bytes) -> LogReader:
    reader = LogReader()
    reader.feed(data)
    reader.finish()
    return reader


def read_log(name: str) -> LogReader:
    return read((LOGS / name).read_bytes())


def read_text(text: str) -> LogReader:
    return read(text.encode())


# ---- messages -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "time", "text"),
    [
        ("[    1.234567] usb: new device\r\n", 1.234567, "usb: new device"),
        ("[12345.678901] late", 12345.678901, "late"),
        ("[    1.234567]  frame+0x1/0x2", 1.234567, " frame+0x1/0x2"),
        ("[    1.234567][   T12] from a thread", 1.234567, "from a thread"),
        ("[    1.234567][    C0] from an interrupt", 1.234567, "from an interrupt"),
        ("<6>[    1.234567] with a level", 1.234567, "with a level"),
        ("[    1.234567] ", 1.234567, ""),
        ("[   T12] no time, but a thread", None, "no time, but a thread"),
        ("<6>no time, but a level", None, "no time, but a level"),
        ("UEFI firmware (version 2.7)", None, "UEFI firmware (version 2.7)"),
        ("\x1b[2J\x1b[01;01H\x1bc[    0.000000] Booting Linux", 0.0, "Booting Linux"),
        ("\x00\x00[    0.000000] Booting Linux", 0.0, "Booting Linux"),
        ("BdsDxe: starting Boot0001[    0.000000] Booting Linux", 0.0, "Booting Linux"),
        ("[   5] not a time stamp", None, "[   5] not a time stamp"),
    ],
)
def test_a_line_is_split_into_time_and_text(line: str, time: float | None, text: str) -> None:
    assert parse_line(line, 7) == Message(time, text, 7)


def test_chunks_may_end_anywhere() -> None:
    data = (LOGS / "7.3/rust-panic.log").read_bytes()
    reader = LogReader()
    for byte in data:
        reader.feed(bytes([byte]))
    assert reader.messages == read(data).messages
    assert reader.splats == read(data).splats


def test_the_start_of_a_line_waits_for_its_end() -> None:
    reader = LogReader()
    reader.feed(b"[    1.000000] Kernel panic - not sync")
    assert not reader.messages
    reader.feed(b"ing: Oops\r\n")
    assert [message.text for message in reader.messages] == ["Kernel panic - not syncing: Oops"]


def test_a_line_cut_off_by_a_reset_is_taken_when_the_port_closes() -> None:
    reader = LogReader()
    reader.feed(b"[    1.000000] Kernel panic - not syncing: Oo")
    reader.finish()
    assert reader.panicked


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert read(b"[    1.000000] \xff\xfe mod\xc3\xa9\n").messages[0].text == "\ufffd\ufffd mod\xe9"


def test_messages_the_kernel_dropped_are_counted() -> None:
    log = "** 12 printk messages dropped **\n[    1.000000] on\n** 3 printk messages dropped **\n"
    assert read_text(log).dropped == 15


def test_what_came_after_a_mark_is_told_apart() -> None:
    reader = LogReader()
    reader.feed(b"[    1.000000] sched: RT throttling activated\n")
    mark = reader.mark()
    reader.feed(
        b"[    2.000000] kmemleak: 2 new suspected memory leaks (see ...)\n[    3.000000] on\n"
    )
    assert [message.line for message in reader.since(mark)] == [2, 3]
    assert [splat.kind for splat in reader.splats_since(mark)] == [K.KMEMLEAK]


# ---- reports --------------------------------------------------------------------------------


def expected_reports() -> dict[str, str]:
    """What reports.txt holds: for each log its reports, each with its first and last line."""
    logs = re.split(r"^== (.+)\n", (LOGS / "reports.txt").read_text(), flags=re.MULTILINE)
    return dict(zip(logs[1::2], logs[2::2], strict=True))


def described(splat: Splat) -> str:
    lines = f"{splat.messages[0].line}-{splat.messages[-1].line}"
    said = "".join(f"    {line}\n" for line in splat.said.splitlines())
    return f"{lines} {splat.kind}: {splat.headline}\n{said}"


@pytest.mark.parametrize(("log", "reports"), expected_reports().items())
def test_a_log_yields_its_reports_from_their_first_line_to_their_last(
    log: str, reports: str
) -> None:
    assert "".join(map(described, read_log(log).splats)) == reports


def test_every_captured_log_is_checked() -> None:
    assert {str(log.relative_to(LOGS)) for log in LOGS.glob("*/*.log")} == set(expected_reports())


def test_a_report_is_told_as_soon_as_its_headline_is_read() -> None:
    reader = LogReader()
    reader.feed(b"[    1.000000] ------------[ cut here ]------------\n")
    assert not reader.splats
    reader.feed(b"[    1.000001] kernel BUG at drivers/net/foo.c:12!\n")
    assert [splat.kind for splat in reader.splats] == [K.BUG]
    reader.feed(b"[    1.000002] Internal error: Oops - BUG: 00000000f2000800 [#1]  SMP\n")
    (splat,) = reader.splats
    assert (splat.kind, len(splat.messages)) == (K.BUG, 3)


def test_messages_of_other_processors_are_no_words_of_the_code() -> None:
    log = """\
[    1.000001] ------------[ cut here ]------------
[    1.000002] the ring is
[    1.000002] full
[    1.000009] usb: new device
[    1.000010] WARNING: drivers/net/foo.c:12 at foo_probe+0x1/0x2 [foo], CPU#0: insmod/47
"""
    (splat,) = read_text(log).splats
    assert splat.said == "the ring is\nfull"


def test_two_warnings_are_two_reports_even_when_the_end_of_the_first_was_lost() -> None:
    warning = """\
[    1.000000] ------------[ cut here ]------------
[    1.000001] WARNING: drivers/net/foo.c:12 at foo_probe+0x1/0x2 [foo], CPU#0: insmod/47
"""
    splats = read_text(warning * 2).splats
    assert [splat.head.line for splat in splats] == [2, 4]
    assert [len(splat.messages) for splat in splats] == [2, 2]


def test_a_warning_inside_another_report_is_a_report_of_its_own() -> None:
    log = """\
[    1.000000] ==================================================================
[    1.000001] BUG: KASAN: slab-use-after-free in foo_probe+0x1/0x2 [foo]
[    1.000002] ------------[ cut here ]------------
[    1.000003] WARNING: drivers/net/foo.c:12 at foo_probe+0x1/0x2 [foo], CPU#0: insmod/47
"""
    assert [splat.kind for splat in read_text(log).splats] == [K.KASAN, K.WARNING]


def test_a_headline_printed_again_is_one_report_with_the_whole_headline() -> None:
    log = """\
[    1.000000] BUG: KASAN: slab-use-after-f
** replaying previous printk message **
[    1.000000] BUG: KASAN: slab-use-after-free in foo_probe+0x1/0x2 [foo]
"""
    (splat,) = read_text(log).splats
    assert splat.headline == "BUG: KASAN: slab-use-after-free in foo_probe+0x1/0x2 [foo]"


def test_only_a_panic_is_a_panic() -> None:
    assert not read_log("7.3/null-dereference.log").panicked
    assert not read_log("7.3/rust-panic.log").panicked
    assert read_log("7.3/oops-panic.log").panicked


# Printed by kernels and architectures of which no log could be captured: the format strings of
# the sources, filled in.
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BUG: kernel NULL pointer dereference, address: 0000000000000010", K.OOPS),
        ("BUG: unable to handle page fault for address: ffffc90000000000", K.OOPS),
        (
            "Oops: general protection fault, probably for non-canonical address 0xdead000000000100"
            ": 0000 [#1] SMP NOPTI",
            K.OOPS,
        ),
        ("general protection fault: 0000 [#1] SMP", K.OOPS),
        ("traps: PANIC: double fault, error_code: 0x0", K.OOPS),
        ("BUG: TASK stack guard page was hit at ffffc90000003ff8", K.OOPS),
        ("traps: Missing ENDBR: foo+0x0/0x4 [foo]", K.OOPS),
        ("Oops - illegal instruction [#1]", K.OOPS),
        ("Kernel bug detected[#1]:", K.OOPS),
        ("Unhandled 64-bit el1h sync exception on CPU0, ESR 0x0000000002000000 -- ?", K.OOPS),
        ("Oops: Kernel access of bad area, sig: 11 [#1]", K.OOPS),
        (
            "CPU 0 Unable to handle kernel paging request at virtual address 0000000000000010, era"
            " == 9000000000200000, ra == 9000000000200004",
            K.OOPS,
        ),
        ("SError Interrupt on CPU0, code 0x00000000bf000002 -- SError", K.OOPS),
        (
            "CFI failure at foo+0x1/0x2 [foo] (target: bar+0x0/0x4 [foo]; expected type: 0x1)",
            K.OOPS,
        ),
        ("WARNING: at foo_probe+0x1/0x2 [foo], CPU#0: insmod/47", K.WARNING),
        (
            "WARNING: [ring == NULL] drivers/net/foo.c:12 at foo+0x1/0x2, CPU#0: insmod/47",
            K.WARNING,
        ),
        ("BUG: KFENCE: use-after-free write in foo_read+0x1/0x2 [foo]", K.KFENCE),
        ("BUG: KCSAN: data-race in foo_read / foo_write", K.KCSAN),
        ("BUG: KMSAN: uninit-value in foo_read+0x1/0x2", K.KMSAN),
        ("WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected", K.LOCKDEP),
        ("WARNING: possible irq lock inversion dependency detected", K.LOCKDEP),
        ("WARNING: kworker/0:1/12 still has locks held!", K.LOCKDEP),
        ("BUG: MAX_LOCKDEP_CHAINS too low!", K.LOCKDEP),
        ("BUG: key ffff00000adb6720 has not been registered!", K.LOCKDEP),
        ("BUG: scheduling in a non-blocking section: insmod/47/1", K.ATOMIC_SLEEP),
        ("ODEBUG: object ffff0000 is on stack ffff0000, but NOT annotated.", K.DEBUG_OBJECTS),
        ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... }", K.RCU_STALL),
        ("INFO: rcu_tasks detected stalls on tasks:", K.RCU_STALL),
        ("watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", K.HARD_LOCKUP),
        ("watchdog: Watchdog detected hard LOCKUP on cpu 1", K.HARD_LOCKUP),
        (
            "smp: csd: Detected non-responsive CSD lock (#1) on CPU#0, waiting 5000 ns",
            K.HARD_LOCKUP,
        ),
        ("INFO: task foo bar:47 blocked in I/O wait for more than 122 seconds.", K.HUNG_TASK),
        (
            "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 33s!",
            K.WORKQUEUE_LOCKUP,
        ),
        ("sched: RT throttling activated", K.RT_THROTTLING),
        ("BUG kmalloc-64 (Not tainted): Redzone overwritten", K.MEMORY_CORRUPTION),
        ("BUG: Bad page state in process insmod  pfn:42000", K.MEMORY_CORRUPTION),
        (
            "usercopy: Kernel memory exposure attempt detected from SLUB object 'foo'",
            K.MEMORY_CORRUPTION,
        ),
        ("unregister_netdevice: waiting for eth0 to become free. Usage count = 2", K.NETDEV_LEAK),
        ("skbuff: skb_over_panic: text:ffff len:2 put:2 head:ffff data:ffff", K.BUG),
        ('irq 13: nobody cared (try booting with the "irqpoll" option)', K.IRQ),
        ("irq event 13: bogus return value ffffffff", K.IRQ),
        ("sysfs: cannot create duplicate filename '/class/foo'", K.DUPLICATE_NAME),
        ("BUG: spinlock bad magic on CPU#0, insmod/47", K.BUG),
    ],
)
def test_a_headline_of_the_sources_is_known(text: str, kind: SplatKind) -> None:
    assert [splat.kind for splat in read_text(f"[    1.000000] {text}\n").splats] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "Kernel command line: console=ttyAMA0 oops=panic panic=-1 panic_on_warn=1",
        "Warning: unable to open an initial console.",
        "foo 0000:00:01.0: WARNING: the cable is out",
        "foo: BUG: the card is not ours",
        "WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
        "ACPI BIOS Error (bug): Could not resolve symbol [_SB.PCI0], AE_NOT_FOUND",
        "[Firmware Bug]: the BIOS has corrupted hw-PMU resources",
        "debug: a word with bug in it",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 15800)",
        "kasan: KernelAddressSanitizer initialized (generic)",
        "kfence: initialized - using 2097152 bytes for 255 objects",
        "rcu: RCU restricting CPUs from NR_CPUS=512 to nr_cpu_ids=2.",
        "rcu: INFO: Stall ended before state dump start",
        "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
        "INFO: lockdep is turned off.",
        "Disabling lock debugging due to kernel taint",
        "DMA-API: preallocated 65536 debug entries",
        "DMA-API: debugging enabled by kernel config",
        "ODEBUG: selftest passed",
        "ODEBUG: Out of memory. ODEBUG disabled",
        "INFO: task foo:47 is blocked on a mutex likely owned by task bar:48.",
        "insmod[47]: unhandled signal 11 code 0x1 at 0x0000000000000000",
        "traps: foo[47] general protection fault ip:401136 sp:7ffd error:0 in foo[401000+1000]",
        "foo[47]: segfault at 0 ip 0000000000401136 sp 00007ffd error 4 in foo[401000+1000]",
        "foo: loading out-of-tree module taints kernel.",
        "list_add: an item",
        "panic: this is a module's own text",
        "------------[ cut here ]------------",
        "==================================================================",
    ],
)
def test_a_message_that_only_sounds_like_a_report_is_none(text: str) -> None:
    reader = read_text(f"[    1.000000] {text}\n")
    assert reader.splats == ()
    assert not reader.panicked


# ---- taint flags ----------------------------------------------------------------------------


def test_an_out_of_tree_module_is_no_fault() -> None:
    (flag,) = taint_flags(4096)
    assert (flag.letter, flag.fault) == ("O", False)


def test_a_warning_and_an_oops_leave_flags_that_are_faults() -> None:
    # Read in the guest after insmod ended in BUG().
    flags = taint_flags(4736)
    assert [flag.letter for flag in flags] == ["D", "W", "O"]
    assert [flag.letter for flag in flags if flag.fault] == ["D", "W"]


def test_the_letters_are_those_of_the_kernel_in_the_order_of_their_bits() -> None:
    letters = "".join(flag.letter for flag in taint_flags((1 << 20) - 1))
    assert letters == "PFSRMBUDAWCIOELKXTNJ"
    assert taint_flags(0) == ()


# ---- error codes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("insmod: can't insert '/x.ko': Cannot allocate memory", "ENOMEM"),  # glibc
        ("insmod: can't insert '/x.ko': Out of memory", "ENOMEM"),  # musl
        ("insmod: can't insert '/x.ko': Resource busy\n", "EBUSY"),
        ("insmod: can't insert '/x.ko': invalid module format", "ENOEXEC"),
        ("insmod: can't insert '/x.ko': Unknown error 524", "ENOTSUPP"),
        ("insmod: ERROR: could not insert module x.ko: Invalid parameters", "EINVAL"),
        (
            "modprobe: ERROR: could not insert 'x': Unknown symbol in module, or unknown parameter"
            " (see dmesg)",
            "ENOENT",
        ),
        ("e1000 0000:00:01.0: probe with driver e1000 failed with error -12", "ENOMEM"),
        ("x: Unknown symbol foo_bar (err -2)", "ENOENT"),
        ("x: error -EPROBE_DEFER: no clock", "EPROBE_DEFER"),
        ("x: probe failed: -517", "EPROBE_DEFER"),
        ("x: Err(EINVAL)", "EINVAL"),
        ("x: open returned -95", "EOPNOTSUPP"),
        ("12", "ENOMEM"),
        ("-12\n", "ENOMEM"),
        ("x: starting\nx: failed with error -19\nx: error -5", "ENODEV"),
        ("0", None),
        ("", None),
        ("x: it is -12 degrees", None),
        ("x: error in 12 of 30 packets", None),
        ("x: the EEPROM is empty", None),
    ],
)
def test_the_error_that_a_text_gives_is_named(text: str, name: str | None) -> None:
    assert errnos.name_in(text) == name


def test_the_words_of_a_real_insmod_are_understood() -> None:
    lines = (LOGS / "7.3/load-errors.shell").read_text().splitlines()
    names = [errnos.name_in(line) for line in lines if line.startswith("insmod: ")]
    assert names == ["ENOMEM", "ENOMEM", "EEXIST", "ENOENT", "ENOEXEC"]
