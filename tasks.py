"""The commands. Each hands its arguments to one call into rflbuild."""

from __future__ import annotations

from rflbuild.tasking import Run, task

_TARGET = "a module of modules/, a kind of templates/, a test of configs/tests/, or a folder"

# ---- the chain -----------------------------------------------------------------------------


@task(json=True)
def doctor(run: Run) -> None:
    """Tell whether this machine can run the chain, and what would make it so."""
    run("chain.doctor", run.request)


@task()
def kernel(run: Run) -> None:
    """Build a bootable kernel with Rust support."""
    run("chain.kernel", run.request)


@task()
def status(run: Run) -> None:
    """Show the chain link by link: key, built or not, what it would cost."""
    run("chain.status", run.request)


@task()
def cache_key(run: Run) -> None:
    """Print the keys under which a CI may keep the store between its runs."""
    run("chain.cache_key", run.request)


@task(kernel=False)
def update(run: Run) -> None:
    """Look again for newer kernels at the next use."""
    run("chain.update")


@task(
    kernel=False,
    help={"days": "remove what was not used for so long; 0 removes everything"},
)
def clean(run: Run, days: float = 30.0) -> None:
    """Remove from the store what was not used lately; it is made anew when needed."""
    run("chain.clean", days)


@task()
def setup_rustup(run: Run) -> None:
    """Get rustc and bindgen by rustup and cargo, as the kernel's documentation has it."""
    run("chain.setup_rustup", run.request)


# ---- modules -------------------------------------------------------------------------------


@task(
    help={
        "name": "the new module's name",
        "kind": "what it starts as: a folder of templates/",
    }
)
def new_module(run: Run, name: str, kind: str = "hello") -> None:
    """Make modules/NAME/: a Rust module, its Kbuild, its test."""
    run("modules.new", name, kind, run.request.kernel)


@task(help={"target": _TARGET, "clippy": "let clippy read it too (make CLIPPY=1)"})
def module(run: Run, target: str, clippy: bool = False) -> None:
    """Build a module, and no more."""
    run("modules.build", target, run.request, clippy=clippy)


# ---- editors -------------------------------------------------------------------------------


@task(
    json=True,
    help={
        "target": "a module of modules/, or a folder with one; without any, all of modules/, or "
        "the tree of yours that --kernel names",
    },
)
def rust_analyzer(run: Run, target: str = "") -> None:
    """Set up the folder that an editor opens: rust-analyzer, clangd, errors on save."""
    run("editor.rust_analyzer", target or None, run.request)


@task(
    json=True,
    help={
        "target": "a module of modules/, a folder, or a file of either (default: all of modules/)",
        "clippy": "let clippy read it too",
    },
)
def check(run: Run, target: str = "", clippy: bool = False) -> None:
    """Show what the compiler says of a module; --json is what editors ask for on save."""
    run("editor.check", target or None, run.request, clippy=clippy)


# ---- guests --------------------------------------------------------------------------------


@task(
    json=True,
    help={
        "target": _TARGET,
        "quick": "take only the steps that the test marks `quick`",
        "timeout": "seconds for the whole run (default: none but the steps' own)",
    },
)
def qemu_test(run: Run, target: str, quick: bool = False, timeout: float = 0.0) -> None:
    """Build, boot, load, check, unload, and give a verdict."""
    run("guests.qemu_test", target, run.request, timeout or None, quick=quick)


@task(help={"target": f"{_TARGET}, whose modules are then in /modules"})
def shell(run: Run, target: str = "") -> None:
    """Boot the same guest with a prompt for a person."""
    run("guests.shell", target or None, run.request)


# ---- this checkout -------------------------------------------------------------------------


@task(kernel=False, help={"select": "only tests whose names match (pytest's -k)"})
def test(run: Run, select: str = "") -> None:
    """Run everything that CI runs: linters, types, unit and integration tests."""
    run("checkout.run_tests", ["-k", select] if select else [])


@task(
    kernel=False,
    help={
        "target": "a driver for QEMU's e1000, as qemu-test takes it: against the kernel's own in C",
        "rounds": "how often each figure is taken",
    },
)
def bench(run: Run, target: str = "", rounds: int = 5) -> None:
    """Measure a round's cost against make and a bare boot, or a driver against C's."""
    run("checkout.bench", target or None, rounds)
