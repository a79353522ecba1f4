"""store: each thing is built once and whole, whatever happens while it is."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from rflbuild.store import (
    RESUMABLE,
    Store,
    explain_os_error,
    key_of,
    remove_tree,
    write_atomically,
)
from rflbuild.verdict import RflError, Verdict

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def holds(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def half_then_fail(error: BaseException) -> Callable[[Path], None]:
    def make(into: Path) -> None:
        (into / "half").write_text("half")
        raise error

    return make


# ---- removing -----------------------------------------------------------------------------


def test_what_was_not_used_lately_is_removed_and_the_rest_stays(store: Store) -> None:
    for key in ("old", "used", "new"):
        store.build("kind", key, lambda into: (into / "file").touch())
    work = store.work("module", "idle")
    for path in (store.path("kind", "old"), store.path("kind", "used"), work):
        os.utime(path, (0, 0))
    assert store.has("kind", "used")

    removed = list(store.remove_unused(3600))

    assert removed == [("kind", "old"), ("module", "idle")]
    assert [p.name for p in sorted((store.root / "kind").iterdir())] == ["new", "used"]
    assert not list((store.root / "tmp").iterdir())


def test_one_thing_is_removed_by_its_key(store: Store) -> None:
    for key in ("old", "new"):
        store.build("kind", key, lambda into: (into / "file").touch())

    for _ in range(2):
        store.remove("kind", "old")

    assert [p.name for p in (store.root / "kind").iterdir()] == ["new"]
    assert not list((store.root / "tmp").iterdir())


def test_with_no_time_everything_is_removed(store: Store) -> None:
    store.build("kind", "key", lambda into: (into / "file").touch())

    assert list(store.remove_unused(0)) == [("kind", "key")]
    assert not store.has("kind", "key")


USES_IT = """
import sys, time
from pathlib import Path
from rflbuild.store import Store

store = Store(Path(sys.argv[1]))
with store.in_use():
    assert store.has("kind", "used")
    print("used", flush=True)
    time.sleep(60)
"""


def test_what_a_running_process_uses_stays_until_it_has_ended(
    store: Store, start_python: Start
) -> None:
    for key in ("used", "idle"):
        store.build("kind", key, lambda into: (into / "file").touch())
        os.utime(store.path("kind", key), (0, 0))
    child = start_python(USES_IT, str(store.root))
    assert child.stdout
    child.stdout.readline()

    assert len(store.runs()) == 1
    assert list(store.remove_unused(0)) == [("kind", "idle")]
    child.kill()  # and so it cannot take anything back
    child.wait(10)
    assert list(store.remove_unused(0)) == [("kind", "used")]
    assert store.runs() == []


def test_what_is_in_use_is_not_waited_for(store: Store) -> None:
    store.work("kernel", "busy")
    waits: list[str] = []
    other = Store(store.root, on_wait=waits.append)

    with store.in_use(), store.lock("kernel-busy"):
        store.work("kernel", "busy")
        assert list(other.remove_unused(0)) == []

    assert waits == []
    assert list((store.root / "runs").iterdir()) == []


def test_an_empty_store_has_nothing_to_remove(store: Store) -> None:
    assert list(store.remove_unused(0)) == []


# ---- building -----------------------------------------------------------------------------


def test_what_is_built_is_there_under_its_key(store: Store) -> None:
    path = store.build("kind", "key", lambda into: (into / "file").touch())

    assert store.has("kind", "key")
    assert path == store.path("kind", "key")
    assert (path / "file").is_file()


def test_a_thing_is_built_once(store: Store) -> None:
    made: list[Path] = []
    for _ in range(2):
        store.build("kind", "key", made.append)

    assert len(made) == 1


def test_nothing_is_in_place_while_it_is_built(store: Store) -> None:
    seen: list[bool] = []
    store.build("kind", "key", lambda _: seen.append(store.has("kind", "key")))

    assert seen == [False]


def test_what_is_built_is_moved_into_place_and_not_copied(store: Store) -> None:
    made: list[int] = []
    path = store.build("kind", "key", lambda into: made.append(into.stat().st_ino))

    assert made == [path.stat().st_ino]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)):
        store.build("kind", "key", half_then_fail(error))

    assert not store.has("kind", "key")
    assert list((store.root / "tmp").iterdir()) == []


def test_a_build_begins_in_an_empty_folder_although_another_was_killed_there(store: Store) -> None:
    left = store.root / "tmp" / "kind-key"
    left.mkdir(parents=True)
    (left / "half").touch()

    store.build("kind", "key", lambda into: (into / "file").touch())

    assert holds(store.path("kind", "key")) == {"file": ""}


# ---- builds that can be resumed -----------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_resumable_build_goes_on_where_an_error_ended_it(
    store: Store, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        store.build("kind", "key", half_then_fail(error), resumable=True)
    store.build("kind", "key", lambda into: (into / "rest").touch(), resumable=True)

    assert holds(store.path("kind", "key")) == {"half": "half", "rest": ""}


def test_a_resumable_build_that_failed_is_not_there(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.build("kind", "key", half_then_fail(RuntimeError("broken")), resumable=True)

    assert not store.has("kind", "key")


BUILDS_FOR_EVER = """
import sys, time
from pathlib import Path
from rflbuild.store import Store
def make(into):
    (into / "half").write_text("written by the one that was killed")
    print("building", flush=True)
    time.sleep(60)
