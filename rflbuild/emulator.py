"""QEMU as a child: its process, its sockets and the logs of what comes out of them."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rflbuild import payload, snapshot, stub
from rflbuild.boot import Boot
from rflbuild.console import CONSOLE_LOG, Console
from rflbuild.initramfs import PAYLOAD_OFFSET
from rflbuild.journal import Journal
from rflbuild.machine import Wires
from rflbuild.payload import PAYLOAD_BYTES
from rflbuild.qmp import Qmp
from rflbuild.session import Session
from rflbuild.verdict import RflError, environment_error


class Emulator:
    """A QEMU process; `close` ends it, and what was opened for it.

    `console` is the guest's serial port, `shell` the socket to its hvc0, `qmp` QEMU's
    control. Files come in by a disk, which is a memory file. `variables` are for a person
    at an initramfs's shell.
    """

    def __init__(
        self, session: Session, boot: Boot, folder: Path, variables: Mapping[str, str]
    ) -> None:
        self._session = session
        self._boot = boot
        self._variables = variables
        self._stack = contextlib.ExitStack()
        self.folder = folder
        self._payloads = 0
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        stack, boot = self._stack, self._boot
        ours, theirs = [], []
        for pair in (socket.socketpair, roomy_pair, socket.socketpair):
            here, there = pair()
            ours.append(stack.enter_context(here))
            theirs.append(stack.enter_context(there))
        self._payload = os.memfd_create("payload")
        stack.callback(os.close, self._payload)
        os.ftruncate(self._payload, PAYLOAD_BYTES)
        serial, shell, control = (t.fileno() for t in theirs)
        shares = []
        for share in boot.shares:
            shares.append(os.open(share.directory, os.O_RDONLY | os.O_DIRECTORY))
            stack.callback(os.close, shares[-1])
        if boot.gdb:
            theirs.append(stack.enter_context(stub.listen(self.folder)))
        debugger = theirs[-1].fileno() if boot.gdb else None
        wires = Wires(serial, shell, control, self._payload, tuple(shares), debugger)
        self.command = boot.command(wires, self._variables if boot.person else None)
        inherited = [*wires.all(), *self._open_state()]
        self._journals = {
            name: stack.enter_context(Journal(self.folder / name))
            for name in (CONSOLE_LOG, "shell.log")
        }
        self.shell_log = stack.enter_context(io.TextIOWrapper(self._journals["shell.log"]))
        before = (boot.saved / CONSOLE_LOG).read_bytes() if boot.saved else b""
        self.console = Console(ours[0], self._journals[CONSOLE_LOG], before)
        stack.callback(self.console.close)
        self.log = self.folder / "qemu.log"
        with self.log.open("wb") as log:
            self.process = self._session.processes.start(
                self._inside(),
                stdin=None if boot.person else subprocess.DEVNULL,
                output=None if boot.person else log,
                pass_fds=inherited,
                foreground=boot.person,
            )
        stack.callback(self._session.processes.stop, self.process)
        for there in theirs:
            there.close()
        self.shell = ours[1]
        self.qmp = Qmp(ours[2])

    def _open_state(self) -> list[int]:
        """The file with the machine's state, if there is to be one, for QEMU by number."""
        if self._boot.saved:
            self._state = os.open(self._boot.saved / snapshot.STATE, os.O_RDONLY)
        elif self._boot.saving:
            self._state = os.open(self._boot.saving, os.O_RDWR | os.O_CREAT, 0o600)
        else:
            return []
        self._stack.callback(os.close, self._state)
        return [self._state]

    def save(self) -> None:
        """Stop the guest and write its state to `saving`; snapshot.UnableError."""
        snapshot.save(self.qmp, self._state)

    def resume(self) -> None:
        """Go on from the state in `saved`; where that cannot be, it goes from the store."""
        try:
            snapshot.resume(self.qmp, self._state)
        except RflError as error:
            snapshot.discard(self._session, self._boot)
            words = self.log.read_text(errors="replace").strip().splitlines()
            raise environment_error(
                f"QEMU cannot go on from the guest that was saved "
                f"({words[-1] if words else error.sentence}), which is removed now: try again"
            ) from error

    def _inside(self) -> list[str]:
        """The command line with which the toolchain runs QEMU."""
        command, disk = list(self.command), self._boot.disk
        command += ["-incoming", "defer"] if self._boot.saved else []
        write: list[Path] = []
        if disk:  # QEMU's overlay has no name, but a place
            write.append(self._session.store.work("overlays", "unnamed"))
            command = ["env", f"TMPDIR={write[0]}", *command]
            write += [disk.overlay.parent] if disk.overlay else []
        return self._boot.toolchain.command(
            command, cwd=Path("/"), read=self._boot.folders(), write=write
        )

    def move_to(self, folder: Path) -> None:
        """Let the logs go on in another folder; they take along what they hold.

        So a line of the log has one number for as long as the guest runs.
        """
        for name, journal in self._journals.items():
            journal.move_to(folder / name)
        with contextlib.suppress(FileNotFoundError):  # this was interrupted before
            self.log.rename(folder / self.log.name)
        self.log = folder / self.log.name
        self.folder = folder

    def put(self, files: Mapping[str, Path]) -> int:
        """Put files on the disk, by name; returns the number that they have there.

        It can be done again with other files, which take the place of the former.
        """
        self._payloads += 1
        stripped = payload.without_debug_info(self._session, self._boot.toolchain, files)
        content = payload.pack(stripped, self._payloads)
        with mmap.mmap(self._payload, PAYLOAD_BYTES) as memory:
            memory[PAYLOAD_OFFSET : PAYLOAD_OFFSET + len(content)] = content
        return self._payloads

    def end(self) -> None:
        """End QEMU, from any thread."""
        self._session.processes.stop(self.process)

    def close(self) -> None:
        """End QEMU and close the logs."""
        self._stack.close()


def roomy_pair() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets with room for what a command says while nobody listens.

    QEMU drops what a virtio console says when the socket is full (hw/char/virtio-console.c,
    flush_buf), and the kernel says it in pieces of 16 bytes (drivers/tty/hvc/hvc_console.c,
    N_OUTBUF). A local pair counts a thousand bytes for each piece, and so is full after 4 KB
    of output; TCP puts them together. Where there is no loopback, the local pair has to do.
    """
    try:
        here, there = _loopback_pair()
    except OSError:  # a machine, or a container, with no loopback up
        return socket.socketpair()
    for each in (here, there):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return here, there


def _loopback_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        while True:
            there, peer = listener.accept()
            if peer == here.getsockname():
                return here, there
            there.close()  # anybody may connect to a port
