"""Modules: a new one, and building one."""

from __future__ import annotations

import os

from rflbuild import chain, intree, module, scaffold, source, targets
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.verdict import usage_error


def new(session: Session, name: str, kind: str, kernel: str | None, *, remove: bool) -> int:
    """Make modules/NAME/ for the chosen kernel's Rust API."""
    if remove:
        raise usage_error(f"--remove goes with --in-tree; modules/{name} is yours to remove")
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


def new_in_tree(
    session: Session, name: str, kind: str, request: Request, into: str, *, remove: bool
) -> int:
    """Put a module into the kernel's tree, the user's own or by an overlay, or take it out."""
    if remove:
        change = intree.remove(session, name)
    else:
        chosen = scaffold.load_kind(session.workspace, kind)
        tree = source.prepare(session, request.kernel)
        change = intree.add(session, name, chosen, tree, into)
        if not change.written:
            session.terminal.line(f"{name} is there already; nothing was changed")
    for word, paths in (
        ("written", change.written),
        ("removed", change.removed),
        ("kept", change.kept),
    ):
        for path in paths:
            why = ": it was edited since it was made" if word == "kept" else ""
            session.terminal.line(f"{word:<10} {os.path.relpath(path)}{why}")
    folder = session.workspace.modules / name
    if not remove:
        session.terminal.line(f"Next: ./rfl qemu-test {name}, also with --builtin")
    elif folder.is_dir():
        left = ", ".join(sorted(path.name for path in folder.iterdir()))
        session.terminal.note(f"{os.path.relpath(folder)}/ stays, with what is yours: {left}")
    return 0


def build(session: Session, wanted: str, request: Request) -> int:
    """Build a module, and say where its .ko files are."""
    chain.check(session, request)
    target = targets.find(session, wanted)
    if target.in_tree:
        links = Links(session)
        built_for = chain.build_kernel(
            session, targets.plan(session, target, request, links)[1], links
        )
        session.terminal.line(f"           {built_for.module(f'{target.in_tree.object}.ko')}")
        return 0
    if target.module is None and target.kind is None:
        raise usage_error(f"{wanted} is a test of the kernel's own modules; it builds nothing")
    links = Links(session)
    target, planned = targets.plan(session, target, request, links)
    assert target.module  # noqa: S101 - a kind has one by now
    built_for = chain.build_kernel(session, planned, links)
    built = module.build(session, target.module, built_for)
    links.add("module", target.name, built.key, built.seconds, cached=built.cached)
    for path in built.objects:
        session.terminal.line(f"           {path}")
    return 0
