"""The chain, link by link, without building any of it."""

from __future__ import annotations

from rflbuild import chain, image, kconfig, kernel, module, source, toolchain
from rflbuild.arch import Arch
from rflbuild.build_folder import figures
from rflbuild.chain import Request
from rflbuild.kernel import Plan
from rflbuild.session import Session
from rflbuild.terminal import duration
from rflbuild.verdict import RflError


def rows(session: Session, request: Request) -> list[tuple[str, str, str, str, str]]:
    """A row for each link: name, what, key, built or not, what it would cost."""
    arch = chain.check(session, request)
    store = session.store
    key = source.pinned(session, request.kernel)
    found = [
        (
            "source",
            f"Linux {request.kernel or source.kernels(session).default}",
            key or "-",
            "yes" if key else "no",
            "" if key else _cost(session, "source"),
        )
    ]
    lacks = toolchain.system_lacks(session, arch)
    root_key = toolchain.debian_key(session)
    root_there = store.has("root", root_key)
    uses_root = request.toolchain == "debian" or (request.toolchain == "auto" and bool(lacks))
    if uses_root:
        cost = "" if root_there else _cost(session, "toolchain")
        found.append(("toolchain", "debian", root_key, "yes" if root_there else "no", cost))
    else:
        found.append(
            ("toolchain", "system", "-", f"lacks {', '.join(lacks)}" if lacks else "yes", "")
        )
    if not key or (uses_root and not root_there):
        found.append(("kernel", arch.name, "-", "no", _cost(session, "kernel")))
        return found
    tree = source.prepare(session, request.kernel)
    tools = toolchain.debian_root(session) if uses_root else toolchain.system(session, arch)
    config = kconfig.compose(session.workspace.configs, request.base, request.fragments, arch, tree)
    plan = Plan(arch, tree, tools, config, request.allow_dropped)
    there = store.has("kernel", plan.key)
    what = f"{tree.release} {arch.name} {config.label}"
    if there:
        numbers = figures(store.path("kernel", plan.key))
        cost = f"({numbers.get('objects')} objects, {numbers.get('cpu_minutes')} CPU-minutes)"
    elif tree.mutable:
        cost = "what make finds stale in your folder"
    else:
        cost = _cost(session, "kernel")
    found.append(("kernel", what, plan.key, "yes" if there else "no", cost))
    bound = chain.with_bindings(session, plan)
    if bound is not plan:
        there = kernel.is_built(session, bound)
        cost = "" if there else "about a minute"
        found.append(("overlay", "C functions for Rust", bound.key, "yes" if there else "no", cost))
    found.append(_image(session, arch))
    for name in module.names(session):
        try:
            module.at(session.workspace.modules / name, f"modules/{name}")
            found.append(("module", f"modules/{name}", "-", "by its content", "about 1 s"))
        except RflError as error:
            found.append(("module", f"modules/{name}", "-", error.sentence, ""))
    return found


def _image(session: Session, arch: Arch) -> tuple[str, str, str, str, str]:
    key = image.key(session, arch, "", ())
    there = session.store.has("image", key)
    what = f"Debian {image.recipe(session).suite} {arch.name}"
    cost = "" if there else f"{_cost(session, 'image')}, for a guest of Debian's"
    return ("image", what, key, "yes" if there else "no", cost)


def _cost(session: Session, link: str) -> str:
    """What the link took the last time it was built here."""
    noted = session.store.noted(f"cost-{link}")
    return f"about {duration(float(str(noted['seconds'])))}" if noted else "not built here before"
