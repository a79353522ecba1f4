"""The kernel's menu and its configuration, without a kernel: what is told, and what is saved."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest

from rflbuild.verdict import Verdict
from tests.integration.conftest import share
from tests.integration.harness import (
    CHECKOUT,
    BuiltKernel,
    Rfl,
    Run,
    examples,
    git,
    snapshot,
    until,
)

CONFIGURE = 240.0  # seconds for make's Kconfig, several times; a quiet machine needs five
pytestmark = pytest.mark.timeout(2 * CONFIGURE, func_only=True)
MENU = "menuconfig --save mine"  # the guide's first example
_SAVE = "Do you wish to save"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\([B0]|[=>78])")


class Shown(NamedTuple):
    """A text that was waited for, and what came before it."""

    before: str
    text: str


class Menu:
    """A person at menuconfig, who waits for words on the screen before the next key."""

    def __init__(self, terminal: pexpect.spawn[str]) -> None:
        self.terminal = terminal
        self._seen = ""
        self.before = self.shows("eneral setup").before

    def shows(self, *texts: str) -> Shown:
        """Wait for one of some texts, and tell which came behind what."""
        for _ in until(CONFIGURE, 0):
            try:
                self._seen += self.terminal.read_nonblocking(65536, 1)
            except pexpect.TIMEOUT:
                continue
            plain = _ESCAPES.sub("", self._seen)
            for text in texts:
                before, found, _ = plain.partition(text)
                if found:
                    self._seen = ""
                    return Shown(before.replace("\r\n", "\n"), text)
        pytest.fail(f"none of {texts} came: {_ESCAPES.sub('', self._seen)[-2000:]}")

    def send(self, keys: str) -> None:
        self.terminal.send(keys)

    def go_to(self, name: str) -> None:
        """Find an option by its name and put the cursor on it."""
        self.send("/")
        self.shows('without "CONFIG_"')
        self.send(f"{name}\r")
        self.shows("(1)")
        self.send("1")
        self.shows("Arrow keys")

    def leave(self) -> None:
        """Go up until the menu ends or asks whether to save."""
        while self.terminal.isalive():
            self.send("\x1b\x1b")
            if self.shows(_SAVE, "Arrow keys").text == _SAVE:
                return

    def end(self) -> tuple[int | None, str]:
        """The exit status, and what came after the menu."""
        text = _ESCAPES.sub("", self._seen + self.terminal.read())
        self.terminal.wait()
        return self.terminal.exitstatus, text.replace("\r\n", "\n")


@pytest.fixture(scope="module")
def no_kernel(
    tmp_path_factory: pytest.TempPathFactory, kernel: BuiltKernel, user_store: Path
) -> Path:
    """A store with source and toolchain, and without any kernel."""
    folder = tmp_path_factory.mktemp("no-kernel")
    share(user_store, folder)
    (folder / "kernel").unlink()
    return folder


@pytest.fixture(scope="module")
def desk(rfl: Rfl, no_kernel: Path) -> Iterator[Rfl]:
    """The command line on that store, which at the end has no kernel either."""
    yield rfl.on(no_kernel)
    assert not (no_kernel / "kernel").exists()


@pytest.fixture
def saved(desk: Rfl) -> Iterator[Path]:
    """The fragment `mine`, which is not there yet."""
    path = desk.workspace / "configs" / "kconfig" / "mine.config"
    yield path
    path.unlink(missing_ok=True)


def options(fragment: Path) -> list[str]:
    """The lines of a fragment that are options."""
    return [line for line in fragment.read_text().splitlines() if "CONFIG_" in line]


def config(desk: Rfl, *words: str, cwd: Path | None = None) -> Run:
    run = desk("config", *words, cwd=cwd, timeout=CONFIGURE)
    assert run.status == 0, run
    return run


def refused(desk: Rfl, *words: str, cwd: Path | None = None) -> str:
    run = desk("config", *words, cwd=cwd, timeout=CONFIGURE)
    assert not run.stdout, run
    return run.came_to(Verdict.USAGE)


# ---- the menu -----------------------------------------------------------------------------


def test_an_option_that_is_set_is_all_that_the_fragment_says(desk: Rfl, saved: Path) -> None:
    with desk.on_terminal(*MENU.split()) as terminal:
        menu = Menu(terminal)
        menu.go_to("^BRIDGE$")
        menu.send("m")
        menu.leave()
        menu.send("\r")
        status, text = menu.end()

    assert status == 0, text
    assert options(saved) == ["CONFIG_BRIDGE=m"]
    assert not lacking(MENU, menu.before + text)
    # What is selected, and what is new and at its default.
    words = ["--get", "LLC", "--get", "BRIDGE_IGMP_SNOOPING", "--fragment", "mine"]
    assert config(desk, *words).stdout == "m\ny\n"

    before = saved.read_text(), saved.stat()
    with desk.on_terminal(*MENU.split()) as terminal:
        menu = Menu(terminal)
        menu.send("\x1b\x1b")
        status, text = menu.end()

    assert status == 0, text
    assert "nothing was changed" in text
    assert (saved.read_text(), saved.stat()) == before


def test_what_a_change_rules_out_is_told_and_dropped_from_what_is_asked_for(
    desk: Rfl, tmp_path: Path
) -> None:
    mine = tmp_path / "my.config"
    mine.write_text("# for my disk\nCONFIG_NET_9P=y  # by 9p\nCONFIG_BLK_DEV_LOOP=y")
    with desk.on_terminal("menuconfig", cwd=tmp_path) as terminal:
        menu = Menu(terminal)
        menu.go_to("NET_9P")
        menu.send("n")
        menu.leave()
        menu.send("\r")
        status, text = menu.end()

    assert status == 0, text
    assert mine.read_text().splitlines() == [
        "# for my disk",
        "# CONFIG_NET_9P is not set  # by 9p",
        "CONFIG_BLK_DEV_LOOP=y",
        "# CONFIG_9P_FS is not set",
        "# CONFIG_NET_9P_VIRTIO is not set",
    ]
    assert re.search(
        r"^lost       9P_FS y -> n, asked for in \S+: needs NET_9P", text, re.MULTILINE
    )
    run = config(desk, "--get", "9P_FS", "--fragment", "my.config", cwd=tmp_path)
    assert (run.stdout, run.stderr) == ("n\n", "")


def test_what_the_menu_showed_is_kept_though_nothing_asks_for_it_any_more(
    desk: Rfl, tmp_path: Path
) -> None:
    with desk.on_terminal("menuconfig", cwd=tmp_path) as terminal:
        menu = Menu(terminal)
        menu.go_to("VIRTIO_NET")
        menu.send("n")
        menu.leave()
        menu.send("\r")
        status, text = menu.end()

    assert status == 0, text
    assert "kept       FAILOVER y, as it was in the menu\n" in text
    assert set(options(tmp_path / "my.config")) == {
        "# CONFIG_VIRTIO_NET is not set",
        "CONFIG_NET_FAILOVER=y",
        "CONFIG_FAILOVER=y",
    }


def test_ctrl_c_asks_whether_to_save_and_without_that_nothing_is_written(
    desk: Rfl, tmp_path: Path
) -> None:
    with desk.on_terminal("menuconfig", cwd=tmp_path) as terminal:
        menu = Menu(terminal)
        menu.go_to("ETHTOOL_NETLINK")
        menu.send("y")
        menu.shows("[*]")
        terminal.sendintr()
        menu.shows(_SAVE)
        menu.send("n")
        status, text = menu.end()

    assert status == 128 + signal.SIGINT, text
    assert list(tmp_path.iterdir()) == []


def test_a_menu_that_is_ended_from_outside_leaves_the_terminal_as_it_was(
    desk: Rfl, no_kernel: Path, tmp_path: Path
) -> None:
    with desk.on_terminal("menuconfig", cwd=tmp_path) as terminal:
        before = termios.tcgetattr(terminal.child_fd)
        menu = Menu(terminal)
        assert termios.tcgetattr(terminal.child_fd) != before
        terminal.kill(signal.SIGTERM)
        terminal.expect_exact("\x1b[?1049l")  # back from xterm's alternate screen
        terminal.expect_exact("interrupted by SIGTERM")
        assert termios.tcgetattr(terminal.child_fd) == before
        status, _ = menu.end()

    assert status == 128 + signal.SIGTERM
    assert list((no_kernel / "work" / "menuconfig").iterdir()) == []


def test_without_a_terminal_the_other_way_is_told(desk: Rfl) -> None:
    assert "config --set" in desk("menuconfig").came_to(Verdict.USAGE)


def test_a_window_that_is_too_small_is_refused(desk: Rfl) -> None:
    with desk.on_terminal("menuconfig", size=(18, 70)) as terminal:
        terminal.expect_exact("usage: the terminal has 70 columns and 18 lines")
        terminal.read()
        terminal.wait()
        assert terminal.exitstatus == Verdict.USAGE.exit_code


@pytest.mark.parametrize(
    ("save", "word"),
    [("virt", "a part of the base"), ("no/such/x.config", "no/such"), ("a b", "neither")],
)
def test_what_cannot_be_saved_to_is_told_before_the_menu(desk: Rfl, save: str, word: str) -> None:
    with desk.on_terminal("menuconfig", "--save", save) as terminal:
        terminal.expect_exact("usage: ")
        assert word in terminal.read()
        terminal.wait()
        assert terminal.exitstatus == Verdict.USAGE.exit_code


# ---- questions ----------------------------------------------------------------------------


def test_the_config_is_the_one_that_the_kernels_build_makes(desk: Rfl, kernel: BuiltKernel) -> None:
    assert config(desk).stdout == (kernel.out / ".config").read_text()


def test_values_are_all_that_is_printed(desk: Rfl) -> None:
    names = ["NET", "CONFIG_HZ", "LOCALVERSION", "USB_STORAGE", "SCSI_MOD", "USB_AUTOSUSPEND_DELAY"]
    run = config(desk, *(word for name in names for word in ("--get", name)))
    assert run.stdout == "y\n250\n\nn\ny\nundef\n"


def test_a_difference_is_in_the_kernels_own_format(
    desk: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    files = [tmp_path / "old", tmp_path / "new"]
    files[0].write_text(config(desk).stdout)
    files[1].write_text(config(desk, "--fragment", "debug").stdout)
    script = kernel.plan.source.path / "scripts" / "diffconfig"
    theirs = subprocess.run(
        [sys.executable, script, *files], check=True, capture_output=True, text=True
    ).stdout

    assert config(desk, "--fragment", "debug", "--diff").stdout == theirs
    assert " KASAN n -> y\n" in theirs
    for other in (str(files[0]), "virt"):
        assert config(desk, "--fragment", "debug", "--diff", other).stdout == theirs
    assert config(desk, "--fragment", "debug", "--diff", "virt+debug").stdout == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--get", "VIRTIO_NETT"], ["VIRTIO_NETT", "near names: VIRTIO_NET"]),
        (["--why", "X86_MSR"], ["another architecture", "arch/x86/Kconfig"]),
        (["--get", "NET", "--why", "NET"], ["--get", "--why"]),
        (["--get", "NET", "--save", "mine"], ["--save", "--set"]),
        (["--diff", "no-such"], ["`no-such`"]),
        (["--get", "NET", "--kernel", "/no/such"], ["/no/such"]),
        (["--set", "NET"], ["OPTION=VALUE"]),
        (["--set", "VIRTIO_NETT=y"], ["near names: VIRTIO_NET"]),
        (["--set", "NET=m"], ["bool", "y or n"]),
        (["--set", "NR_CPUS=many"], ["int", "decimal"]),
        (["--set", "NET=y", "--save", "virt"], ["virt.config", "a part of the base"]),
    ],
    ids=" ".join,
)
def test_a_question_that_makes_no_sense_is_answered_so(
    desk: Rfl, words: list[str], told: list[str], tmp_path: Path
) -> None:
    sentence = refused(desk, *words, cwd=tmp_path)
    assert all(word in sentence for word in told), sentence
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_is_dropped_is_told_and_explained(desk: Rfl, tmp_path: Path) -> None:
    (tmp_path / "my.config").write_text("CONFIG_USB_STORAGE=y\n")
    run = config(desk, "--get", "USB_STORAGE", "--fragment", "my.config", cwd=tmp_path)
    assert run.stdout == "n\n"
    (words,) = re.findall(r"drops .*USB_STORAGE; `./rfl (.*)` tells", run.stderr)
    told = desk(*words.split(), cwd=tmp_path).stdout.splitlines()[0]
    assert told.startswith("USB_STORAGE is n: y is asked for in my.config:1, but it needs USB")


# ---- setting ------------------------------------------------------------------------------


def test_what_the_kernel_would_drop_is_refused_with_the_reason(desk: Rfl, tmp_path: Path) -> None:
    run = desk("config", "--set", "USB_STORAGE=y", cwd=tmp_path, timeout=CONFIGURE)

    assert "USB_STORAGE" in run.came_to(Verdict.USAGE)
    assert "needs USB_SUPPORT [=n] (drivers/usb/Kconfig:" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_together_is_judged_together(desk: Rfl, tmp_path: Path) -> None:
    words = [f"{name}=y" for name in ("USB_SUPPORT", "USB", "SCSI")]
    words += ["USB_STORAGE=m", "LOCALVERSION=-my own", "NR_CPUS=8"]
    words = [each for word in words for each in ("--set", word)]
    config(desk, *words, cwd=tmp_path)

    mine = tmp_path / "my.config"
    assert 'CONFIG_LOCALVERSION="-my own"' in options(mine)
    assert "CONFIG_USB_STORAGE=m" in options(mine)
    assert len(options(mine)) == 6
    before = mine.stat()
    run = config(desk, *words, cwd=tmp_path)
    assert "unchanged  my.config" in run.stderr
    assert mine.stat() == before


def test_what_is_set_against_the_base_still_builds(desk: Rfl, tmp_path: Path) -> None:
    config(desk, "--set", "NET_9P=n", cwd=tmp_path)

    assert "# CONFIG_9P_FS is not set" in options(tmp_path / "my.config")
    run = config(desk, "--get", "NET_9P", "--fragment", "my.config", cwd=tmp_path)
    assert (run.stdout, run.stderr) == ("n\n", "")


def test_a_fragment_that_cannot_be_written_is_told_before_any_work(
    desk: Rfl, tmp_path: Path
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    wrapper = desk.read_only(folder)
    run = desk("config", "--set", "NET=y", cwd=folder, wrapper=wrapper)
    folder.chmod(0o755)
    assert "my.config" in run.came_to(Verdict.USAGE)


# ---- a tree of the user's own -------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, kernel: BuiltKernel) -> Path:
    """A kernel tree of the user's own, as far as Kconfig reads it, with its git history."""
    source = kernel.plan.source.path
    made = tmp_path_factory.mktemp("linux")
    wanted = re.compile(
        r"Makefile|scripts/.*|tools/scripts/.*|arch/arm64/(Makefile|configs/.*)|(.*/)?Kconfig[^/]*"
    )
    for place, _, names in os.walk(source):
        for name in names:
            path = Path(place, name).relative_to(source)
            if wanted.fullmatch(str(path)):
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / path, made / path, follow_symlinks=False)
    git(made, "init", "--quiet")
    git(made, "add", "--all", "--force")
    git(made, "commit", "--quiet", "-m", "Linux")
    return made


