"""Reading the kernel's log: its messages, and the reports among them.

Lines from the serial console go in, values come out. Only a message's text is
relied on: its log level never reaches the console.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

# ---- messages -----------------------------------------------------------------------------

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # ECMA-48 control sequences, such as a firmware's colours
    r"|\x1b[ -/]*[0-~]"  # two-byte escapes, such as the reset that EDK II and SeaBIOS send
    r"|[\x00-\x08\x0b-\x1f\x7f]"
)
# kernel/printk/printk.c: print_syslog(), print_time() and print_caller(). Searched for, not
# matched: firmware, or a prompt, may have left the start of the line to the kernel.
_STAMP = re.compile(r"(?:<\d+>)?\[ *(\d+\.\d{6})\](?:\[ *[TC]\d+\])? ?")
_UNSTAMPED = re.compile(r"(?:<\d+>)?(?:\[ *[TC]\d+\] )?")  # CONFIG_PRINTK_TIME=n

# kernel/printk/printk.c: console_prepend_dropped() and console_prepend_replay().
_DROPPED = re.compile(r"\*\* (\d+) printk messages dropped \*\*")
_REPLAY = "** replaying previous printk message **"


@dataclass(frozen=True)
class Message:
    """One line of the console: seconds since boot if stamped, text, 1-based line number."""

    time: float | None
    text: str
    line: int


def parse_line(line: str, number: int) -> Message:
    """The message in a console line; one without a time stamp is a message with time None."""
    clean = _TERMINAL.sub("", line.rstrip("\r\n"))
    if stamp := _STAMP.search(clean):
        return Message(float(stamp[1]), clean[stamp.end() :], number)
    return Message(None, _UNSTAMPED.sub("", clean, count=1), number)


# ---- what the kernel reports, and the words it begins with -----------------------------------


class SplatKind(enum.StrEnum):
    """What a report is about. None of them is ever printed by a healthy kernel."""

    PANIC = "panic"
    RUST_PANIC = "Rust panic"
    OOPS = "oops"
    BUG = "BUG"
    WARNING = "WARNING"
    KASAN = "KASAN"
    KFENCE = "KFENCE"
    KCSAN = "KCSAN"
    KMSAN = "KMSAN"
    UBSAN = "UBSAN"
    LOCKDEP = "lockdep"
    RCU_STALL = "RCU stall"
    SOFT_LOCKUP = "soft lockup"
    HARD_LOCKUP = "hard lockup"
    WORKQUEUE_LOCKUP = "workqueue lockup"
    HUNG_TASK = "hung task"
    RT_THROTTLING = "RT throttling"
    ATOMIC_SLEEP = "sleep in atomic context"
    MEMORY_CORRUPTION = "memory corruption"
    LIST_CORRUPTION = "list corruption"
    REFCOUNT = "refcount"
    SLAB_LEAK = "slab leak"
    KMEMLEAK = "kmemleak"
    NETDEV_LEAK = "netdev leak"
    DMA_API = "DMA-API"
    DEBUG_OBJECTS = "debug objects"
    IRQ = "unhandled interrupt"
    DUPLICATE_NAME = "duplicate sysfs name"


class _Shape(enum.Enum):
    """What a report consists of after its headline, and so where it ends."""

    LINE = "nothing"
    STACK = "all up to the end of its call trace"
    LOCKS = "all up to the end of its list of held locks"
    RULED = "all up to a line of ====, as it began"
    LEAD = "as STACK; or the report of the trap that it led to, or of the oops"
    TRAP = "all up to ---[ end trace; or an oops"
    OOPS = "all up to ---[ end trace"
    PANIC = "all up to ---[ end Kernel panic, which is missing when the kernel reboots"


@dataclass(frozen=True)
class _Head:
    """The words that a kind of report begins with."""

    kind: SplatKind
    shape: _Shape
    pattern: str


_K, _S = SplatKind, _Shape

# Looked up in Linux 6.12 and 7.3, each below the files that print it. Patterns match the start
# of a text and have no groups of their own; the first that matches counts.
_HEADS = (
    # kernel/panic.c: vpanic(); __warn() of 7.3; __warn() of 6.12
    _Head(_K.PANIC, _S.PANIC, r"Kernel panic - not syncing"),
    _Head(_K.WARNING, _S.TRAP, r"WARNING: (?:\[.*\] )?(?:\S+:\d+ )?at .+, CPU#\d+: "),
    _Head(_K.WARNING, _S.TRAP, r"WARNING: CPU: \d+ PID: \d+ at "),
    # lib/bug.c: __report_bug()
    _Head(_K.BUG, _S.TRAP, r"kernel BUG at "),
    # rust/kernel/lib.rs: panic(), which calls BUG()
    _Head(_K.RUST_PANIC, _S.LEAD, r"rust_kernel: panicked at "),
    # arch/*/kernel: die(). arm64 and arm; riscv, powerpc and x86; loongarch and mips; old x86
    _Head(_K.OOPS, _S.OOPS, r"Internal error: .*\[#\d+\]"),
    _Head(_K.OOPS, _S.OOPS, r"(?:Oops|Kernel BUG)\b.*\[#\d+\]"),
    _Head(_K.OOPS, _S.OOPS, r"Kernel bug detected\[#\d+\]"),
    _Head(_K.OOPS, _S.OOPS, r"general protection fault\b.*\[#\d+\]"),
    # arch/*/mm/fault.c. All but x86; x86; x86 before 5.1, and powerpc
    _Head(_K.OOPS, _S.LEAD, r"(?:CPU \d+ )?Unable to handle kernel "),
    _Head(_K.OOPS, _S.LEAD, r"BUG: kernel NULL pointer dereference"),
    _Head(_K.OOPS, _S.LEAD, r"BUG: [Uu]nable to handle "),
    # arch/x86: kernel/traps.c, mm/extable.c, kernel/cet.c
    _Head(_K.OOPS, _S.LEAD, r"(?:traps: )?PANIC: (?:double fault|early exception)"),
    _Head(_K.OOPS, _S.LEAD, r"BUG: .+ stack guard page was hit"),
    _Head(_K.OOPS, _S.LEAD, r"(?:traps: )?Missing ENDBR: "),
    # arch/arm64/kernel/traps.c and entry-common.c, arch/riscv/kernel/traps.c
    _Head(_K.OOPS, _S.LEAD, r"Insufficient stack space to handle exception!"),
    _Head(_K.OOPS, _S.LEAD, r"SError Interrupt on CPU\d+"),
    _Head(_K.OOPS, _S.LEAD, r"Unhandled .+ exception on CPU\d+"),
    # kernel/cfi.c: report_cfi_failure()
    _Head(_K.OOPS, _S.LEAD, r"CFI failure at "),
    # mm/kasan/report.c, mm/kfence/report.c, kernel/kcsan/report.c, mm/kmsan/report.c
    _Head(_K.KASAN, _S.RULED, r"BUG: KASAN: "),
    _Head(_K.KFENCE, _S.RULED, r"BUG: KFENCE: "),
    _Head(_K.KCSAN, _S.RULED, r"BUG: KCSAN: "),
    _Head(_K.KMSAN, _S.RULED, r"BUG: KMSAN: "),
    # lib/ubsan.c: ubsan_prologue(); arch/x86/kernel/traps.c with CONFIG_UBSAN_TRAP
    _Head(_K.UBSAN, _S.TRAP, r"(?:traps: )?UBSAN: .+ (?:in|at) "),
    # kernel/locking/lockdep.c
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: possible (?:circular|recursive) locking "),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: possible irq lock inversion dependency "),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: \S+-safe -> \S+-unsafe lock order detected"),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: (?:inconsistent lock state|chain_key collision)"),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: (?:bad unlock balance|bad contention) detected!"),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: (?:held lock freed!|Nested lock was not taken)"),
    _Head(_K.LOCKDEP, _S.LOCKS, r"WARNING: lock held when returning to user space!"),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: .+/\d+ still has locks held!"),
    _Head(_K.LOCKDEP, _S.STACK, r"WARNING: suspicious RCU usage"),
    _Head(_K.LOCKDEP, _S.STACK, r"\[ BUG: Invalid wait context \]"),
    _Head(_K.LOCKDEP, _S.STACK, r"INFO: trying to register non-static key"),
    _Head(_K.LOCKDEP, _S.STACK, r"BUG: MAX_\w+ too low!"),
    _Head(_K.LOCKDEP, _S.LEAD, r"BUG: key \S+ has not been registered!"),
    # kernel/sched/core.c: __schedule_bug(), schedule_debug(), __might_resched()
    _Head(_K.ATOMIC_SLEEP, _S.STACK, r"BUG: scheduling while atomic: "),
    _Head(_K.ATOMIC_SLEEP, _S.STACK, r"BUG: scheduling in a non-blocking section: "),
    _Head(_K.ATOMIC_SLEEP, _S.STACK, r"BUG: sleeping function called from invalid context "),
    # kernel/rcu/tree_stall.h, tree_exp.h and tasks.h
    _Head(_K.RCU_STALL, _S.STACK, r"(?:rcu: )?INFO: \S+ (?:self-)?detected (?:expedited )?stall"),
    # kernel/watchdog.c, kernel/smp.c, kernel/workqueue.c, kernel/hung_task.c, kernel/sched/rt.c
    _Head(_K.SOFT_LOCKUP, _S.STACK, r"watchdog: BUG: soft lockup - "),
    _Head(_K.HARD_LOCKUP, _S.STACK, r"watchdog: (?:CPU\d+: )?Watchdog detected hard LOCKUP "),
    _Head(_K.HARD_LOCKUP, _S.STACK, r"smp: csd: Detected non-responsive CSD lock "),
    _Head(_K.WORKQUEUE_LOCKUP, _S.STACK, r"BUG: workqueue lockup - "),
    _Head(_K.HUNG_TASK, _S.STACK, r"INFO: task .+:\d+ blocked(?: in I/O wait)? for more than "),
    _Head(_K.RT_THROTTLING, _S.LINE, r"sched: RT throttling activated"),
    # mm/slub.c: list_slab_objects() and __slab_bug(); mm/slab_common.c: kmem_cache_destroy()
    _Head(_K.SLAB_LEAK, _S.LEAD, r"BUG .+ \((?:Not t|T)ainted.*\): Objects remaining "),
    _Head(_K.SLAB_LEAK, _S.LEAD, r"kmem_cache_destroy .+: Slab cache still has objects "),
    _Head(_K.MEMORY_CORRUPTION, _S.LEAD, r"BUG .+ \((?:Not t|T)ainted.*\): "),
    # mm/page_alloc.c, mm/memory.c, mm/filemap.c, kernel/fork.c; mm/usercopy.c
    _Head(_K.MEMORY_CORRUPTION, _S.STACK, r"BUG: Bad (?:page|rss-counter) "),
    _Head(_K.MEMORY_CORRUPTION, _S.LEAD, r"usercopy: Kernel memory \w+ attempt detected "),
    # lib/list_debug.c, lib/refcount.c
    _Head(_K.LIST_CORRUPTION, _S.LEAD, r"list_(?:add|del) (?:corruption|double add)"),
    _Head(_K.REFCOUNT, _S.LEAD, r"refcount_t: "),
    # lib/debugobjects.c: debug_print_object(), debug_object_is_on_stack()
    _Head(_K.DEBUG_OBJECTS, _S.LEAD, r"ODEBUG: .+ \(active state \d+\) object"),
    _Head(_K.DEBUG_OBJECTS, _S.LEAD, r"ODEBUG: object \S+ is (?:NOT )?on stack "),
    # kernel/dma/debug.c: err_printk()
    _Head(_K.DMA_API, _S.LEAD, r"DMA-API: .+: (?:device driver|mapping sg|cacheline tracking) "),
    # mm/kmemleak.c: kmemleak_scan()
    _Head(_K.KMEMLEAK, _S.LINE, r"kmemleak: \d+ new suspected memory leaks"),
    # net/core/dev.c: netdev_wait_allrefs_any(); net/core/skbuff.c: skb_panic()
    _Head(_K.NETDEV_LEAK, _S.LINE, r"unregister_netdevice: waiting for "),
    _Head(_K.BUG, _S.LEAD, r"skbuff: skb_(?:over|under)_panic: "),
    # kernel/irq/spurious.c: __report_bad_irq()
    _Head(_K.IRQ, _S.STACK, r"irq (?:\d+: nobody cared|event \d+: bogus return value) "),
    # fs/sysfs/dir.c: sysfs_warn_dup()
    _Head(_K.DUPLICATE_NAME, _S.STACK, r"sysfs: cannot create duplicate filename "),
    # lib/smp_processor_id.c, kernel/locking/spinlock_debug.c, mm/mempool.c, kernel/workqueue.c ...
    _Head(_K.BUG, _S.STACK, r"BUG: "),
)

# One expression, so that a line that begins no report costs one match: group N is _HEADS[N-1].
_ANY_HEAD = re.compile("|".join(f"({head.pattern})" for head in _HEADS))

# A report of the first shape goes on when a headline of the second shape follows.
_GOES_ON = {(_S.LEAD, _S.TRAP), (_S.LEAD, _S.OOPS), (_S.TRAP, _S.OOPS)}

# include/asm-generic/bug.h and arch/arm/kernel/traps.c. What WARN() has to say follows it.
_CUT_HERE = re.compile(r"-+\[ cut here \]-+$|8<--- cut here ---$")
_RULE = re.compile(r"={20,}$")
_END_TRACE = "---[ end trace"  # kernel/panic.c: print_oops_end_marker()
_END_PANIC = "---[ end Kernel panic"
_CALL_TRACE = re.compile(r"Call [Tt]race:")
_LAST_PART = {
    _S.STACK: _CALL_TRACE,
    _S.LEAD: _CALL_TRACE,
    _S.LOCKS: re.compile(r"locks held by |\d+ locks? held by "),  # of 7.3; of 6.12
}
# What the last parts consist of, and what the architectures print after a call trace.
_DUMP = re.compile(
    r"$|\s|\*\* |\[<|rcu: |Call [Tt]race:|Sending NMI|NMI backtrace|After \d+ seconds|Disabling IRQ"
    r"|(?:R[A-Z0-9]{1,2}|CR\d|DR\d|FS|CS|DS|PKRU|ORIG_RAX|E[A-Z]{2}|Code|CPU|Tainted|Hardware name"
    r"|Workqueue|Modules linked in|task|pstate|pc|lr|sp|epc|x\d+|handlers|irq event stamp"
    r"|(?:hard|soft)irqs last .*?) ?:"
)
# A WARN() has a few lines of text at most: lines after a cut that leads to nothing are no report.
_LEAD_MESSAGES = 20
# Beyond any report (lockdep prints hundreds of lines): the end was lost.
_REPORT_MESSAGES = 2000


@dataclass(frozen=True)
class Splat:
    """One report of the kernel: what it is about, the message that names it, all messages."""

    kind: SplatKind
    head: Message
    messages: tuple[Message, ...]

    @property
    def headline(self) -> str:
        """The text of the message that names the report."""
        return self.head.text

    @property
    def said(self) -> str:
        """The code's own words: the text of a WARN(), the message of a Rust panic; or nothing."""
        at = self.messages.index(self.head)
        if self.kind is SplatKind.RUST_PANIC:
            words = self.messages[at + 1 :]
        elif self.kind is SplatKind.WARNING:
            words = self.messages[1:at]
        else:
            return ""
        return "\n".join(
            word.text
            for word in itertools.takewhile(lambda word: not _CUT_HERE.match(word.text), words)
            if word.time == words[0].time  # one printk(), not another CPU's
        )


