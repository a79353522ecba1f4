"""gdb at a running guest: breakpoints in modules that are still to come, and orderly ends."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from rflbuild import stub
from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, Rfl, Run, Started, waited_for

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
MODULE = MODULES / "out_of_tree"
SOURCE = MODULE / "out_of_tree.rs"
PUSH = next(
    number
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1)
    if "numbers.push(72" in line
)
SCRIPT = "insmod /modules/out_of_tree.ko && echo loaded; rmmod out_of_tree; echo over\n"

Start = Callable[..., Started]


@pytest.fixture
def guest(rfl: Rfl) -> Iterator[Start]:
    """Starts `shell --gdb`; it waits for gdb, then for its script."""
    started: list[Started] = []

    def start(*words: str) -> Started:
        before = sockets(rfl)
        run = rfl.start("shell", *(words or (str(MODULE),)), "--gdb")
        started.append(run)
        assert waited_for(lambda: sockets(rfl) - before, GUEST)
        return run

    yield start
    for run in started:
        if run.process.returncode is None:
            run.process.send_signal(signal.SIGTERM)
            run.end(60)


def sockets(rfl: Rfl) -> set[Path]:
    """The results folders with a socket for gdb."""
    found = {path.parent for path in rfl.results.glob("*/gdb.sock")}
    return {folder for folder in found if not folder.is_symlink()}


def commands(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--eval-command", text)]


@contextlib.contextmanager
def at_prompt(rfl: Rfl, *words: str) -> Iterator[pexpect.spawn[str]]:
    """gdb on a terminal, at its first prompt, without colours."""
    plain = commands("set style enabled off")
    with rfl.on_terminal("gdb", *words, *plain, timeout=GUEST) as terminal:
        terminal.expect_exact("(gdb) ")
        yield terminal


def tell(terminal: pexpect.spawn[str], command: str) -> str:
    """Give gdb a command; returns what it shows until its next prompt."""
    terminal.sendline(command)
    terminal.expect_exact("(gdb) ")
    return terminal.before or ""


# ---- breakpoints --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["out_of_tree::{impl#0}::init", f"out_of_tree.rs:{PUSH}"], ids=["name", "line"]
)
def test_a_breakpoint_set_before_a_module_is_loaded_is_hit_and_shows_the_users_file(
    rfl: Rfl, guest: Start, where: str
) -> None:
    run = guest()
    words = commands(f"break {where}", "continue", "backtrace", "list", "info source")

    gdb = rfl.start("gdb", *words)
    shell = run.end(GUEST, SCRIPT)
    seen = gdb.end(GUEST)

    assert seen.status == 0, seen
    assert re.search(rf"hit Breakpoint \d+, out_of_tree::.*init .* at {SOURCE}:{PUSH}", seen.stdout)
    assert re.search(rf"^{PUSH}\s+numbers\.push\(72", seen.stdout, re.MULTILINE), seen
    assert f"Located in {SOURCE}" in seen.stdout
    # The frames around it are the module's init function and the kernel's own.
    assert re.search(r"init_module \(\) at .*out_of_tree\.rs", seen.stdout), seen
    assert re.search(r" in do_one_initcall \(.*\) at .*/init/main\.c:\d+", seen.stdout), seen
    # gdb has ended, and so the guest went on.
    assert shell.status == 0, shell
    assert shell.stdout.splitlines()[-2:] == ["loaded", "over"]


def test_a_kernel_of_the_users_own_is_shown_from_its_tree(
    rfl: Rfl, guest: Start, own_tree: Path
) -> None:
    run = guest(str(MODULE), "--kernel", str(own_tree))
    words = commands("break out_of_tree::{impl#0}::init", "continue", "up 2", "backtrace", "list")

    gdb = rfl.start("gdb", *words)
    run.end(GUEST, SCRIPT)
    seen = gdb.end(GUEST)

    assert seen.status == 0, seen
    assert re.search(rf"hit Breakpoint \d+, out_of_tree::.*init .* at {SOURCE}:\d+", seen.stdout)
    assert re.search(rf" in do_one_initcall \(.*\) at {own_tree}/init/main\.c:\d+", seen.stdout), (
        seen
    )


def test_the_kernels_own_commands_and_types_are_at_hand(rfl: Rfl, guest: Start) -> None:
    run = guest()

    gdb = rfl.start("gdb", *commands("lx-version", "p $lx_current().comm", "p init_task.pid"))
    run.end(GUEST, "true\n")
    seen = gdb.end(GUEST)

    assert seen.status == 0, seen
    assert "Linux version 7." in seen.stdout
    assert '= "swapper' in seen.stdout


def test_commands_come_from_a_file_or_from_stdin(rfl: Rfl, guest: Start, tmp_path: Path) -> None:
    guest()
    (tmp_path / "commands").write_text("print 6 * 7\n")

    from_file = rfl("gdb", "--command", str(tmp_path / "commands"), timeout=GUEST)
    from_stdin = rfl("gdb", stdin="print 6 * 8\n", timeout=GUEST)

    assert "$1 = 42" in from_file.stdout, from_file
    assert "$1 = 48" in from_stdin.stdout, from_stdin


def test_a_command_that_fails_is_gdbs_exit_code(rfl: Rfl, guest: Start) -> None:
    guest()

    assert rfl("gdb", *commands("no-such-command"), timeout=GUEST).status == 1


def test_a_module_that_is_loaded_again_is_stopped_in_again(rfl: Rfl, guest: Start) -> None:
    run = guest()
    words = commands(f"break out_of_tree.rs:{PUSH}", "continue", "continue")

    gdb = rfl.start("gdb", *words)
    run.end(GUEST, SCRIPT + SCRIPT)
    seen = gdb.end(GUEST)

    assert len(re.findall(r"hit Breakpoint \d+, out_of_tree::", seen.stdout)) == 2, seen


def test_a_module_that_is_loaded_already_has_its_symbols(rfl: Rfl, guest: Start) -> None:
    run = guest()
    assert rfl("gdb", *commands("print 1"), timeout=GUEST).status == 0  # lets the guest boot
    # The script goes on when the second gdb has set its breakpoint, and a variable.
    script = (
        "insmod /modules/out_of_tree.ko; echo '<6>it is there' >/dev/kmsg\n"
        "until grep -q 77 /proc/sys/kernel/printk; do sleep 0.1; done; rmmod out_of_tree\n"
    )
    log = stub.waiting(rfl.results)[0] / "console.log"
    found: list[Run] = []

    def debug_again() -> None:
        assert waited_for(lambda: "it is there" in log.read_text(errors="replace"), GUEST)
        drop = "break out_of_tree::{impl#1}::drop"
        words = commands(drop, "set var console_printk[1] = 77", "continue")
        found.append(rfl("gdb", *words, timeout=GUEST))

    thread = threading.Thread(target=debug_again)
    thread.start()
    run.end(GUEST, script)
    thread.join()

    (seen,) = found
    assert re.search(rf"hit Breakpoint \S+, out_of_tree::.*drop .* at {SOURCE}", seen.stdout), seen


def test_the_kernel_is_seen_while_all_cpus_run_programs(rfl: Rfl, guest: Start) -> None:
    run = guest()
    assert rfl("gdb", *commands("print 1"), timeout=GUEST).status == 0  # lets the guest boot
    assert run.process.stdin
    run.process.stdin.write("insmod /modules/out_of_tree.ko\n" + "while :; do :; done &\n" * 3)
    run.process.stdin.write("echo '<6>they run' >/dev/kmsg; wait\n")
    run.process.stdin.close()
    run.process.stdin = None
    log = stub.waiting(rfl.results)[0] / "console.log"
    assert waited_for(lambda: "they run" in log.read_text(errors="replace"), GUEST)

    for _ in range(3):
        assert "out_of_tree" in rfl("gdb", *commands("lx-lsmod"), timeout=GUEST).stdout
    with at_prompt(rfl) as gdb:
        for _ in range(5):
            gdb.sendline("continue")
            gdb.expect_exact("Continuing.")
            time.sleep(0.1)  # until some program runs
            gdb.sendintr()
            gdb.expect("received signal SIGINT")
            gdb.expect_exact("(gdb) ")
            assert "out_of_tree" in tell(gdb, "lx-lsmod")


# ---- at a terminal ------------------------------------------------------------------------


def test_a_person_debugs_a_module_from_a_second_terminal(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", str(MODULE), "--gdb", timeout=GUEST) as shell:
        shell.expect_exact("the guest waits for `./rfl gdb` in another terminal")
        with at_prompt(rfl) as gdb:
            assert "pending" in tell(gdb, f"break out_of_tree.rs:{PUSH}")
            gdb.sendline("continue")
            shell.expect_exact("guest:~# ")
            shell.sendline("insmod /modules/out_of_tree.ko; echo load$((1 + 1))ed")
            gdb.expect(rf"hit Breakpoint 1, out_of_tree::.* at {SOURCE}:{PUSH}")
            gdb.expect_exact("(gdb) ")
            gdb.sendline("continue")
            shell.expect_exact("load2ed")

            gdb.sendintr()
            gdb.expect("received signal SIGINT")
            gdb.expect_exact("(gdb) ")
            assert "out_of_tree" in tell(gdb, "lx-lsmod")

            gdb.sendline("quit")
            gdb.expect_exact("Quit anyway? (y or n) ")
            gdb.sendline("y")
            gdb.expect_exact(pexpect.EOF)
            gdb.wait()
            assert gdb.exitstatus == 0
        shell.sendline("echo going $((1 + 1)) on")
        shell.expect_exact("going 2 on")
        shell.sendline("poweroff -f")
        shell.read()
        shell.wait()
        assert shell.exitstatus == 0


def test_a_guest_that_ends_first_leaves_gdb_at_its_prompt(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", "--gdb", timeout=GUEST) as shell:
        shell.expect_exact("the guest waits for `./rfl gdb`")
        with at_prompt(rfl) as gdb:
            shell.send("\x01x")  # of a guest that stands still
            shell.read()
            shell.wait()
            assert shell.exitstatus == 0
            tell(gdb, "stepi")
            gdb.sendline("quit")
            gdb.expect([pexpect.EOF, r"\(y or n\) "])
            if gdb.after is not pexpect.EOF:
                gdb.sendline("y")
                gdb.expect_exact(pexpect.EOF)


def test_a_guest_that_nobody_debugs_can_be_left(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", "--gdb", timeout=GUEST) as shell:
        shell.expect_exact("the guest waits for `./rfl gdb`")
        shell.expect_exact("log ")
        shell.send("\x01x")
        shell.read()
        shell.wait()
        assert shell.exitstatus == 0


# ---- which guest --------------------------------------------------------------------------


def test_without_a_guest_there_is_one_sentence(rfl: Rfl) -> None:
    sentence = rfl("gdb").came_to(Verdict.USAGE)

    assert sentence == "no guest runs for gdb: start one by `./rfl shell --gdb` in another terminal"


def test_a_file_of_commands_that_is_not_there_is_named(rfl: Rfl, tmp_path: Path) -> None:
    missing = tmp_path / "none"

    sentence = rfl("gdb", "--command", str(missing)).came_to(Verdict.USAGE)

    assert sentence == f"--command {missing}: there is no such file"


def test_a_guest_that_was_killed_does_not_run(rfl: Rfl, guest: Start) -> None:
    run = guest()
    run.kill()
    run.end(60)

    assert "no guest runs for gdb" in rfl("gdb").came_to(Verdict.USAGE)


def test_of_two_guests_it_is_the_newest_or_the_one_that_is_named(rfl: Rfl, guest: Start) -> None:
    before = sockets(rfl)  # of one that was killed, perhaps
    guest(str(MODULE))
    guest(str(MODULES / "panics"))
    older, newer = sorted(sockets(rfl) - before)
    where = "python import os; print('here', os.path.basename(os.getcwd()))"

    newest = rfl("gdb", *commands(where), timeout=GUEST)
    named = rfl("gdb", older.name, *commands(where), timeout=GUEST)
    of_module = rfl("gdb", MODULE.name, *commands(where), timeout=GUEST)
    refused = rfl("gdb", "nobody")

    assert f"here {newer.name}" in newest.stdout, newest
    assert f"here {older.name}" in named.stdout, named
    assert f"here {older.name}" in of_module.stdout, of_module
    said = refused.came_to(Verdict.USAGE)
    assert said.startswith("no guest of `nobody` runs for gdb; there are: ")
    assert older.name in said


def test_a_second_gdb_at_one_guest_is_refused(rfl: Rfl, guest: Start) -> None:
    guest()
    with at_prompt(rfl):
        assert "another gdb is at the guest" in rfl("gdb").came_to(Verdict.USAGE)


def test_a_gdb_that_was_killed_makes_room_for_another(rfl: Rfl, guest: Start) -> None:
    run = guest()
    first = rfl.start("gdb", *commands("continue"))
    assert waited_for(lambda: "gdb-multiarch" in first.children().values(), GUEST)
    first.kill()
    first.end(60)

    second = rfl.start("gdb", *commands("print 6 * 7"))
    seen = second.end(GUEST)
    shell = run.end(GUEST, "echo well\n")

    assert "$1 = 42" in seen.stdout, seen
    assert shell.stdout.splitlines()[-1] == "well"
