"""machine: QEMU's command line, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from rflbuild import arch, machine
from rflbuild.arch import Arch
from rflbuild.machine import Wires
from rflbuild.testspec import Machine

WIRES = Wires(11, 12, 13, 14)  # serial, shell, control, payload


@pytest.fixture
def arm(repository: Path) -> Arch:
    return arch.load(repository / "configs", "arm64")


def command(
    arm: Arch, guest: Machine | None = None, accelerator: str = "tcg", *, person: bool = False
) -> list[str]:
    return machine.qemu(
        arm,
        guest or Machine(),
        accelerator,
        Path("/out/Image"),
        Path("/out/initramfs.cpio"),
        "console=ttyAMA0 quiet",
        WIRES,
        person=person,
    )


def arguments(
    arm: Arch,
    guest: Machine | None = None,
    variables: Mapping[str, str] | None = None,
    *,
    person: bool = False,
) -> str:
    return machine.kernel_arguments(arm, guest or Machine(), variables or {}, person=person)


def values(words: list[str], option: str) -> list[str]:
    return [words[number + 1] for number, word in enumerate(words) if word == option]


# ---- the kernel's arguments ---------------------------------------------------------------


def test_the_kernels_log_goes_to_the_boards_serial_port(arm: Arch) -> None:
    assert "console=ttyAMA0" in arguments(arm).split()


def test_a_panic_ends_the_guest(arm: Arch) -> None:
    words = arguments(arm).split()

    assert "panic=-1" in words  # reboot at once ...
    assert "-no-reboot" in command(arm)  # ... which QEMU takes as its end


def test_every_message_reaches_the_console(arm: Arch) -> None:
    words = arguments(arm).split()

    assert {"ignore_loglevel", "printk.devkmsg=on"} <= set(words)


def test_a_test_may_add_arguments_which_come_last(arm: Arch) -> None:
    words = arguments(arm, Machine(append="  a.b=1   panic=0 "))

    assert words.endswith(" a.b=1 panic=0")


def test_variables_come_before_what_a_test_adds(arm: Arch) -> None:
    words = arguments(arm, Machine(append="PORT=2"), {"PORT": "1", "HOST": "a"}).split()

    assert words[-3:] == ["PORT=1", "HOST=a", "PORT=2"]


def test_a_run_without_a_person_has_none_of_a_persons_arguments(arm: Arch) -> None:
    assert "rfl." not in arguments(arm)


def test_a_persons_guest_is_told_the_size_of_the_terminal(
    arm: Arch, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = os.terminal_size((132, 43))  # columns, rows
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: size)

    words = arguments(arm, person=True).split()

    assert {"rfl.person", "rfl.size=43x132"} <= set(words)


# ---- the machine --------------------------------------------------------------------------


def test_the_guest_is_the_architectures_board(arm: Arch) -> None:
    words = command(arm)

    assert words[0] == "qemu-system-aarch64"
    assert values(words, "-machine") == ["virt"]


@pytest.mark.parametrize(("accelerator", "cpu"), [("tcg", "cortex-a72"), ("kvm", "host")])
def test_the_cpu_is_the_hosts_under_kvm_alone(arm: Arch, accelerator: str, cpu: str) -> None:
    words = command(arm, accelerator=accelerator)

    assert values(words, "-accel") == [accelerator]
    assert values(words, "-cpu") == [cpu]


def test_memory_and_cpus_are_the_tests(arm: Arch) -> None:
    words = command(arm, Machine(memory="1G", cpus=4))

    assert (values(words, "-m"), values(words, "-smp")) == (["1G"], ["4"])


def test_the_kernel_is_booted_with_its_initramfs_and_arguments(arm: Arch) -> None:
    words = command(arm)

    assert values(words, "-kernel") == ["/out/Image"]
    assert values(words, "-initrd") == ["/out/initramfs.cpio"]
    assert values(words, "-append") == ["console=ttyAMA0 quiet"]


def test_there_is_nothing_that_was_not_asked_for(arm: Arch) -> None:
    words = command(arm)

    assert "-nodefaults" in words
    assert values(words, "-display") == ["none"]


def test_devices_of_the_test_come_last_in_their_order(arm: Arch) -> None:
    devices = ("pcie-root-port,id=p", "e1000,bus=p")

    words = command(arm, Machine(devices=devices))

    assert words[-4:] == ["-device", devices[0], "-device", devices[1]]


def test_the_guest_has_a_network_unless_the_test_wants_none(arm: Arch) -> None:
    without = command(arm, Machine(network=False))

    assert values(command(arm), "-netdev") == ["user,id=net"]
    assert values(without, "-netdev") == []
    assert not any("virtio-net" in word for word in without)


def test_netdevs_of_the_test_come_before_the_devices_that_name_them(arm: Arch) -> None:
    words = command(arm, Machine(netdevs=("user,id=a", "user,id=b"), devices=("e1000,netdev=b",)))

    assert values(words, "-netdev") == ["user,id=net", "user,id=a", "user,id=b"]
    assert words.index("user,id=b") < words.index("e1000,netdev=b")


def test_no_boot_roms_are_asked_for(arm: Arch) -> None:
    # Debian's QEMU has none for network cards, and would not start.
    assert values(command(arm), "-global") == ["pci-device.romfile="]


# ---- the wires ----------------------------------------------------------------------------


def test_log_shell_and_control_have_a_wire_each(arm: Arch) -> None:
    words = command(arm)

    assert values(words, "-chardev") == [
        "socket,id=serial,fd=11",
        "socket,id=shell,fd=12",
        "socket,id=control,fd=13",
    ]
    assert values(words, "-serial") == ["chardev:serial"]
    assert values(words, "-mon") == ["chardev=control,mode=control"]
    assert "virtconsole,chardev=shell" in values(words, "-device")


def test_the_disk_of_modules_is_the_file_that_is_passed_on(arm: Arch) -> None:
    words = command(arm)

    assert any("file=/proc/self/fd/14," in drive for drive in values(words, "-drive"))
    assert any(device.startswith("virtio-blk-pci,drive=payload") for device in words)


def test_every_wire_is_passed_on() -> None:
    assert WIRES.all() == (11, 12, 13, 14)


def test_a_persons_shell_is_on_the_terminal_and_the_log_is_not(arm: Arch) -> None:
    chardevs = values(command(arm, person=True), "-chardev")

    assert "socket,id=serial,fd=11" in chardevs
    assert [c for c in chardevs if c.startswith("stdio,")] == ["stdio,id=shell,signal=off,mux=on"]
    assert not any("fd=12" in c for c in chardevs)
