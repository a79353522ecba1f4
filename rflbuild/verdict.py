"""The seven verdicts, and the one exception that carries a verdict to the top.

The words and the exit codes are the same on the terminal, in result.json and
in JUnit (README.md, "Verdicts").
"""

from __future__ import annotations

import enum


class Verdict(enum.StrEnum):
    """What a command came to: one word, one exit code."""

    PASS = "pass"
    FAIL = "fail"
    USAGE = "usage"
    BUILD_ERROR = "build-error"
    CRASH = "crash"
    TIMEOUT = "timeout"
    ENVIRONMENT = "environment"

    @property
    def exit_code(self) -> int:
        """0 for pass, 1 to 6 for the others, in the order of their definition."""
        return list(Verdict).index(self)


class RflError(Exception):
    """An end that the user can act on: a verdict and one sentence.

    The sentence says what is wrong, where (file:line, or a log's path) and what
    to do next. `detail` is material shown below it: a compiler's first error,
    say, or the kernel's last messages.
    """

    def __init__(self, verdict: Verdict, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.verdict = verdict
        self.sentence = sentence
        self.detail = detail


def usage_error(sentence: str, detail: str = "") -> RflError:
    """The command line, a YAML file or a name is wrong."""
    return RflError(Verdict.USAGE, sentence, detail)


def environment_error(sentence: str, detail: str = "") -> RflError:
    """A tool, a package, disk space or QEMU itself is missing or broken."""
    return RflError(Verdict.ENVIRONMENT, sentence, detail)
