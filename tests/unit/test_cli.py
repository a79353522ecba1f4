"""cli and `python -m rflbuild`: one sentence and one exit code for each end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import cli
from rflbuild.session import Session
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from rflbuild.verdict import RflError, Verdict

Start = Callable[..., subprocess.Popen[str]]
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs an action as a task does, with a store of the test's own; returns the exit code."""
    monkeypatch.setenv("RFLBUILD_CACHE", str(tmp_path / "cache"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def call(action: Callable[[Session], int], *, json: bool = False, debug: bool = False) -> int:
        return cli._run(action, json, debug, 1)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def raises(error: BaseException) -> Callable[[Session], int]:
    def action(_session: Session) -> int:
        raise error

    return action


# ---- ends ---------------------------------------------------------------------------------


def test_an_actions_own_exit_code_is_the_programs(run: Run) -> None:
    assert run(lambda _: 4) == 4


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASS])
def test_an_error_is_one_sentence_and_its_verdicts_exit_code(
    run: Run, verdict: Verdict, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(raises(RflError(verdict, "this is wrong")))

    assert code == verdict.exit_code
    assert capsys.readouterr() == ("", f"{verdict}: this is wrong\n")


def test_the_detail_of_an_error_comes_before_its_sentence(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(raises(RflError(Verdict.BUILD_ERROR, "it does not build", "error: x\n  --> y")))

    assert capsys.readouterr().err == "error: x\n  --> y\nbuild-error: it does not build\n"


@pytest.mark.parametrize("error", [RflError(Verdict.FAIL, "x"), OSError(errno.ENOSPC, "full")])
@pytest.mark.parametrize("debug", [True, False])
def test_a_traceback_is_shown_only_when_asked_for(
    run: Run, error: Exception, debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run(raises(error), debug=debug)

    assert ("Traceback" in capsys.readouterr().err) is debug


def test_a_full_disk_is_an_environment_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(raises(OSError(errno.ENOSPC, "No space left on device")))

    assert code == 6
    assert capsys.readouterr().err.startswith("environment: the disk of ")


def test_a_forbidden_file_is_an_environment_error_that_names_it(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(raises(PermissionError(errno.EACCES, "Permission denied", "/some/file")))

    assert code == 6
    assert "/some/file: Permission denied" in capsys.readouterr().err


def test_a_store_that_cannot_be_made_is_an_environment_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RFLBUILD_CACHE", str(tmp_path / "file" / "cache"))

    assert run(lambda _: 0) == 6
    assert f"{tmp_path}/file" in capsys.readouterr().err


def test_ctrl_c_is_130(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raises(KeyboardInterrupt())) == 130
    assert "SIGINT" in capsys.readouterr().err


def test_a_mistake_of_our_own_is_not_hidden(run: Run) -> None:
    with pytest.raises(ZeroDivisionError):
        run(raises(ZeroDivisionError()))


def test_with_json_the_lines_for_people_are_not_on_stdout(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def action(session: Session) -> int:
        session.terminal.line("for people")
        return 0

    run(action, json=True)

    assert capsys.readouterr() == ("", "for people\n")


# ---- signals ------------------------------------------------------------------------------

WAITS = """
import sys
from rflbuild import cli
def action(session):
    print("waiting", flush=True)
    script = "echo $$; exec sleep 60"
    session.processes.run(["sh", "-c", script], timeout=60, on_line=lambda s: print(s, flush=True))
    return 0
sys.exit(cli._run(action, False, False, 1))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_children_and_then_us(
    start_python: Start,
    is_alive: Callable[[int], bool],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    child = start_python(WAITS, RFLBUILD_CACHE=str(tmp_path / "cache"))
    assert child.stdout
    child.stdout.readline()
    pid = int(child.stdout.readline())
    child.send_signal(number)
    _, complaints = child.communicate(timeout=30)

    assert child.returncode == code
    assert complaints.startswith(f"interrupted by {number.name}; ")
    assert "Traceback" not in complaints
    assert not is_alive(pid)


# ---- a reader that is gone ----------------------------------------------------------------

WRITES = """
import sys
from rflbuild import cli
def action(session):
    {}
    return 0
sys.exit(cli._run(action, False, False, 1))
"""


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        pytest.param("print('x' * 1_000_000)", {141}, id="much"),
        pytest.param("print('x')", {141}, id="little"),
        pytest.param("session.terminal.line('x')", {0, 141}, id="on the terminal"),
    ],
)
def test_a_reader_that_is_gone_is_no_reason_for_noise(
    tmp_path: Path, statement: str, codes: set[int], repository: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", WRITES.format(statement)],
        env={"RFLBUILD_CACHE": str(tmp_path), "PYTHONPATH": str(repository)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)

    assert done.stderr == ""
    assert done.returncode in codes


# ---- the store's place --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/rflbuild"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/rflbuild"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "RFLBUILD_CACHE": "/r"}, "/r"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "", "RFLBUILD_CACHE": ""}, "/h/.cache/rflbuild"),
        ({"HOME": "/h", "RFLBUILD_CACHE": "~/r"}, "/h/r"),
    ],
)
def test_the_store_is_where_the_nearest_setting_says(
    environ: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", environ["HOME"])

    assert cli.cache_folder(environ) == Path(folder)


def test_a_relative_setting_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.cache_folder({"RFLBUILD_CACHE": "cache"}) == tmp_path / "cache"


# ---- the session --------------------------------------------------------------------------


@pytest.fixture
def children_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], str | None]:
    """What a child finds in its environment for a variable that is set around us."""

    def ask(name: str, value: str) -> str | None:
        monkeypatch.setenv(name, value)
        with cli.session(Terminal(sys.stdout), Store(tmp_path), 1) as session:
            found = session.processes.run(["env", "-0"], timeout=10).output
        return dict(pair.split("=", 1) for pair in found.split("\0") if pair).get(name)

    return ask


@pytest.mark.parametrize(
    "name",
    [
        "KCFLAGS",
        "KAFLAGS",
        "KRUSTFLAGS",
        "RUSTFLAGS",
        "ARCH",
        "LLVM",
        "CROSS_COMPILE",
        "CC",
        "MAKEFLAGS",
        "KBUILD_OUTPUT",
        "KBUILD_EXTMOD",
        "KCONFIG_CONFIG",
        "LD_PRELOAD_X",
        "PYTHONPATH",
        "GIT_DIR",
    ],
)
def test_what_would_change_a_build_does_not_reach_it(
    children_see: Callable[[str, str], str | None], name: str
) -> None:
    assert children_see(name, "/x") is None


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "TMPDIR",
        "http_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "RUSTUP_HOME",
        "LIBCLANG_PATH",
        "SSH_AUTH_SOCK",  # for git+ssh://
    ],
)
def test_what_finds_tools_and_the_network_does(
    children_see: Callable[[str, str], str | None], name: str
) -> None:
    value = os.environ["PATH"] if name == "PATH" else "/x"

    assert children_see(name, value) == value


def test_the_jobs_are_one_for_each_cpu_unless_they_are_given(tmp_path: Path) -> None:
    counts = []
    for jobs in (0, 3):
        with cli.session(Terminal(sys.stdout), Store(tmp_path), jobs) as session:
            counts.append(session.jobs)

    assert counts == [len(os.sched_getaffinity(0)), 3]


@pytest.mark.parametrize(("value", "mirror"), [("", None), ("http://m/debian", "http://m/debian")])
def test_the_mirror_may_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, mirror: str | None
) -> None:
    monkeypatch.setenv("RFLBUILD_MIRROR", value)

    with cli.session(Terminal(sys.stdout), Store(tmp_path), 1) as session:
        assert session.mirror == mirror


# ---- python -m rflbuild -------------------------------------------------------------------


def rfl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    repository = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "rflbuild", *words],
        cwd=folder,
        env={
            "PATH": str(folder / "no programs"),  # so that a mistake that passes does no work
            "HOME": str(folder),
            "RFLBUILD_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(repository),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("qemu-tset hello", "qemu-tset"),
        ("qemu-test", "target"),
        ("qemu-test hello --nope", "--nope"),
        ("kernel --jobs many", "many"),
        ("kernel --jobs -1", "jobs"),
        ("qemu-test hello --timeout -5", "timeout"),
        ("qemu-test hello --timeout inf", "timeout"),
        ("qemu-test hello --timeout nan", "timeout"),
        ("qemu-test hello --arch sparc", "sparc"),
        ("qemu-test helo", "`hello`"),
        ("new-module Match", "`Match`"),
        ("new-module mine --kind nope", "`nope`"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_exit_code_2(
    tmp_path: Path, line: str, word: str
) -> None:
    done = rfl(tmp_path, *line.split())

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert len(done.stderr.splitlines()) == 1
    assert word in done.stderr


def test_the_tasks_are_listed_from_any_folder(tmp_path: Path) -> None:
    done = rfl(tmp_path, "--list")

    assert done.returncode == 0
    for task in ("doctor", "kernel", "new-module", "qemu-test", "shell", "status"):
        assert f"\n  {task} " in done.stdout


@pytest.mark.parametrize("task", ["qemu-test", "scp", "emit", "shell"])
def test_a_task_tells_its_options_whether_it_wants_a_name_or_not(tmp_path: Path, task: str) -> None:
    done = rfl(tmp_path, task, "--help")

    assert done.returncode == 0
    assert done.stdout == rfl(tmp_path, "--help", task).stdout
    assert f" {task} [--options]" in done.stdout
