"""qmp: commands to QEMU, and what it may answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rflbuild import qmp
from rflbuild.qmp import Qmp
from rflbuild.verdict import RflError, Verdict

GREETING: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
EVENT = {"event": "RESUME", "timestamp": {"seconds": 1, "microseconds": 2}}
Play = Callable[[Callable[[dict[str, Any]], list[dict[str, Any]]]], Qmp]


@pytest.fixture
def play() -> Iterator[Play]:
    """Let a thread be QEMU, which answers each command by what a function makes of it."""
    opened: list[socket.socket] = []

    def start(answer: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Qmp:
        ours, theirs = socket.socketpair()
        opened.extend((ours, theirs))

        def serve() -> None:
            theirs.sendall(json.dumps(GREETING).encode() + b"\r\n")
            with contextlib.suppress(OSError), theirs.makefile("rb") as lines:
                for line in lines:
                    for message in answer(json.loads(line)):
                        theirs.sendall(json.dumps(message).encode() + b"\r\n")

        threading.Thread(target=serve, daemon=True).start()
        return Qmp(ours)

    yield start
    for each in opened:
        each.close()


def refused(client: Qmp, command: str = "stop") -> str:
    with pytest.raises(RflError) as caught:
        client.execute(command)
    assert caught.value.verdict is Verdict.ENVIRONMENT
    return caught.value.sentence


def echo(words: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"return": words.get("arguments", {}), "id": words["id"]}]


def test_a_command_has_its_answer(play: Play) -> None:
    client = play(echo)

    assert client.execute("query-x", {"a": 1}) == {"a": 1}
    assert client.execute("query-y", {"b": [2]}) == {"b": [2]}


def test_the_capabilities_are_negotiated_first_and_once(play: Play) -> None:
    asked = []

    def remember(words: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(words["execute"])
        return echo(words)

    client = play(remember)
    client.execute("stop")
    client.execute("cont")

    assert asked == ["qmp_capabilities", "stop", "cont"]


def test_an_event_is_no_answer(play: Play) -> None:
    client = play(lambda words: [EVENT, *echo(words), EVENT])

    assert client.execute("query-x", {"a": 1}) == {"a": 1}
    assert client.execute("query-x", {"a": 2}) == {"a": 2}


def test_what_qemu_says_against_a_command_is_told(play: Play) -> None:
    def refuse(words: dict[str, Any]) -> list[dict[str, Any]]:
        if words["execute"] == "qmp_capabilities":
            return echo(words)
        error = {"class": "CommandNotFound", "desc": "The command stop has not been found"}
        return [{"error": error, "id": words["id"]}]

    sentence = refused(play(refuse))

    assert sentence == "QEMU does not do `stop`: The command stop has not been found"


def test_a_qemu_that_says_nothing_is_not_waited_for_for_ever(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "_TIMEOUT", 0.05)

    assert "no answer" in refused(play(lambda _: []))


def test_a_qemu_that_has_ended_is_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()

    with ours:
        assert "`stop`" in refused(Qmp(ours))
