"""headers: the kernel's C headers by their names, and what somebody may have meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import arch, headers
from rflbuild.session import Workspace
from rflbuild.source import Source


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
