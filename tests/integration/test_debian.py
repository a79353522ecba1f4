"""The guest on our own Debian image: the same tests as on the small one, and a person in it."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from rflbuild import ssh
from rflbuild.verdict import Verdict
from tests.integration.harness import (
    GUEST,
    MODULES,
    DebianImage,
    Rfl,
    Started,
    examples,
    waited_for,
    with_disk,
)

pytestmark = [
    pytest.mark.timeout(GUEST + 120, func_only=True),
    pytest.mark.usefixtures("debian"),
]
DEBIAN = ("--guest", "debian")
ENDS = 20.0  # seconds from a signal to the end
PROMPT = "root@debian:~# "
STEADY = "steps:\n  - run: sleep 300\n    timeout: 300\n"  # long enough to be interrupted


@pytest.fixture(scope="module", autouse=True)
def _the_image_stays_as_it_is(
    debian: DebianImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    def digest() -> str:
        with debian.disk.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    before = digest()
    yield
    assert digest() == before
    debian.assert_clean(tmp_path_factory.mktemp("image"))


def boots(rfl: Rfl) -> str:
    """What the newest run said of its boot, as in `Debian, TCG, 2 CPUs, 512M, resumed`."""
    (key,) = [link["what"] for link in rfl.result()["links"] if link["name"] == "boot"]
    return str(key)


def overlays(rfl: Rfl) -> list[Path]:
    return [path for path in (rfl.store / "work" / "overlays").rglob("*") if path.is_file()]


# ---- tests in it ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def booted(rfl: Rfl, debian: DebianImage) -> None:
    """A saved guest in the session's store, for those who go on from it."""
    rfl.test("hello", *DEBIAN).passed()


@pytest.mark.usefixtures("booted")
def test_a_second_run_goes_on_from_where_the_first_had_booted_to(rfl: Rfl) -> None:
    rfl.test("hello", *DEBIAN).passed()

    assert boots(rfl) == "Debian, TCG, 2 CPUs, 512M, resumed"
    log = (rfl.results / "latest" / "console.log").read_text()
    assert "] Linux version 7." in log
    assert log.index("] Linux version 7.") < log.index("Hello from Rust!")


@pytest.mark.parametrize(
    "words",
    [words for words in examples("debian") if words[0] == "qemu-test" and "--image" not in words],
    ids=" ".join,
)
@pytest.mark.usefixtures("booted")
def test_the_guides_runs_pass(rfl: Rfl, words: list[str]) -> None:
    rfl(*words, timeout=GUEST).passed()


@pytest.mark.usefixtures("booted")
def test_the_kernels_samples_pass_in_it(rfl: Rfl) -> None:
    rfl.test("samples", *DEBIAN).passed()

    titles = [step["title"] for step in rfl.result()["steps"]]
    assert "insmod rust_minimal" in titles


@pytest.mark.usefixtures("booted")
def test_a_module_that_crashes_a_resumed_guest_is_a_crash_with_a_decoded_trace(rfl: Rfl) -> None:
    run = rfl.test(str(MODULES / "dereferences_null"), *DEBIAN)

    run.came_to(Verdict.CRASH)
    assert "resumed" in boots(rfl)
    assert "dereferences_null.rs:" in run.text


@pytest.mark.usefixtures("booted")
def test_files_come_in_by_ssh(rfl: Rfl) -> None:
    rfl.test("hello", *DEBIAN, "--files", "ssh").passed()

    assert not list(rfl.results.glob("*/ssh_config"))


def test_two_guests_on_one_image_at_once_have_a_port_each_and_pass(rfl: Rfl) -> None:
    both = [
        rfl.start("qemu-test", "hello", *DEBIAN, "--over-ssh", *words)
        for words in ([], ["--files", "share"])
    ]

    for run in [started.end(GUEST) for started in both]:
        run.passed()


def test_files_are_in_the_image_before_a_boot_and_nothing_of_it_stays(rfl: Rfl) -> None:
    run = rfl.test("hello", *DEBIAN, "--files", "image")

    run.passed()
    assert "resumed" not in run.text
    left = {path.name for path in (rfl.results / "latest").iterdir()}
    assert not left & {"image.raw", "files", "ssh_config"}


@pytest.mark.usefixtures("booted")
def test_a_fresh_guest_boots(rfl: Rfl) -> None:
    rfl.test("hello", *DEBIAN, "--fresh").passed()

    assert boots(rfl) == "Debian, TCG, 2 CPUs, 512M"


