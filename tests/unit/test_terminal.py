"""terminal: lines, progress, durations and tables, with and without a terminal."""

from __future__ import annotations

import io
import threading

import pytest

from rflbuild import terminal
from rflbuild.terminal import Terminal, duration, table, without_repeats


class Tty(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A pipe whose reader is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.0999, "100 ms"),
        (0.1, "0.1 s"),
        (1.26, "1.3 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (7200, "120 min 00 s"),
    ],
)
def test_a_duration_is_as_people_write_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_that_repeats_is_one_that_says_how_often() -> None:
    lines = ["up", "down", "down", "down", "up"]
    assert without_repeats(lines) == ["up", "down (3 times)", "up"]


# ---- lines --------------------------------------------------------------------------------


def test_a_line_is_written_as_it_is(screen: io.StringIO) -> None:
    Terminal(screen).line("a [b] \\[c] {d} %s")

    assert screen.getvalue() == "a [b] \\[c] {d} %s\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    Terminal(Broken()).line("a")


def test_a_link_says_how_it_came_and_how_long_it_took(screen: io.StringIO) -> None:
    Terminal(screen).link("kernel", "Linux 7.3.4 arm64 virt", "ready", 125.4)

    assert screen.getvalue().split() == "kernel Linux 7.3.4 arm64 virt ready 2 min 05 s".split()


def test_a_link_that_was_there_has_no_time(screen: io.StringIO) -> None:
    Terminal(screen).link("kernel", "Linux", "cached", None)

    assert screen.getvalue().rstrip("\n").endswith("cached")


def test_colours_are_for_terminals_alone() -> None:
    assert Terminal(io.StringIO()).paint("pass", "green") == "pass"
    assert Terminal(Tty()).paint("pass", "green") == "\033[32mpass\033[0m"


def test_lines_of_several_threads_do_not_mix(screen: io.StringIO) -> None:
    shown = Terminal(screen)

    def write(number: int) -> None:
        for _ in range(50):
            shown.line(str(number) * 50)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = screen.getvalue().splitlines()

    assert sorted(lines) == sorted(str(number) * 50 for number in range(4) for _ in range(50))


# ---- progress -----------------------------------------------------------------------------


def test_without_a_terminal_progress_is_a_line_now_and_then(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "PLAIN_EVERY", 0.0)
    with Terminal(screen).progress("kernel 7.3.4", 3) as meter:
        meter.step()
        meter.step(2)

    lines = screen.getvalue().splitlines()
    assert ["1 of about 3" in lines[0], "3 of about 3" in lines[1]] == [True, True]
    assert "kernel 7.3.4" in lines[0]


def test_without_a_terminal_a_short_job_shows_nothing(screen: io.StringIO) -> None:
    with Terminal(screen).progress("kernel", 3) as meter:
        meter.step()

    assert screen.getvalue() == ""


def test_a_total_that_was_too_small_grows(screen: io.StringIO) -> None:
    with Terminal(screen).progress("kernel", 1) as meter:
        meter.step(5)

    assert (meter.done, meter.total) == (5, 5)


def test_lines_during_progress_are_shown_as_they_are() -> None:
    stream = Tty()
    shown = Terminal(stream)
    with shown.progress("kernel", 3) as meter:
        meter.step()
        shown.line("a [bold]b[/bold] [c]")

    assert "a [bold]b[/bold] [c]" in stream.getvalue()


def test_two_jobs_at_once_have_a_bar_each() -> None:
    stream = Tty()
    shown = Terminal(stream)
    with shown.progress("source", None) as first, shown.progress("toolchain", 10) as second:
        first.step()
        second.step()

        assert first.bar != second.bar

    shown.line("afterwards")
    assert stream.getvalue().endswith("afterwards\n")


def test_progress_ends_with_an_error_in_the_job() -> None:
    stream = Tty()
    shown = Terminal(stream)
    with pytest.raises(RuntimeError), shown.progress("kernel", 3):
        raise RuntimeError

    shown.line("afterwards")
    assert stream.getvalue().endswith("afterwards\n")


# ---- tables -------------------------------------------------------------------------------


def test_a_table_has_its_title_its_columns_and_its_rows(screen: io.StringIO) -> None:
    table(screen, "tools", ("tool", "found"), [("rustc", "1.85.1"), ("bindgen", "[b] 0.71")])

    assert [line.split() for line in screen.getvalue().splitlines()] == [
        ["tools"],
        ["tool", "found"],
        ["rustc", "1.85.1"],
        ["bindgen", "[b]", "0.71"],
    ]


def test_the_first_column_is_never_cut(screen: io.StringIO) -> None:
    name = "a-very-long-name-of-a-tool"
    table(screen, "", ("tool", "what to type"), [(name, "x " * 300)])

    assert name in screen.getvalue()
