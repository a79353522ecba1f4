"""The kernel's taint flags: what /proc/sys/kernel/tainted says has happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaintFlag:
    """One bit of /proc/sys/kernel/tainted; a fault when it says that something went wrong."""

    letter: str
    meaning: str
    fault: bool = False


# Documentation/admin-guide/tainted-kernels.rst, bit 0 first.
_FLAGS = (
    TaintFlag("P", "proprietary module was loaded"),
    TaintFlag("F", "module was force loaded"),
    TaintFlag("S", "kernel running on an out of specification system"),
    TaintFlag("R", "module was force unloaded"),
    TaintFlag("M", "processor reported a Machine Check Exception (MCE)", fault=True),
    TaintFlag("B", "bad page referenced or some unexpected page flags", fault=True),
    TaintFlag("U", "taint requested by userspace application"),
    TaintFlag("D", "kernel died recently, i.e. there was an OOPS or BUG", fault=True),
    TaintFlag("A", "ACPI table overridden by user"),
    TaintFlag("W", "kernel issued warning", fault=True),
    TaintFlag("C", "staging driver was loaded"),
    TaintFlag("I", "workaround for bug in platform firmware applied"),
    TaintFlag("O", 'externally-built ("out-of-tree") module was loaded'),
    TaintFlag("E", "unsigned module was loaded"),
    TaintFlag("L", "soft lockup occurred", fault=True),
    TaintFlag("K", "kernel has been live patched"),
    TaintFlag("X", "auxiliary taint, defined for and used by distros"),
    TaintFlag("T", "kernel was built with the struct randomization plugin"),
    TaintFlag("N", "an in-kernel test has been run"),
    TaintFlag("J", "userspace used a mutating debug operation in fwctl"),
)


def taint_flags(value: int) -> tuple[TaintFlag, ...]:
    """The flags set in the number that /proc/sys/kernel/tainted holds."""
    return tuple(flag for bit, flag in enumerate(_FLAGS) if value >> bit & 1)
