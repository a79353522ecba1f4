"""exports: what a built kernel says of a function, and what bindgen made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import exports

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
        exports.GENERATED[0]: GENERATED,
        exports.GENERATED[1]: HELPERS,
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
    assert exports.signature(out, name) == (text, where)


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
    found, notes = exports.symbol(out, name)

    assert found == how
    assert note in "".join(notes)
    assert bool(note) == bool(notes)