class _Report:
    """A report that is being read."""

    def __init__(self, head: _Head, message: Message, before: Sequence[Message]) -> None:
        self.kind = head.kind
        self.shape = head.shape
        self.head = message
        self.messages = [*before, message]
        self._ending = False  # whether its last part has begun

    def is_over_before(self, text: str) -> bool:
        """Whether a message does not belong to this report any more."""
        if _CUT_HERE.match(text):
            return self.shape is not _S.LEAD
        if _RULE.match(text):
            return self.shape is not _S.RULED
        if self._ending and self.shape in _LAST_PART:
            return not _DUMP.match(text)
        return len(self.messages) >= _REPORT_MESSAGES

    def add(self, message: Message) -> None:
        """Take a message that belongs to this report."""
        self.messages.append(message)
        last_part = _LAST_PART.get(self.shape)
        self._ending = self._ending or bool(last_part and last_part.match(message.text))

    def is_over_after(self, text: str) -> bool:
        """Whether a message was the last of this report."""
        if self.shape is _S.RULED:
            return bool(_RULE.match(text))
        end = _END_PANIC if self.shape is _S.PANIC else _END_TRACE
        return text.startswith(end)

    def splat(self) -> Splat:
        """The report as far as it was read."""
        return Splat(self.kind, self.head, tuple(self.messages))