Store(Path(sys.argv[1])).build("kind", "key", make, resumable=True)
"""


def kill_in_the_middle(child: subprocess.Popen[str]) -> None:
    assert child.stdout
    assert child.stdout.readline() == "building\n"
    child.kill()
    child.wait(10)


def test_a_resumable_build_that_was_killed_begins_anew(store: Store, start_python: Start) -> None:
    kill_in_the_middle(start_python(BUILDS_FOR_EVER, str(store.root)))

    store.build("kind", "key", lambda into: (into / "whole").touch(), resumable=True)

    assert holds(store.path("kind", "key")) == {"whole": ""}


def test_a_resumed_build_that_was_killed_begins_anew(store: Store, start_python: Start) -> None:
    with pytest.raises(RuntimeError):
        store.build("kind", "key", half_then_fail(RuntimeError("broken")), resumable=True)
    kill_in_the_middle(start_python(BUILDS_FOR_EVER, str(store.root)))

    store.build("kind", "key", lambda into: (into / "whole").touch(), resumable=True)

    assert holds(store.path("kind", "key")) == {"whole": ""}


def test_the_mark_of_a_resumable_build_does_not_stay(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.build("kind", "key", half_then_fail(RuntimeError("broken")), resumable=True)
    path = store.build("kind", "key", lambda _: None, resumable=True)

    assert not (path / RESUMABLE).exists()


# ---- several at once ----------------------------------------------------------------------

BUILDS_SLOWLY = """
import sys, time
from pathlib import Path
from rflbuild.store import Store
def make(into):
    print("made", flush=True)
    time.sleep(0.5)
    (into / "whole").touch()
