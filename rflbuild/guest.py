"""A running guest: its kernel's log on one channel, a shell on another, QMP for QEMU.

The log and the shell never interleave. Each command is framed by a numbered
marker in both channels, so that its output, its exit status and the kernel
messages that came with it are its own.
"""

from __future__ import annotations

import base64
import contextlib
import io
import mmap
import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pexpect
from pexpect.socket_pexpect import SocketSpawn

from rflbuild import disk, payload, ssh, stub
from rflbuild.arch import Arch
from rflbuild.console import DRAIN, OWN, Console
from rflbuild.disk import Disk
from rflbuild.initramfs import PAYLOAD_OFFSET
from rflbuild.journal import Journal
from rflbuild.klog import Splat
from rflbuild.login import log_in
from rflbuild.machine import Wires, kernel_arguments, memory, qemu
from rflbuild.payload import PAYLOAD_BYTES
from rflbuild.peer import Peer
from rflbuild.qmp import Qmp
from rflbuild.session import Session
from rflbuild.share import Share
from rflbuild.store import write_atomically
from rflbuild.testspec import Machine
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error

BOOT_TIMEOUT = 60.0  # seconds; a debug kernel under load needs ten
DISK_TIMEOUT = 240.0


@dataclass(frozen=True)
class Answer:
    """What a command in the guest came to; `mark` is where its messages begin."""

    status: int
    output: str
    seconds: float
    mark: int


@dataclass(frozen=True)
class Boot:
    """What a guest is made of."""

    arch: Arch
    machine: Machine
    toolchain: Toolchain
    image: Path
    initrd: Path | None
    accelerator: str
    person: bool = False  # the shell is for a person at our terminal
    shares: tuple[Share, ...] = ()
    gdb: bool = False  # it waits for a debugger at its folder's gdb.sock
    disk: Disk | None = None  # its root, in place of an initramfs of ours
    templates: Path = Path()  # where the script is that serves us on the disk
    over_ssh: bool = False  # commands go by SSH, and nobody logs in at the console

    @property
    def patience(self) -> float:
        """Seconds that its boot may take; a small kernel needs one, a Debian ten."""
        return DISK_TIMEOUT if self.disk else BOOT_TIMEOUT

    @property
    def shown(self) -> str:
        """The machine in a few words."""
        machine = self.machine
        shown = f"{self.accelerator.upper()}, {machine.cpus} CPUs, {memory(machine, self.disk)}"
        return f"{self.disk.name}, {shown}" if self.disk else shown


