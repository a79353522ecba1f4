"""QEMU's control socket: commands in, answers out (QEMU, docs/interop/qmp-spec.rst)."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from rflbuild.verdict import environment_error

_TIMEOUT = 5.0  # seconds that QEMU has for an answer


class Qmp:
    """A client over a connected socket; the first command also takes the greeting."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._received = b""
        self._numbers = itertools.count(1)
        self._negotiated = False

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Give QEMU a command and return its answer.

        Raises RflError(environment) when QEMU refuses it, has ended or does not answer.
        """
        deadline = time.monotonic() + _TIMEOUT
        try:
            if not self._negotiated:
                self._message(deadline)  # the greeting
                self._ask("qmp_capabilities", {}, deadline)
                self._negotiated = True
            answer = self._ask(command, arguments or {}, deadline)
        except TimeoutError:
            why = f"no answer within {_TIMEOUT:.0f} s"
            raise environment_error(f"QEMU does not do `{command}`: {why}") from None
        except OSError as error:
            why = error.strerror or str(error)
            raise environment_error(f"QEMU does not do `{command}`: {why}") from error
        if "error" in answer:
            raise environment_error(f"QEMU does not do `{command}`: {answer['error']['desc']}")
        return answer["return"]

    def _ask(self, command: str, arguments: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        number = next(self._numbers)
        words = {"execute": command, "arguments": arguments, "id": number}
        self._control.sendall(json.dumps(words).encode() + b"\n")
        while True:
            message = self._message(deadline)
            if message.get("id") == number:  # what has none is an event
                return message

    def _message(self, deadline: float) -> dict[str, Any]:
        """The next message, which is a line; OSError if none comes."""
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._control.settimeout(left)
            chunk = self._control.recv(65536)
            if not chunk:
                raise ConnectionResetError("it has ended")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