path = Store(Path(sys.argv[1])).build("kind", "key", make)
assert (path / "whole").exists()
"""


def test_two_processes_at_once_build_a_thing_once(store: Store, start_python: Start) -> None:
    children = [start_python(BUILDS_SLOWLY, str(store.root)) for _ in range(2)]
    ends = [child.communicate(timeout=60) for child in children]

    assert [child.returncode for child in children] == [0, 0]
    assert sorted(output for output, _ in ends) == ["", "made\n"]


LOCKS_FOR_EVER = """
import sys, time
from pathlib import Path
from rflbuild.store import Store
with Store(Path(sys.argv[1])).lock("name"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_released_when_its_holder_is_killed(store: Store, start_python: Start) -> None:
    child = start_python(LOCKS_FOR_EVER, str(store.root))
    assert child.stdout
    child.stdout.readline()
    child.kill()
    child.wait(10)
    waits: list[str] = []

    with Store(store.root, on_wait=waits.append).lock("name"):
        assert waits == []


@pytest.fixture
def held(store: Store) -> Iterator[None]:
    """Another one holds the lock `name`."""
    path = store.root / "locks" / "name"
    path.parent.mkdir(parents=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def hold_for_a_moment(store: Store) -> threading.Thread:
    """Another thread that takes the lock `name` now and leaves it soon."""
    taken, waited = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock("name"):
            taken.set()
            waited.wait(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    return thread


def test_a_lock_is_waited_for_and_the_wait_is_told_of(store: Store) -> None:
    told: list[str] = []
    thread = hold_for_a_moment(store)

    with Store(store.root, on_wait=told.append).lock("name"):
        pass

    thread.join()
    assert len(told) == 1
    assert "name" in told[0]


def test_a_quiet_wait_is_not_told_of(store: Store) -> None:
    told: list[str] = []
    thread = hold_for_a_moment(store)

    with Store(store.root, on_wait=told.append).lock("name", quiet=True):
        pass

    thread.join()
    assert told == []


@pytest.mark.usefixtures("held")
def test_a_wait_for_a_lock_can_be_interrupted(store: Store) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt), store.lock("name"):
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("held")
def test_other_things_are_built_while_a_lock_is_held(store: Store) -> None:
    store.build("other", "key", lambda _: None)

    assert store.has("other", "key")


# ---- files --------------------------------------------------------------------------------

WRITES_FOR_EVER = """
import itertools, sys
from pathlib import Path
from rflbuild.store import write_atomically
path = Path(sys.argv[1])
for letter in itertools.cycle(["a", "b"]):
    write_atomically(path, letter * 400_000)
    print("written", flush=True)
"""


def test_a_reader_and_a_crash_never_see_half_a_file(tmp_path: Path, start_python: Start) -> None:
    path = tmp_path / "file"
    child = start_python(WRITES_FOR_EVER, str(path))
    assert child.stdout
    child.stdout.readline()
    seen = [path.read_bytes() for _ in range(20)]
    child.kill()
    child.wait(10)
    seen.append(path.read_bytes())

    assert {len(content) for content in seen} == {400_000}
    assert all(len(set(content)) == 1 for content in seen)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udcff")

    assert holds(tmp_path) == {"file": "old"}


def test_a_file_that_cannot_take_its_place_is_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "folder", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_note_is_remembered(store: Store) -> None:
    store.note("name", {"seconds": 1.5})

    assert store.noted("name") == {"seconds": 1.5}


def test_there_is_no_note_of_an_unknown_name(store: Store) -> None:
    assert store.noted("name") is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"null", b"\xff\xfe\x00", b'{"a": '])
def test_a_note_that_is_garbage_counts_as_none(store: Store, garbage: bytes) -> None:
    store.note("name", {"a": 1})
    (store.root / "notes" / "name.json").write_bytes(garbage)

    assert store.noted("name") is None


def test_a_work_folder_keeps_what_is_in_it(store: Store) -> None:
    (store.work("kind", "name") / "file").touch()

    assert (store.work("kind", "name") / "file").exists()


# ---- removing -----------------------------------------------------------------------------

REMOVES = """
import os, sys
from pathlib import Path
from rflbuild.store import remove_tree
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)  # whom a folder's mode holds back
remove_tree(Path("tree"))
print(os.listdir())
"""


def test_read_only_folders_are_removed(start_python: Start) -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        (tree / "folder").mkdir(parents=True)
        (tree / "folder" / "file").touch()
        if os.geteuid() == 0:
            for path in (Path(name), tree, tree / "folder", tree / "folder" / "file"):
                shutil.chown(path, 65534)
        (tree / "folder").chmod(0o555)
        output, complaints = start_python(REMOVES, name).communicate(timeout=60)

    assert (output, complaints) == ("[]\n", "")


