"""arch: an architecture is one file of configs/arch/."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec
import pytest

from rflbuild import arch
from rflbuild.session import Workspace
from rflbuild.verdict import RflError, Verdict

SHIPPED = ("arm64", "x86_64")


def test_the_shipped_architectures_are_there(repository: Path) -> None:
    assert set(SHIPPED) <= set(arch.names(repository / "configs"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_architecture_loads_under_its_name(repository: Path, name: str) -> None:
    assert arch.load(repository / "configs", name).name == name


@pytest.mark.parametrize("name", SHIPPED)
def test_the_probe_of_kvm_is_machine_code_that_fits_a_boot_sector(
    repository: Path, name: str
) -> None:
    code = bytes.fromhex(arch.load(repository / "configs", name).qemu.kvm_probe_code)

    assert 0 < len(code) <= 510


def test_a_new_file_is_a_new_architecture(own_configs: Path) -> None:
    folder = own_configs / "arch"
    (folder / "riscv64.yaml").write_text((folder / "arm64.yaml").read_text())

    assert "riscv64" in arch.names(own_configs)
    assert arch.load(own_configs, "riscv64").make_arch == "arm64"


def test_an_unknown_architecture_names_the_others(workspace: Workspace) -> None:
    with pytest.raises(RflError) as caught:
        arch.load(workspace.configs, "sparc")

    assert caught.value.verdict is Verdict.USAGE
    assert "arm64, x86_64" in caught.value.sentence


@pytest.mark.parametrize("name", ["../arch/arm64", "arm64.yaml", "ARM64", ""])
def test_only_the_bare_name_is_an_architecture(workspace: Workspace, name: str) -> None:
    with pytest.raises(RflError):
        arch.load(workspace.configs, name)


def test_a_mistake_in_an_architecture_names_file_and_line(own_configs: Path) -> None:
    path = own_configs / "arch" / "arm64.yaml"
    path.write_text(path.read_text().replace("  cpu: ", "  cpus: "))

    with pytest.raises(RflError) as caught:
        arch.load(own_configs, "arm64")

    line = path.read_text().splitlines().index("  cpus: cortex-a72") + 1
    assert caught.value.sentence.startswith(f"{path}:{line}: unknown key `cpus`")
    assert "`cpu`" in caught.value.sentence


def test_an_architecture_is_native_where_its_kvm_host_is_this_machine(repository: Path) -> None:
    arm = arch.load(repository / "configs", "arm64")
    here = msgspec.structs.replace(arm.qemu, kvm_host=platform.machine())
    elsewhere = msgspec.structs.replace(arm.qemu, kvm_host="s390x")

    assert msgspec.structs.replace(arm, qemu=here).native()
    assert not msgspec.structs.replace(arm, qemu=elsewhere).native()
