"""What an editor works on: a module, all modules of the workspace, or a kernel's own tree."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild import chain, intree, kernel, module, source, targets
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.targets import Target
from rflbuild.testspec import TestSpec
from rflbuild.verdict import RflError, usage_error


@dataclass(frozen=True)
class Subject:
    """Modules, or `inside`, a part of the kernel's source; `folder` is what is opened for it.

    `modules` are built beside the kernel, those that are `laid` in it, over its source.
    `named` is the only one, if it was asked for by its name or place.
    """

    folder: Path
    modules: tuple[Module, ...] = ()
    laid: tuple[Target, ...] = ()
    inside: Path | None = None
    named: Target | None = None


def find(session: Session, wanted: str | None, request: Request) -> Subject:
    """What TARGET means: a name in modules/, a folder, or a file in either or in the kernel's tree.

    Nothing means the tree of the user's that --kernel names, else all of modules/ but what is
    in a tree of the user's. Raises RflError(usage) for anything else, and for a tree that is
    not the chosen kernel's.
    """
    inside = _in_tree(session, wanted, request)
    if inside:
        own, part = inside
        return Subject(own, inside=part)
    if wanted:
        return _named(session, wanted)
    modules: list[Module] = []
    laid: list[Target] = []
    for name in module.names(session):
        folder = session.workspace.modules / name
        try:
            if (in_tree := intree.read(folder)) is None:
                modules.append(module.at(folder, f"modules/{name}"))
            elif not in_tree.tree:
                laid.append(targets.find(session, name))
        except RflError as error:
            session.terminal.note(error.sentence)
    return Subject(session.workspace.root, tuple(modules), tuple(laid))


def kernel_for(session: Session, subject: Subject, request: Request, links: Links) -> Kernel:
    """The kernel that a subject is looked at with, built if need be.

    A tree of the user's is taken as it was last built: make would take seconds to find that
    there is nothing to do, and an error in the tree would be in the way. A module that is laid
    over a kernel is not in it.
    """
    if subject.named:
        _, planned = targets.plan(session, subject.named, request, links)
    if not subject.named or subject.laid:
        planned = chain.plan(session, request, links)
    last = kernel.as_built(session, planned)
    if not last:
        return chain.build_kernel(session, planned, links)
    what = f"{planned.source.release} {planned.arch.name} {last.label}, as last built"
    links.add("kernel", what, last.key, 0, cached=True)
    return last


def laid_kernel(session: Session, laid: Target, request: Request, links: Links) -> Kernel:
    """The kernel over which a module is laid, with it, as far as it takes to compile its file."""
    _, planned = targets.plan(session, laid, request, links)
    ready = kernel.prepared(session, planned)
    what = f"{planned.source.release} {planned.arch.name} {ready.label}, for {laid.name}"
    links.add("kernel", what, ready.key, ready.seconds, cached=ready.cached)
    return ready


def _named(session: Session, wanted: str) -> Subject:
    path = Path(wanted).expanduser()
    if path.is_file():
        for folder in Path(os.path.abspath(path)).parents:  # noqa: PTH100 - as below
            if intree.read(folder):
                return _named(session, str(folder))
            if module.is_module(folder):
                return _beside(module.at(folder, os.path.relpath(folder)), folder)
        raise usage_error(f"{wanted} is in no module's folder: none above it has a Kbuild")
    target = targets.find(session, wanted)
    if target.kind:
        raise usage_error(
            f"{wanted} is a kind of module: `./rfl new-module NAME --kind {wanted}` makes one of it"
        )
    if target.in_tree and target.in_tree.tree:
        tree = Path(target.in_tree.tree)
        return Subject(tree, inside=tree / target.in_tree.source, named=target)
    if target.in_tree:
        return Subject(target.files, laid=(target,), named=target)
    if not target.module:
        raise usage_error(f"{wanted} is a test of the kernel's own modules, and no module")
    # An editor knows the files by the path that it was given, links and all.
    as_given = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links
    given = as_given.is_dir() and as_given.samefile(target.module.directory)
    return _beside(target.module, as_given if given else target.module.directory)


def _beside(found: Module, folder: Path) -> Subject:
    """A module beside the kernel; its test is of no concern here, nor is a mistake in it."""
    found = replace(found, directory=folder)
    return Subject(folder, (found,), named=Target(found.name, TestSpec(), folder, found))


def _in_tree(session: Session, wanted: str | None, request: Request) -> tuple[Path, Path] | None:
    """The chosen kernel's tree and the part of it that was asked for, if it was."""
    chosen = source.locate(session, request.kernel)[1].directory
    if not wanted:
        return (Path(chosen), Path(chosen)) if chosen else None
    path = Path(wanted).expanduser()
    is_name = "/" not in wanted and (session.workspace.modules / wanted).is_dir()
    if is_name or not path.exists():
        return None
    path = path.resolve()
    tree = next((each for each in (path, *path.parents) if source.is_tree(each)), None)
    if not tree:
        return None
    own = Path(chosen) if chosen else source.prepare(session, request.kernel).path
    if own.resolve() != tree:
        raise usage_error(f"{wanted} is part of the kernel in {tree}: give --kernel {tree}")
    return own, own / path.relative_to(tree)
