"""`python -m rflbuild`: Invoke with this checkout's tasks, from any folder.

Unlike plain `invoke` it ends with 2, the exit code of `usage`, when a task or an
option is unknown; with 1, a typing error would look like a failed test.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from rflbuild.verdict import Verdict


class _Program(Program):
    def parse_core(self, argv: list[str] | None) -> None:
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise _usage(error) from error

    def parse_tasks(self) -> None:
        self.core.unparsed = _named(self.collection, self.core.unparsed)
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:
            raise _usage(error) from error


def _usage(error: Exception) -> Exit:
    hint = "`./rfl --list` shows the tasks, `./rfl --help TASK` a task's options"
    return Exit(f"usage: {error}; {hint}", code=Verdict.USAGE.exit_code)


def main() -> None:
    """Run Invoke on our command line."""
    here = Path(__file__).resolve().parent.parent
    program = _Program(name="rflbuild", binary="rfl", binary_names=["rfl"])
    words = sys.argv[1:]
    if words[1:2] == ["--help"] and not words[0].startswith("-"):
        words = ["--help", words[0]]  # a task that wants a name would take it for one
    try:
        program.run([sys.argv[0], "--search-root", str(here), *words])
    except BrokenPipeError:  # as in `./rfl --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _named(tasks: Collection, words: list[str]) -> list[str]:
    """`shell hello` as `shell --target hello`: Invoke knows no optional positional argument."""
    if len(words) < 2 or words[0] not in tasks.task_names:
        return words
    if words[1].startswith("-") and words[1] != "-":  # an option; `-` is a file's name
        return words
    arguments = tasks[words[0]].get_arguments(ignore_unknown_help=True)
    if any(argument.positional for argument in arguments):
        return words
    optional = any("target" in argument.names for argument in arguments)
    return [words[0], "--target", *words[1:]] if optional else words


if __name__ == "__main__":
    main()