class Guest:
    """A QEMU process and the three sockets to it; leaving the context ends it."""

    def __init__(self, session: Session, boot: Boot, folder: Path) -> None:
        self._session = session
        self._boot = boot
        self._number = 0
        self._stack = contextlib.ExitStack()
        self._folder = folder
        self.command: list[str] = []
        self.boot_seconds = 0.0
        self.taint = 0  # as /proc/sys/kernel/tainted had it after the last command
        self._payloads = 0
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        stack = self._stack
        ours, theirs = [], []
        for _ in range(3):
            here, there = socket.socketpair()
            ours.append(stack.enter_context(here))
            theirs.append(stack.enter_context(there))
        self._payload = os.memfd_create("payload")
        stack.callback(os.close, self._payload)
        os.ftruncate(self._payload, PAYLOAD_BYTES)
        serial, shell, control = (t.fileno() for t in theirs)
        boot = self._boot
        shares = []
        for share in boot.shares:
            shares.append(os.open(share.directory, os.O_RDONLY | os.O_DIRECTORY))
            stack.callback(os.close, shares[-1])
        if boot.gdb:
            theirs.append(stack.enter_context(stub.listen(self._folder)))
        debugger = theirs[-1].fileno() if boot.gdb else None
        wires = Wires(serial, shell, control, self._payload, tuple(shares), debugger)
        variables = stack.enter_context(Peer()).variables() if boot.machine.peer else {}
        self._variables = variables
        arguments = kernel_arguments(
            boot.arch,
            boot.machine,
            {} if boot.disk else variables,
            person=boot.person,
            gdb=boot.gdb,
            disk=boot.disk,
        )
        self.command = qemu(
            boot.arch,
            boot.machine,
            boot.accelerator,
            boot.image,
            boot.initrd,
            arguments,
            wires,
            person=boot.person,
            shares=boot.shares,
            disk=boot.disk,
        )
        read = [boot.image.parent, *([boot.initrd.parent] if boot.initrd else [])]
        write = []
        command = self.command
        if boot.disk:
            read += boot.disk.folders()
            write = [self._session.store.work("tmp", "overlays")]
            write += [boot.disk.overlay.parent] if boot.disk.overlay else []
            command = ["env", f"TMPDIR={write[0]}", *command]  # for QEMU's `snapshot`
        argv = boot.toolchain.command(command, cwd=Path("/"), read=read, write=write)
        self._journals = {
            name: stack.enter_context(Journal(self._folder / name))
            for name in ("console.log", "shell.log")
        }
        self._shell_log = stack.enter_context(io.TextIOWrapper(self._journals["shell.log"]))
        self.console = Console(ours[0], self._journals["console.log"])
        stack.callback(self.console.close)
        self._qemu_log = self._folder / "qemu.log"
        with self._qemu_log.open("wb") as log:
            self._process = self._session.processes.start(
                argv,
                stdin=None if boot.person else subprocess.DEVNULL,
                output=None if boot.person else log,
                pass_fds=wires.all(),
                foreground=boot.person,
            )
        stack.callback(self._session.processes.stop, self._process)
        for there in theirs:
            there.close()
        self._shell = SocketSpawn(ours[1], maxread=65536, searchwindowsize=256)
        self._qmp = Qmp(ours[2])
        stack.callback(self._qmp.close)

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until the guest's shell answers; `timeout` is the boot's patience by default.

        Raises RflError: crash if the kernel panics, environment if QEMU ends or the
        image on the disk is not as it is said to be, timeout after `timeout` seconds.
        """
        boot, timeout = self._boot, timeout or self._boot.patience
        if boot.disk:
            script = disk.script(boot.templates, self._variables)
            if boot.over_ssh:
                self._serve_over_ssh(script, timeout)
            else:
                log_in(boot.disk, script, self._expect, self._shell.send, timeout)
        self._expect(re.compile(rb"@rfl-ready@\s*"), timeout, "the guest did not boot")
        self.boot_seconds = time.monotonic() - self._begun

    def _serve_over_ssh(self, script: str, timeout: float) -> None:
        """Let the script that serves run at the other end of an SSH connection."""
        config = self.reach_by_ssh(timeout)
        ours, theirs = socket.socketpair()
        self._stack.enter_context(ours)
        with theirs, self._qemu_log.with_name("ssh.log").open("wb") as log:
            child = self._session.processes.start(
                ssh.command(config, f"exec sh -c {shlex.quote(script)}"),
                stdin=theirs.fileno(),
                output=theirs.fileno(),
                errors=log,
            )
        self._stack.callback(self._session.processes.stop, child)
        self._shell = SocketSpawn(ours, maxread=65536, searchwindowsize=256)

    def reach_by_ssh(self, timeout: float) -> Path:
        """The ssh_config by which the guest is reached, once its sshd answers.

        Raises RflError: usage if it has no network or no key is known, timeout.
        """
        config = self._folder / ssh.CONFIG
        if config.exists():
            return config
        if not self._boot.disk or not self._boot.disk.access:
            raise usage_error("this guest is not reached by SSH: no key of it is known")
        port = ssh.forwarded_port(
            self.qmp("human-monitor-command", {"command-line": "info usernet"})
        )
        if port is None:
            raise usage_error(
                "the guest has no network to come in by: let the test's machine have it"
            )
        deadline = time.monotonic() + timeout
        while not ssh.has_banner(port, 1.0):
            if self._panicked() or self.console.ended:
                raise self._ended()
            if time.monotonic() > deadline:
                raise self._timed_out("no sshd answered in the guest", timeout)
        write_atomically(config, ssh.config(self._boot.disk.access, port))
        self._stack.callback(config.unlink, missing_ok=True)
        return config

    def wait_for_person(self) -> int:
        """Wait until the person at the shell has ended QEMU; returns its exit status."""
        return self._process.wait()

    def begin_run(self, folder: Path) -> None:
        """Begin another run in this guest: its logs go on in the run's own folder.

        They take along what they hold, so that a line of the log has one number for as
        long as the guest runs.
        """
        for name, journal in self._journals.items():
            journal.move_to(folder / name)
        with contextlib.suppress(FileNotFoundError):  # this was interrupted before
            self._qemu_log.rename(folder / self._qemu_log.name)
        self._qemu_log = folder / self._qemu_log.name
        self._folder = folder

    def put(self, files: Mapping[str, Path]) -> None:
        """Bring files into the guest's /modules, by name, over the disk that waits for them.

        It can be done again with other files, for `unpack` to bring in beside the former.
        """
        session, toolchain = self._session, self._boot.toolchain
        self._payloads += 1
        stripped = payload.without_debug_info(session, toolchain, files)
        content = payload.pack(stripped, self._payloads)
        with mmap.mmap(self._payload, PAYLOAD_BYTES) as memory:
            memory[PAYLOAD_OFFSET : PAYLOAD_OFFSET + len(content)] = content

    def unpack(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Let the guest unpack what `put` brought."""
        words = f"unpack {self._payloads}"
        answer = self._run(words, words, timeout)
        if answer.status:
            raise environment_error(f"the guest cannot read its disk: {answer.output.strip()}")

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
        self._shell_log.write(f"# {number}: {command}\n")
        self._shell_log.flush()
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
            self._shell_log.write(f"{_text(self._shell.before)}# no end\n")
            self._shell_log.flush()
            raise
        seconds = time.monotonic() - begun
        self.console.wait_for(re.compile(rf"^{OWN}end {number}$"), mark, DRAIN)
        output = _text(self._shell.before)
        status = int(match[1])
        self.taint = int(match[2])
        self._shell_log.write(f"{output}# exit status {status}, {seconds:.3f} s\n")
        self._shell_log.flush()
        return Answer(status, output, seconds, mark)

    def _expect(self, pattern: re.Pattern[bytes], timeout: float, what: str) -> re.Match[bytes]:
        deadline = time.monotonic() + timeout
        while True:
            if self.console.fault:
                raise self.console.fault
            # A panicking guest ends by itself; a hung one shows only on the console.
            left = min(deadline - time.monotonic(), 1.0)
            try:
                self._shell.expect(pattern, timeout=max(left, 0.01))
            except pexpect.TIMEOUT:
                if time.monotonic() < deadline and not self._panicked():
                    continue
                raise self._timed_out(what, timeout) from None
            except (pexpect.EOF, OSError):
                raise self._ended() from None
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
        """Have the kernel print where its CPUs and its blocked tasks are.

        A break on the serial port, then a letter (Documentation/admin-guide/sysrq.rst).
        """
        for letter in (b"l", b"w"):
            try:
                self.qmp("chardev-send-break", {"id": "serial"})
                self.console.send(letter)
            except (RflError, OSError):
                return  # QEMU itself hangs, and has nothing to show
            time.sleep(0.2)

    def _ended(self) -> RflError:
        self.console.drain(DRAIN)
        splats = self.console.splats()
        if splats:
            return crash(splats[0], self._folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DRAIN)
        words = self._qemu_log.read_text(errors="replace").strip()
        status = self._process.poll()
        log = self._folder / "console.log"
        if words and status == 1 and not self.console.mark():
            return usage_error(
                f"QEMU refuses the machine ({words.splitlines()[-1]}): mend `machine` in the "
                f"test; see {self._qemu_log}"
            )
        if words:
            return environment_error(f"QEMU ended ({words.splitlines()[-1]}); see {self._qemu_log}")
        if status == 0:
            last = self.console.since(0)[-1:]
            said = f" ({last[0].text})" if last else ""
            return RflError(
                Verdict.FAIL, f"the guest ended itself in the middle of the run{said}; see {log}"
            )
        how = f"by signal {-status}" if status is not None and status < 0 else f"with {status}"
        return environment_error(
            f"QEMU ended {how} in the middle of the run, and the kernel's log has no reason; "
            f"see {log}"
        )

    def qmp(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Give QEMU a command (QEMU QMP reference manual) and return its answer.

        Raises RflError(environment) when QEMU refuses it or does not answer.
        """
        return self._qmp.execute(command, arguments)

    def trouble(self, mark: int) -> RflError | None:
        """What has befallen it, if anything: its kernel's first report since a mark, or its end."""
        for splat in self.console.splats():
            if splat.head.line > mark:
                return crash(splat, self._folder)
        if self.console.ended:
            log = self._folder / "console.log"
            return environment_error(f"the guest has ended by itself; see {log}")
        return None

    def end(self) -> None:
        """End QEMU from any thread; one that waits for the guest gets its RflError."""
        process = getattr(self, "_process", None)  # there is none before it was started
        if process:
            self._session.processes.stop(process)

    def stop(self) -> None:
        """End QEMU and close the logs."""
        self._stack.close()


def crash(splat: Splat, folder: Path) -> RflError:
    """The error for a report in the kernel's log."""
    return RflError(
        Verdict.CRASH,
        f"the kernel reported {splat.kind}: {splat.headline}; see {folder / 'console.log'}"
        f":{splat.messages[0].line}",
        "\n".join(m.text for m in splat.messages),
    )


def _text(said: object) -> str:
    """What came from the shell's terminal; pexpect has no bytes where nothing was read."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else ""
    return text.replace("\r\n", "\n")
