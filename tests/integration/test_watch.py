"""Watching: each save is judged, in a guest that goes on until it cannot.

Most tests share one `watch` on a folder; each edits it, and expects the verdict on that edit.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rflbuild import chain, cli, testrun
from rflbuild.chain import Links
from rflbuild.guest import Guest
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from rflbuild.testspec import TestSpec
from rflbuild.verdict import Verdict
from tests.integration.harness import (
    GUEST,
    MODULES,
    BuiltKernel,
    Rfl,
    Run,
    examples,
    waited_for,
)

pytestmark = [
    pytest.mark.timeout(GUEST + 120, func_only=True),
    pytest.mark.usefixtures("kernel"),
]
_VERDICT = re.compile(rf"^(?:pass {{6}}|(?:{'|'.join(Verdict)}): )")
_TEST = """\
steps:
  - run: cat /proc/sys/kernel/random/boot_id
  - insmod: out_of_tree
    log: loaded with
  - rmmod: out_of_tree
"""
# What docs/watch.md shows; each is run by a test.
_NEW_MODULE = [["new-module", "blinky"]]
_EXAMPLES = {
    "module": ["watch", "blinky"],
    "kind": ["watch", "e1000", "--quick"],
    "folder": ["watch", "~/src/driver"],
    "tree": ["watch", "~/src/driver", "--kernel", "~/src/linux"],
}
# It has no module_exit(), so the kernel never lets it go.
_STAYS = """\
// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

static int __init stays_init(void)
{
	return 0;
}
module_init(stays_init);
MODULE_DESCRIPTION("A module that stays");
MODULE_LICENSE("GPL");
"""
# Its work is still to be done when its code is gone.
_LATE = """\
// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/workqueue.h>

static void late(struct work_struct *work)
{
}
static DECLARE_DELAYED_WORK(late_work, late);

static int __init late_init(void)
{
	schedule_delayed_work(&late_work, HZ);
	return 0;
}
module_init(late_init);

static void __exit late_exit(void)
{
}
module_exit(late_exit);
MODULE_DESCRIPTION("A module that forgets its work");
MODULE_LICENSE("GPL");
"""


@dataclass(frozen=True)
class Round:
    """What was printed from a save, or from the start, to the line after the verdict."""

    lines: tuple[str, ...]
    result: dict[str, Any]

    @property
    def verdict(self) -> str:
        (line,) = (line for line in self.lines if _VERDICT.match(line))
        return line

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    @property
    def boot(self) -> str:
        """The boot's own id, which the first step prints."""
        return str(self.result["steps"][0]["output"]).strip()

    @property
    def messages(self) -> list[str]:
        return [text for step in self.result["steps"] for text in step["messages"]]


class Watching:
    """A `watch` that runs, and what it prints."""

    def __init__(self, rfl: Rfl, *words: str) -> None:
        self.rfl = rfl
        self.started = rfl.start("watch", *words)
        self.lines: list[str] = []
        self.boot = ""
        self._read = 0
        self._news = threading.Condition()
        self._reads = True
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        assert self.started.process.stdout
        for line in self.started.process.stdout:
            if not self._reads:
                self.started.process.stdout.close()
                return
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def until(self, start: str, seconds: float = GUEST) -> list[str]:
        """What was printed since the last call, up to a line that starts so."""
        deadline = time.monotonic() + seconds
        with self._news:
            begun = self._read
            while True:
                while self._read < len(self.lines):
                    self._read += 1
                    if self.lines[self._read - 1].startswith(start):
                        return self.lines[begun : self._read]
                ended = self.started.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    pytest.fail(f"no `{start}`:\n" + "\n".join(self.lines))
                self._news.wait(0.1)

    def round(self) -> Round:
        """The next round that comes to a verdict."""
        lines = tuple(self.until("watching "))
        (verdict,) = filter(_VERDICT.match, lines)
        path = re.findall(r"\bresults/[\w.-]+", verdict)[-1]
        return Round(lines, self.rfl.result(self.rfl.workspace / path))

    def round_of(self, word: str) -> Round:
        """The next round that came so far as to load the module of an edit."""
        while word not in "\n".join((done := self.round()).messages):
            pass
        return done

    def stop_reading(self) -> None:
        """Close our end at the next line."""
        self._reads = False

    def quiet_for(self, seconds: float) -> bool:
        """Whether nothing more is printed for so long."""
        count = len(self.lines)
        return not waited_for(lambda: len(self.lines) > count, seconds)

    def qemu(self) -> int:
        """The process of its QEMU."""
        (pid,) = (
            pid for pid, name in self.started.children().items() if name.startswith("qemu-system")
        )
        return pid

    def end(self, number: signal.Signals = signal.SIGINT) -> Run:
        """End it by a signal to its group, as a terminal does."""
        os.killpg(self.started.pid, number)
        process = self.started.process
        process.wait(30)
        run = self.started.end(5)
        return Run(run.argv, run.status, "\n".join(self.lines), run.stderr, run.seconds)


