"""binding: what a built kernel says of a function, and what bindgen made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import arch, binding, headers
from rflbuild.session import Workspace
from rflbuild.source import Source

GENERATED = """\
unsafe extern "C" {
    pub fn lcm(a: ffi::c_ulong, b: ffi::c_ulong) -> ffi::c_ulong;
}
unsafe extern "C" {
    pub fn pci_alloc_irq_vectors_affinity(
        dev: *mut pci_dev,
        min_vecs: ffi::c_uint,
    ) -> ffi::c_int;
}
"""
HELPERS = """\
unsafe extern "C" {
    #[link_name="rust_helper_pci_dev_id"]
    pub fn pci_dev_id(dev: *mut pci_dev) -> u16_;
}
unsafe extern "C" {
    #[link_name="rust_helper_lcm"]
    pub fn lcm() -> other;
}
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A kernel's build folder."""
    for name, text in {
        binding.GENERATED[0]: GENERATED,
        binding.GENERATED[1]: HELPERS,
        "Module.symvers": "0x0\tlcm\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
        "0x0\tphy_x\tdrivers/net/phy/libphy\tEXPORT_SYMBOL\tPHY\n",
        "System.map": "ffff800080000000 T lcm\nffff800080000010 t dev_get_alias\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        (
            "lcm",
            "pub fn lcm(a: ffi::c_ulong, b: ffi::c_ulong) -> ffi::c_ulong;",
            "rust/bindings/bindings_generated.rs:2",
        ),
        (
            "pci_alloc_irq_vectors_affinity",
            "pub fn pci_alloc_irq_vectors_affinity(\n    dev: *mut pci_dev,\n"
            "    min_vecs: ffi::c_uint,\n) -> ffi::c_int;",
            "rust/bindings/bindings_generated.rs:5",
        ),
        (
            "pci_dev_id",
            "pub fn pci_dev_id(dev: *mut pci_dev) -> u16_;",
            "rust/bindings/bindings_helpers_generated.rs:3",
        ),
        ("pci_dev", "", ""),
    ],
)
def test_a_signature_is_shown_as_bindgen_made_it(
    out: Path, name: str, text: str, where: str
) -> None:
    assert binding.signature(out, name) == (text, where)


@pytest.mark.parametrize(
    ("name", "how", "note"),
    [
        ("lcm", "exported by vmlinux (EXPORT_SYMBOL_GPL)", ""),
        ("phy_x", "exported by drivers/net/phy/libphy (EXPORT_SYMBOL)", "imports_ns: [PHY]"),
        ("dev_get_alias", "not exported", "a module cannot"),
        ("usb_x", "not in this kernel", "would not link"),
    ],
)
def test_who_can_call_a_function_is_seen_from_the_built_kernel(
    out: Path, name: str, how: str, note: str
) -> None:
    found, notes = binding._symbol(out, name)

    assert found == how
    assert note in "".join(notes)
    assert bool(note) == bool(notes)


# ---- headers ---------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Source:
    tree = tmp_path / "linux"
    for name, text in {
        "include/linux/pci.h": "int pci_x(void);\nstatic inline struct a *\npci_y(void) {}\n",
        "include/linux/calls.h": "static inline int f(void)\n{\n\treturn pci_x();\n}\n",
        "include/net/sock.h": "#define sock_x(a) f(a)\n",
        "include/uapi/linux/if.h": "",
        "arch/arm64/include/asm/io.h": "",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return Source("7.3", tree, (7, 3, 4), "7.3.4", "key")


@pytest.mark.parametrize(
    ("header", "there"),
    [("linux/pci.h", True), ("linux/if.h", True), ("asm/io.h", True), ("linux/io.h", False)],
)
def test_a_header_is_looked_for_where_c_looks(
    workspace: Workspace, source: Source, header: str, there: bool
) -> None:
    assert headers.exists(header, source, arch.load(workspace.configs, "arm64")) is there


@pytest.mark.parametrize(
    ("header", "near"),
    [
        ("linux/pcii.h", "linux/pci.h"),
        ("pci.h", "linux/pci.h"),
        ("linux/sock.h", "net/sock.h"),
        ("linux/zzz.h", ""),
    ],
)
def test_a_header_that_was_meant_is_told(source: Source, header: str, near: str) -> None:
    assert headers.near(header, source) == near


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pci_x", ["linux/pci.h"]),
        ("pci_y", ["linux/pci.h"]),
        ("sock_x", ["net/sock.h"]),
        ("f2", []),
    ],
)
def test_the_headers_that_declare_a_name_are_found(
    source: Source, name: str, found: list[str]
) -> None:
    assert headers.declaring(name, source) == found
