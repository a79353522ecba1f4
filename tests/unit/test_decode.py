"""decode: which places of a log are what, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from rflbuild import decode
from rflbuild.decode import Decoded
from rflbuild.session import Session
from rflbuild.symbols import Frame, Place, Symbols
from rflbuild.verdict import RflError, Verdict

LOGS = Path(__file__).parents[1] / "data/klog"
SYMBOLS = Symbols(
    release="7.3.4",
    arch="arm64",
    toolchain="debian",
    kernel="0" * 16,
    out="/store/kernel",
    source="/store/source",
    mutable=False,
    modules={"blinky": "/store/module/blinky.ko"},
    directory="/home/me/modules/blinky",
    shown="modules/blinky",
)


def decoded(
    text: str, frames: Mapping[str, tuple[Frame, ...]], symbols: Symbols = SYMBOLS
) -> Decoded:
    """The text, with frames by the names of the functions that the kernel prints."""
    lines = text.splitlines()
    found = decode.find(lines)
    known = {each.place: frames[each.place.name] for each in found if each.place.name in frames}
    return decode.rewrite(symbols, lines, found, known)


def place(line: str) -> Place:
    (found,) = decode.find([line])
    return found.place


# ---- what is a place ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "module", "name", "offset", "size"),
    [
        (" do_one_initcall+0xd0/0x224", "", "do_one_initcall", 0xD0, 0x224),
        (" init_module+0x14/0xfdc [blinky]", "blinky", "init_module", 0x14, 0xFDC),
        (" init_module+0x14/0xfdc [blinky 0123abcd]", "blinky", "init_module", 0x14, 0xFDC),
        (" foo.llvm.123$x+0x1/0x2", "", "foo.llvm.123$x", 1, 2),
        (" _RNvXs_C1a1b3C+0x0/0x44 (P)", "", "_RNvXs_C1a1b3C", 0, 0x44),
        ("RIP: 0010:foo+0x1c/0xff0 [blinky]", "blinky", "foo", 0x1C, 0xFF0),
    ],
)
def test_a_place_is_a_function_an_offset_and_a_module(
    line: str, module: str, name: str, offset: int, size: int
) -> None:
    found = place(line)

    assert (found.module, found.name) == (module, name)
    assert (found.offset, found.size) == (offset, size)


@pytest.mark.parametrize(
    "line",
    [
        " foo+0x4/0x8",
        "[    1.234567]  foo+0x4/0x8",
        "[    1.234567][   T60]  ? foo+0x4/0x8",
        "lr : foo+0x4/0x8",
        "BUG: KASAN: slab-use-after-free in foo+0x4/0x8 [blinky]",
        " #0: ffff000000cc6e58 (lock){+.+.}-{4:4}, at: foo+0x4/0x8",
        "hardirqs last enabled at (8): [<ffff800080017000>] foo+0x4/0x8",
    ],
)
def test_a_callers_place_is_the_call_and_not_what_follows_it(line: str) -> None:
    assert place(line).is_return


@pytest.mark.parametrize(
    "line",
    [
        "pc : foo+0x4/0x8",
        "[    1.234567] pc : foo+0x4/0x8 [blinky]",
        "epc : foo+0x4/0x8",
        "RIP: 0010:foo+0x4/0x8",
        " foo+0x4/0x8 (P)",
        " foo+0x4/0x8 [blinky] (PL)",
        "WARNING: drivers/foo.c:3 at foo+0x4/0x8, CPU#1: insmod/60",
        "WARNING: CPU: 0 PID: 60 at drivers/foo.c:3 foo+0x4/0x8",
        "CFI failure at foo+0x4/0x8 [blinky] (target: bar; expected type: 0x1)",
    ],
)
def test_the_place_of_an_exception_is_exact(line: str) -> None:
    assert not decode.find([line])[0].place.is_return


def test_a_trace_without_letters_begins_where_the_exception_was() -> None:
    # Before 6.13, arm64 does not say which entry is no caller.
    lines = ["pc : foo+0x4/0x8", "lr : bar+0x4/0x8", "Call trace:", " foo+0x4/0x8", " foo+0x4/0x8"]

    returns = [each.place.is_return for each in decode.find(lines)]

    assert returns == [False, True, False, True]


@pytest.mark.parametrize("name", sorted(str(p.relative_to(LOGS)) for p in LOGS.rglob("*.log")))
def test_of_captured_logs_all_that_is_no_place_stays_as_it_is(name: str) -> None:
    lines = (LOGS / name).read_text(errors="replace").splitlines()
    found = decode.find(lines)
    frames = {each.place: (Frame("function", "file.c", 7),) for each in found}

    done = decode.rewrite(SYMBOLS, lines, found, frames)

    assert len(done.lines) == len(lines)
    places = {each.line for each in found}
    for number, (before, after) in enumerate(zip(lines, done.lines, strict=True)):
        assert (before != after) == (number in places)
        assert "+0x" not in after or "/0x" not in after


@pytest.mark.parametrize("name", ["7.3/null-dereference.log", "7.3-debug/kasan.log"])
def test_of_captured_logs_each_line_of_a_trace_is_taken(name: str) -> None:
    lines = [line.rstrip() for line in (LOGS / name).read_text(errors="replace").splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.endswith("Call trace:")) + 1
    traced = {each.line for each in decode.find(lines) if each.traced}

    assert set(range(begin, begin + 5)) <= traced


# ---- how it is shown ----------------------------------------------------------------------


def test_a_line_of_a_trace_has_the_function_the_file_and_the_line() -> None:
    done = decoded(
        "[    1.234567]  do_one_initcall+0xd0/0x224 (P)",
        {"do_one_initcall": (Frame("do_one_initcall", "init/main.c", 1362),)},
    )

    assert done.lines == ("[    1.234567]  do_one_initcall (init/main.c:1362) (P)",)


def test_inlined_functions_come_before_the_one_they_are_in() -> None:
    chain = (
        Frame("<core::option::Option<&u32>>::unwrap", "core/src/option.rs", 978),
        Frame("init_module", "modules/blinky/blinky.rs", 7),
    )

    done = decoded(" init_module+0x14/0xfdc [blinky]", {"init_module": chain})

    assert done.lines == (
        " <core::option::Option<&u32>>::unwrap (core/src/option.rs:978) [blinky] (inlined)",
        " init_module (modules/blinky/blinky.rs:7) [blinky]",
    )


def test_outside_a_trace_the_line_is_that_of_the_instruction() -> None:
    chain = (Frame("inner", "a.c", 1), Frame("outer", "b.c", 2))

    done = decoded("pc : outer+0x14/0x20", {"outer": chain})

    assert done.lines == ("pc : outer (a.c:1)",)


def test_what_is_not_known_stays_as_it_is() -> None:
    text = " known+0x1/0x2\n unknown+0x1/0x2 [other]\nCode: 00000000\n"

    done = decoded(text, {"known": (Frame("known", "a.c", 1),)})

    assert done.lines == (" known (a.c:1)", " unknown+0x1/0x2 [other]", "Code: 00000000")


def test_a_function_without_a_file_is_at_least_named() -> None:
    done = decoded(" _RNvC1a3foo+0x1/0x2", {"_RNvC1a3foo": (Frame("a::foo", "", 0),)})

    assert done.lines == (" a::foo",)


# ---- where it happened --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain", "where"),
    [
        (
            [("core/src/option.rs", 978), ("modules/blinky/blinky.rs", 20), ("lib/a.c", 1)],
            "modules/blinky/blinky.rs:20",
        ),
        ([("rust/kernel/list.rs", 9), ("samples/rust/a.rs", 3)], "samples/rust/a.rs:3"),
        ([("core/src/a.rs", 9), ("rust/kernel/module.rs", 3)], "rust/kernel/module.rs:3"),
    ],
)
def test_where_is_the_first_line_of_the_modules_own_files(
    chain: list[tuple[str, int]], where: str
) -> None:
    frames = {
        "kernels": (Frame("kernels", "kernel/panic.c", 1),),
        "mine": tuple(Frame("f", path, line, "blinky" in path) for path, line in chain),
    }

    assert decoded(" kernels+0x1/0x2\n mine+0x1/0x2 [blinky]", frames).where == where


def test_what_is_built_in_has_lines_of_its_own_as_well() -> None:
    frames = {"probe": (Frame("probe", "modules/blinky/blinky.rs", 9, True),)}

    assert decoded(" probe+0x1/0x2", frames).where == "modules/blinky/blinky.rs:9"


def test_without_a_frame_of_the_tests_modules_it_is_nowhere() -> None:
    frames = {"theirs": (Frame("theirs", "drivers/a.c", 1),)}

    assert not decoded(" theirs+0x1/0x2\n theirs+0x1/0x2 [other]", frames).where


@pytest.mark.parametrize(
    "headline",
    [
        "WARNING: blinky.rs:19 at init_module+0x8/0xfe8 [blinky], CPU#1: insmod/60",
        "WARNING: CPU: 1 PID: 60 at blinky.rs:19 init_module+0x8/0xfe8 [blinky]",
        "WARNING: CPU: 1 PID: 60 at {0}/blinky.rs:19 init_module+0x8/0xfe8 [blinky]",
        "rust_kernel: panicked at blinky.rs:19:55:",
        "kernel BUG at blinky.rs:19!",
    ],
)
def test_where_is_what_the_report_itself_says(tmp_path: Path, headline: str) -> None:
    # The compiler attributes the trap of a WARN() to no line of its own.
    (tmp_path / "blinky.rs").touch()
    symbols = msgspec.structs.replace(SYMBOLS, directory=str(tmp_path))
    frames = {"init_module": (Frame("init_module", "modules/blinky/blinky.rs", 7, True),)}
    text = f"{headline.format(tmp_path)}\n init_module+0x8/0xfe8 [blinky]"

    assert decoded(text, frames, symbols).where == "modules/blinky/blinky.rs:19"


def test_what_a_report_says_of_other_files_is_not_where(tmp_path: Path) -> None:
    symbols = msgspec.structs.replace(SYMBOLS, directory=str(tmp_path))

    assert not decoded("kernel BUG at rust/helpers/bug.c:7!", {}, symbols).where


# ---- errors of runs -----------------------------------------------------------------------


def test_an_error_without_a_trace_is_left_alone(session: Session, tmp_path: Path) -> None:
    error = RflError(Verdict.CRASH, "the kernel reported a thing", "a thing")

    assert decode.explained(session, tmp_path, error) is error
    assert not (tmp_path / decode.FILE).exists()


@pytest.mark.parametrize("left", [None, "{", '{"release": 7}', "[]"])
def test_a_crash_that_cannot_be_decoded_is_a_crash_with_its_raw_trace(
    session: Session, tmp_path: Path, left: str | None
) -> None:
    if left is not None:
        (tmp_path / "symbols.json").write_text(left)
    error = RflError(Verdict.CRASH, "the kernel reported a thing", "a thing\n foo+0x1/0x2")

    explained = decode.explained(session, tmp_path, error)

    assert (explained.verdict, explained.sentence) == (Verdict.CRASH, error.sentence)
    assert explained.detail.startswith(f"{error.detail}\n(not decoded: ")
