"""sandbox: what a command sees in the private root."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import sandbox

WORK = Path("/home/me/work")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root as mmdebstrap makes it, with /bin and /lib merged into /usr."""
    path = tmp_path / "root"
    for name in ("etc", "var", "usr/bin", "usr/lib", "usr/local", "usr/src/rustc-1.85.1"):
        (path / name).mkdir(parents=True)
    for name in ("bin", "lib"):
        (path / name).symlink_to(f"usr/{name}")
    return path


def binds(command: list[str], option: str) -> dict[str, str]:
    """What an option of two arguments maps to what."""
    return {
        command[number + 2]: command[number + 1]
        for number, word in enumerate(command[: command.index("--")])
        if word == option
    }


def test_the_command_comes_last_and_as_it_is(root: Path) -> None:
    command = sandbox.enter(root, ["make", "-j2", "a b"], cwd=WORK)

    assert command[0] == "bwrap"
    assert command[command.index("--") :] == ["--", "make", "-j2", "a b"]


def test_the_command_runs_in_the_given_folder(root: Path) -> None:
    command = sandbox.enter(root, ["true"], cwd=WORK)

    assert command[command.index("--chdir") + 1] == str(WORK)


def test_the_roots_own_parts_are_read_only(root: Path) -> None:
    command = sandbox.enter(root, ["true"], cwd=WORK)

    assert binds(command, "--ro-bind")["/usr/bin"] == str(root / "usr/bin")
    assert binds(command, "--ro-bind")["/etc"] == str(root / "etc")
    assert binds(command, "--bind") == {}


def test_merged_folders_are_links(root: Path) -> None:
    command = sandbox.enter(root, ["true"], cwd=WORK)

    assert binds(command, "--symlink") == {"/bin": "usr/bin", "/lib": "usr/lib"}


def test_the_places_of_a_users_own_trees_are_left_free(root: Path) -> None:
    shared = binds(sandbox.enter(root, ["true"], cwd=WORK), "--ro-bind")

    assert not {"/usr", "/usr/local", "/usr/src"} & shared.keys()
    assert "/usr/src/rustc-1.85.1" in shared


def test_work_folders_are_at_their_own_paths(root: Path) -> None:
    read, write = Path("/srv/linux"), Path("/srv/out")

    command = sandbox.enter(root, ["true"], cwd=WORK, read=[read], write=[write])

    assert binds(command, "--ro-bind")[str(read)] == str(read)
    assert binds(command, "--bind") == {str(write): str(write)}


def test_a_folder_to_write_in_may_lie_in_one_to_read(root: Path) -> None:
    # bwrap obeys in order: were the outer one bound last, it would hide the inner one.
    command = sandbox.enter(root, ["true"], cwd=WORK, read=[Path("/srv")], write=[Path("/srv/out")])

    assert command.index("/srv") < command.index("/srv/out")


def test_the_tools_are_the_roots_whatever_the_path_outside(root: Path) -> None:
    command = sandbox.enter(root, ["true"], cwd=WORK)

    assert binds(command, "--setenv") == {"/usr/sbin:/usr/bin": "PATH"}
