"""debian: what is asked of apt, and what is made of its answers.

apt-get, apt-cache and dpkg-deb are little scripts here; they answer as Debian's do.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import debian
from rflbuild.debian import Archive, Package
from rflbuild.process import Processes
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict

Make = Callable[..., Path]

MADISON = """\
linux-source-7.3 | 7.3.4-1~bpo13+1 | http://mirror/debian trixie-backports/main amd64 Packages
linux-source-7.3 | 7.3.2-1~bpo13+1 | http://mirror/debian trixie-backports/main amd64 Packages
"""
SEARCH = """\
linux-source-7.3 - Linux kernel source for version 7.3 with Debian patches
linux-source-6.12 - Linux kernel source for version 6.12 with Debian patches
"""
UNREACHABLE = """\
Ign:1 http://mirror/debian trixie InRelease
Err:1 http://mirror/debian trixie InRelease
  Could not resolve 'mirror'
W: Failed to fetch http://mirror/debian/dists/trixie/InRelease
E: Some index files failed to download.
"""


@pytest.fixture
def bin_folder(tmp_path: Path, make_program: Make) -> Path:
    """Programs that note how they were called, and do as apt does."""
    folder = tmp_path / "bin"
    log = tmp_path / "calls"
    make_program(
        folder / "apt-get",
        f'echo "apt-get $*" >>{log}\n'
        "for word; do case $word in linux*=*) touch ${word%%=*}_x_all.deb ;; esac; done",
    )
    make_program(folder / "apt-cache", f'echo "apt-cache $*" >>{log}')
    make_program(folder / "dpkg-deb", 'mkdir -p "$3/usr/src" && touch "$3/usr/src/$(basename $2)"')
    return folder


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    """How the programs were called so far."""
    log = tmp_path / "calls"
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def apt_session(session: Session, environ: dict[str, str], bin_folder: Path) -> Iterator[Session]:
    """A session in which apt's programs are ours, and the mirror is set."""
    path = f"{bin_folder}{os.pathsep}{environ['PATH']}"
    with Processes({**environ, "PATH": path}) as processes:
        yield dataclasses.replace(session, processes=processes, mirror="http://mirror/debian")


@pytest.fixture
def archive(apt_session: Session) -> Archive:
    return Archive(apt_session, ["trixie", "trixie-backports"])


def answers(make_program: Make, program: Path, text: str, status: int = 0) -> None:
    make_program(program, f"cat <<'END'\n{text}END\nexit {status}")


