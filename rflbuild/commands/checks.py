"""Single targets and checks: what a compiler makes of a file, and what the linters say."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rflbuild import chain, module, source, targets
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel, Plan
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.verdict import RflError, Verdict, environment_error, usage_error


def emit(
    session: Session,
    wanted: str | None,
    request: Request,
    *,
    form: str,
    file: str | None,
    output: str | None,
    raw: bool,
    force: bool,
) -> int:
    """Print what the compiler makes of one file of a module or of the kernel, or write it."""
    from rflbuild import emit as emitting

    place = _place(output) if output else None
    session = session.on_stderr()  # stdout is for what is made
    in_tree = _in_tree(session, wanted, request)
    if in_tree:
        built, own = in_tree
        made = emitting.of_kernel(session, built, file or own, form)
    elif wanted:
        ((owner, built),) = _modules(session, wanted, request)
        made = emitting.of_module(session, owner, built, file, form)
    elif file:
        built = _kernel(session, request)
        made = emitting.of_kernel(session, built, file, form)
    else:
        raise usage_error("say what of: a module, or a file of the kernel by --file")
    if place and form == "o":
        content = made.content
    else:
        text = emitting.as_text(session, built.toolchain, made, raw=raw)
        if not place:
            sys.stdout.write(text)
            return 0
        content = text.encode()
    changed = not place.exists() or place.read_bytes() != content
    if changed and place.exists() and not force:
        raise usage_error(f"{output} is there already: choose another name, or give --force")
    if changed:
        write_atomically(place, content)
    session.terminal.line(f"{output}: {emitting.FORMS[form]} of {made.file}")
    return 0


def _place(output: str) -> Path:
    """Where to write; RflError(usage) if nothing can be written there."""
    path = Path(output).expanduser().resolve()
    if path.exists() and not path.is_file():
        raise usage_error(f"{output} is no ordinary file: give the name of one by --output")
    if not path.parent.is_dir():
        raise usage_error(f"{path.parent} is not a folder")
    return path


def clippy(session: Session, wanted: str | None, request: Request, *, file: str | None) -> int:
    """Show what clippy says of modules, or of the kernel's Rust; 1 if it says anything."""
    from rflbuild import clippy as clippys
    from rflbuild import savedcmd
    from rflbuild.emit import inside

    if wanted and file:
        raise usage_error("--file is of the kernel's source; a module is read as a whole")
    said: dict[str, list[str]] = {}
    in_tree = _in_tree(session, wanted, request)
    if in_tree:
        built, own = in_tree
        said[own] = clippys.of_kernel(session, built, savedcmd.of_kernel(built, own))
    elif file or (not wanted and _is_own_tree(session, request)):
        built = _kernel(session, request)
        if file:
            commands = [savedcmd.of_kernel(built, inside(built.source.path, file) or file)]
        else:
            commands = list(savedcmd.rust_of_kernel(built))
        with session.terminal.progress("clippy", len(commands)) as meter:
            for command in commands:
                name = os.path.relpath(command.source, savedcmd.source_of(built))
                said[name] = clippys.of_kernel(session, built, command)
                meter.step()
    else:
        for owner, built in _modules(session, wanted, request):
            said[owner.shown] = clippys.of_module(session, owner, built)
    return _judge(session, "clippy", said)


def fmt(session: Session, wanted: str | None, request: Request, *, check: bool) -> int:
    """Lay out modules' files, or a tree's Rust; with `check` only show what would change."""
    from rflbuild import rustfmt

    done: list[rustfmt.Formatted] = []
    if not wanted and _is_own_tree(session, request):
        plan = chain.plan(session, request, Links(session))
        done += rustfmt.rust(session, plan, rustfmt.rust_of_tree(session, plan))
    else:
        for owner, plan in _plans(session, wanted, request):
            if not check and owner.directory.is_relative_to(session.store.root):
                raise usage_error(f"{owner.shown} is no folder of yours to change: give --check")
            done += rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)
            files = rustfmt.c_of_module(owner)
            made = rustfmt.c(session, plan, files) if files else []
            if made is None:
                left = ", ".join(files.values())
                session.terminal.note(f"no clang-format in the toolchain; left alone: {left}")
            done += made or []
    changed = [each for each in done if each.changed]
    for each in changed:
        if check:
            session.terminal.line(each.diff().rstrip("\n"))
        else:
            each.write()
            session.terminal.line(f"formatted  {each.shown}")
    if check and changed:
        names = ", ".join(each.shown for each in changed[:3]) + (", …" if len(changed) > 3 else "")
        raise RflError(
            Verdict.FAIL,
            f"{len(changed)} of {len(done)} files are to be changed, as above: {names}",
        )
    session.terminal.link("fmt", f"files: {len(done)}", f"changed: {len(changed)}")
    return 0


