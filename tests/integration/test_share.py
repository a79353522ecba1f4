"""`shell --share`: a folder of the host's in the guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import GUEST, MODULES, Rfl

pytestmark = [
    pytest.mark.timeout(GUEST + 60, func_only=True),
    pytest.mark.usefixtures("kernel"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a file and a module, under a name that a shell would split."""
    path = tmp_path / "my data"
    path.mkdir()
    (path / "here").write_text("from the host\n")
    return path


def test_what_either_side_writes_the_other_reads(rfl: Rfl, data: Path) -> None:
    script = "cd /mnt/my-data && cat here && echo from the guest >there && mkdir -m 700 folder"

    run = rfl("shell", "--share", str(data), stdin=script, timeout=GUEST)

    assert run.status == 0, run
    assert run.stdout.splitlines()[-1] == "from the host"
    assert f"share      {data} is /mnt/my-data\n" in run.stdout
    assert (data / "there").read_text() == "from the guest\n"
    # What the guest's root makes belongs to whoever runs us, as if made here.
    made = [(data / name).stat() for name in ("there", "folder")]
    assert {(stat.st_uid, stat.st_gid) for stat in made} == {
        (data.stat().st_uid, data.stat().st_gid)
    }
    assert [stat.st_mode & 0o777 for stat in made] == [0o644, 0o700]


def test_a_folder_may_be_for_reading_alone_and_there_may_be_several(rfl: Rfl, data: Path) -> None:
    script = "ls /mnt; cat /mnt/my-data/here; test -d /mnt/usr/bin; echo x >/mnt/my-data/there"

    run = rfl("shell", "--share", f"{data}:ro", "--share", "/usr:ro", stdin=script, timeout=GUEST)

    assert run.status != 0, run
    assert "Read-only file system" in run.stdout
    assert [p.name for p in data.iterdir()] == ["here"]
    assert {"my-data", "usr"} <= set(run.stdout.split())


def test_a_module_can_be_loaded_from_it(rfl: Rfl, tmp_path: Path) -> None:
    built = rfl("module", str(MODULES / "out_of_tree"), timeout=GUEST)
    ko = Path(built.stdout.splitlines()[-1].strip())

    run = rfl(
        "shell",
        *("--share", f"{ko.parent}:ro"),
        stdin=f"insmod /mnt/{ko.parent.name}/out_of_tree.ko && grep -c ^out_of_tree /proc/modules",
        timeout=GUEST,
    )

    assert run.status == 0, run
    assert run.stdout.splitlines()[-1] == "1"


def test_a_guest_without_shared_folders_has_none(rfl: Rfl) -> None:
    run = rfl("shell", stdin="ls /mnt\n", timeout=GUEST)

    assert run.status == 0, run
    assert run.stdout.splitlines()[-1].startswith("kernel")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "there is no folder {0}/none"),
        ("my data/here", "{0}/my data/here is a file; share the folder it is in"),
    ],
)
def test_what_is_no_folder_is_refused_before_anything_is_booted(
    rfl: Rfl, data: Path, name: str, said: str
) -> None:
    run = rfl("shell", "--share", f"{data.parent}/{name}")

    assert said.format(data.parent) in run.came_to(Verdict.USAGE)
    assert "kernel" not in run.stdout