def environment(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.ENVIRONMENT
    return caught.value.sentence


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


# ---- the archive --------------------------------------------------------------------------


def test_the_newest_version_is_the_first_that_apt_lists(
    archive: Archive, bin_folder: Path, make_program: Make
) -> None:
    answers(make_program, bin_folder / "apt-cache", MADISON)

    assert archive.newest("linux-source-7.3") == Package(
        "linux-source-7.3", "7.3.4-1~bpo13+1", "trixie-backports"
    )


def test_a_package_that_no_suite_has_is_none(archive: Archive) -> None:
    assert archive.newest("linux-source-9.9") is None


def test_a_search_gives_names_in_order(
    archive: Archive, bin_folder: Path, make_program: Make
) -> None:
    answers(make_program, bin_folder / "apt-cache", SEARCH)

    assert archive.search("^linux-source") == ["linux-source-6.12", "linux-source-7.3"]


def test_the_lists_are_fetched_once(archive: Archive, calls: Callable[[], list[str]]) -> None:
    archive.newest("a")
    archive.newest("b")

    assert len([call for call in calls() if call.endswith(" update")]) == 1


def test_the_lists_are_of_every_suite_at_the_mirror_and_signed(
    archive: Archive, apt_session: Session
) -> None:
    archive.newest("a")
    (path,) = (apt_session.store.root / "work" / "apt").rglob("sources.list")

    signed = f"deb [signed-by={debian.KEYRING}] http://mirror/debian"
    assert path.read_text() == f"{signed} trixie main\n{signed} trixie-backports main\n"


def test_apt_keeps_to_folders_of_its_own(
    archive: Archive, apt_session: Session, calls: Callable[[], list[str]]
) -> None:
    archive.newest("a")

    for call in calls():
        options = dict(word[2:].split("=", 1) for word in call.split() if word.startswith("-o"))
        for name in ("Dir::Etc::SourceList", "Dir::State::Lists", "Dir::Cache"):
            assert options[name].startswith(str(apt_session.store.root))
        assert options["Dir::Etc::SourceParts"] == "/dev/null"


def test_another_architecture_is_asked_for(
    apt_session: Session, calls: Callable[[], list[str]]
) -> None:
    Archive(apt_session, ["trixie"], "arm64").newest("busybox-static")

    assert all("-oAPT::Architecture=arm64" in call.split() for call in calls())


def test_a_package_is_unpacked_and_its_deb_is_gone(archive: Archive, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    archive.unpack(Package("linux-source-7.3", "7.3.4-1", "sid"), into)

    assert sorted(str(path.relative_to(into)) for path in into.rglob("*")) == [
        "usr",
        "usr/src",
        "usr/src/linux-source-7.3_x_all.deb",
    ]


def test_just_the_version_that_was_found_is_fetched(
    archive: Archive, tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    archive.unpack(Package("linux-source-7.3", "7.3.4-1", "sid"), tmp_path / "into")

    assert any(call.endswith(" download linux-source-7.3=7.3.4-1") for call in calls())


def test_a_mirror_that_does_not_answer_is_an_environment_error_with_apts_words(
    archive: Archive, apt_session: Session, bin_folder: Path, make_program: Make
) -> None:
    answers(make_program, bin_folder / "apt-get", UNREACHABLE, 100)

    said = environment(lambda: archive.newest("a"))

    assert "E: Some index files failed to download." in said
    assert "network" in said
    (log,) = (apt_session.store.root / "work" / "logs" / "apt").glob("*.log")
    assert str(log) in said
    assert log.read_text() == UNREACHABLE


def test_a_package_that_must_be_there_and_is_not_is_a_usage_error() -> None:
    with pytest.raises(RflError) as caught:
        debian.require(None, "busybox-static", ["trixie", "sid"])

    assert caught.value.verdict is Verdict.USAGE
    assert "busybox-static in trixie, sid" in caught.value.sentence


NO_SUITE = """\
Ign:1 http://mirror/debian trixi InRelease
Err:2 http://mirror/debian trixi Release
  404  Not Found [IP: 203.0.113.80 80]
E: The repository 'http://mirror/debian trixi Release' does not have a Release file.
"""


def test_a_suite_that_the_archive_does_not_have_is_a_usage_error(
    archive: Archive, bin_folder: Path, make_program: Make
) -> None:
    answers(make_program, bin_folder / "apt-get", NO_SUITE, 100)

    said = usage(lambda: archive.newest("a"))

    assert "no suite `trixi`" in said


@pytest.mark.parametrize("name", ["a b", "-o", "Apt", "x", "$(id)", ""])
def test_what_cannot_be_a_package_is_not_looked_for(
    archive: Archive, calls: Callable[[], list[str]], name: str
) -> None:
    assert f"`{name}`" in usage(lambda: archive.check(["apt", name]))
    assert calls() == []


def test_packages_that_are_all_there_are_looked_for_once(
    archive: Archive,
    bin_folder: Path,
    make_program: Make,
    tmp_path: Path,
) -> None:
    log = tmp_path / "asked"
    make_program(bin_folder / "apt-cache", f'echo "$*" >>{log}; echo "g++ - x"; echo "apt - y"')

    archive.check(["apt", "g++"])

    (asked,) = log.read_text().splitlines()
    assert asked.endswith(r"search --names-only ^(apt|g\+\+)$")


def test_a_package_that_is_not_there_is_told_with_near_names(
    archive: Archive, bin_folder: Path, make_program: Make
) -> None:
    answers(make_program, bin_folder / "apt-cache", "strace - x\nstress - y\nzsh - z\n")

    said = usage(lambda: archive.check(["starce"]))

    assert said.startswith("Debian has no package starce in trixie, trixie-backports; near names:")
    assert "strace" in said
    assert "zsh" not in said


def test_the_mirror_of_the_setting_is_the_mirror(apt_session: Session) -> None:
    assert debian.mirror_of(apt_session, "trixie") == "http://mirror/debian"


# ---- what the host needs ------------------------------------------------------------------


@pytest.fixture
def host(
    tmp_path: Path,
    bin_folder: Path,
    apt_session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """A host that has the keyring and the programs of `bin_folder`, and no more."""
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(debian, "KEYRING", keyring)
    monkeypatch.setenv("PATH", str(bin_folder))
    return apt_session


def test_what_the_host_lacks_is_named_by_package(
    host: Session, bin_folder: Path, make_program: Make
) -> None:
    make_program(bin_folder / "mmdebstrap")

    assert debian.missing_host_packages() == ["bubblewrap", "uidmap"]


def test_a_keyring_that_is_missing_is_a_package_too(
    host: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "gone")

    assert "debian-archive-keyring" in debian.missing_host_packages()


def test_a_host_that_lacks_nothing_is_left_alone(
    host: Session, bin_folder: Path, make_program: Make, calls: Callable[[], list[str]]
) -> None:
    for program in debian.HOST_PACKAGES:
        make_program(bin_folder / program)
    debian.install_host_packages(host)

    assert calls() == []


def test_a_host_without_apt_is_told_what_to_do(host: Session, bin_folder: Path) -> None:
    (bin_folder / "apt-get").unlink()

    said = environment(lambda: debian.install_host_packages(host))

    assert "mmdebstrap, bubblewrap, uidmap" in said
    assert "no apt" in said
    assert "--toolchain system" in said


def test_root_installs_what_is_missing(
    host: Session, monkeypatch: pytest.MonkeyPatch, calls: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    debian.install_host_packages(host)

    assert calls()[-1].endswith("mmdebstrap bubblewrap uidmap")
    assert "install --yes" in calls()[-1]


def test_a_user_without_sudo_is_told_what_to_type(
    host: Session, monkeypatch: pytest.MonkeyPatch, calls: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    said = environment(lambda: debian.install_host_packages(host))

    assert "`sudo apt install mmdebstrap bubblewrap uidmap`" in said
    assert calls() == []


def test_sudo_is_never_left_waiting_for_a_password(
    host: Session, monkeypatch: pytest.MonkeyPatch, bin_folder: Path, make_program: Make
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    make_program(
        bin_folder / "sudo",
        '[ "$1" = --non-interactive ] && echo "sudo: a password is required" && exit 1\nsleep 60',
    )

    said = environment(lambda: debian.install_host_packages(host))

    assert "sudo: a password is required" in said
    assert "`sudo apt install mmdebstrap bubblewrap uidmap`" in said


def test_an_install_that_fails_is_told_with_apts_words(
    host: Session, monkeypatch: pytest.MonkeyPatch, bin_folder: Path, make_program: Make
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    answers(
        make_program,
        bin_folder / "apt-get",
        "Reading package lists...\nE: Unable to locate package mmdebstrap\n",
        100,
    )

    said = environment(lambda: debian.install_host_packages(host))

    assert "E: Unable to locate package mmdebstrap" in said
