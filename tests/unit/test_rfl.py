"""./rfl: sets up its virtual environment once, then hands everything over.

Python is a little script here, which notes what it is asked to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]
TOOLS = (
    "sh",
    "basename",
    "cat",
    "dirname",
    "flock",
    "mkdir",
    "readlink",
    "touch",
    "chmod",
    "sleep",
)

PYTHON = r"""
case $* in
*version_info*) exit 0 ;;
*ensurepip*) exit ${NO_ENSUREPIP:-0} ;;
"-m venv --clear "*)
	echo venv >>"$LOG"
	mkdir -p "$4/bin"
	cat >"$4/bin/python" <<'END'
#!/bin/sh
printf '<%s>' "$@"
exit ${STATUS:-0}
END
	cat >"$4/bin/pip" <<'END'
#!/bin/sh
sleep 0.1
echo "pip $*" >>"$LOG"
echo "talking"
exit ${PIP_STATUS:-0}
END
	chmod +x "$4/bin/python" "$4/bin/pip"
	;;
esac
"""


class Checkout:
    """A checkout with `rfl` and pins, on a machine with a few tools."""

    def __init__(self, folder: Path, path: Path, log: Path) -> None:
        self.folder = folder
        self.path = path
        self._log = log

    def start(
        self, *words: str, rfl: Path | None = None, cwd: Path | None = None, **environ: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [rfl or self.folder / "rfl", *words],
            cwd=cwd,
            env={"PATH": str(self.path), "LOG": str(self._log), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *words: str, rfl: Path | None = None, cwd: Path | None = None, **environ: str
    ) -> tuple[int, str, str]:
        """The exit status, what was printed, and the complaints."""
        child = self.start(*words, rfl=rfl, cwd=cwd, **environ)
        output, complaints = child.communicate(timeout=60)
        return child.returncode, output, complaints

    def log(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def set_up_count(self) -> int:
        return len([line for line in self.log() if "--requirement" in line])


@pytest.fixture
def checkout(tmp_path: Path, repository: Path, make_program: Make) -> Checkout:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(repository / "rfl", folder)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).touch()
        os.utime(folder / name, (1000, 1000))
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (path / tool).symlink_to(found)
    make_program(path / "id", "echo 1000")
    make_program(path / "python3", PYTHON)
    return Checkout(folder, path, tmp_path / "log")


# ---- handing over -------------------------------------------------------------------------


def test_arguments_are_handed_over_as_they_are(checkout: Checkout) -> None:
    _, output, _ = checkout.run("qemu-test", "a b", "", "--x=*")

    assert output.endswith("<-m><rflbuild><qemu-test><a b><><--x=*>")


def test_the_exit_code_comes_back(checkout: Checkout) -> None:
    assert checkout.run("doctor", STATUS="4")[0] == 4


def test_a_link_to_it_works_from_anywhere(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(checkout.folder / "rfl")

    assert checkout.run("doctor", rfl=link, cwd=tmp_path)[0] == 0
    assert (checkout.folder / ".venv").is_dir()


def test_setting_up_prints_nothing_on_stdout(checkout: Checkout) -> None:
    _, output, complaints = checkout.run("qemu-test", "--json")

    assert output.startswith("<")
    assert "setting up" in complaints
    assert "talking" in complaints


# ---- setting up ---------------------------------------------------------------------------


def test_the_first_call_installs_the_pins_and_the_next_goes_straight_through(
    checkout: Checkout,
) -> None:
    checkout.run("doctor")
    (call,) = [line for line in checkout.log() if "--requirement" in line]
    _, _, complaints = checkout.run("doctor")

    assert call.endswith(f"--requirement {checkout.folder}/requirements.txt")
    assert (checkout.set_up_count(), complaints) == (1, "")


def test_changed_pins_are_installed(checkout: Checkout) -> None:
    checkout.run("doctor")
    os.utime(checkout.folder / "requirements.txt", (2**31, 2**31))
    checkout.run("doctor")

    assert checkout.set_up_count() == 2


def test_tests_need_the_pins_of_developers(checkout: Checkout) -> None:
    checkout.run("test")

    assert any(line.endswith("/requirements-dev.txt") for line in checkout.log())


def test_two_first_calls_at_once_set_up_once(checkout: Checkout) -> None:
    children = [checkout.start("doctor") for _ in range(2)]
    for child in children:
        child.communicate(timeout=60)

    assert [child.returncode for child in children] == [0, 0]
    assert checkout.set_up_count() == 1


# ---- what is missing ----------------------------------------------------------------------


def last_line(text: str) -> str:
    return text.splitlines()[-1]


@pytest.mark.parametrize("what", ["none", "one that is too old"])
def test_without_a_python_that_is_new_enough_it_says_what_to_type(
    checkout: Checkout, make_program: Make, what: str
) -> None:
    (checkout.path / "python3").unlink()
    if what != "none":
        make_program(checkout.path / "python3", "exit 1")

    status, _, complaints = checkout.run("doctor")

    assert status == 6
    assert complaints.startswith("environment: there is no Python 3.11")
    assert "sudo apt install python3" in complaints


def test_another_python_is_taken_when_the_first_is_too_old(
    checkout: Checkout, make_program: Make
) -> None:
    (checkout.path / "python3").rename(checkout.path / "python3.12")
    make_program(checkout.path / "python3", "exit 1")

    assert checkout.run("doctor")[0] == 0


def test_without_venv_an_ordinary_user_is_told_what_to_type(checkout: Checkout) -> None:
    status, _, complaints = checkout.run("doctor", NO_ENSUREPIP="1")

    assert status == 6
    assert "sudo apt install python3-venv" in last_line(complaints)


def test_without_a_network_it_says_so_and_the_next_call_tries_again(checkout: Checkout) -> None:
    status, output, complaints = checkout.run("doctor", PIP_STATUS="1")

    assert (status, output) == (6, "")
    assert last_line(complaints).startswith("environment: the packages of ")
    assert "network" in last_line(complaints)
    assert checkout.run("doctor")[0] == 0


# ---- whose code runs ----------------------------------------------------------------------


def write_package(folder: Path, says: str) -> None:
    (folder / "rflbuild").mkdir(parents=True)
    (folder / "rflbuild" / "__main__.py").write_text(f"print({says!r})\n")


@pytest.fixture
def real(checkout: Checkout) -> Callable[[Path], None]:
    """Gives the checkout a real virtual environment, in which it is installed from a folder."""

    def make(installed_from: Path) -> None:
        venv = checkout.folder / ".venv"
        packages = venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        packages.mkdir(parents=True)
        (packages / "rflbuild.pth").write_text(f"{installed_from}\n")
        base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
        (venv / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
        (venv / "bin").mkdir()
        (venv / "bin" / "python").symlink_to(base)
        (venv / "installed-requirements.txt").touch()
        write_package(checkout.folder, "this checkout")

    return make


def test_the_code_that_runs_is_the_checkouts_own(
    checkout: Checkout, real: Callable[[Path], None], tmp_path: Path
) -> None:
    real(checkout.folder)

    assert checkout.run("doctor", cwd=tmp_path) == (0, "this checkout\n", "")


def test_what_lies_in_the_current_folder_is_not_run(
    checkout: Checkout, real: Callable[[Path], None], tmp_path: Path
) -> None:
    real(checkout.folder)
    write_package(tmp_path / "elsewhere", "what lies here")

    assert checkout.run("doctor", cwd=tmp_path / "elsewhere")[1] == "this checkout\n"


def test_a_checkout_that_was_copied_runs_its_own_code(
    checkout: Checkout, real: Callable[[Path], None], tmp_path: Path
) -> None:
    write_package(tmp_path / "before", "the one it was copied from")
    real(tmp_path / "before")

    assert checkout.run("doctor", cwd=tmp_path)[1] == "this checkout\n"