def test_a_change_of_a_kconfig_file_is_noticed_and_the_tree_not_written_to(
    desk: Rfl, tree: Path
) -> None:
    kernel = ["--kernel", str(tree)]
    assert refused(desk, *kernel, "--get", "OF_MY_OWN").startswith("OF_MY_OWN is unknown")
    file = tree / "samples" / "rust" / "Kconfig"
    text = 'config OF_MY_OWN\n\ttristate "An option of my own"\n\tdepends on PCI\n\nconfig '
    file.write_text(file.read_text().replace("config ", text, 1))
    before = snapshot(tree)

    assert config(desk, *kernel, "--get", "OF_MY_OWN", "--get", "HZ").stdout == "n\n250\n"
    told = config(desk, *kernel, "--why", "OF_MY_OWN").stdout
    assert told.startswith("OF_MY_OWN is n: could be y")
    assert "defined      samples/rust/Kconfig:" in told
    assert snapshot(tree) == before

    git(tree, "reset", "--quiet", "--hard")
    assert refused(desk, *kernel, "--get", "OF_MY_OWN").startswith("OF_MY_OWN is unknown")


def test_a_mistake_in_a_kconfig_file_is_told_in_kconfigs_words(desk: Rfl, tree: Path) -> None:
    file = tree / "samples" / "Kconfig"
    file.write_text(file.read_text().replace("endif", "endfi", 1))

    run = desk("config", "--get", "HZ", "--kernel", str(tree), timeout=CONFIGURE)

    git(tree, "reset", "--quiet", "--hard")
    run.came_to(Verdict.BUILD_ERROR)
    assert re.search(r"samples/Kconfig:\d+", run.stderr), run


