"""module.yaml: bindings made beside the module, and kernels that do not fit it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild.verdict import Verdict
from tests.integration.harness import CHECKOUT, GUEST, BuiltKernel, Rfl, snapshot

pytestmark = pytest.mark.timeout(600, func_only=True)
ModuleAt = Callable[..., Path]


@pytest.fixture
def c_headers(module_at: ModuleAt) -> Path:
    """A module that gets at the network's C through module.yaml."""
    return module_at("c_headers", folder="c_headers")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def log(rfl: Rfl, name: str) -> str:
    """What make said in all builds of a module."""
    folder = rfl.store / "work" / "logs" / "module"
    return "".join(path.read_text() for path in folder.glob(f"{name}-*.log"))


def test_a_module_that_needs_the_networks_headers_passes_untouched(
    rfl: Rfl, kernel: BuiltKernel, c_headers: Path
) -> None:
    before = snapshot(c_headers)

    rfl.test(str(c_headers)).passed()

    assert snapshot(c_headers) == before
    assert "BINDGEN" in log(rfl, "c_headers")
    assert "warning" not in log(rfl, "c_headers")


def test_plain_make_makes_the_bindings_when_a_name_is_new_and_only_then(
    kernel: BuiltKernel, c_headers: Path
) -> None:
    for path in (*(CHECKOUT / "templates" / "bindings").iterdir(), _makefile()):
        shutil.copy(path, c_headers)

    def steps(*words: str) -> list[str]:
        """What make did, as in `BINDGEN`."""
        out = kernel.out.resolve()
        command = kernel.plan.toolchain.command(
            ["make", f"KDIR={out}", "-j4", *words],
            cwd=c_headers,
            read=[out, kernel.plan.source.path.resolve()],
            write=[c_headers],
        )
        made = subprocess.run(
            command, cwd=c_headers, capture_output=True, text=True, timeout=GUEST, check=False
        )
        assert made.returncode == 0, made
        assert "warning" not in made.stdout + made.stderr
        return [line.split()[0] for line in made.stdout.splitlines() if line.startswith("  ")]

    main = c_headers / "main.rs"
    first = steps()
    assert first.count("BINDGEN") == 1
    assert first.count("RUSTC") == 1
    assert not {"BINDGEN", "RUSTC", "CC", "LD"} & set(steps())

    replace(main, "frames of up to", "it takes frames of up to")
    edited = steps()
    assert "RUSTC" in edited
    assert "BINDGEN" not in edited

    replace(main, "NETIF_F_SG;", "NETIF_F_SG | bindings::NETIF_F_HIGHDMA;")
    assert {"BINDGEN", "RUSTC"} <= set(steps())

    replace(c_headers / "helpers.c", "netdev_priv(dev)", "(void *)netdev_priv(dev)")
    assert "CC" in steps()

    steps("clean")
    assert not list(c_headers.glob("bindings_generated.*"))


def _makefile() -> Path:
    return CHECKOUT / "templates" / "common" / "Makefile"


def test_a_name_that_no_header_declares_is_named_with_its_place(
    rfl: Rfl, kernel: BuiltKernel, c_headers: Path
) -> None:
    replace(c_headers / "main.rs", "bindings::free_netdev(self.0)", "bindings::free_net(self.0)")
    lines = (c_headers / "main.rs").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "free_net(" in line)

    run = rfl("module", str(c_headers), timeout=GUEST)

    run.came_to(Verdict.BUILD_ERROR)
    assert (
        f"{c_headers}/main.rs:{number}: error: none of the headers in module.yaml "
        "declares `free_net`"
    ) in run.text


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('">=7.3"', '">=99.0"', 2, "it needs Linux 99.0 or newer, and this is 7.3."),
        ("NET: y", "PCI: n", 3, "it needs PCI=n, and in Linux 7.3."),
        ("NET: y", "NETT: y", 3, "has it not: unknown in this kernel; near names:"),
        ("netdevice.h #", "netdevise.h #", 6, "did you mean linux/netdevice.h?"),
        ("helpers: helpers.c", "helpers: help.c", 7, "there is no help.c"),
        ("headers:", "header:", 4, "did you mean `headers`?"),
    ],
)
def test_a_kernel_that_does_not_fit_is_refused_before_anything_is_built(
    rfl: Rfl, kernel: BuiltKernel, c_headers: Path, old: str, new: str, line: int, words: str
) -> None:
    replace(c_headers / "module.yaml", old, new)

    run = rfl.test(str(c_headers))

    sentence = run.came_to(Verdict.USAGE)
    assert sentence.startswith(f"{c_headers}/module.yaml:{line}: ")
    assert words in sentence
    assert "module     c_headers" not in run.text


def test_an_option_is_held_against_a_new_kernels_configuration_before_it_is_compiled(
    rfl: Rfl, kernel: BuiltKernel, new_store: Path, c_headers: Path, tmp_path: Path
) -> None:
    fragment = tmp_path / "other.config"
    fragment.write_text('CONFIG_LOCALVERSION="-other"\n')
    replace(c_headers / "module.yaml", "{NET: y}", "{E1000: y}")

    run = rfl.on(new_store).test(str(c_headers), "--fragment", str(fragment), timeout=GUEST)

    assert "E1000=y, and in Linux" in run.came_to(Verdict.USAGE)
    logs = "".join(p.read_text() for p in (new_store / "work/logs/kernel").glob("*.log"))
    assert "olddefconfig" in logs or "configuration written" in logs
    assert "  CC      init/main.o" not in logs
