"""docs/debugging.md: its examples, in its order."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, Rfl, Run, Started, examples, waited_for

pytestmark = [
    pytest.mark.timeout(2 * GUEST, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
LINE = 23  # where the guide's module goes wrong


@pytest.fixture
def blinky(rfl: Rfl) -> Iterator[Path]:
    """The guide's module: modules/blinky, with a panic in its line."""
    folder = rfl.workspace / "modules" / "blinky"
    folder.mkdir()
    text = (MODULES / "out_of_tree" / "out_of_tree.rs").read_text()
    text = text.replace("OutOfTree", "Blinky").replace("out_of_tree", "blinky")
    text = text.replace("numbers.len());", "numbers[core::hint::black_box(1)]);")
    text = text.replace("        numbers.push(108, GFP_KERNEL)?;\n", "")
    assert text[: text.index("numbers[")].count("\n") + 1 == LINE
    (folder / "blinky.rs").write_text(text)
    (folder / "Kbuild").write_text("obj-m := blinky.o\n")
    yield folder
    shutil.rmtree(folder)


def test_the_examples_do_what_the_guide_says(rfl: Rfl, blinky: Path, tmp_path: Path) -> None:
    for name in ("src/tools", "data"):
        (tmp_path / name).mkdir(parents=True)
    shown = examples("debugging")
    commands = [words[0] for words in shown]
    assert commands == ["qemu-test", *["decode"] * 3, "shell", "gdb", "gdb", "shell", "shell"]

    def run(words: list[str], stdin: str = "") -> Run:
        env = {"HOME": str(tmp_path)}
        return rfl(*words, stdin=stdin, timeout=GUEST, cwd=rfl.workspace, env=env)

    crash = run(shown[0])
    where = f"modules/blinky/blinky.rs:{LINE}"
    assert crash.came_to(Verdict.CRASH).startswith(f"{where}: the kernel reported Rust panic")
    log = (rfl.results / "latest" / "console.log").read_text()

    for words in shown[1:4]:
        decoded = run(words, stdin=log)
        assert decoded.status == 0, decoded
        assert f"init ({where}) [blinky]" in decoded.stdout

    shell = waiting(rfl, shown[4])
    assert "$1 = 42\n" in run(shown[5], stdin="print 6 * 7\n").stdout
    shell.end(GUEST, "true\n")

    shell = waiting(rfl, shown[4])
    gdb = rfl.start(*shown[6])
    shell.end(GUEST, "insmod /modules/blinky.ko\n")
    stopped = gdb.end(GUEST)
    assert re.search(rf"hit Breakpoint \S+ .*init .*at {blinky}/blinky\.rs:\d+", stopped.stdout), (
        stopped
    )
    assert re.search(r" in do_one_initcall \(", stopped.stdout), stopped

    one, two = (run(words, stdin="ls /mnt\n") for words in shown[7:])
    assert one.stdout.split()[-1] == "tools", one
    assert set(two.stdout.split()[-2:]) == {"data", rfl.workspace.name}, two


def waiting(rfl: Rfl, words: list[str]) -> Started:
    """A guest that stands still until gdb comes."""
    started = rfl.start(*words)
    assert waited_for((rfl.results / "latest" / "gdb.sock").is_socket, GUEST)
    return started
