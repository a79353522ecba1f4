"""The commands. Each hands its arguments to one call into rflbuild."""

from __future__ import annotations

from rflbuild.tasking import Run, task

_FRAGMENT = "the fragment to write: NAME for configs/kconfig/NAME.config, or a path"
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


# ---- the configuration ---------------------------------------------------------------------


@task(help={"save": f"{_FRAGMENT} (default: my.config in this folder)"})
def menuconfig(run: Run, save: str = "") -> None:
    """Choose options in the kernel's menu; what you change becomes a small fragment."""
    run("config.menuconfig", run.request, save)


@task(
    optional=["diff"],
    help={
        "get": "print an option's value and no more; may be given again",
        "set": "OPTION=VALUE into the fragment of --save; may be given again",
        "why": "tell all about an option: its value, what it hangs on, its help",
        "diff": "what differs from the base alone, or from a .config, a base or base+fragment",
        "save": f"{_FRAGMENT}, for --set (default: my.config in this folder)",
    },
)
def config(
    run: Run,
    get: list[str] | None = None,
    set: list[str] | None = None,  # noqa: A002 - the word on the command line
    why: list[str] | None = None,
    diff: str = "",
    save: str = "",
) -> None:
    """Look into the kernel's configuration, or put options into a fragment."""
    run("config.config", run.request, get or (), set or (), why or (), diff, save)


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


@task(help={"target": _TARGET})
def module(run: Run, target: str) -> None:
    """Build a module, and no more."""
    run("modules.build", target, run.request)


# ---- single targets and checks ---------------------------------------------------------------

_MODULE = "a module of modules/, a kind of templates/, or a folder"
_FILE = "a file of the module, or, without one, of the kernel's source"


@task(
    help={
        "target": f"{_MODULE}; none for a file of the kernel",
        "as_": "ll (LLVM IR), s (assembly), i (expanded macros), mir, or o (the object)",
        "file": f"{_FILE}; the only crate's root if there is one",
        "output": "write it there; an object as it is, which otherwise is disassembled",
        "raw": "leave names mangled, as the assembler has them",
        "force": "let --output replace a file that is there",
    }
)
def emit(
    run: Run,
    target: str = "",
    as_: str = "ll",
    file: str = "",
    output: str = "",
    raw: bool = False,
    force: bool = False,
) -> None:
    """Show what the compiler makes of a file: LLVM IR, assembly, expanded macros, MIR."""
    run(
        "checks.emit",
        target or None,
        run.request,
        form=as_,
        file=file or None,
        output=output or None,
        raw=raw,
        force=force,
    )


@task(
    help={
        "target": f"{_MODULE}; without one all of modules/, or the Rust of a tree of your own",
        "file": "a crate's root in the kernel's source, instead of a module",
    }
)
def clippy(run: Run, target: str = "", file: str = "") -> None:
    """Let clippy read a module, or the kernel's Rust, with the kernel's own rules."""
    run("checks.clippy", target or None, run.request, file=file or None)


@task(
    help={
        "target": f"{_MODULE}; without one all of modules/, or the Rust of a tree of your own",
        "check": "change nothing: show what would be, and end with 1 if there is anything",
    }
)
def fmt(run: Run, target: str = "", check: bool = False) -> None:
    """Lay out a module's files as the kernel has it, by rustfmt and clang-format."""
    run("checks.fmt", target or None, run.request, check=check)


@task(
    help={
        "target": f"{_MODULE}; without one the kernel's crates alone",
        "open": "show it in a browser",
    }
)
def rustdoc(run: Run, target: str = "", open: bool = False) -> None:  # noqa: A002 - cargo's word
    """Make the documentation of a module, with that of the kernel's Rust."""
    run("checks.rustdoc", target or None, run.request, show=open)


@task(
    help={
        "target": f"{_MODULE}; without one all of modules/, or the changes of a tree of your own",
        "range": "commits of a tree of your own, as main..HEAD or HEAD~3, instead of its changes",
    }
)
def checkpatch(run: Run, target: str = "", range: str = "") -> None:  # noqa: A002 - git's own word
    """Hold a module, or the changes of a kernel tree of your own, against the kernel's style."""
    run("checks.checkpatch", target or None, run.request, revisions=range or None)


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
    guest=True,
    json=True,
    help={
        "target": _TARGET,
        "builtin": "for a module of the kernel's tree: as a part of the image, not as a .ko",
        "quick": "take only the steps that the test marks `quick`",
        "timeout": "seconds for the whole run, a build included (default: the test's own)",
    },
)
def qemu_test(
    run: Run, target: str, quick: bool = False, builtin: bool = False, timeout: float = 0.0
) -> None:
    """Build, boot, load, check, unload, and give a verdict."""
    limit = timeout or None
    run("guests.qemu_test", target, run.request, run.choice, limit, quick=quick, builtin=builtin)


