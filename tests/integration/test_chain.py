"""What is there is used and told of, and looking at it builds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.harness import GUEST, BuiltKernel, Rfl, snapshot

pytestmark = pytest.mark.timeout(GUEST + 60, func_only=True)


def test_the_doctor_finds_a_chain_that_runs(rfl: Rfl, kernel: BuiltKernel) -> None:
    run = rfl("doctor", timeout=GUEST)

    assert run.status == 0, run
    assert "Traceback" not in run.text
    assert run.stdout.splitlines()[-1].startswith("ok: ")


def test_the_doctors_json_has_every_field(rfl: Rfl, kernel: BuiltKernel) -> None:
    run = rfl("doctor", "--json", timeout=GUEST)

    value = json.loads(run.stdout)
    assert run.status == 0
    assert value["toolchain"] == kernel.plan.toolchain.name
    assert value["kernel"] == kernel.plan.source.release
    rows = value["checks"][value["toolchain"]]
    fields = {"name", "found", "wanted", "where", "good", "needed", "mend", "verdict"}
    assert all(set(row) == fields for row in rows)
    assert all(row["good"] or not row["needed"] for row in rows)
    assert all(row["verdict"] == "ok" or not row["good"] for row in rows)
    names = {row["name"] for row in rows}
    assert {"clang", "rustc", "bindgen", "rust-src", "libclang", "rustavailable", "KVM"} <= names


def test_a_doctor_without_tools_says_what_to_type(
    rfl: Rfl, kernel: BuiltKernel, tmp_path: Path
) -> None:
    for tool in ("sh", "make"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")

    run = rfl(
        "doctor", "--toolchain", "system", "--json", env={"PATH": str(tmp_path)}, timeout=GUEST
    )

    assert run.status == 6, run
    value = json.loads(run.stdout)
    assert value["toolchain"] is None
    missing = [row for row in value["checks"]["system"] if row["needed"] and not row["good"]]
    assert {"clang", "rustc", "bindgen"} <= {row["name"] for row in missing}
    assert all(row["mend"] for row in missing)


def test_the_status_of_a_warm_store_builds_nothing(
    rfl: Rfl, kernel: BuiltKernel, new_store: Path
) -> None:
    (new_store / "runs").mkdir()  # which commands that run have files in
    before = snapshot(new_store)

    run = rfl.on(new_store)("status")

    assert run.status == 0, run
    after = snapshot(new_store)
    assert {**after, "runs": ()} == {**before, "runs": ()}
    built = {line.split()[0]: " yes " in line for line in run.stdout.splitlines()[1:-1]}
    del built["image"]  # no part of this store unless somebody made it
    assert built == {"source": True, "toolchain": True, "kernel": True}
    assert kernel.out.name in run.stdout


def test_the_status_of_an_empty_store_fetches_nothing(rfl: Rfl, tmp_path: Path) -> None:
    run = rfl.on(tmp_path / "store")("status")

    assert run.status == 0, run
    built = [" yes " in line for line in run.stdout.splitlines()[1:-1]]
    assert not any(built)
    assert not any((tmp_path / "store" / kind).exists() for kind in ("root", "source", "kernel"))


def test_a_kernel_that_is_there_is_not_built_again(
    rfl: Rfl, kernel: BuiltKernel, new_store: Path
) -> None:
    before = snapshot(kernel.out)

    run = rfl.on(new_store)("kernel")

    assert run.status == 0, run
    assert [line.split()[-1] for line in run.stdout.splitlines()[:3]] == ["cached"] * 3
    assert snapshot(kernel.out) == before
    assert not list(new_store.glob("tmp/*"))


def test_a_kernel_that_is_there_runs_from_the_users_own_store(
    rfl: Rfl, kernel: BuiltKernel, user_store: Path
) -> None:
    rfl.on(user_store).test("hello").passed()


def test_a_target_may_have_a_kernel_by_its_version(rfl: Rfl, kernel: BuiltKernel) -> None:
    run = rfl("kernel", "--kernel", "7.3")

    assert run.status == 0, run
    assert kernel.out.name in run.stdout


def test_an_update_forgets_what_was_newest(rfl: Rfl, kernel: BuiltKernel, new_store: Path) -> None:
    run = rfl.on(new_store)("update")
    again = rfl.on(new_store)("update")
    status = rfl.on(new_store)("status")

    assert run.status == again.status == 0
    assert any("linux-source-7.3" in line for line in run.stdout.splitlines())
    assert not again.stdout
    assert " no " in status.stdout.splitlines()[1]
