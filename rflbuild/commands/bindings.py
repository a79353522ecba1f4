"""C functions for Rust: bound in a tree of the user's own, or in an overlay of the workspace."""

from __future__ import annotations

import shlex
from pathlib import Path

from rflbuild import binding, bindings, bindings_edit, chain, declaration, exports, headers
from rflbuild.binding import Wanted
from rflbuild.bindings import Place
from rflbuild.bindings_edit import Edit
from rflbuild.chain import Links, Request
from rflbuild.kernel import Plan
from rflbuild.session import Session
from rflbuild.verdict import usage_error


def new_binding(
    session: Session,
    name: str,
    request: Request,
    header: str,
    prototype: str,
    *,
    show: bool,
    remove: bool,
) -> int:
    """Make a C function reachable from Rust, take that back, or show what bindgen made of it."""
    if not bindings.is_name(name):
        raise usage_error(f"`{name}` is no name of a C function")
    if remove and (header or prototype or show):
        raise usage_error("--remove goes with a function's name alone")
    if not (header or show or remove):
        chain.check(session, request)
        raise usage_error(_without_header(session, name, request))
    links = Links(session)
    planned = chain.plan(session, request, links, bound=False)
    with session.store.lock(f"bindings-{planned.source.key}"):
        if remove:
            _remove(session, name, planned, request)
        elif header:
            wanted = Wanted(name, header.strip("<>"), prototype)
            _add(session, wanted, planned, request, links)
    if show:
        _show(session, name, chain.with_bindings(session, planned), links)
    return 0


def _without_header(session: Session, name: str, request: Request) -> str:
    """What to say to somebody who gave no header: which ones declare the function."""
    from rflbuild import source

    found = headers.declaring(name, source.prepare(session, request.kernel))
    there = f"; {', '.join(found)} may be it" if found else ""
    return f"new-binding {name} needs --header, the header that declares it{there}"


def _add(session: Session, wanted: Wanted, planned: Plan, request: Request, links: Links) -> None:
    """Bind a function, unless that is done."""
    name, header = wanted.name, wanted.header
    binding.check_header(planned.source, planned.arch, header)
    tree = planned.source.read
    form = bindings_edit.form(tree)
    place = Place.of(session.workspace, planned.source)
    cc = declaration.compiler(session, planned, _built(session, planned, links))
    there = binding.reached(cc, name)
    lines = place.record.includes.get(bindings_edit.HEADERS, ())
    if there and (name in place.record.bindings or f"<{header}>" not in lines):
        session.terminal.line(f"{name} is there already ({there}): kernel::bindings::{name}")
        return
    found = binding.find(cc, form, wanted)
    had = place.record.bindings.get(name)
    if had and not planned.source.mutable:
        if had.header != header or (wanted.prototype and had != found.binding):
            raise usage_error(
                f"{_shown(session, place.path)} has {name} with {had.header}, and otherwise than "
                f"it would be now: take it out first, by `new-binding {name} --remove`"
            )
        session.terminal.line(
            f"{name} is bound already, by {_shown(session, place.path)}: kernel::bindings::{name}"
        )
        return
    after, edit = place.adding(name, found.binding)
    binding.try_out(cc, tree, edit, name, found)
    after.save(place, edit)
    session.terminal.line(f"{name} is {found.what}")
    for note in found.notes:
        session.terminal.note(note)
    _tell(session, after, edit)
    session.terminal.line(
        f"Next: {_command(request, 'kernel')} builds the kernel anew, as the next qemu-test does; "
        f"then Rust has kernel::bindings::{name}"
    )


def _remove(session: Session, name: str, planned: Plan, request: Request) -> None:
    """Take out a function that was bound here."""
    place = Place.of(session.workspace, planned.source)
    if name not in place.record.bindings:
        known = ", ".join(sorted(place.record.bindings)) or "none"
        raise usage_error(
            f"new-binding has not bound {name} in {_called(planned)}; in "
            f"{_shown(session, place.path)} there are: {known}"
        )
    after, edit = place.removing(name)
    after.save(place, edit)
    session.terminal.line(f"{name} is bound no more in {_called(planned)}")
    _tell(session, after, edit)
    session.terminal.line(
        f"Next: {_command(request, 'kernel')} builds the kernel without it, as the next "
        "qemu-test does"
    )


def _show(session: Session, name: str, planned: Plan, links: Links) -> None:
    """Build the kernel if need be, and print a function's Rust signature."""
    built = chain.build_kernel(session, planned, links)
    text, where = exports.signature(built.out, name)
    if not text:
        raise usage_error(
            f"the bindings of Linux {planned.source.release} have no `{name}`: bind it by "
            f"`new-binding {name} --header …`"
        )
    session.terminal.line(f"// {where}")
    session.terminal.line(text)


def _built(session: Session, planned: Plan, links: Links) -> Path:
    """The folder of a kernel that was built from the source as it is, without what is bound here.

    It is there for what bindgen was told: one that was built before will do.
    """
    store, key = session.store, planned.key
    out = store.path("work/kernel" if planned.source.mutable else "kernel", key)
    if (out / declaration.COMMAND).is_file():
        return out
    return chain.build_kernel(session, planned, links).out


def _tell(session: Session, place: Place, edit: Edit) -> None:
    """Say which files are others now."""
    if not place.source.mutable:
        session.terminal.line(f"  {_shown(session, place.path)}")
        return
    for path, text in edit.files.items():
        how = "" if text is not None else "  removed"
        session.terminal.line(f"  {place.source.path / path}{how}")


def _shown(session: Session, path: Path) -> str:
    return str(path.relative_to(session.workspace.root))


def _called(planned: Plan) -> str:
    source = planned.source
    return str(source.path) if source.mutable else f"Linux {source.release}"


def _command(request: Request, task: str) -> str:
    return shlex.join(["./rfl", task, *request.words()])
