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
        "in-tree": "put it into the kernel's tree: a source file, its Makefile's line, its Kconfig",
        "into": "the folder of the kernel for --in-tree",
        "remove": "undo --in-tree; what was edited since stays",
    }
)
def new_module(
    run: Run,
    name: str,
    kind: str = "hello",
    in_tree: bool = False,
    into: str = "samples/rust",
    remove: bool = False,
) -> None:
    """Make a Rust module and its test: a folder modules/NAME/, or in the kernel's tree."""
    if in_tree:
        run("modules.new_in_tree", name, kind, run.request, into, remove=remove)
    run("modules.new", name, kind, run.request.kernel, remove=remove)


@task(help={"target": _TARGET, "clippy": "let clippy read it too (make CLIPPY=1)"})
def module(run: Run, target: str, clippy: bool = False) -> None:
    """Build a module, and no more."""
    run("modules.build", target, run.request, clippy=clippy)


# ---- C for Rust ----------------------------------------------------------------------------


@task(
    help={
        "name": "a C function, or a macro that is called like one",
        "header": "the header that declares it, such as linux/pci.h",
        "prototype": "a macro's types, as in 'int foo(struct bar *b)'",
        "show": "print the Rust signature that bindgen made of it; builds the kernel if need be",
        "remove": "take out what new-binding has put in",
    }
)
def new_binding(
    run: Run,
    name: str,
    header: str = "",
    prototype: str = "",
    show: bool = False,
    remove: bool = False,
) -> None:
    """Make a C function reachable from Rust: its header for bindgen, and a helper if inline."""
    run(
        "bindings.new_binding",
        *(name, run.request, header, prototype),
        show=show,
        remove=remove,
    )


# ---- guests --------------------------------------------------------------------------------


@task(
    json=True,
    help={
        "target": _TARGET,
        "builtin": "for a module of the kernel's tree: as a part of the image, not as a .ko",
        "quick": "take only the steps that the test marks `quick`",
        "timeout": "seconds for the whole run (default: none but the steps' own)",
    },
)
def qemu_test(
    run: Run, target: str, quick: bool = False, builtin: bool = False, timeout: float = 0.0
) -> None:
    """Build, boot, load, check, unload, and give a verdict."""
    limit = timeout or None
    run("guests.qemu_test", target, run.request, limit, quick=quick, builtin=builtin)


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
