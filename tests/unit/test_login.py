"""login: what is typed at a console, and what its answers come to."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rflbuild.disk import Disk
from rflbuild.login import log_in
from rflbuild.verdict import RflError, Verdict

DISK = Disk("image", Path("/images/image.qcow2"))
PROMPT = b"\r\nroot@debian:~# \x1b[?2004h"
SCRIPT = "echo one\n" * 100


@dataclass
class Terminal:
    """A console that says what it is told to, and keeps what was typed."""

    says: list[bytes]
    typed: list[bytes] = field(default_factory=list)

    def expect(self, pattern: re.Pattern[bytes], timeout: float, what: str) -> re.Match[bytes]:
        match = pattern.search(self.says.pop(0)) if self.says else None
        if match is None:
            raise RflError(Verdict.TIMEOUT, f"{what} within {timeout:.0f} s")
        return match

    def log_in(self) -> None:
        log_in(DISK, SCRIPT, self.expect, self.typed.append, 60.0)


def script_in(typed: bytes) -> str:
    """The script that a here document brings."""
    lines = typed.decode().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.endswith("<<E")) + 1
    return base64.b64decode("".join(lines[begin : lines.index("E")])).decode()


def test_the_password_is_given_when_it_is_asked_for() -> None:
    terminal = Terminal([b"\r\nrflbuild login: ", b"Password: ", PROMPT, b"@rfl-in@\r\n"])

    terminal.log_in()

    assert terminal.typed[:2] == [b"root\n", b"root\n"]


def test_an_account_without_a_password_is_not_given_one() -> None:
    terminal = Terminal([b"login: ", b"Welcome\r\nroot@debian:~# ", b"@rfl-in@\r\n"])

    terminal.log_in()

    assert terminal.typed[0] == b"root\n"
    assert terminal.typed[1].startswith(b"stty")


def test_who_is_logged_in_already_is_not_asked() -> None:
    terminal = Terminal([b"debian login: root (automatic login)\r\n" + PROMPT, b"@rfl-in@\r\n"])

    terminal.log_in()

    assert terminal.typed[0].startswith(b"stty")


def test_the_script_takes_the_place_of_the_shell() -> None:
    terminal = Terminal([b"login: ", b"Password: ", PROMPT, b"@rfl-in@\n"])

    terminal.log_in()

    assert script_in(terminal.typed[-1]) == SCRIPT
    assert terminal.typed[-1].endswith(b"exec sh /run/rflbuild.sh\n")


def test_no_line_is_longer_than_a_terminal_takes() -> None:
    terminal = Terminal([b"login: ", b"Password: ", PROMPT, b"@rfl-in@\n"])

    terminal.log_in()

    assert max(len(line) for line in terminal.typed[-1].splitlines()) < 4096


def test_the_echo_of_what_is_typed_is_no_answer() -> None:
    terminal = Terminal([b"login: ", b"Password: ", PROMPT, b"stty -echo; echo @rfl-'in'@\r\n"])

    with pytest.raises(RflError) as caught:
        terminal.log_in()

    assert caught.value.verdict is Verdict.TIMEOUT


def test_an_image_with_another_password_is_told_so() -> None:
    terminal = Terminal([b"login: ", b"Password: ", b"\r\nLogin incorrect\r\n"])

    with pytest.raises(RflError) as caught:
        terminal.log_in()

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "/images/image.qcow2" in caught.value.sentence
    assert "--identity" in caught.value.sentence