def rustdoc(session: Session, wanted: str | None, request: Request, *, show: bool) -> int:
    """Document a module with the kernel's Rust, or that alone, and say where to read it."""
    from rflbuild import rustdoc as docs

    if wanted:
        ((owner, built),) = _modules(session, wanted, request)
        made = docs.of_module(session, owner, built)
    else:
        made = docs.of_kernel(session, _kernel(session, request))
    for warning in made.warnings:
        session.terminal.line(f"{warning}\n")
    session.terminal.line(f"index      {made.index}")
    if show:
        import webbrowser

        if not webbrowser.open(made.index.as_uri()):
            raise environment_error(f"no browser can be started here: open {made.index} in one")
    return 0


def checkpatch(
    session: Session, wanted: str | None, request: Request, *, revisions: str | None
) -> int:
    """Show what checkpatch says of modules, or of what was changed in a tree; 1 if anything."""
    from rflbuild import checkpatch as patches

    own = _is_own_tree(session, request)
    if revisions and (wanted or not own):
        raise usage_error(
            "--range is of a kernel tree of yours: give it by --kernel, and no module"
        )
    said: dict[str, list[str]] = {}
    if own and not wanted:
        plan = chain.plan(session, request, Links(session))
        if revisions:
            said = patches.of_commits(session, plan, revisions)
        else:
            said = {f"{plan.source.path}, since HEAD": patches.of_changes(session, plan)}
    else:
        for owner, plan in _plans(session, wanted, request):
            said[owner.shown] = patches.of_module(session, plan, owner)
        ignored = ", ".join(patches.IGNORED)
        session.terminal.note(
            f"what does not apply outside the kernel's tree is left out: {ignored}"
        )
    return _judge(session, "checkpatch", said)


def _judge(session: Session, check: str, said: Mapping[str, Sequence[str]]) -> int:
    """Show all that a check says of each thing; 0 if it is nothing, else RflError(fail)."""
    for name, words in said.items():
        for each in words:
            session.terminal.line(f"{each}\n")
        session.terminal.link(
            check, name, f"complaints: {len(words)}" if words else "nothing to say"
        )
    faulty = [name for name, words in said.items() if words]
    if faulty:
        raise RflError(Verdict.FAIL, f"{check} complains of {', '.join(faulty)}, as above")
    return 0


def _is_own_tree(session: Session, request: Request) -> bool:
    """Whether the kernel that was asked for is a folder of the user's."""
    return source.locate(session, request.kernel)[1].directory is not None


def _modules(
    session: Session, wanted: str | None, request: Request
) -> Iterator[tuple[Module, Kernel]]:
    """The module that is meant, else all of modules/, each with the kernel that is built for it."""
    links = Links(session)
    for owner, plan in _plans(session, wanted, request, links):
        yield owner, chain.build_kernel(session, plan, links)


def _plans(
    session: Session, wanted: str | None, request: Request, links: Links | None = None
) -> Iterator[tuple[Module, Plan]]:
    """The module that is meant, else all of modules/, each with the kernel that is planned for it.

    Its files are right for that kernel.
    """
    chain.check(session, request)
    links = links or Links(session)
    names = [wanted] if wanted else module.names(session)
    if not names:
        raise usage_error("say which module, since modules/ has none")
    found = [targets.find(session, name) for name in names]
    for target in found:
        if target.in_tree and target.in_tree.tree:
            tree = target.in_tree.tree
            raise usage_error(f"{target.name} is a part of {tree}: give --kernel {tree} instead")
        if not (target.module or target.kind or target.in_tree):
            raise usage_error(f"{wanted} is a test of the kernel's own modules, and has no files")
    for target in found:
        chosen, plan = targets.plan(session, target, request, links)
        yield chosen.module or Module(target.name, target.files, f"modules/{target.name}"), plan


def _in_tree(session: Session, wanted: str | None, request: Request) -> tuple[Kernel, str] | None:
    """The kernel that builds a module of its own tree, and the module's file; else None."""
    target = targets.find(session, wanted) if wanted else None
    if not target or not target.in_tree:
        return None
    links = Links(session)
    _, plan = targets.plan(session, target, request, links)
    return chain.build_kernel(session, plan, links), target.in_tree.source


def _kernel(session: Session, request: Request) -> Kernel:
    """The kernel of a request, built if need be."""
    links = Links(session)
    return chain.build_kernel(session, chain.plan(session, request, links), links)
