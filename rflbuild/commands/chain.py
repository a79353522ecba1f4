"""The chain up to the kernel: what is there, what is missing, and building it."""

from __future__ import annotations

import json as jsons
import shlex
import shutil
import sys

from rflbuild import chain
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.terminal import table
from rflbuild.verdict import RflError, Verdict, usage_error


def kernel(session: Session, request: Request) -> int:
    """Build the kernel, and say where it is."""
    from rflbuild.build_folder import figures

    links = Links(session)
    built = chain.build_kernel(session, chain.plan(session, request, links), links)
    numbers = figures(built.out)
    if numbers and not built.cached:
        session.terminal.line(f"{numbers['objects']} objects, {numbers['cpu_minutes']} CPU-minutes")
    session.terminal.line(f"image      {built.image}")
    session.terminal.line(f"KDIR       {built.out}")
    return 0


def doctor(session: Session, request: Request, *, json: bool = False) -> int:
    """Show what is there, what the kernel asks for, and what to type; 6 if nothing can run."""
    from rflbuild import doctor as rows
    from rflbuild import source, toolchain

    arch = chain.check(session, request)
    tree = source.prepare(session, request.kernel)
    reports: dict[str, list[rows.Check]] = {}
    chosen = ""
    for name in ("system", "debian") if request.toolchain == "auto" else (request.toolchain,):
        if name == "system":
            checks = rows.report(session, toolchain.system(session, arch), arch, tree)
        elif session.store.has("root", toolchain.debian_key(session)):
            checks = rows.report(session, toolchain.debian_root(session), arch, tree)
        else:
            checks = rows.without_root(session)
        reports[name] = checks
        if all(check.good for check in checks if check.needed):
            chosen = name
            break
    if json:
        value = {
            "kernel": tree.release,
            "arch": arch.name,
            "toolchain": chosen or None,
            "checks": {name: rows.as_rows(checks) for name, checks in reports.items()},
        }
        print(jsons.dumps(value, indent=2))
    else:
        for name, checks in reports.items():
            table(
                sys.stdout,
                f"toolchain {name}, Linux {tree.release} {arch.name}",
                ("tool", "found", "wanted", "where", "verdict", "what to type"),
                [(c.name, c.found, c.wanted, c.where, c.verdict, c.mend) for c in checks],
            )
            session.terminal.line()
    if chosen:
        session.terminal.line(f"ok: the chain can run, with the toolchain {chosen}")
        return 0
    session.terminal.line("environment: the chain cannot run here; the last column says what to do")
    return Verdict.ENVIRONMENT.exit_code


def status(session: Session, request: Request) -> int:
    """The chain, link by link: key, built or not, and what it would cost."""
    from rflbuild import status as links

    rows = links.rows(session, request)
    table(sys.stdout, "", ("link", "what", "key", "built", "would cost"), rows)
    session.terminal.line(f"store: {session.store.root}")
    return 0


def cache_key(session: Session, request: Request) -> int:
    """Print, as NAME=VALUE lines, where the store is and under which keys a CI may keep it.

    `root` is empty where the system's toolchain serves. `kernel` holds for a week,
    after which newer point releases are looked for.
    """
    root, kernel = chain.cache_keys(session, request)
    for name, value in (("store", session.store.root), ("root", root), ("kernel", kernel)):
        print(f"{name}={value}")
    return 0


def update(session: Session) -> int:
    """Let the next use look again for newer kernels and packages."""
    from rflbuild import source

    for what in source.forget_pins(session):
        session.terminal.line(f"forgotten: {what}; the next use looks for the newest")
    return 0


def clean(session: Session, days: float) -> int:
    """Remove from the store what was not used for so many days."""
    if not days >= 0:
        raise usage_error(f"--days is a number from 0 on, not {days:g}")
    root = session.store.root
    before = shutil.disk_usage(root).free if root.is_dir() else 0
    if len(session.store.runs()) > 1:  # one of which is ours
        session.terminal.note("another rflbuild is running: what was used since it began stays")
    for kind, key in session.store.remove_unused(days * 86400):
        session.terminal.line(f"removed    {kind} {key}")
    freed = shutil.disk_usage(root).free - before if root.is_dir() else 0
    session.terminal.line(f"freed {max(freed, 0) / 1e9:.1f} GB of {root}")
    return 0


def setup_rustup(session: Session, request: Request) -> int:
    """The course's own way to a toolchain (Documentation/rust/quick-start.rst)."""
    from rflbuild import doctor as rows
    from rflbuild import source
    from rflbuild.tools import dotted

    tree = source.prepare(session, request.kernel)
    rustc = dotted(rows.minimum(session, tree, "rustc"))
    bindgen = dotted(rows.minimum(session, tree, "bindgen"))
    commands = (
        ["rustup", "toolchain", "install", rustc, "--profile", "minimal"],
        ["rustup", "override", "set", rustc, "--path", str(tree.path)],
        ["rustup", "component", "add", "rust-src", "rustfmt", "clippy", "--toolchain", rustc],
        ["cargo", "install", "--locked", "--version", bindgen, "bindgen-cli"],
    )
    for argv in commands:
        session.terminal.line(f"$ {shlex.join(argv)}")
        done = session.processes.run(argv, timeout=1800.0, on_line=session.terminal.line)
        if done.status:
            raise RflError(
                Verdict.ENVIRONMENT, f"`{shlex.join(argv)}` failed with {done.status}, as above"
            )
    session.terminal.line("Next: ./rfl doctor --toolchain system")
    return 0
