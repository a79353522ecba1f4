"""Error codes: their names, and the name of the one that a tool's words mean."""

from __future__ import annotations

import errno
import os
import re

_NAMES = {
    **errno.errorcode,
    # Where Python knows two names for a number, the kernel's own (include/uapi/asm-generic).
    errno.EDEADLK: "EDEADLK",
    errno.EOPNOTSUPP: "EOPNOTSUPP",
    # include/linux/errno.h: never meant for user space, but seen when a driver returns them.
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    517: "EPROBE_DEFER",
    524: "ENOTSUPP",
}
_WORDS = {
    **{os.strerror(number).lower(): name for number, name in _NAMES.items()},
    # glibc's, should this machine's C library be another one.
    "cannot allocate memory": "ENOMEM",
    "input/output error": "EIO",
    "device or resource busy": "EBUSY",
    "connection timed out": "ETIMEDOUT",
    "operation not supported": "EOPNOTSUPP",
    # musl's (src/errno/__strerror.h).
    "out of memory": "ENOMEM",
    "i/o error": "EIO",
    "resource busy": "EBUSY",
    "operation timed out": "ETIMEDOUT",
    "not supported": "EOPNOTSUPP",
    "device timeout": "ETIME",
    # insmod's own (busybox: modutils/modutils.c, moderror(); kmod: tools/insmod.c, mod_strerror()).
    "invalid module format": "ENOEXEC",
    "invalid parameters": "EINVAL",
    "unknown symbol in module": "ENOENT",
    "unknown symbol in module, or unknown parameter": "ENOENT",
    "module has wrong symbol version": "ESRCH",
    "kernel does not support requested operation": "ENOSYS",
}
_SYMBOL = re.compile(r"\bE[A-Z0-9_]+\b")
_NUMBER = re.compile(
    r"^\s*-?(\d{1,3})\s*$"
    r"|\b(?:err|errno|error|fail|failed|returned|ret|rc|status)\b[\s:=(]*-(\d{1,3})\b"
    r"|Unknown error (\d{3})$",
    re.IGNORECASE,
)


def number(name: str) -> int | None:
    """The number of an errno, the kernel's own included; two names may share one."""
    own = {known: value for value, known in _NAMES.items()}
    found: int | None = getattr(errno, name, None) if name.startswith("E") else None
    return own.get(name, found)


def name_in(text: str) -> str | None:
    """The symbolic name of the error that a text gives, such as ENOMEM; None if it gives none.

    Understood are a name (`-ENOMEM`), a number (`failed with error -12`, or nothing but
    `12`) and the words of insmod, glibc and musl (`insmod: can't insert '/x.ko': Cannot
    allocate memory`). The first line that gives an error counts.
    """
    return next(filter(None, map(_name_in_line, text.splitlines())), None)


def _name_in_line(line: str) -> str | None:
    for symbol in _SYMBOL.findall(line):
        if symbol in _NAMES.values():
            return str(symbol)
    if number := _NUMBER.search(line):
        return _NAMES.get(int(number[number.lastindex or 0]))
    words = line.rpartition(": ")[2].strip().removesuffix(" (see dmesg)")
    return _WORDS.get(words.lower())
