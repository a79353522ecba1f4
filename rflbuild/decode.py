"""The kernel's stack traces with functions, files and lines instead of offsets.

As scripts/decode_stacktrace.sh of the kernel does it, but that each inlined function has
a line of its own, and that a call at the very end of a function, such as the one to
a panic, is found there and not in the next function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import symbols as tables
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.symbols import Frame, Place, Symbols
from rflbuild.verdict import RflError

FILE = "crash.txt"
# lib/vsprintf.c: symbol_string(); kernel/kallsyms.c: __sprint_symbol(). With
# CONFIG_STACKTRACE_BUILD_ID an id follows the module's name.
_PLACE = re.compile(
    r"(?P<name>[\w.$]+)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
    r"(?P<module> \[(?P<of>\w+)(?: [0-9a-f]+)?\])?"
)
# What is no return address: registers, and where a trap was hit.
_EXACT = re.compile(r"(?:\bpc|\bepc|\bRIP|\bera) ?:|WARNING: .*\bat |CFI failure at ")
# arch/arm64/kernel/stacktrace.c: the program counter of an exception, not a caller.
_COUNTER = re.compile(r" \([A-Z]*P[A-Z]*\)")
# What precedes a place in a line of a call trace: a time stamp and what dmesg or a journal
# has around it, perhaps an address, and a mark of doubt.
_TRACED = re.compile(r"(?:[^\[\]]*\[(?!<)[^\]]*\])*\s*(?:\[<[^>]*>\] ?)?(?:\? )?$")
# kernel/panic.c: __warn(), of 7.3 and of 6.12; lib/bug.c; rust/kernel/lib.rs
_STATED = re.compile(
    r"(?:WARNING: (?:CPU: \d+ PID: \d+ at )?|kernel BUG at |rust_kernel: panicked at )"
    r"(?P<path>[\w./+@~-]+):(?P<line>\d+)"
)
# What belongs to Rust and the kernel even where a module's function has it inlined.
_OTHERS = ("rust/", "core/", "alloc/", "std/", "stdarch/", "include/", "arch/", "/")


@dataclass(frozen=True)
class Decoded:
    """A trace that was decoded; `where` is the line of a module's own in it, FILE:LINE."""

    lines: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True)
class Found:
    """A place in a line, and whether the line is one of a call trace."""

    line: int
    match: re.Match[str]
    place: Place
    traced: bool


def has_places(lines: Iterable[str]) -> bool:
    """Whether there is anything to decode."""
    return any(_PLACE.search(line) for line in lines)


def decode(session: Session, symbols: Symbols, lines: Sequence[str]) -> Decoded:
    """Lines of the kernel's log, decoded as far as they are places; others as they are.

    Raises RflError(environment) when the kernel, or what reads it, is not there.
    """
    found = find(lines)
    frames = tables.look_up(session, symbols, [each.place for each in found]) if found else {}
    return rewrite(symbols, lines, found, frames)


def explained(session: Session, folder: Path, error: RflError) -> RflError:
    """The error of a run with its trace decoded, and first of all where it happened.

    The trace is kept as crash.txt in the run's folder. Whatever is wrong with the
    decoding, the error stays the error that it was.
    """
    lines = error.detail.splitlines()
    if not has_places(lines):
        return error
    try:
        done = decode(session, tables.read(folder), lines)
        write_atomically(folder / FILE, "\n".join(done.lines) + "\n")
    except Exception as trouble:  # noqa: BLE001 - the verdict must not depend on debug information
        said = trouble.sentence if isinstance(trouble, RflError) else repr(trouble)
        return RflError(error.verdict, error.sentence, f"{error.detail}\n(not decoded: {said})")
    sentence = f"{done.where}: {error.sentence}" if done.where else error.sentence
    return RflError(error.verdict, sentence, "\n".join(done.lines))


def find(lines: Sequence[str]) -> list[Found]:
    """The places in lines of the kernel's log, in their order."""
    found = []
    counter = ""  # where the registers of an exception say that it was
    for number, line in enumerate(lines):
        for match in _PLACE.finditer(line):
            before = line[: match.start()]
            exact = bool(_EXACT.search(before))
            traced = bool(_TRACED.match(before)) and not exact
            if exact and ":" in before:
                counter = match[0]
            elif traced and (_COUNTER.match(line, match.end()) or match[0] == counter):
                exact, counter = True, ""
            place = Place(
                match["of"] or "",
                match["name"],
                int(match["offset"], 16),
                int(match["size"], 16),
                not exact,
            )
            found.append(Found(number, match, place, traced))
    return found


def rewrite(
    symbols: Symbols,
    lines: Sequence[str],
    found: Sequence[Found],
    frames: Mapping[Place, tuple[Frame, ...]],
) -> Decoded:
    """The lines with what was found of each place in them."""
    by_line: dict[int, list[Found]] = {}
    for each in found:
        if each.place in frames:
            by_line.setdefault(each.line, []).append(each)
    decoded: list[str] = []
    for number, line in enumerate(lines):
        decoded += _rewritten(line, by_line.get(number, []), frames)
    where = _stated(symbols, lines) or _where(symbols, found, frames)
    return Decoded(tuple(decoded), where)


def _rewritten(
    line: str, found: Sequence[Found], frames: Mapping[Place, tuple[Frame, ...]]
) -> list[str]:
    """A line with its places decoded; a trace's line is led by what was inlined there."""
    above: list[str] = []
    text, done = "", 0
    for each in found:
        *inlined, outer = frames[each.place]
        module = each.match["module"] or ""
        if each.traced:
            before = line[: each.match.start()]
            above += [f"{before}{_named(frame)}{module} (inlined)" for frame in inlined]
        elif inlined:  # one line, that of the instruction: the trace has them all
            outer = replace(inlined[0], function=outer.function)
        text += f"{line[done : each.match.start()]}{_named(outer)}{module}"
        done = each.match.end()
    return [*above, text + line[done:]]


def _named(frame: Frame) -> str:
    return f"{frame.function} ({_at(frame)})" if frame.path else frame.function


def _at(frame: Frame) -> str:
    return f"{frame.path}:{frame.line}"


def _stated(symbols: Symbols, lines: Iterable[str]) -> str:
    """The line that a report itself names, if it is in a file of the module's own."""
    for line in lines:
        if found := _STATED.search(line):
            path, own = tables.known_as(symbols, found["path"])
            if own:
                return f"{path}:{found['line']}"
    return ""


def _where(
    symbols: Symbols, found: Sequence[Found], frames: Mapping[Place, tuple[Frame, ...]]
) -> str:
    """The first line of a module's own files, as FILE:LINE; else that of its function."""
    for each in found:
        known = [frame for frame in frames.get(each.place, ()) if frame.path and frame.line]
        if own := [frame for frame in known if frame.own]:
            return _at(own[0])
        if known and each.place.module in symbols.modules:
            theirs = [frame for frame in known if not frame.path.startswith(_OTHERS)]
            return _at((theirs or known[-1:])[0])
    return ""
