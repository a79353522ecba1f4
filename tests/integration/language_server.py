"""A client for a language server on its standard input and output.

The Language Server Protocol 3.17: JSON-RPC messages, each behind a Content-Length header.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

Message = dict[str, Any]
T = TypeVar("T")

_CAPABILITIES: Message = {
    "experimental": {"serverStatusNotification": True},  # rust-analyzer's own
    "general": {"positionEncodings": ["utf-8", "utf-16"]},
    "textDocument": {
        "definition": {"linkSupport": False},
        "hover": {"contentFormat": ["plaintext"]},
        "publishDiagnostics": {"relatedInformation": True},
        "synchronization": {"didSave": True},
    },
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "workspaceFolders": True},
}


class LanguageServer:
    """A server that has been started in a folder, as an editor that opens the folder would.

    `settings` are what the editor holds for the server, by section; what the server shows
    to the user, and its log, are in `shown`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        settings: Message | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.shown: list[str] = []
        self.status: Message = {}
        self._settings = settings or {}
        self._diagnostics: dict[Path, list[Message]] = {}
        self._answers: dict[int, Message] = {}
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._read_all, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
                "capabilities": _CAPABILITIES,
                "initializationOptions": self._settings,
            },
        )
        self.notify("initialized", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._process.poll() is None and kind is None:
                self.request("shutdown", None, timeout=20)
                self.notify("exit", None)
                self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()

    def request(self, method: str, params: Any, timeout: float = 60.0) -> Any:
        """Ask the server, and return its result; AssertionError for an error or no answer."""
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": params})
        answer = self.wait_for(lambda: self._answers.pop(number, None), timeout, method)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer.get("result")

    def notify(self, method: str, params: Any) -> None:
        """Tell the server."""
        self._send({"method": method, "params": params})

    def wait_for(self, look: Callable[[], T | None], timeout: float, what: str) -> T:
        """What `look` returns once it returns something; it is asked when a message has come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = look()
                if found:
                    return found
                left = deadline - time.monotonic()
                gone = self._process.poll()
                assert left > 0, f"no {what} within {timeout:.0f} s; shown: {self.shown[-20:]}"
                assert gone is None, f"the server ended with {gone}; shown: {self.shown[-20:]}"
                self._changed.wait(min(left, 1.0))

    def open(self, path: Path, language: str) -> None:
        """Open a file as it is on the disk."""
        document = {"uri": path.as_uri(), "languageId": language, "version": 1}
        self.notify("textDocument/didOpen", {"textDocument": document | {"text": path.read_text()}})

    def save(self, path: Path, text: str, version: int) -> None:
        """Change a file that is open, and save it."""
        uri = path.as_uri()
        self.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]},
        )
        path.write_text(text)
        self.notify("textDocument/didSave", {"textDocument": {"uri": uri}})

    def definition(self, path: Path, at: Message, timeout: float = 60.0) -> tuple[Path, int] | None:
        """The file, and the line from 1, to which "go to definition" goes first."""
        found = self.request(
            "textDocument/definition",
            {"textDocument": {"uri": path.as_uri()}, "position": at},
            timeout,
        )
        if not found:
            return None
        first = found[0] if isinstance(found, list) else found
        return Path(first["uri"].removeprefix("file://")), first["range"]["start"]["line"] + 1

    def hover(self, path: Path, at: Message, timeout: float = 60.0) -> str:
        """The text that a hover shows; empty if none."""
        found = self.request(
            "textDocument/hover",
            {"textDocument": {"uri": path.as_uri()}, "position": at},
            timeout,
        )
        return str(found["contents"]["value"]) if found else ""

    def diagnostics(self, path: Path) -> list[Message] | None:
        """What was last published for a file; None before that."""
        return self._diagnostics.get(path)

    def _send(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stream = self._process.stdin
        assert stream
        stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        stream.flush()

    def _read_all(self) -> None:
        assert self._process.stdout
        while (message := _read(self._process.stdout)) is not None:
            with self._changed:
                if "method" in message:
                    self._on_message(message)
                else:
                    self._answers[message["id"]] = message
                self._changed.notify_all()

    def _read_log(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.shown.append(line.decode(errors="replace").rstrip())

    def _on_message(self, message: Message) -> None:
        method, params = message["method"], message.get("params") or {}
        if method == "textDocument/publishDiagnostics":
            path = Path(params["uri"].removeprefix("file://"))
            self._diagnostics[path] = params["diagnostics"]
        elif method in ("window/showMessage", "window/logMessage"):
            self.shown.append(params["message"])
        elif method == "experimental/serverStatus":
            self.status = params
        if "id" in message:
            result = None
            if method == "workspace/configuration":
                result = [self._settings for _ in params["items"]]
            self._send({"id": message["id"], "result": result})


def position(path: Path, text: str, word: str) -> Message:
    """Where `word` begins in the first occurrence of `text` in a file of ASCII."""
    content = path.read_text()
    offset = content.index(text) + text.index(word)
    line = content.count("\n", 0, offset)
    return {"line": line, "character": offset - (content.rfind("\n", 0, offset) + 1)}


def _read(stream: IO[bytes]) -> Message | None:
    """The next message; None at the end."""
    length = 0
    while (line := stream.readline()) != b"\r\n":
        if not line:
            return None
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    message: Message = json.loads(stream.read(length))
    return message
