"""machine: QEMU's command line, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rflbuild import arch, machine
from rflbuild.arch import Arch
from rflbuild.disk import Disk
from rflbuild.machine import Wires
from rflbuild.share import Share
from rflbuild.testspec import Machine

WIRES = Wires(11, 12, 13, 14)  # serial, shell, control, payload


@pytest.fixture
def arm(repository: Path) -> Arch:
    return arch.load(repository / "configs", "arm64")


def command(
    arm: Arch,
    guest: Machine | None = None,
    accelerator: str = "tcg",
    *,
    person: bool = False,
    wires: Wires = WIRES,
    shares: Sequence[Share] = (),
    disk: Disk | None = None,
) -> list[str]:
    return machine.qemu(
        arm,
        guest or Machine(),
        accelerator,
        Path("/out/Image"),
        Path("/out/initramfs.cpio"),
        "console=ttyAMA0 quiet",
        wires,
        person=person,
        shares=shares,
        disk=disk,
    )


def arguments(
    arm: Arch,
    guest: Machine | None = None,
    variables: Mapping[str, str] | None = None,
    *,
    person: bool = False,
    gdb: bool = False,
    disk: Disk | None = None,
) -> str:
    return machine.kernel_arguments(
        arm, guest or Machine(), variables or {}, person=person, gdb=gdb, disk=disk
    )


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
    assert Wires(1, 2, 3, 4, (5, 6), 7).all() == (1, 2, 3, 4, 5, 6, 7)


def test_a_shared_folder_is_the_open_one_that_is_passed_on(arm: Arch) -> None:
    shares = [Share("data", Path("/home/data")), Share("usr", Path("/usr"), read_only=True)]

    words = command(arm, wires=Wires(11, 12, 13, 14, (15, 16)), shares=shares)

    first, second = (value.split(",") for value in values(words, "-fsdev"))
    assert "path=/proc/self/fd/15" in first
    assert "path=/proc/self/fd/16" in second
    assert ("readonly=on" in first, "readonly=on" in second) == (False, True)
    tags = [d.rpartition("=")[2] for d in values(words, "-device") if "virtio-9p" in d]
    assert tags == ["data", "usr"]


def test_what_the_guest_makes_in_a_shared_folder_belongs_to_qemus_user(arm: Arch) -> None:
    wires = Wires(11, 12, 13, 14, (15,))

    words = command(arm, wires=wires, shares=[Share("data", Path("/home/data"))])

    assert "security_model=none" in values(words, "-fsdev")[0].split(",")


# ---- gdb ----------------------------------------------------------------------------------


def test_a_machine_for_gdb_waits_at_its_first_instruction(arm: Arch) -> None:
    words = command(arm, wires=Wires(11, 12, 13, 14, gdb=15))

    assert "-S" in words
    assert values(words, "-gdb") == ["chardev:gdb"]
    assert "socket,id=gdb,fd=15,server=on,wait=off" in values(words, "-chardev")


def test_other_machines_do_not_wait(arm: Arch) -> None:
    assert {"-S", "-gdb"}.isdisjoint(command(arm))


def test_for_gdb_the_kernel_stays_where_its_symbols_are(arm: Arch) -> None:
    assert "nokaslr" in arguments(arm, gdb=True).split()
    assert "nokaslr" not in arguments(arm).split()


def test_a_persons_shell_is_on_the_terminal_and_the_log_is_not(arm: Arch) -> None:
    chardevs = values(command(arm, person=True), "-chardev")

    assert "socket,id=serial,fd=11" in chardevs
    assert [c for c in chardevs if c.startswith("stdio,")] == ["stdio,id=shell,signal=off,mux=on"]
    assert not any("fd=12" in c for c in chardevs)


# ---- a root on a disk ---------------------------------------------------------------------

DISK = Disk("Debian", Path("/store/disk.qcow2"))


def drives(words: list[str]) -> list[str]:
    return [drive for drive in values(words, "-drive") if "id=root" in drive]


def test_the_disk_with_the_root_is_the_first_one(arm: Arch) -> None:
    words = command(arm, disk=DISK)

    assert "id=root" in values(words, "-drive")[0]
    assert "root=/dev/vda" in arguments(arm, disk=DISK).split()


def test_an_image_is_written_to_in_an_overlay_that_goes(arm: Arch) -> None:
    (drive,) = drives(command(arm, disk=DISK))

    assert "file=/store/disk.qcow2,format=qcow2,snapshot=on" in drive


def test_an_overlay_that_stays_is_written_to_itself(arm: Arch) -> None:
    (drive,) = drives(command(arm, disk=replace(DISK, overlay=Path("/home/my.qcow2"))))

    assert "file=/home/my.qcow2," in drive
    assert "snapshot" not in drive


def test_ssh_comes_in_by_a_port_of_loopback_that_the_host_chooses(arm: Arch) -> None:
    netdevs = values(command(arm, disk=DISK), "-netdev")

    assert "user,id=net,hostfwd=tcp:127.0.0.1:0-:22" in netdevs
    assert "user,id=net" in values(command(arm), "-netdev")


@pytest.mark.parametrize(("asked", "given"), [("256M", "512M"), ("1G", "1G"), ("768M", "768M")])
def test_a_userland_on_a_disk_has_the_memory_that_it_needs(
    arm: Arch, asked: str, given: str
) -> None:
    assert values(command(arm, Machine(memory=asked), disk=DISK), "-m") == [given]


def test_the_serial_port_is_the_kernels_alone(arm: Arch) -> None:
    words = arguments(arm, disk=DISK).split()

    assert "systemd.mask=serial-getty@ttyAMA0.service" in words
    assert "systemd.show_status=false" in words
