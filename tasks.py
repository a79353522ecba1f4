"""The commands. Each hands its arguments to one call into rflbuild."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from rflbuild import cli

_CHAIN = {
    "kernel": "a name of configs/kernels.yaml, a version, a folder, a tarball or git+URL@REF",
    "arch": "the guest's architecture, a file of configs/arch/",
    "toolchain": "auto, system (what is on the PATH) or debian (a private root)",
    "base": "where the configuration starts: virt (small) or defconfig",
    "fragment": "options on top, by name (debug) or path; may be given again",
    "allow-dropped": "options that the kernel drops are a warning, not an error",
    "jobs": "compilers at once (default: one for each CPU)",
    "debug": "show a traceback when something goes wrong",
}
_TARGET = "a module of modules/, a kind of templates/, a test of configs/tests/, or a folder"
_JSON = "print JSON on stdout; the lines for people go to stderr"


@task(help={**_CHAIN, "json": _JSON}, iterable=["fragment"])
def doctor(
    _: Context,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    jobs: int = 0,
    json: bool = False,
    debug: bool = False,
) -> None:
    """Tell whether this machine can run the chain, and what would make it so."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("doctor", request, json=json, jobs=jobs, debug=debug)


@task(
    help={
        "name": "the new module's name",
        "kind": "what it starts as: a folder of templates/",
        "kernel": _CHAIN["kernel"],
        "debug": _CHAIN["debug"],
    }
)
def new_module(
    _: Context, name: str, kind: str = "hello", kernel: str = "", debug: bool = False
) -> None:
    """Make modules/NAME/: a Rust module, its Kbuild, its test."""
    cli.run("new_module", name, kind, kernel or None, debug=debug)


@task(help=_CHAIN, iterable=["fragment"])
def kernel(
    _: Context,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    jobs: int = 0,
    debug: bool = False,
) -> None:
    """Build a bootable kernel with Rust support."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("kernel", request, jobs=jobs, debug=debug)


@task(
    help={**_CHAIN, "target": _TARGET, "clippy": "let clippy read it too (make CLIPPY=1)"},
    iterable=["fragment"],
)
def module(
    _: Context,
    target: str,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    clippy: bool = False,
    jobs: int = 0,
    debug: bool = False,
) -> None:
    """Build a module, and no more."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("build_module", target, request, clippy=clippy, jobs=jobs, debug=debug)


@task(
    help={
        **_CHAIN,
        "target": _TARGET,
        "quick": "take only the steps that the test marks `quick`",
        "timeout": "seconds for the whole run (default: none but the steps' own)",
        "json": "print result.json on stdout; the lines for people go to stderr",
    },
    iterable=["fragment"],
)
def qemu_test(
    _: Context,
    target: str,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    quick: bool = False,
    timeout: float = 0.0,
    jobs: int = 0,
    json: bool = False,
    debug: bool = False,
) -> None:
    """Build, boot, load, check, unload, and give a verdict."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    limit = timeout or None
    cli.run("qemu_test", target, request, limit, quick=quick, json=json, jobs=jobs, debug=debug)


@task(
    help={**_CHAIN, "target": f"{_TARGET}, whose modules are then in /modules"},
    iterable=["fragment"],
    positional=[],
)
def shell(
    _: Context,
    target: str = "",
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    jobs: int = 0,
    debug: bool = False,
) -> None:
    """Boot the same guest with a prompt for a person."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("shell", target or None, request, jobs=jobs, debug=debug)


@task(help=_CHAIN, iterable=["fragment"])
def status(
    _: Context,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    jobs: int = 0,
    debug: bool = False,
) -> None:
    """Show the chain link by link: key, built or not, what it would cost."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("status", request, jobs=jobs, debug=debug)


@task(help=_CHAIN, iterable=["fragment"])
def cache_key(
    _: Context,
    kernel: str = "",
    arch: str = "arm64",
    toolchain: str = "auto",
    base: str = "virt",
    fragment: list[str] | None = None,
    allow_dropped: bool = False,
    jobs: int = 0,
    debug: bool = False,
) -> None:
    """Print the keys under which a CI may keep the store between its runs."""
    request = cli.request(kernel, arch, toolchain, base, fragment, allow_dropped)
    cli.run("cache_key", request, jobs=jobs, debug=debug)


@task(help={"debug": _CHAIN["debug"]})
def update(_: Context, debug: bool = False) -> None:
    """Look again for newer kernels at the next use."""
    cli.run("update", debug=debug)


@task(
    help={
        "days": "remove what was not used for so long; 0 removes everything",
        "debug": _CHAIN["debug"],
    }
)
def clean(_: Context, days: float = 30.0, debug: bool = False) -> None:
    """Remove from the store what was not used lately; it is made anew when needed."""
    cli.run("clean", days, debug=debug)


@task(help={"kernel": _CHAIN["kernel"], "debug": _CHAIN["debug"]})
def setup_rustup(_: Context, kernel: str = "", debug: bool = False) -> None:
    """Get rustc and bindgen by rustup and cargo, as the kernel's documentation has it."""
    cli.run("setup_rustup", cli.request(kernel), debug=debug)


@task(help={"select": "only tests whose names match (pytest's -k)", "debug": _CHAIN["debug"]})
def test(_: Context, select: str = "", debug: bool = False) -> None:
    """Run everything that CI runs: linters, types, unit and integration tests."""
    cli.run("run_tests", ["-k", select] if select else [], debug=debug)


@task(
    help={
        "target": "a driver for QEMU's e1000, as qemu-test takes it: against the kernel's own in C",
        "rounds": "how often each figure is taken",
        "debug": _CHAIN["debug"],
    },
    positional=[],
)
def bench(_: Context, target: str = "", rounds: int = 5, debug: bool = False) -> None:
    """Measure a round's cost against make and a bare boot, or a driver against C's."""
    cli.run("bench", target or None, rounds, debug=debug)