class LogReader:
    """The console's bytes go in as they come; messages and reports come out, in one pass."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.panicked = False
        self.dropped = 0  # messages the kernel could not print, in which a report may have been
        self._partial = b""
        self._whole: list[Splat] = []
        self._report: _Report | None = None
        self._before: list[Message] = []  # a cut or a rule, which may precede a headline
        self._replayed: Message | None = None

    @property
    def splats(self) -> tuple[Splat, ...]:
        """The reports so far. The last one may grow: it is here once its headline was read."""
        current = () if self._report is None else (self._report.splat(),)
        return (*self._whole, *current)

    def feed(self, chunk: bytes) -> None:
        """Take what came from the serial port; the start of a line waits for its end."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._take(parse_line(line.decode(errors="replace"), len(self.messages) + 1))

    def finish(self) -> None:
        """Take what is left when the port was closed amidst a line, as by a sudden reset."""
        if self._partial:
            self.feed(b"\n")

    def mark(self) -> int:
        """The place reached by now, for `since` and `splats_since`."""
        return len(self.messages)

    def since(self, mark: int) -> tuple[Message, ...]:
        """The messages read after a mark."""
        return tuple(self.messages[mark:])

    def splats_since(self, mark: int) -> tuple[Splat, ...]:
        """The reports whose headline was read after a mark."""
        return tuple(splat for splat in self.splats if splat.head.line > mark)

    def _take(self, message: Message) -> None:
        last = self.messages[-1] if self.messages else None
        self.messages.append(message)
        replayed, self._replayed = self._replayed, None
        if message.text == _REPLAY:
            self._replayed = last
        if dropped := _DROPPED.match(message.text):
            self.dropped += int(dropped[1])
        if self._report and self._report.head is replayed:
            # The console was taken over in the middle of the headline, and prints it again.
            self._report.head = message
            self._report.add(message)
        elif found := _ANY_HEAD.match(message.text):
            self._begin(_HEADS[(found.lastindex or 0) - 1], message)
        else:
            self._go_on(message)

    def _begin(self, head: _Head, message: Message) -> None:
        self.panicked = self.panicked or head.kind is SplatKind.PANIC
        if self._report and (self._report.shape, head.shape) in _GOES_ON:
            self._report.shape = head.shape
            self._report.add(message)
            return
        self._close()
        self._report = _Report(head, message, self._before)
        self._before = []
        if head.shape is _S.LINE:
            self._close()

    def _go_on(self, message: Message) -> None:
        text = message.text
        if self._report and self._report.is_over_before(text):
            self._close()
        if self._report:
            self._report.add(message)
            if self._report.is_over_after(text):
                self._close()
        elif _CUT_HERE.match(text) or _RULE.match(text):
            self._before = [message]
        elif self._before and _CUT_HERE.match(self._before[0].text):
            self._before = [*self._before, message] if len(self._before) < _LEAD_MESSAGES else []
        else:
            self._before = []

    def _close(self) -> None:
        if self._report:
            self._whole.append(self._report.splat())
            self._report = None
