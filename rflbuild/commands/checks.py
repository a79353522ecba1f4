"""Single targets and checks: what a compiler makes of a file, and what the linters say."""

from __future__ import annotations

import sys
from pathlib import Path

from rflbuild import chain, targets
from rflbuild.chain import Links, Request
from rflbuild.kernel import Kernel
from rflbuild.module import Module
from rflbuild.session import Session
from rflbuild.store import write_atomically
from rflbuild.verdict import usage_error


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
    built, owner = _built(session, wanted, request)
    if owner:
        made = emitting.of_module(session, owner, built, file, form)
    elif file:
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


def _built(session: Session, wanted: str | None, request: Request) -> tuple[Kernel, Module | None]:
    """The kernel of a request, and the module that is meant, its files right for that kernel."""
    chain.check(session, request)
    links = Links(session)
    if wanted is None:
        return chain.build_kernel(session, chain.plan(session, request, links), links), None
    target = targets.find(session, wanted)
    if target.module is None and target.kind is None:
        raise usage_error(f"{wanted} is a test of the kernel's own modules, and has no files")
    target, planned = targets.plan(session, target, request, links)
    return chain.build_kernel(session, planned, links), target.module