class Folder:
    """A module's folder that is edited."""

    def __init__(self, path: Path, source: str = "out_of_tree.rs") -> None:
        self.path = path
        self.source = path / source
        self.original = self.source.read_text()
        self.word = ""

    def edit(self, old: str = "", new: str = "") -> str:
        """Save the original with something replaced, and with a word of its own in the log."""
        text = self.edited(old, new)
        self.source.write_text(text)
        return self.word

    def edited(self, old: str = "", new: str = "") -> str:
        assert old in self.original
        self.word = uuid.uuid4().hex[:8]
        text = self.original.replace(old, new) if old else self.original
        return text.replace("loaded with {}", f"loaded with {{}} {self.word}")

    def test(self, text: str) -> None:
        (self.path / "test.yaml").write_text(f"# {uuid.uuid4()}\n{text}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp("watched") / "mine"
    shutil.copytree(MODULES / "out_of_tree", path)
    made = Folder(path)
    made.test(_TEST)
    return made


@pytest.fixture(scope="module")
def _watching(rfl: Rfl, kernel: BuiltKernel, folder: Folder) -> Iterator[Watching]:
    places = {"~/src/driver": str(folder.path)}
    watching = Watching(rfl, *(places.get(word, word) for word in _EXAMPLES["folder"][1:]))
    assert watching.round().verdict.startswith("pass "), watching.lines
    yield watching
    run = watching.end()
    assert run.status == 128 + signal.SIGINT, run


@pytest.fixture
def watching(_watching: Watching, folder: Folder) -> Watching:
    """The shared watch, after it has judged the folder as it should be."""
    folder.test(_TEST)
    done = _watching.round_of(folder.edit())
    assert done.verdict.startswith("pass "), _watching.lines
    _watching.boot = done.boot
    return _watching


@pytest.fixture
def boot(watching: Watching) -> str:
    """The id of the boot that the guest is in."""
    return watching.boot


def said(done: Round, word: str) -> bool:
    """Whether a round was about the edit with a word."""
    return any(word in text for text in done.messages)


# ---- verdicts -----------------------------------------------------------------------------


def test_an_edit_is_judged_without_another_boot(
    watching: Watching, folder: Folder, boot: str
) -> None:
    word = folder.edit()
    done = watching.round()

    assert done.lines[0] == "saved      out_of_tree.rs"
    assert re.match(r"pass +mine on Linux .*: 3 steps in .* s; results/", done.verdict)
    assert re.fullmatch(r"watching +mine: .* from the save to the verdict", done.lines[-1])
    assert said(done, word)
    assert done.boot == boot


def test_an_edit_that_fails_is_told_and_the_next_one_is_judged_in_the_same_boot(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.edit("loaded with", "charged with")
    failed = watching.round()
    word = folder.edit()
    mended = watching.round()

    assert failed.verdict.startswith("fail: insmod out_of_tree: the kernel's log has no")
    assert failed.result["verdict"] == "fail"
    assert mended.verdict.startswith("pass ")
    assert said(mended, word)
    assert {failed.boot, mended.boot} == {boot}


def test_a_build_error_shows_the_compilers_words_and_waits(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.edit("KVec::new()", "KVec::knew()")
    broken = watching.round()
    folder.edit()
    mended = watching.round()

    assert broken.verdict.startswith("build-error: the module mine does not build")
    assert broken.has("no function or associated item named `knew`")
    assert broken.has(f"--> {folder.path}/out_of_tree.rs:")
    assert mended.verdict.startswith("pass ")
    assert mended.boot == boot


def test_a_panic_boots_another_guest_and_the_next_edit_passes(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.edit("numbers.len()", "numbers[7]")
    crashed = watching.round()
    assert watching.until("boot ")
    word = folder.edit()
    mended = watching.round()

    assert crashed.verdict.startswith("crash: ")
    assert "out_of_tree.rs:24: the kernel reported Rust panic" in crashed.verdict
    assert mended.verdict.startswith("pass ")
    assert said(mended, word)
    assert mended.boot != boot


def test_a_guest_that_hangs_is_replaced(watching: Watching, folder: Folder, boot: str) -> None:
    folder.test(_TEST + "  - run: sleep 1000\n    timeout: 1\n")
    hung = watching.round()
    folder.test(_TEST)
    mended = watching.round()

    assert hung.verdict.startswith("timeout: run sleep 1000: ")
    assert mended.verdict.startswith("pass ")
    assert mended.boot != boot


def test_a_module_that_cannot_be_unloaded_boots_another_guest(
    watching: Watching, folder: Folder, boot: str
) -> None:
    (folder.path / "stays.c").write_text(_STAYS)
    (folder.path / "Kbuild").write_text("obj-m := out_of_tree.o stays.o\n")
    folder.test(_TEST + "  - insmod: stays\n")
    loaded = watching.round_of(folder.edit())
    note = watching.until("boot ")
    (folder.path / "stays.c").unlink()
    shutil.copy2(MODULES / "out_of_tree" / "Kbuild", folder.path)
    folder.test(_TEST)
    after = watching.round_of(folder.edit())

    assert loaded.verdict.startswith("pass ")
    assert any("cannot be unloaded" in line and "stays" in line for line in note), note
    assert after.verdict.startswith("pass ")
    assert after.boot != boot


# ---- what is taken up, and what is not ------------------------------------------------------


def test_another_test_is_taken_up_without_a_build(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.test(_TEST + "  - run: echo more\n    output: more\n")
    done = watching.round()

    assert done.lines[0] == "saved      test.yaml"
    assert done.has("run echo more")
    assert re.search(r"^module +mine +cached$", "\n".join(done.lines), re.MULTILINE)
    assert done.boot == boot


def test_another_machine_is_another_guest(watching: Watching, folder: Folder, boot: str) -> None:
    folder.test("machine: {cpus: 3}\n" + _TEST + "  - run: nproc\n    output: /^3$/\n")
    done = watching.round()

    assert done.verdict.startswith("pass ")
    assert done.boot != boot


def test_a_machine_that_qemu_refuses_is_told_and_waited_on(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.test("machine: {devices: [nonesuch]}\n" + _TEST)
    refused = watching.round()
    folder.test(_TEST)
    mended = watching.round()

    assert refused.verdict.startswith("usage: QEMU refuses the machine (")
    log = re.findall(r"see (\S+)", refused.verdict)[0]
    assert "nonesuch" in Path(log).read_text()
    assert mended.verdict.startswith("pass ")


def test_a_mistake_in_a_yaml_file_is_told_and_waited_on(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.test("stepps: []\n")
    test = watching.round()
    folder.test(_TEST)
    watching.round()
    (folder.path / "module.yaml").write_text('kernel: ">=99.1"\n')
    needs = watching.round()
    (folder.path / "module.yaml").unlink()
    mended = watching.round()

    assert test.verdict.startswith(f"usage: {folder.path}/test.yaml:2: ")
    assert needs.verdict.startswith(f"usage: {folder.path}/module.yaml:1: it needs Linux 99.1")
    assert mended.verdict.startswith("pass ")
    assert mended.boot == boot


def test_a_save_that_changes_nothing_is_no_reason_for_a_round(
    watching: Watching, folder: Folder
) -> None:
    folder.source.touch()
    lines = watching.until("unchanged ")

    assert lines == ["unchanged  out_of_tree.rs"]


@pytest.mark.parametrize("name", ["out_of_tree.o", ".out_of_tree.rs.swp", "out_of_tree.rs~"])
def test_a_file_that_is_no_source_is_passed_over(
    watching: Watching, folder: Folder, name: str
) -> None:
    (folder.path / name).write_text(f"{uuid.uuid4()}\n")
    quiet = watching.quiet_for(1.5)
    (folder.path / name).unlink()

    assert quiet


def test_a_save_by_renaming_is_a_save(watching: Watching, folder: Folder) -> None:
    temporary = folder.path / f"{uuid.uuid4()}.tmp"
    temporary.write_text(folder.edited())
    temporary.rename(folder.source)
    done = watching.round()

    assert done.lines[0] == "saved      out_of_tree.rs"
    assert said(done, folder.word)


def test_of_two_saves_during_a_build_the_last_one_wins(
    watching: Watching, folder: Folder, boot: str
) -> None:
    first = folder.edit()
    watching.until("saved ")
    assert waited_for(lambda: "make" in watching.started.children().values(), GUEST)
    second = folder.edit()
    done = watching.round()

    assert done.lines[0] == "saved      out_of_tree.rs"
    assert done.verdict.startswith("pass ")
    assert said(done, second)
    assert not said(done, first)
    assert done.boot == boot
    assert watching.quiet_for(1.0)


def test_a_save_ends_steps_that_take_long(watching: Watching, folder: Folder) -> None:
    folder.test(_TEST + "  - run: sleep 1000\n    timeout: 600\n")
    watching.until("  ok       rmmod out_of_tree")
    folder.test(_TEST)
    done = watching.round()

    assert done.verdict.startswith("pass ")


# ---- between the rounds ---------------------------------------------------------------------


def test_a_round_finds_the_guest_as_after_its_boot(
    watching: Watching, folder: Folder, boot: str
) -> None:
    alone = 'test "$(ls /tmp | wc -l)" = 0 && ! pgrep sleep && ! grep . /proc/modules'
    leaves = "touch /tmp/left; sleep 1000 & insmod /modules/out_of_tree.ko"
    for _ in range(2):
        folder.test(f"{_TEST}  - run: {alone}\n  - run: {leaves}\n")
        done = watching.round()
        assert done.verdict.startswith("pass "), done
        assert done.boot == boot


def test_what_cannot_be_put_back_is_told_and_another_guest_boots(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.test(_TEST + "  - run: ip link set eth0 down\n")
    watching.round()
    note = watching.until("boot ")
    folder.test(_TEST)
    done = watching.round()

    assert any("the run left the guest other than it was (/sys/class/net/eth0" in n for n in note)
    assert done.boot != boot


def test_a_test_that_talks_to_qemu_has_a_guest_for_itself(
    watching: Watching, folder: Folder, boot: str
) -> None:
    folder.test(_TEST + "  - qmp: {execute: query-status}\n")
    one = watching.round()
    watching.until("boot ")
    folder.test(_TEST)
    two = watching.round()

    assert one.boot == boot
    assert two.boot != boot


def test_a_report_that_comes_after_the_verdict_is_told_and_judges_no_other_round(
    watching: Watching, folder: Folder, boot: str
) -> None:
    (folder.path / "late.c").write_text(_LATE)
    (folder.path / "Kbuild").write_text("obj-m := out_of_tree.o late.o\n")
    folder.test(_TEST + "  - insmod: late\n  - rmmod: late\n")
    early = watching.round_of(folder.edit())
    note = watching.until("boot ")
    (folder.path / "late.c").unlink()
    shutil.copy2(MODULES / "out_of_tree" / "Kbuild", folder.path)
    folder.test(_TEST)
    done = watching.round_of(folder.edit())

    assert early.verdict.startswith("pass ")
    assert any("after the verdict, the kernel reported oops" in line for line in note), note
    assert done.verdict.startswith("pass ")
    assert done.boot != boot


def test_a_guest_that_ends_by_itself_is_replaced(
    watching: Watching, folder: Folder, boot: str
) -> None:
    os.kill(watching.qemu(), signal.SIGKILL)
    note = watching.until("boot ", 30)
    folder.edit()
    done = watching.round()

    assert any("the guest has ended by itself" in line for line in note), note
    assert done.verdict.startswith("pass ")
    assert done.boot != boot


def test_each_round_leaves_its_results(watching: Watching, folder: Folder) -> None:
    first = folder.edit()
    one = watching.round()
    second = folder.edit()
    two = watching.round()

    folders = [Path(done.result["folder"]) for done in (one, two)]
    logs = [(folder / "console.log").read_text() for folder in folders]
    assert first in logs[0]
    assert second not in logs[0]
    assert second in logs[1]
    assert (folders[1] / "junit.xml").is_file()
    assert two.result["reproduce"] == f"./rfl qemu-test {folder.path}"
    assert (watching.rfl.results / "latest").resolve() == folders[1].resolve()


# ---- its end --------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Folder:
    """A folder for one test alone."""
    shutil.copytree(MODULES / "out_of_tree", tmp_path / "own")
    return Folder(tmp_path / "own")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_ends_it_in_order(
    rfl: Rfl, own: Folder, chance: random.Random, number: signal.Signals
) -> None:
    watching = Watching(rfl, str(own.path))
    assert waited_for(lambda: watching.started.handles(number), GUEST)
    moment = chance.random() * 8
    print(f"after {moment:.3f} s")  # noqa: T201 - if it fails
    time.sleep(moment)
    run = watching.end(number)

    assert run.status == 128 + number, run
    assert "Traceback" not in run.text, run
    assert not (rfl.results / f".boot-{watching.started.pid}").exists()


def test_it_ends_when_nobody_reads_it_any_more(rfl: Rfl, own: Folder) -> None:
    watching = Watching(rfl, str(own.path))
    watching.until("source ")
    watching.stop_reading()

    assert watching.started.process.wait(GUEST) == 128 + signal.SIGPIPE


def test_a_folder_that_vanishes_ends_it_with_one_sentence(rfl: Rfl, own: Folder) -> None:
    watching = Watching(rfl, str(own.path))
    watching.round()
    shutil.rmtree(own.path)
    watching.started.process.wait(GUEST)
    run = watching.started.end(5)

    assert run.status == Verdict.USAGE.exit_code, run
    said = [line for line in run.stderr.splitlines() if line]
    assert said == [f"usage: {own.path} is gone: there is nothing to watch any more"]


def test_an_unknown_name_ends_it_at_once(rfl: Rfl) -> None:
    assert "did you mean `hello`?" in rfl("watch", "helo").came_to(Verdict.USAGE)


# ---- other targets, and the guide's -------------------------------------------------------------


@pytest.fixture
def template(rfl: Rfl) -> Iterator[Callable[[str], Path]]:
    """A file of the workspace's templates/, which is put back."""
    before: dict[Path, str] = {}

    def choose(name: str) -> Path:
        path = rfl.workspace / "templates" / name
        before[path] = path.read_text()
        return path

    yield choose
    for path, text in before.items():
        path.write_text(text)


def test_the_guide_shows_what_is_tested_here() -> None:
    assert examples("watch") == [*_NEW_MODULE, *_EXAMPLES.values()]


def test_a_module_of_ones_own_is_watched(rfl: Rfl) -> None:
    for words in _NEW_MODULE:
        assert rfl(*words).status == 0
    own = Folder(rfl.workspace / "modules" / "blinky", "blinky.rs")
    watching = Watching(rfl, *_EXAMPLES["module"][1:])
    first = watching.round()
    own.edit("Hello from Rust", "Good evening")
    edited = watching.round()
    watching.end()
    shutil.rmtree(own.path)

    assert first.verdict.startswith("pass ")
    assert edited.verdict.startswith("fail: insmod blinky: the kernel's log has no `blinky: Hello")


def test_a_kind_is_rendered_at_each_save(rfl: Rfl, template: Callable[[str], Path]) -> None:
    path = template("e1000/receive.rs")
    watching = Watching(rfl, *_EXAMPLES["kind"][1:])
    first = watching.round()
    path.write_text(f"{path.read_text()}\n// {uuid.uuid4()}\n")
    edited = watching.round()
    watching.end()

    assert first.verdict.startswith("pass ")
    assert "saved      receive.rs" in edited.lines
    assert edited.verdict.startswith("pass ")
    assert edited.result["module"]["key"] != first.result["module"]["key"]


def test_a_test_without_a_module_is_watched_too(rfl: Rfl, steps: Callable[[str], str]) -> None:
    name = steps("steps: [{run: 'true'}]")
    path = rfl.workspace / "configs" / "tests" / f"{name}.yaml"
    watching = Watching(rfl, name)
    first = watching.round()
    path.write_text("steps: [{run: 'false'}]")
    edited = watching.round()
    watching.end()

    assert first.verdict.startswith("pass ")
    assert edited.verdict.startswith("fail: run false: ")


def test_a_tree_of_the_users_own_is_built_once(
    rfl: Rfl, kernel: BuiltKernel, own_tree: Path, own: Folder
) -> None:
    own.test(_TEST)
    places = {"~/src/driver": str(own.path), "~/src/linux": str(own_tree)}
    watching = Watching(rfl, *(places.get(word, word) for word in _EXAMPLES["tree"][1:]))
    first = watching.round()
    (log,) = (rfl.store / "work" / "logs" / "kernel").glob(f"*{_kernel_key(rfl, own_tree)}*.log")
    built = log.stat()
    word = own.edit()
    edited = watching.round()
    assert (log.stat().st_ino, log.stat().st_mtime_ns) == (built.st_ino, built.st_mtime_ns)
    # As another run's make leaves it.
    os.utime(rfl.store / "work" / "kernel" / _kernel_key(rfl, own_tree) / "vmlinux")
    own.edit()
    anew = watching.round()
    watching.end()

    assert said(edited, word)
    assert edited.boot == first.boot
    assert anew.verdict.startswith("pass ")
    assert anew.boot != first.boot


def _kernel_key(rfl: Rfl, tree: Path) -> str:
    status = rfl("status", "--kernel", str(tree))
    found = re.search(r"^kernel .* ([0-9a-f]{16}) ", status.stdout, re.MULTILINE)
    assert found, status
    return found[1]


# ---- bringing files in again and again ----------------------------------------------------------


def test_a_guest_never_unpacks_what_it_had_before(
    kernel: BuiltKernel, user_store: Path, tmp_path: Path, chance: random.Random
) -> None:
    with (
        Path(os.devnull).open("w") as null,
        cli.session(Terminal(null), Store(user_store), 1) as session,
    ):
        built = chain.build_kernel(session, kernel.plan, Links(session))
        boot = testrun.boot_for(session, built, TestSpec())
        with Guest(session, boot, tmp_path) as running:
            running.wait_until_ready(GUEST)
            file = tmp_path / "content"
            for _ in range(200):
                file.write_bytes(chance.randbytes(chance.randrange(1, 100_000)))
                running.put({"content": file})
                running.unpack(GUEST)
                answer = running.run("sha256sum /modules/content", GUEST)
                assert answer.output.split()[0] == hashlib.sha256(file.read_bytes()).hexdigest()