FAILS_TO_REMOVE = """
import os, sys
from pathlib import Path
from rflbuild.store import remove_tree
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    remove_tree(Path("folder/tree"))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_folder_that_cannot_be_removed_is_an_error(start_python: Start) -> None:
    # A build that went on in it would take over what was left there half-written.
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "folder", "tree")
        tree.mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (Path(name), tree):
                shutil.chown(path, 65534)
        tree.parent.chmod(0o555)
        output, complaints = start_python(FAILS_TO_REMOVE, name).communicate(timeout=60)
        tree.parent.chmod(0o755)

    assert (output, complaints) == ("PermissionError\n", "")


REMOVES_BESIDE_A_MOUNT = """
mkdir -p tree/mounted && mount --bind kept tree/mounted && touch begun || exit
exec "$0" -c 'from pathlib import Path; from rflbuild import store; store.remove_tree(Path("tree"))'
"""


def test_what_is_mounted_in_a_folder_is_not_removed_with_it(
    tmp_path: Path, repository: Path
) -> None:
    # A mmdebstrap that is killed leaves the host's /dev/shm mounted in its half-made root.
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    alone = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
    subprocess.run(
        [*alone, "sh", "-c", REMOVES_BESIDE_A_MOUNT, sys.executable],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(repository)},
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    if not (tmp_path / "begun").exists():
        pytest.skip("this host lets nobody mount")

    assert (tmp_path / "kept" / "file").exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "a" / "b")


def test_removing_what_is_not_there_leaves_the_folder_around_it_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    remove_tree(tmp_path / "gone")

    assert tmp_path.stat().st_mode & 0o777 == 0o755


# ---- keys ---------------------------------------------------------------------------------


def test_equal_parts_have_equal_keys_whatever_the_order_of_a_mapping() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


@pytest.mark.parametrize("parts", [("ab", "c"), ("a", "bc", ""), (["a", "b"], "c"), ("a", None)])
def test_different_parts_have_different_keys(parts: tuple[object, ...]) -> None:
    assert key_of(*parts) != key_of("a", "bc")


def test_a_key_is_the_same_in_every_clone() -> None:
    # What an older clone built is found by a newer one only as long as this holds.
    assert key_of("kernel", 2, ("a", None), Path("/x")) == "10980b7f18f36979"


# ---- disks --------------------------------------------------------------------------------


def test_a_disk_without_space_is_an_environment_error_with_a_way_out(store: Store) -> None:
    with pytest.raises(RflError) as caught:
        store.require_space(1e9, "the kernel's build")

    assert caught.value.verdict is Verdict.ENVIRONMENT
    for words in ("the kernel's build", str(store.root), "RFLBUILD_CACHE"):
        assert words in caught.value.sentence


def test_a_disk_with_space_is_no_error(store: Store) -> None:
    store.require_space(0.0, "nothing")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_explained(tmp_path: Path, number: int) -> None:
    error = explain_os_error(OSError(number, os.strerror(number), "/some/file"), tmp_path)

    assert error.verdict is Verdict.ENVIRONMENT
    assert "/some/file" in error.sentence
    assert "full" in error.sentence
    assert "RFLBUILD_CACHE" in error.sentence


def test_a_full_disk_that_names_no_file_is_the_stores(tmp_path: Path) -> None:
    assert str(tmp_path) in explain_os_error(OSError(errno.ENOSPC, "full"), tmp_path).sentence


def test_a_forbidden_folder_is_explained(tmp_path: Path) -> None:
    error = explain_os_error(PermissionError(errno.EACCES, "Permission denied", "/x"), tmp_path)

    assert error.sentence == "cannot use /x: Permission denied"


# ---- folders of our own -------------------------------------------------------------------


def test_a_scratch_folder_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    left = store.root / "work" / "emit" / str(os.getpid())
    left.mkdir(parents=True)
    (left / "of a process that was killed").touch()

    with store.scratch("emit") as folder:
        assert list(folder.iterdir()) == []
        (folder / "a").touch()

    assert not folder.exists()


def test_a_file_that_is_written_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.sh"
    path.touch(0o750)

    write_atomically(path, "b")

    assert path.stat().st_mode & 0o777 == 0o750