def test_a_tree_that_was_built_in_place_is_refused(desk: Rfl, tree: Path) -> None:
    (tree / ".config").touch()

    sentence = refused(desk, "--get", "HZ", "--base", "defconfig", "--kernel", str(tree))

    (tree / ".config").unlink()
    assert "built in place" in sentence


def test_the_menu_is_that_of_the_tree(desk: Rfl, own_tree: Path, tmp_path: Path) -> None:
    before = snapshot(own_tree)
    with desk.on_terminal("menuconfig", "--kernel", str(own_tree), cwd=tmp_path) as terminal:
        menu = Menu(terminal)
        menu.go_to("ETHTOOL_NETLINK")
        menu.send("y")
        menu.leave()
        menu.send("\r")
        status, text = menu.end()

    assert status == 0, text
    assert options(tmp_path / "my.config") == ["CONFIG_ETHTOOL_NETLINK=y"]
    assert snapshot(own_tree) == before


# ---- the guide ----------------------------------------------------------------------------


def shown() -> dict[str, list[str]]:
    """The lines that the guide shows under each command, without those that stand for more."""
    found: dict[str, list[str]] = {}
    text = (CHECKOUT / "docs" / "kconfig.md").read_text()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in block.split("$ ./rfl ")[1:]:
            command, *lines = part.splitlines()
            found[command] = [line for line in lines if line != "…"]
    return found


def lacking(command: str, text: str) -> list[str]:
    """The lines that the guide shows under a command, and that did not come."""
    came = text.splitlines()
    return [
        line
        for line in shown()[command]
        for start, more, _ in [line.partition(" …")]
        if not any(each == start or (more and each.startswith(start)) for each in came)
    ]


def test_the_guides_examples_show_what_comes(desk: Rfl, saved: Path) -> None:
    commands = [" ".join(words) for words in examples("kconfig")]
    assert commands == list(shown())
    assert commands.pop(0) == MENU
    for command in commands:
        run = config(desk, *command.split()[1:])
        assert not lacking(command, run.text), run