@task(
    guest=True,
    help={
        "target": f"{_TARGET}, whose modules are then in /modules",
        "share": "a folder for the guest, at /mnt/NAME; DIR:ro for one it cannot change",
        "gdb": "stop the guest before its first instruction, until `rfl gdb` comes",
    },
)
def shell(run: Run, target: str = "", share: list[str] | None = None, gdb: bool = False) -> None:
    """Boot the same guest with a prompt for a person."""
    run("guests.shell", target or None, run.request, run.choice, tuple(share or ()), gdb=gdb)


@task(guest=True)
def console(run: Run) -> None:
    """Boot a guest on a disk, and be at its console: at its login."""
    run("reach.console", run.request, run.choice)


@task(guest=True, help={"target": "a command to run there (default: a shell)"})
def ssh(run: Run, target: str = "") -> None:
    """Go into the guest on a disk that runs, or else into one that is booted for it."""
    run("reach.ssh_into", target, run.request, run.choice)


@task(
    kernel=False,
    help={
        "source": "a file or folder, or guest:PATH",
        "destination": "where to: guest:PATH, or a path here",
    },
)
def scp(run: Run, source: str, destination: str) -> None:
    """Copy a file or folder into or out of the guest that runs."""
    run("reach.scp", source, destination)


# ---- images --------------------------------------------------------------------------------


@task(
    kernel=False,
    help={
        "arch": "the guest's architecture, a file of configs/arch/",
        "suite": "a release of Debian's (default: that of configs/debian.yaml)",
        "package": "a package beside those of configs/debian.yaml; may be given again",
    },
)
def debian_image(
    run: Run, arch: str = "arm64", suite: str = "", package: list[str] | None = None
) -> None:
    """Make the disk of the Debian guest: Debian's packages, and a key to log in by SSH."""
    run("images.build", arch, suite, tuple(package or ()))


# ---- looking inside ------------------------------------------------------------------------


@task(
    kernel=False,
    help={
        "target": "which guest, if several wait: its module or its folder in results/",
        "eval_command": "a command for gdb (its -ex); may be given again",
        "command": "a file of commands for gdb (its -x); may be given again",
    },
)
def gdb(
    run: Run,
    target: str = "",
    eval_command: list[str] | None = None,
    command: list[str] | None = None,
) -> None:
    """Attach gdb to the guest of `shell --gdb`, with the symbols of kernel and modules."""
    run("debug.gdb", target, tuple(eval_command or ()), tuple(command or ()))


@task(
    kernel=False,
    help={
        "target": "a console.log, a folder of results/, or - for stdin (default: the last crash)"
    },
)
def decode(run: Run, target: str = "") -> None:
    """Show a stack trace with functions, files and lines."""
    run("debug.decode", target)


# ---- watching ------------------------------------------------------------------------------


@task(
    help={
        "target": _TARGET,
        "quick": "take only the steps that the test marks `quick`",
    }
)
def watch(run: Run, target: str, quick: bool = False) -> None:
    """Test at each save, in a guest that goes on from one round to the next."""
    run("watch.watch", target, run.request, quick=quick)


# ---- this checkout -------------------------------------------------------------------------


@task(kernel=False, help={"select": "only tests whose names match (pytest's -k)"})
def test(run: Run, select: str = "") -> None:
    """Run everything that CI runs: linters, types, unit and integration tests."""
    run("checkout.run_tests", ["-k", select] if select else [])


@task(
    kernel=False,
    help={
        "target": "`guests`: boots and images; or a driver for QEMU's e1000, as qemu-test "
        "takes it: against the kernel's own in C",
        "rounds": "how often each figure is taken",
    },
)
def bench(run: Run, target: str = "", rounds: int = 5) -> None:
    """Measure a round's cost against make and a bare boot, guests, or a driver against C's."""
    run("checkout.bench", target or None, rounds)