@pytest.mark.usefixtures("booted")
def test_a_saved_guest_that_is_damaged_is_told_of_once(rfl: Rfl) -> None:
    rfl.test("hello", *DEBIAN).passed()
    used = max((rfl.store / "booted").iterdir(), key=lambda path: path.stat().st_mtime)
    os.truncate(used / "state", 1_000_000)

    sentence = rfl.test("hello", *DEBIAN).came_to(Verdict.ENVIRONMENT)

    assert sentence.startswith("QEMU cannot go on from the guest that was saved (")
    assert "try again" in sentence
    rfl.test("hello", *DEBIAN).passed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.usefixtures("booted")
def test_a_run_that_is_ended_leaves_nothing(
    rfl: Rfl, steps: Callable[[str], str], number: signal.Signals
) -> None:
    latest = rfl.results / "latest"
    before = latest.resolve()
    started = rfl.start("qemu-test", steps(STEADY), *DEBIAN, "--files", "ssh")
    assert waited_for(
        lambda: latest.resolve() != before and "sleep 300" in text(latest / "shell.log"), GUEST
    )

    if number is signal.SIGKILL:
        started.kill()
    else:
        os.killpg(started.pid, number)
    run = started.end(ENDS)

    assert run.status in (130, -9), run
    assert not overlays(rfl)
    assert (latest / "ssh_config").exists() == (number is signal.SIGKILL)
    assert "no guest on a disk runs" in rfl("scp", "x", "guest:y").came_to(Verdict.USAGE)
    assert not list(rfl.results.glob("*/ssh_config"))


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.usefixtures("booted")
def test_a_disk_that_fills_up_under_a_guest_is_told(rfl: Rfl, steps: Callable[[str], str]) -> None:
    name = steps("steps:\n  - run: head -c 90M /dev/urandom >/root/big && sync\n")
    folder = rfl.store / "work" / "overlays" / "unnamed"

    run = rfl(
        "qemu-test", name, *DEBIAN, wrapper=with_disk(folder, kilobytes=20_000), timeout=GUEST
    )

    sentence = run.came_to(Verdict.ENVIRONMENT)
    assert "QEMU cannot keep what the guest writes, and has stopped it" in sentence


# ---- a person in it ------------------------------------------------------------------------


@pytest.fixture
def running(rfl: Rfl, debian: DebianImage) -> Started:
    """A guest with hello in it, which a script keeps up until there is a file /run/done."""
    started = rfl.start("shell", "hello", *DEBIAN)
    assert started.process.stdin
    started.process.stdin.write("until [ -e /run/done ]; do sleep 0.1; done; cat /run/done; exit 7")
    started.process.stdin.close()
    started.process.stdin = None
    assert waited_for(lambda: "until" in text(rfl.results / "latest" / "shell.log"), GUEST)
    return started


def test_a_guest_that_runs_is_reached_by_ssh_and_by_scp(
    rfl: Rfl, running: Started, tmp_path: Path
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "word").write_text("from the host\n")

    looked_for(rfl.results / "latest" / "ssh_config", 25)
    assert rfl("ssh", "ls /modules; exit 5", timeout=GUEST).status == 5
    copied = rfl("scp", str(folder), "guest:/root/", timeout=GUEST)
    assert copied.status == 0, copied
    assert rfl("ssh", "cp '/root/a folder/word' /root/back", timeout=GUEST).status == 0
    assert rfl("scp", "guest:/root/back", str(tmp_path), timeout=GUEST).status == 0
    assert (tmp_path / "back").read_text() == "from the host\n"

    assert rfl("ssh", "echo over >/run/done", timeout=GUEST).status == 0
    run = running.end(GUEST)
    assert run.status == 7, run
    assert run.stdout.splitlines()[-1] == "over"


def looked_for(config: Path, times: int) -> None:
    """Look often whether sshd answers; it takes that for an attack, unless told otherwise."""
    (port,) = (line.split()[1] for line in config.read_text().splitlines() if "Port" in line)
    for _ in range(times):
        assert ssh.has_banner(int(port), 10.0)


def test_a_command_by_ssh_boots_a_guest_for_it_and_gives_its_status(rfl: Rfl) -> None:
    run = rfl("ssh", "uname -m; cat /etc/hostname; exit 3", timeout=GUEST)

    assert run.status == 3, run
    assert run.stdout.splitlines()[-2:] == ["aarch64", "debian"]


