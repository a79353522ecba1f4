"""A running guest: its kernel's log on one channel, a shell on another, QMP for QEMU.

The log and the shell never interleave. Each command is framed by a numbered
marker in both channels, so that its output, its exit status and the kernel
messages that came with it are its own.
"""

from __future__ import annotations

import base64
import contextlib
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
from pexpect.socket_pexpect import SocketSpawn

from rflbuild import delivery, ending, ssh
from rflbuild.boot import BOOT_TIMEOUT, Boot
from rflbuild.console import CONSOLE_LOG, DRAIN, OWN
from rflbuild.disk import Disk
from rflbuild.emulator import Emulator
from rflbuild.iperf3 import Iperf3
from rflbuild.login import log_in
from rflbuild.peer import Peer
from rflbuild.session import Session
from rflbuild.store import remove_tree, write_atomically
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error

_POWER_OFF = 60.0  # seconds; an emulated Debian needs three
_PROBE = 16.0  # seconds, at most, for sshd to say something
_SYSRQ = 2.0  # seconds for a file system to be written, and to become read-only


@dataclass(frozen=True)
class Answer:
    """What a command in the guest came to; `mark` is where its messages begin."""

    status: int
    output: str
    seconds: float
    mark: int


class Guest:
    """A kernel that runs in QEMU, and a shell above it; leaving the context ends it."""

    def __init__(self, session: Session, boot: Boot, folder: Path) -> None:
        self._session = session
        self._boot = boot
        self._number = 0
        self._stack = contextlib.ExitStack()
        self._folder = folder
        self._emulator: Emulator | None = None
        self._ready = False
        self._awaited = ""  # what did not come, as long as it has not
        self._reached: Path | None = None  # the ssh_config by which it was
        self.boot_seconds = 0.0
        self.taint = 0  # as /proc/sys/kernel/tainted had it after the last command
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        try:
            if self._boot.files == "share":
                folder = self._folder / "files"
                self._stack.callback(remove_tree, folder)
                self._boot = delivery.with_share(self._boot, folder)
            self._delivery = delivery.of(self._session, self._boot)
            self._variables = self._serve_network()
            self._qemu = self._emulator = Emulator(
                self._session, self._boot, self._folder, self._variables
            )
            self._stack.callback(self._qemu.close)
            self.command = self._qemu.command
            self.console = self._qemu.console
            self._shell = _spawn(self._qemu.shell)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if self._awaited and error and not isinstance(error, RflError):
                error.add_note(f"{self._awaited}; see {self._folder / CONSOLE_LOG}")
            self._spare_disk(error)
        finally:
            self.stop()

    def _spare_disk(self, error: BaseException | None) -> None:
        """Have the file system of a disk that stays be whole: shut the guest down.

        One whose shell hangs, or for which nobody waits any more, is told by SysRq to
        write what it has, and to write no more.
        """
        disk = self._boot.disk
        if not (disk and disk.overlay and self._ready) or self._boot.saving:
            return
        if error is None or (isinstance(error, RflError) and error.verdict is not Verdict.TIMEOUT):
            with contextlib.suppress(RflError):
                self.run("poweroff", _POWER_OFF)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.process.wait(_POWER_OFF)
        if self._qemu.process.poll() is None:
            self._press(b"su", _SYSRQ)
            self._session.terminal.note(
                f"the guest did not power off: what it wrote last may be missing in {disk.overlay}"
            )

    def _serve_network(self) -> dict[str, str]:
        """Start the servers that the machine names; how the guest learns where they are."""
        variables: dict[str, str] = {}
        if self._boot.machine.peer:
            variables |= self._stack.enter_context(Peer()).variables()
        if self._boot.machine.iperf3:
            server = Iperf3(self._session, self._folder / "iperf3.log")
            variables |= self._stack.enter_context(server).variables()
        return variables

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until the guest's shell answers; `timeout` is the boot's patience by default.

        Raises RflError: crash if the kernel panics, environment if QEMU ends or the
        image on the disk is not as it is said to be, timeout after `timeout` seconds.
        """
        boot, timeout = self._boot, timeout or self._boot.patience
        if boot.saved:
            self._qemu.resume()
        else:
            if boot.disk:
                self._serve_on_disk(boot.disk, timeout)
            self._expect(re.compile(rb"@rfl-ready@\s*"), timeout, "the guest did not boot")
        if boot.disk:
            self.run(f"date -s @{int(time.time())}", timeout)
        for name, value in self._variables.items():
            self.tell(f"export {name}={value}", timeout)
        self._ready = True
        self.boot_seconds = time.monotonic() - self._begun

    def _serve_on_disk(self, disk: Disk, timeout: float) -> None:
        """Have the script run in the guest that serves us there."""
        script = self._boot.script()
        if self._boot.over_ssh:
            self._serve_over_ssh(script, timeout)
        else:
            log_in(disk, script, self._expect, self._shell.send, timeout)

    def _serve_over_ssh(self, script: str, timeout: float) -> None:
        """Let the script that serves run at the other end of an SSH connection."""
        config = self.reach_by_ssh(timeout)
        ours, theirs = socket.socketpair()
        self._stack.enter_context(ours)
        with theirs, (self._folder / ending.SSH_LOG).open("wb") as log:
            child = self._session.processes.start(
                ssh.command(config, f"exec sh -c {shlex.quote(script)} 2>&1", options=ssh.BATCH),
                stdin=theirs.fileno(),
                output=theirs.fileno(),
                errors=log,
            )
        self._stack.callback(self._session.processes.stop, child)
        self._shell = _spawn(ours)

    def offer_ssh(self) -> int | None:
        """Write the ssh_config by which the guest is reached once its sshd answers.

        Returns its port on 127.0.0.1; None if it has no network or no key is known.
        Raises RflError if QEMU has ended, or does not answer.
        """
        if not self._boot.disk or not self._boot.disk.access:
            return None
        try:
            told = self.qmp("human-monitor-command", {"command-line": "info usernet"})
        except RflError as error:
            self.console.drain(DRAIN)
            raise (self._ended() if self.console.ended else error) from error
        port = ssh.forwarded_port(told)
        if port is not None:
            path = self._folder / ssh.CONFIG
            write_atomically(path, ssh.config(self._boot.disk.access, port))
            self._stack.callback(path.unlink, missing_ok=True)
        return port

    def reach_by_ssh(self, timeout: float) -> Path:
        """The ssh_config by which the guest is reached, once its sshd answers.

        Raises RflError: usage if it has no network or no key is known, timeout.
        """
        config = self._folder / ssh.CONFIG
        if self._reached == config:
            return config
        if not self._boot.disk or not self._boot.disk.access:
            raise usage_error("this guest is not reached by SSH: no key of it is known")
        port = self.offer_ssh()
        if port is None:
            raise usage_error(
                "the guest has no network to come in by: let the test's machine have it"
            )
        deadline = time.monotonic() + timeout
        self._awaited = "no sshd answered in the guest"
        # Many that are given up before sshd has answered it takes for an attack
        # (sshd_config(5), PerSourcePenalties).
        patience = 1.0
        while not ssh.has_banner(port, patience):
            patience = min(2 * patience, _PROBE)
            if self._panicked() or self.console.ended:
                raise self._ended()
            self.check_disk()
            if time.monotonic() > deadline:
                raise self._timed_out(self._awaited, timeout)
        self._awaited, self._reached = "", config
        return config

    def check_disk(self) -> None:
        """Raise RflError(environment) if QEMU has stopped the guest for want of space.

        It does so where a write fails for that (QEMU manual, "-drive", werror).
        """
        disk, status = self._boot.disk, {}
        if disk:
            with contextlib.suppress(RflError):  # an end of QEMU's shows elsewhere
                status = self.qmp("query-status")
        if disk and status.get("status") == "io-error":
            where = disk.overlay or self._session.store.root
            raise environment_error(
                f"QEMU cannot keep what the guest writes, and has stopped it: is the disk of "
                f"{where} full? Make room, and try again"
            )

    def save(self) -> None:
        """Write the state of a guest that was booted for it; snapshot.UnableError."""
        self._qemu.save()

    def wait_for_person(self) -> int:
        """Wait until the person at the shell has ended QEMU; returns its exit status."""
        return self._qemu.process.wait()

    def begin_run(self, folder: Path) -> None:
        """Begin another run in this guest: its logs go on in the run's own folder.

        They take along what they hold, so that a line of the log has one number for as
        long as the guest runs.
        """
        self._qemu.move_to(folder)
        self._folder = folder

    def put(self, files: Mapping[str, Path]) -> None:
        """Make files ready for the guest's /modules, by name, while it boots.

        It can be done again with other files, for `unpack` to bring in beside the former.
        """
        self._delivery.put(self, files)

    def unpack(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Let what `put` made ready come into the guest."""
        self._delivery.bring(self, timeout)

    def fill_disk(self, files: Mapping[str, Path]) -> int:
        """Write files to the disk that is there for them; see Emulator.put."""
        return self._qemu.put(files)

    def tell(self, words: str, timeout: float) -> Answer:
        """Give what serves us in the guest a command of its own; see templates/guest."""
        return self._run(words, words, timeout)

    def run(self, command: str, timeout: float) -> Answer:
        """Run a shell command in the guest, in a shell of its own.

        Raises RflError: timeout after `timeout` seconds, with what blocks the
        guest in the kernel's log; crash if the kernel panics; environment if
        QEMU ends.
        """
        return self._run(command, base64.b64encode(command.encode()).decode(), timeout)

    def _run(self, command: str, words: str, timeout: float) -> Answer:
        self._number += 1
        number = self._number
        self._qemu.shell_log.write(f"# {number}: {command}\n")
        self._qemu.shell_log.flush()
        mark = self.console.mark()
        begun = time.monotonic()
        with contextlib.suppress(OSError):  # an end of QEMU shows below
            self._shell.send(f"{number} {words}\n".encode())
        shown = " ".join(command.split())
        try:
            match = self._expect(
                re.compile(rb"@rfl-%d:(\d+):(\d+)@\s*" % number), timeout, f"`{shown}` did not end"
            )
        except RflError:
            self._qemu.shell_log.write(f"{_text(self._shell.before)}# no end\n")
            self._qemu.shell_log.flush()
            raise
        seconds = time.monotonic() - begun
        self.console.wait_for(re.compile(rf"^{OWN}end {number}$"), mark, DRAIN)
        output = _text(self._shell.before)
        status = int(match[1])
        self.taint = int(match[2])
        self._qemu.shell_log.write(f"{output}# exit status {status}, {seconds:.3f} s\n")
        self._qemu.shell_log.flush()
        return Answer(status, output, seconds, mark)

    def _expect(self, pattern: re.Pattern[bytes], timeout: float, what: str) -> re.Match[bytes]:
        deadline = time.monotonic() + timeout
        self._awaited = what
        while True:
            if self.console.fault:
                raise self.console.fault
            # A panicking guest ends by itself; a hung one shows only on the console.
            left = min(deadline - time.monotonic(), 1.0)
            try:
                self._shell.expect(pattern, timeout=max(left, 0.01))
            except pexpect.TIMEOUT:
                self.check_disk()
                if time.monotonic() < deadline and not self._panicked():
                    continue
                raise self._timed_out(what, timeout) from None
            except (pexpect.EOF, OSError):
                raise self._ended() from None
            self._awaited = ""
            return self._shell.match  # type: ignore[return-value]  # it has matched

    def _panicked(self) -> bool:
        return self.console.reader.panicked

    def _timed_out(self, what: str, timeout: float) -> RflError:
        if self._panicked():
            self.console.drain(DRAIN)
            return self._ended()
        mark = self.console.mark()
        self._show_blocked()
        shown = [m.text for m in self.console.since(mark)]
        return RflError(
            Verdict.TIMEOUT,
            f"{what} within {timeout:.0f} s; see {self._folder / 'console.log'}",
            "\n".join(shown or [m.text for m in self.console.since(0)][-15:]),
        )

    def _show_blocked(self) -> None:
        """Have the kernel print where its CPUs and its blocked tasks are."""
        self._press(b"lw", 0.2)

    def _press(self, letters: bytes, seconds: float) -> None:
        """Press SysRq and a letter, for each, and give the kernel so many seconds.

        A break on the serial port, then the letter (Documentation/admin-guide/sysrq.rst).
        """
        for letter in letters:
            try:
                self.qmp("chardev-send-break", {"id": "serial"})
                self.console.send(bytes([letter]))
            except (RflError, OSError):
                return  # QEMU itself hangs, and has nothing to show
            time.sleep(seconds)

    def _ended(self) -> RflError:
        return ending.why(self._qemu, self._boot, ready=self._ready)

    def qmp(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Give QEMU a command (QEMU QMP reference manual) and return its answer.

        Raises RflError(environment) when QEMU refuses it or does not answer.
        """
        return self._qemu.qmp.execute(command, arguments)

    def trouble(self, mark: int) -> RflError | None:
        """What has befallen it, if anything: its kernel's first report since a mark, or its end."""
        for splat in self.console.splats():
            if splat.head.line > mark:
                return ending.crash(splat, self._folder)
        if self.console.ended:
            log = self._folder / "console.log"
            return environment_error(f"the guest has ended by itself; see {log}")
        return None

    def end(self) -> None:
        """End QEMU from any thread; one that waits for the guest gets its RflError."""
        if self._emulator:  # there is none before it was started
            self._emulator.end()

    def stop(self) -> None:
        """End QEMU and close the logs."""
        self._stack.close()


def _spawn(shell: socket.socket) -> SocketSpawn[bytes]:
    return SocketSpawn(shell, maxread=65536, searchwindowsize=256)


def _text(said: object) -> str:
    """What came from the shell's terminal; pexpect has no bytes where nothing was read."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else ""
    return text.replace("\r\n", "\n")
