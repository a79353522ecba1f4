"""What each task does: a request in, lines on the terminal, an exit code out."""

from __future__ import annotations

import json as jsons
import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rflbuild import chain, module, scaffold, targets
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.terminal import duration, table
from rflbuild.testspec import TestSpec
from rflbuild.verdict import RflError, Verdict, usage_error

if TYPE_CHECKING:
    from rflbuild.report import Result


def kernel(session: Session, request: Request) -> int:
    """Build the kernel, and say where it is."""
    from rflbuild.kernel import figures

    links = Links(session)
    built = chain.build_kernel(session, chain.plan(session, request, links), links)
    numbers = figures(built.out)
    if numbers and not built.cached:
        session.terminal.line(f"{numbers['objects']} objects, {numbers['cpu_minutes']} CPU-minutes")
    session.terminal.line(f"image      {built.image}")
    session.terminal.line(f"KDIR       {built.out}")
    return 0


def build_module(session: Session, wanted: str, request: Request, *, clippy: bool) -> int:
    """Build a module, and say where its .ko files are."""
    chain.check(session, request)
    target = targets.find(session, wanted)
    if target.module is None and target.kind is None:
        raise usage_error(f"{wanted} is a test of the kernel's own modules; it builds nothing")
    links = Links(session)
    target, planned = targets.plan(session, target, request, links)
    assert target.module  # noqa: S101 - a kind has one by now
    built_for = chain.build_kernel(session, planned, links)
    words = ["CLIPPY=1"] if clippy else []
    built = module.build(session, target.module, built_for, *words)
    links.add("module", target.name, built.key, built.seconds, cached=built.cached)
    for path in built.objects:
        session.terminal.line(f"           {path}")
    return 0


def new_module(session: Session, name: str, kind: str, kernel: str | None) -> int:
    """Make modules/NAME/ for the chosen kernel's Rust API."""
    scaffold.check_name(name)
    chosen = scaffold.load_kind(session.workspace, kind)
    version, release = chain.version(session, kernel)
    folder = scaffold.new_module(session, name, chosen, version, release)
    shown = os.path.relpath(folder)
    session.terminal.line(f"{shown}/ is a `{kind}` for Linux {release}: {chosen.summary}")
    for path in sorted(folder.iterdir()):
        session.terminal.line(f"  {path.name}")
    session.terminal.line(f"Next: ./rfl qemu-test {name}")
    return 0


def qemu_test(
    session: Session,
    wanted: str,
    request: Request,
    timeout: float | None,
    *,
    quick: bool = False,
    json: bool = False,
) -> int:
    """Judge a target; the exit code is the verdict's."""
    from rflbuild import testrun

    if timeout is not None and not 0 < timeout < math.inf:
        raise usage_error(f"--timeout is a number of seconds above 0, not {timeout:g}")
    result = testrun.run(session, testrun.Order(wanted, request, timeout, quick))
    if json:
        print(result.as_json())
    shown = os.path.relpath(result.folder)
    terminal = session.terminal
    if result.verdict is Verdict.PASS:
        word = terminal.paint("pass", "green")
        kernel = f"Linux {result.kernel['release']} {result.kernel['arch']}"
        terminal.line(
            f"{word:<10} {result.name} on {kernel}: {_counted(result)} in "
            f"{duration(result.seconds)}; {shown}"
        )
        return 0
    if result.detail:
        terminal.line(result.detail)
    word = terminal.paint(str(result.verdict), "red")
    terminal.line(f"{word}: {result.reason} [{shown}]")
    return result.verdict.exit_code


def _counted(result: Result) -> str:
    """How many steps were taken, and how many were not."""
    quick = " (--quick)" if result.quick else ""
    skipped = f", {len(result.skipped)} skipped," if result.skipped else ""
    taken = len(result.steps)
    return f"{taken} step{'' if taken == 1 else 's'}{quick}{skipped}"


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


def shell(session: Session, wanted: str | None, request: Request) -> int:
    """The guest with a prompt for a person; with no terminal, stdin is run as a script."""
    from rflbuild import report, testrun
    from rflbuild.guest import Guest

    chain.check(session, request)
    target = targets.find(session, wanted) if wanted else None
    links = Links(session)
    if target:
        target, planned = targets.plan(session, target, request, links)
    else:
        planned = chain.plan(session, request, links)
    built = chain.build_kernel(session, planned, links)
    files: dict[str, Path] = {}
    spec = TestSpec()
    if target:
        files, _ = testrun.load(session, target, built, links)
        spec = target.spec
    folder, _ = report.open_folder(session.workspace.results, f"shell-{wanted or 'guest'}")
    person = sys.stdin.isatty() and sys.stdout.isatty()
    boot = testrun.boot_for(session, built, spec, person=person)
    with Guest(session, boot, folder) as running:
        running.put(files)
        if person:
            session.terminal.line(f"log        {folder / 'console.log'}")
            return running.wait_for_person()
        script = sys.stdin.read()
        running.wait_until_ready(testrun.BOOT_TIMEOUT)
        running.unpack(testrun.BOOT_TIMEOUT)
        answer = running.run(script, 3600.0)
        sys.stdout.write(answer.output)
        return answer.status


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


def bench(session: Session, target: str | None, rounds: int) -> int:
    """Run tests/bench, which prints figures and judges nothing."""
    if rounds < 1:
        raise usage_error(f"--rounds is a number above 0, not {rounds}")
    words = ["edit_to_verdict"]
    if target:
        found = targets.find(session, target)
        words = ["e1000", str(found.module.directory) if found.module else target]
    child = session.processes.start(
        [sys.executable, "-m", f"tests.bench.{words[0]}", *words[1:], str(rounds)],
        cwd=session.workspace.root,
        output=None,
        foreground=True,
    )
    return child.wait()


def run_tests(session: Session, words: Sequence[str]) -> int:
    """Everything that CI runs, in its order, until something fails."""
    root = session.workspace.root
    tools = Path(sys.executable).parent
    for argv in (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *_workflows(root)],
        ["zizmor", "--offline", "--quiet", *_workflows(root)],
        ["pytest", *words],
    ):
        session.terminal.line(f"$ {shlex.join(argv)}")
        child = session.processes.start(
            [str(tools / argv[0]), *argv[1:]], cwd=root, output=None, foreground=True
        )
        status = child.wait()
        if status:
            return 1
    return 0


def _workflows(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for folder in ("workflows", ".github/workflows")
        for path in sorted((root / folder).glob("*.yml"))
    ]
