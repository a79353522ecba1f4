"""Single targets and checks: what a compiler makes of a file, and what the linters say."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rflbuild import chain, kernel, module, savedcmd, source, targets
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel, Plan
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.targets import Target
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
    links = Links(session)
    if wanted:
        ((target, plan),) = _targets(session, wanted, request, links)
        built = chain.build_kernel(session, plan, links)
        if target.module:
            made = emitting.of_module(session, target.module, built, file, form)
        else:
            (own,) = target.in_kernel
            made = emitting.of_kernel(session, built, file or own, form)
    elif file:
        plan = chain.plan(session, request, links)
        inside = emitting.inside(plan.source.path, file) or file
        built = _kernel(session, plan, links, inside, whole=form == "o")
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
    from rflbuild.emit import inside

    if wanted and file:
        raise usage_error("--file is of the kernel's source; a module is read as a whole")
    said: dict[str, list[str]] = {}
    links = Links(session)
    if file or (not wanted and _is_own_tree(session, request)):
        plan = chain.plan(session, request, links)
        chosen = (inside(plan.source.path, file) or file) if file else None
        built = _kernel(session, plan, links, chosen)
        if chosen:
            commands = [savedcmd.of_kernel(built, chosen)]
        else:
            commands = list(savedcmd.rust_of_kernel(built))
        with session.terminal.progress("clippy", len(commands)) as meter:
            for command in commands:
                name = os.path.relpath(command.source, savedcmd.source_of(built))
                said[name] = clippys.of_kernel(session, built, command)
                meter.step()
    else:
        for target, plan in _targets(session, wanted, request, links):
            built = chain.build_kernel(session, plan, links)
            if target.module:
                said[target.module.shown] = clippys.of_module(session, target.module, built)
            else:
                ((file, shown),) = target.in_kernel.items()
                words = clippys.of_kernel(session, built, savedcmd.of_kernel(built, file))
                said[shown] = [each.replace(f"{file}:", f"{shown}:") for each in words]
    return _judge(session, "clippy", said)


def fmt(session: Session, wanted: str | None, request: Request, *, check: bool) -> int:
    """Lay out modules' files, or a tree's Rust; with `check` only show what would change."""
    from rflbuild import rustfmt

    done: list[rustfmt.Formatted] = []
    links = Links(session)
    if not wanted and _is_own_tree(session, request):
        plan = chain.plan(session, request, links)
        done += rustfmt.rust(session, plan, rustfmt.rust_of_tree(session, plan))
    else:
        for target, plan in _targets(session, wanted, request, links):
            owner = target.module
            if not owner:
                own = target.own_file
                done += rustfmt.rust(session, plan, {own: os.path.relpath(own)})
                continue
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

    links = Links(session)
    if wanted:
        ((target, plan),) = _targets(session, wanted, request, links)
        built = chain.build_kernel(session, plan, links)
        if target.module:
            made = docs.of_module(session, target.module, built)
        else:
            ((file, shown),) = target.in_kernel.items()
            made = docs.of_file(session, built, file, shown)
    else:
        plan = chain.plan(session, request, links)
        made = docs.of_kernel(session, chain.build_kernel(session, plan, links))
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
    links = Links(session)
    if own and not wanted:
        plan = chain.plan(session, request, links)
        if revisions:
            said = patches.of_commits(session, plan, revisions)
        else:
            said = {f"{plan.source.path}, since HEAD": patches.of_changes(session, plan)}
    else:
        outside = False
        for target, plan in _targets(session, wanted, request, links):
            if target.module:
                outside = True
                said[target.module.shown] = patches.of_module(session, plan, target.module)
            else:
                file = target.own_file
                shown = os.path.relpath(file.parent)
                said[os.path.relpath(file)] = patches.of_files(
                    session, plan, file.parent, [file.name], shown
                )
        if outside:
            left = ", ".join(patches.IGNORED)
            session.terminal.note(f"left out, since it is for the kernel's own tree: {left}")
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


def _targets(
    session: Session, wanted: str | None, request: Request, links: Links
) -> Iterator[tuple[Target, Plan]]:
    """The module that is meant, else all of modules/, each with the kernel that is planned for it.

    Each has a module, its files right for that kernel, or is in the kernel's tree.
    """
    chain.check(session, request)
    names = [wanted] if wanted else module.names(session)
    if not names:
        raise usage_error("say which module, since modules/ has none")
    found = [targets.find(session, name) for name in names]
    for target in found:
        if not (target.module or target.kind or target.in_tree):
            raise usage_error(f"{wanted} is a test of the kernel's own modules, and has no files")
    for target in found:
        yield targets.plan(session, target, request, links)


def _kernel(
    session: Session, plan: Plan, links: Links, file: str | None = None, *, whole: bool = False
) -> Kernel:
    """The kernel of a plan, as far as it takes to compile its files, or one of them, again.

    Of a tree of the user's that was built before, the configuration and what Rust is compiled
    against are brought up to date, and all is only if it has to be `whole`, or has never
    compiled the file. An error in the tree is told, and is not in the way of what can be had
    from the last build.
    """
    last = None if whole else kernel.as_built(session, plan)
    if not last:
        return chain.build_kernel(session, plan, links)
    try:
        built = kernel.prepared(session, plan)
    except RflError as error:
        if error.verdict is not Verdict.BUILD_ERROR:
            raise
        session.terminal.note(f"{error.sentence}; what follows is of the last build")
        return last
    if file and not savedcmd.was_compiled(built, file):
        return chain.build_kernel(session, plan, links)
    what = f"{plan.source.release} {plan.arch.name} {built.label}, its headers and Rust"
    links.add("kernel", what, built.key, built.seconds, cached=False)
    return built
