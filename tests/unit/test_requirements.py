"""requirements: module.yaml, and kernels that do not fit it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch, requirements
from rflbuild.arch import Arch
from rflbuild.requirements import Requirements
from rflbuild.session import Workspace
from rflbuild.source import Source
from rflbuild.verdict import RflError, Verdict


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


@pytest.fixture
def arm64(workspace: Workspace) -> Arch:
    return arch.load(workspace.configs, "arm64")


@pytest.fixture
def linux(tmp_path: Path) -> Source:
    """A source of 7.3.4 with three headers and two options."""
    tree = tmp_path / "linux"
    for header in ("include/linux/netdevice.h", "include/uapi/linux/if.h"):
        (tree / header).parent.mkdir(parents=True, exist_ok=True)
        (tree / header).touch()
    (tree / "arch" / "arm64" / "include" / "asm").mkdir(parents=True)
    (tree / "Kconfig").write_text('config NET\n\tbool "Net"\n\nconfig E1000\n\ttristate "Card"\n')
    return Source("7.3", tree, (7, 3, 4), "7.3.4", "key")


def written(folder: Path, text: str) -> Path:
    path = folder / "module.yaml"
    path.write_text(text)
    return path


# ---- the file -----------------------------------------------------------------------------


def test_without_the_file_nothing_is_required(tmp_path: Path) -> None:
    assert requirements.read(tmp_path) == Requirements()
    assert not requirements.read(tmp_path).bindings


def test_all_of_it_is_read(tmp_path: Path) -> None:
    written(
        tmp_path,
        'kernel: ">=7.3 <8.0"\noptions: {PCI: y, E1000: n}\n'
        "headers:\n  - linux/netdevice.h\nhelpers: helpers.c\n",
    )

    found = requirements.read(tmp_path)

    assert found.kernel == ">=7.3 <8.0"
    assert found.options == {"PCI": "y", "E1000": "n"}
    assert found.headers == ("linux/netdevice.h",)
    assert found.helpers == "helpers.c"
    assert found.bindings


@pytest.mark.parametrize("text", ["headers: [a.h]", "helpers: b.c"])
def test_headers_or_helpers_ask_for_bindings(tmp_path: Path, text: str) -> None:
    written(tmp_path, text)
    assert requirements.read(tmp_path).bindings


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\nheader: [a.h]", 2, "did you mean `headers`?"),
        ("headers: a.h", 1, "a list"),
        ("headers:\n  - linux/a.h\n  - <linux/b.h>", 3, "`<linux/b.h>` is no header"),
        ("headers: [../../drivers/base/base.h]", 1, "is no header"),
        ("headers: [/etc/passwd.h]", 1, "is no header"),
        ("helpers: [a.c]", 1, "`str`"),
        ("helpers: ../a.c", 1, "C file beside"),
        ("kernel: 7.3", 1, "`str`"),
        ("kernel: '7.3'", 1, ">=7.3"),
        ("kernel: '>= 7.3'", 1, ">=7.3"),
        ("kernel: '>7.3'", 1, ">=7.3"),
        ("kernel: '>=7'", 1, ">=7.3"),
        ("options: [PCI]", 1, "a mapping"),
        ("options:\n  PCI: y\n  CONFIG_NET: y", 3, "without CONFIG_"),
        ("options:\n  PCI: yes", 2, "`PCI` is y, m or n, not yes"),
        ("options:\n  PCI: y\n  PCI: n", 3, "given twice"),
    ],
)
def test_a_mistake_names_its_line_and_what_fits(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = written(tmp_path, text)

    said = usage(lambda: requirements.read(tmp_path))

    assert said.startswith(f"{path}:{line}: ")
    assert words in said


# ---- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "version"),
    [
        ("", (2, 6)),
        (">=7.3", (7, 3, 0)),
        (">=7.3", (7, 10)),
        (">=6.12", (7, 0)),
        ("<8.0", (7, 99, 5)),
        (">=7.0 <8.0", (7, 0)),
    ],
)
def test_a_version_within_the_bounds_fits(
    tmp_path: Path, bound: str, version: tuple[int, ...]
) -> None:
    path = written(tmp_path, f"kernel: '{bound}'")
    requirements.check_version(path, version, "x")


@pytest.mark.parametrize(
    ("bound", "version", "words"),
    [
        (">=7.3", (7, 2, 9), "Linux 7.3 or newer"),
        ("<8.0", (8, 0, 0), "Linux older than 8.0"),
        (">=7.0 <8.0", (6, 12), "Linux 7.0 or newer and older than 8.0"),
        (">=7.0 <8.0", (8, 1), "Linux 7.0 or newer and older than 8.0"),
    ],
)
def test_a_version_outside_of_them_is_refused_with_both(
    tmp_path: Path, bound: str, version: tuple[int, ...], words: str
) -> None:
    path = written(tmp_path, f"# why\nkernel: '{bound}'")

    said = usage(lambda: requirements.check_version(path, version, "a.b.c"))

    assert said.startswith(f"{path}:2: it needs {words}, and this is a.b.c")


# ---- headers ------------------------------------------------------------------------------


def test_headers_of_the_kernel_of_uapi_of_its_build_and_of_the_module_are_there(
    tmp_path: Path, linux: Source, arm64: Arch
) -> None:
    (tmp_path / "own.h").touch()
    headers = "linux/netdevice.h, linux/if.h, asm/io.h, generated/utsrelease.h, own.h"
    path = written(tmp_path, f"headers: [{headers}]")

    requirements.check_source(path, linux, arm64)


def test_a_header_that_the_kernel_lacks_is_refused_with_a_near_one(
    tmp_path: Path, linux: Source, arm64: Arch
) -> None:
    path = written(tmp_path, "headers:\n  - linux/if.h\n  - linux/netdevise.h\n")

    said = usage(lambda: requirements.check_source(path, linux, arm64))

    assert said.startswith(f"{path}:3: Linux 7.3.4 has no linux/netdevise.h")
    assert "did you mean linux/netdevice.h?" in said


def test_helpers_that_are_not_there_are_refused(tmp_path: Path, linux: Source, arm64: Arch) -> None:
    path = written(tmp_path, "helpers: helpers.c")

    said = usage(lambda: requirements.check_source(path, linux, arm64))

    assert said.startswith(f"{path}:1: there is no helpers.c")


def test_the_version_comes_before_the_headers(tmp_path: Path, linux: Source, arm64: Arch) -> None:
    path = written(tmp_path, "kernel: '>=8.0'\nheaders: [linux/new.h]")
    assert "needs Linux 8.0" in usage(lambda: requirements.check_source(path, linux, arm64))


# ---- options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ("y", {"E1000": "y"}),
        ("m", {"E1000": "m"}),
        ("m", {"E1000": "y"}),
        ("n", {}),
    ],
)
def test_an_option_that_is_as_asked_fits(
    tmp_path: Path, linux: Source, arm64: Arch, wanted: str, values: dict[str, str]
) -> None:
    path = written(tmp_path, f"options: {{E1000: {wanted}}}")
    requirements.check_options(path, linux, arm64, "virt", values)


@pytest.mark.parametrize(
    ("wanted", "values", "words"),
    [
        ("y", {}, "off: write `CONFIG_E1000=y`"),
        ("y", {"E1000": "m"}, "built as a module: write `CONFIG_E1000=y`"),
        ("m", {}, "off: write `CONFIG_E1000=m`"),
        ("n", {"E1000": "y"}, "built in: write `# CONFIG_E1000 is not set`"),
        ("n", {"E1000": "m"}, "built as a module: write `# CONFIG_E1000 is not set`"),
    ],
)
def test_an_option_that_is_not_says_what_it_is_and_what_to_do(
    tmp_path: Path, linux: Source, arm64: Arch, wanted: str, values: dict[str, str], words: str
) -> None:
    path = written(tmp_path, f"options:\n  NET: y\n  E1000: {wanted}\n")

    said = usage(
        lambda: requirements.check_options(path, linux, arm64, "virt", {"NET": "y", **values})
    )

    assert said.startswith(f"{path}:3: it needs E1000={wanted}, and in Linux 7.3.4 virt it is ")
    assert words in said
    assert "--fragment" in said


def test_the_comment_beside_an_option_is_the_reason(
    tmp_path: Path, linux: Source, arm64: Arch
) -> None:
    path = written(tmp_path, "options:\n  E1000: n # the C driver would hold the card\n")

    said = usage(lambda: requirements.check_options(path, linux, arm64, "virt", {"E1000": "y"}))

    assert "E1000=n (the C driver would hold the card)" in said


def test_an_option_that_the_kernel_does_not_know_is_refused_with_near_names(
    tmp_path: Path, linux: Source, arm64: Arch
) -> None:
    path = written(tmp_path, "options: {E10000: y}")

    said = usage(lambda: requirements.check_options(path, linux, arm64, "virt", {}))

    assert "Linux 7.3.4 has it not" in said
    assert "E1000" in said
