"""verdict: the seven words and their exit codes, and the exception that carries one."""

from __future__ import annotations

import pytest

from rflbuild.verdict import RflError, Verdict, environment_error, usage_error


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("pass", 0),
        ("fail", 1),
        ("usage", 2),
        ("build-error", 3),
        ("crash", 4),
        ("timeout", 5),
        ("environment", 6),
    ],
)
def test_each_word_has_the_exit_code_of_the_table(word: str, code: int) -> None:
    assert Verdict(word).exit_code == code


def test_there_are_seven_verdicts() -> None:
    assert len(Verdict) == 7


def test_a_verdict_reads_as_its_word() -> None:
    assert f"{Verdict.BUILD_ERROR}" == "build-error"


def test_an_error_reads_as_its_sentence() -> None:
    error = RflError(Verdict.CRASH, "the kernel crashed", "Oops")

    assert (str(error), error.sentence, error.detail) == ("the kernel crashed",) * 2 + ("Oops",)


def test_usage_and_environment_errors_carry_their_verdicts() -> None:
    assert usage_error("a").verdict is Verdict.USAGE
    assert environment_error("b").verdict is Verdict.ENVIRONMENT