def test_a_person_has_a_root_shell_with_the_modules(rfl: Rfl) -> None:
    with rfl.on_terminal("shell", "hello", *DEBIAN, timeout=GUEST) as terminal:
        terminal.expect_exact(PROMPT)
        terminal.sendline("echo $((6 * 7)) $(id -un) $(ls /modules) $(stty size)")
        terminal.expect_exact("42 root hello.ko 40 120")
        terminal.expect_exact(PROMPT)
        terminal.send("\x04")
        ended(terminal)
    assert not list(rfl.results.glob("*/ssh_config"))


def test_a_person_at_the_console_logs_in_and_leaves(rfl: Rfl) -> None:
    with rfl.on_terminal("console", timeout=GUEST) as terminal:
        terminal.expect_exact("login      root, password root")
        terminal.expect_exact("debian login: ")
        terminal.sendline("root")
        terminal.expect_exact("Password: ")
        terminal.sendline("root")
        terminal.expect_exact(PROMPT)
        terminal.sendline("echo $((6 * 7)) $(id -un)")
        terminal.expect_exact("42 root")
        terminal.send("\x01x")
        ended(terminal)


def ended(terminal: pexpect.spawn[str]) -> None:
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0


# ---- what stays ----------------------------------------------------------------------------


def test_what_a_run_writes_is_kept_and_its_file_system_is_whole(
    rfl: Rfl, debian: DebianImage, tmp_path: Path
) -> None:
    kept = tmp_path / "mine.qcow2"

    first = rfl(
        "shell", *DEBIAN, "--persist", str(kept), stdin="echo mine >/root/word", timeout=GUEST
    )
    assert first.status == 0, first
    debian.assert_clean(tmp_path, kept)

    second = rfl("ssh", "cat /root/word", "--persist", str(kept), timeout=GUEST)
    assert second.status == 0, second
    assert second.stdout.splitlines()[-1] == "mine"
    debian.assert_clean(tmp_path, kept)


def test_a_run_that_is_interrupted_leaves_what_it_keeps_whole(
    rfl: Rfl, debian: DebianImage, steps: Callable[[str], str], tmp_path: Path
) -> None:
    kept = tmp_path / "mine.qcow2"
    latest = rfl.results / "latest"
    before = latest.resolve()
    name = steps(STEADY.replace("steps:\n", "steps:\n  - run: echo mine >/root/word\n"))
    started = rfl.start("qemu-test", name, *DEBIAN, "--persist", str(kept))
    assert waited_for(
        lambda: latest.resolve() != before and "sleep 300" in text(latest / "shell.log"), GUEST
    )

    os.killpg(started.pid, signal.SIGINT)
    run = started.end(ENDS)

    assert run.status == 130, run
    raw = debian.raw(tmp_path, kept)  # as it is, without what its journal would bring back
    read = debian.tool("debugfs", "-R", "cat /root/word", str(raw), folder=tmp_path)
    assert "mine" in read.stdout.splitlines()
    debian.assert_clean(tmp_path, kept)


def test_a_file_that_keeps_is_one_guests_at_a_time(
    rfl: Rfl, debian: DebianImage, tmp_path: Path
) -> None:
    kept = tmp_path / "mine.qcow2"
    started = rfl.start("shell", *DEBIAN, "--persist", str(kept))
    assert waited_for(
        lambda: any("qemu-system" in name for name in started.children().values()), GUEST
    )

    for words in (["qemu-test", "hello"], ["shell"], ["ssh", "true"]):
        run = rfl(*words, *DEBIAN, "--persist", str(kept), timeout=GUEST)
        sentence = run.came_to(Verdict.USAGE)
        assert sentence.startswith(f"--persist: another guest runs on {kept}: wait for its end")
    assert started.end(GUEST, "true").status == 0
    debian.assert_clean(tmp_path, kept)


def test_a_file_that_lies_on_another_image_is_refused(
    rfl: Rfl, debian: DebianImage, tmp_path: Path
) -> None:
    for name in ("other.qcow2", "own.qcow2"):
        made = debian.tool("qemu-img", "create", "-f", "qcow2", name, "8M", folder=tmp_path)
        assert made.returncode == 0, made.stdout
    words = ["create", "-f", "qcow2", "-F", "qcow2", "-b", str(tmp_path / "other.qcow2")]
    assert debian.tool("qemu-img", *words, "on.qcow2", folder=tmp_path).returncode == 0

    for name, base in (("own.qcow2", "nothing"), ("on.qcow2", tmp_path / "other.qcow2")):
        path = tmp_path / name
        before = path.read_bytes()
        sentence = rfl.test("hello", *DEBIAN, "--persist", str(path)).came_to(Verdict.USAGE)
        assert sentence.startswith(f"--persist: {path} was made on {base}, and not on ")
        assert path.read_bytes() == before
