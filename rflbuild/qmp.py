"""QEMU's control socket: commands in, answers out (the QEMU QMP reference manual)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from rflbuild.verdict import environment_error

_TIMEOUT = 5.0  # seconds that QEMU has for an answer


class Qmp:
    """A client over a connected socket; it speaks first when the first command is given."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._client: Any = None
        self._loop: Any = None

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Give QEMU a command and return its answer.

        Raises RflError(environment) when QEMU refuses it or does not answer.
        """
        import asyncio  # 0.1 s that a warm run does not need

        from qemu.qmp import QMPClient, QMPError

        try:
            if self._client is None:
                self._loop, self._client = asyncio.new_event_loop(), QMPClient("rflbuild")
                self._loop.run_until_complete(
                    asyncio.wait_for(self._client.connect(self._control), _TIMEOUT)
                )
            return self._loop.run_until_complete(
                asyncio.wait_for(self._client.execute(command, dict(arguments or {})), _TIMEOUT)
            )
        except (QMPError, TimeoutError, OSError) as error:
            why = str(error) or f"no answer within {_TIMEOUT:.0f} s"
            raise environment_error(f"QEMU does not do `{command}`: {why}") from error

    def close(self) -> None:
        """Say good-bye, if QEMU still listens."""
        import asyncio

        if self._client is None:
            return
        with contextlib.suppress(Exception):  # QEMU may be gone by now, or stopped
            self._loop.run_until_complete(asyncio.wait_for(self._client.disconnect(), 1.0))
        self._loop.close()
