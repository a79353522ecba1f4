"""userns: root of a namespace, or a sentence that says why not."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from rflbuild import userns
from rflbuild.process import Processes
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict


def test_ids_are_given_to_a_user_by_name() -> None:
    assert userns.subordinate("x:1:65536\nme:100000:65536\n", "me") == 100000


def test_ids_are_given_to_a_user_by_number() -> None:
    assert userns.subordinate(f"{os.geteuid()}:200000:65536\n", "me") == 200000


@pytest.mark.parametrize("text", ["", "other:100000:65536\n", "me:100000:1000\n", "me\n", "me:x:y"])
def test_a_user_without_enough_ids_is_told_what_to_type(text: str) -> None:
    with pytest.raises(RflError) as caught:
        userns.subordinate(text, "me")

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "usermod --add-subuids" in caught.value.sentence


def _run(session: Session, script: str) -> str:
    try:
        done = userns.run(session, ["sh", "-c", script], timeout=30.0)
    except RflError as error:
        pytest.skip(f"namespaces are not to be had here: {error.sentence}")
    assert done.status == 0, done.output
    return done.output


def test_the_command_is_root_and_alone(session: Session) -> None:
    assert _run(session, "id -u; echo $$").split() == ["0", "1"]


def test_files_may_belong_to_any_user_of_debians(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "file"
    seen = _run(session, f"touch {file}; chown 65534:33 {file}; stat -c %u:%g {file}")

    assert seen.strip() == "65534:33"


def test_what_is_mounted_there_is_not_mounted_here(session: Session, tmp_path: Path) -> None:
    _run(session, f"mount -t tmpfs none {tmp_path} && touch {tmp_path}/there")

    assert not (tmp_path / "there").exists()


def test_the_caller_owns_what_its_root_writes(session: Session, tmp_path: Path) -> None:
    _run(session, f"touch {tmp_path}/file")

    assert (tmp_path / "file").owner() == pwd.getpwuid(os.geteuid()).pw_name


def test_a_host_without_namespaces_is_told_in_a_sentence(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "unshare: unshare failed: Operation not permitted"
    monkeypatch.setattr(userns, "_NAMESPACES", ["sh", "-c", f"echo '{said}'; exit 1"])

    with pytest.raises(RflError) as caught:
        userns.run(session, ["true"], timeout=10.0)

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert said in caught.value.sentence


def test_a_child_can_be_seen_to_before_it_goes_on(processes: Processes) -> None:
    seen = []
    done = processes.run(
        ["sh", "-c", "read -r line; echo $line"],
        timeout=10.0,
        on_start=lambda child: seen.append(os.write(child.stdin.fileno(), b"go\n")),  # type: ignore[union-attr]
    )

    assert (done.output, seen) == ("go\n", [3])
