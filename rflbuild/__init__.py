"""rflbuild: Rust kernel modules built, booted and judged in QEMU."""
