"""The guest's shell, for scripts and for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import GUEST, MODULES, Rfl

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]


def test_a_script_on_stdin_gives_its_output_and_its_status(rfl: Rfl) -> None:
    run = rfl("shell", stdin="echo one\necho two >&2\nuname -m\nexit 7\n", timeout=GUEST)

    assert run.status == 7, run
    assert run.stdout.splitlines()[-3:] == ["one", "two", "aarch64"]


def test_a_target_is_at_hand_and_not_loaded(rfl: Rfl) -> None:
    script = "ls /modules; insmod /modules/out_of_tree.ko && grep -c ^out_of_tree /proc/modules"

    run = rfl("shell", str(MODULES / "out_of_tree"), stdin=script, timeout=GUEST)

    assert run.status == 0, run
    assert run.stdout.splitlines()[-2:] == ["out_of_tree.ko", "1"]


@pytest.mark.parametrize("leave", ["exit", "poweroff -f", "\x04", "\x01x"])
def test_a_person_gets_a_prompt_and_leaves(rfl: Rfl, leave: str) -> None:
    with rfl.on_terminal("shell") as terminal:
        terminal.expect_exact("guest:~# ")
        terminal.sendline("echo $((6 * 7)) $(stty size)")
        terminal.expect_exact("42 40 120")
        terminal.expect_exact("guest:~# ")
        terminal.send(leave if leave < " " else f"{leave}\n")
        terminal.expect_exact("")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == 0


def test_ctrl_c_at_the_prompt_is_the_guests(rfl: Rfl) -> None:
    with rfl.on_terminal("shell") as terminal:
        terminal.expect_exact("guest:~# ")
        terminal.sendline("sh -c 'echo sleeping $((1 + 1)); sleep 1000'")
        terminal.expect_exact("sleeping 2")
        terminal.sendintr()
        terminal.expect_exact("guest:~# ")
        terminal.sendline("echo still $((1 + 1)) here")
        terminal.expect_exact("still 2 here")
        terminal.sendline("exit")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == 0


def test_a_module_is_at_a_persons_hand(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", str(MODULES / "out_of_tree")) as terminal:
        terminal.expect_exact("guest:~# ")
        terminal.sendline("insmod /modules/out_of_tree.ko && dmesg | grep -c 'loaded with 2'")
        terminal.expect(r"\n1\r")
        terminal.sendline("exit")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == 0


def test_the_shell_keeps_the_kernels_log(rfl: Rfl, module_at: Callable[..., Path]) -> None:
    run = rfl("shell", stdin="echo '<6>a word' > /dev/kmsg\n", timeout=GUEST)

    assert run.status == 0, run
    assert "a word" in (rfl.results / "latest" / "console.log").read_text()
