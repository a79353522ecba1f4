"""Every kind of module is what a beginner may take as an example: clean, and passing."""

from __future__ import annotations

import subprocess

import pytest

from rflbuild import scaffold
from rflbuild.session import Workspace
from rflbuild.verdict import Verdict
from tests.integration.harness import CHECKOUT, BuiltKernel, Rfl

pytestmark = pytest.mark.timeout(600, func_only=True)
KINDS = scaffold.kinds(Workspace(CHECKOUT))
OLDER = [name for name in KINDS if (CHECKOUT / "templates" / name / "until-6.15").is_dir()]


def logs(rfl: Rfl, kind: str) -> str:
    """What make said in all builds of a kind."""
    folder = rfl.store / "work" / "logs" / "module"
    return "".join(path.read_text() for path in folder.glob(f"{kind}-*.log"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_builds_without_a_warning_and_passes(rfl: Rfl, kernel: BuiltKernel, kind: str) -> None:
    rfl.test(kind, "--quick").passed()  # all of it, but of the e1000's (test_e1000.py)

    log = logs(rfl, kind)
    assert f"{kind}.ko" in log
    assert "warning" not in log


@pytest.mark.parametrize("kind", OLDER)
def test_it_builds_without_a_warning_and_passes_on_6_12(
    rfl: Rfl, kernel_6_12: BuiltKernel, kind: str
) -> None:
    rfl.test(kind, "--kernel", "6.12").passed()

    assert "warning" not in logs(rfl, kind)
    assert rfl.result()["kernel"]["release"].startswith("6.12.")


def test_each_is_as_rustfmt_has_it(kernel: BuiltKernel) -> None:
    files = sorted((CHECKOUT / "templates").glob("*/**/*.rs"))
    source = kernel.plan.source.path
    command = [
        "rustfmt",
        "--check",
        "--edition=2021",
        "--config-path",
        str(source),
        *map(str, files),
    ]

    made = subprocess.run(
        kernel.plan.toolchain.command(command, cwd=source, read=[source, CHECKOUT / "templates"]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert len(files) >= len(KINDS)
    assert made.returncode == 0, made.stdout + made.stderr


def test_a_kind_that_a_kernel_is_too_old_for_says_so(rfl: Rfl, kernel_6_12: BuiltKernel) -> None:
    newer = next(name for name in KINDS if name not in OLDER)

    for args in (["qemu-test", newer], ["new-module", "mine", "--kind", newer]):
        sentence = rfl(*args, "--kernel", "6.12").came_to(Verdict.USAGE)
        assert f"templates/{newer}/module.yaml:" in sentence
        assert "needs Linux 7.3 or newer" in sentence
        assert "6.12." in sentence


def test_the_kernels_own_samples_pass(rfl: Rfl, kernel: BuiltKernel) -> None:
    rfl.test("samples").passed()
    assert len(rfl.result()["steps"]) > 4


def test_the_kernels_own_samples_pass_on_6_12(rfl: Rfl, kernel_6_12: BuiltKernel) -> None:
    rfl.test("samples", "--kernel", "6.12").passed()
