"""Logging in at a guest's console, and putting a script in the place of its shell."""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Callable

from rflbuild.disk import Disk
from rflbuild.verdict import environment_error

Expect = Callable[[re.Pattern[bytes], float, str], re.Match[bytes]]

_ESCAPES = rb"(?:\x1b\[[?0-9;]*[a-z])*"
_LOGIN = re.compile(rb"login: *$|(?P<prompt># " + _ESCAPES + rb")$")  # of an automatic login
_PROMPT = rb"(?P<prompt>[#$%>] ?" + _ESCAPES + rb")$"
_PASSWORD = re.compile(rb"[Pp]assword: *$|" + _PROMPT)
_SHELL = re.compile(rb"[Ll]ogin incorrect|" + _PROMPT)
_IN = re.compile(rb"@rfl-in@\s")
_TIMEOUT = 60.0  # seconds from the prompt to a shell; an emulated Debian needs two
_LINE = 76  # a terminal takes 4095 bytes a line at most (termios(3), canonical mode)


def log_in(
    disk: Disk, script: str, expect: Expect, send: Callable[[bytes], object], timeout: float
) -> None:
    """Log in when the console asks for it, within `timeout` seconds, and run a script.

    The shell is replaced by the script. Raises RflError(environment) if the image does
    not take the user and the password, and whatever `expect` raises.
    """
    match = expect(_LOGIN, timeout, "the image showed no login prompt on hvc0")
    if not match["prompt"]:
        send(f"{disk.user}\n".encode())
        match = expect(_PASSWORD, _TIMEOUT, f"the image did not ask for {disk.user}'s password")
    if not match["prompt"]:
        send(f"{disk.password}\n".encode())
        # What is typed sooner is lost: the terminal is flushed when it echoes again.
        match = expect(_SHELL, _TIMEOUT, f"no shell came after {disk.user} had logged in")
    if not match["prompt"]:
        raise environment_error(
            f"{disk.image} does not let {disk.user} in with the password `{disk.password}`: "
            "an image is logged into as root/root, or by SSH with --over-ssh and --identity"
        )
    # The quotes keep the terminal's echo of this line from being taken for its answer.
    send(b"stty -echo; echo @rfl-'in'@\n")
    expect(_IN, _TIMEOUT, f"{disk.user}'s shell does not answer")
    lines = textwrap.wrap(base64.b64encode(script.encode()).decode(), _LINE)
    typed = "\n".join(["exec sh", "base64 -d >/run/rflbuild.sh <<E", *lines, "E"])
    send(f"{typed}\nexec sh /run/rflbuild.sh\n".encode())
