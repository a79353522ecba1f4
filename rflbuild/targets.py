"""What `qemu-test TARGET` means: a module of the user's, any folder, a kind, or a test by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rflbuild import chain, intree, kconfig, kernel, module, requirements, scaffold, testspec
from rflbuild.chain import Links, Request
from rflbuild.intree import InTree
from rflbuild.kernel import Kernel, Plan
from rflbuild.module import Module
from rflbuild.scaffold import Kind
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import key_of, write_atomically
from rflbuild.testspec import TestSpec
from rflbuild.verdict import usage_error

_ON_DISK = "test-debian.yaml"


@dataclass(frozen=True)
class Target:
    """What is tested: a module, or none for a test of the kernel's own modules.

    `kind` is set for a template until `for_kernel` has rendered it; `in_tree` for a
    module that the kernel's own build makes, `builtin` if it is to be part of the
    image. `files` is the folder in which the test's own files are.
    """

    name: str
    spec: TestSpec
    files: Path
    module: Module | None = None
    kind: Kind | None = None
    in_tree: InTree | None = None
    builtin: bool = False

    @property
    def in_kernel(self) -> dict[str, str]:
        """Its own files in the kernel's tree, by what people call them."""
        if not self.in_tree:
            return {}
        at = self.in_tree.source
        return {at: at if self.in_tree.tree else f"modules/{self.name}/{PurePosixPath(at).name}"}

    @property
    def own_file(self) -> Path:
        """Of a module that is in the kernel's tree, the file of the user's."""
        assert self.in_tree  # noqa: S101 - who asks has looked
        if self.in_tree.tree:
            return Path(self.in_tree.tree, self.in_tree.source)
        return self.files / PurePosixPath(self.in_tree.source).name


def find(session: Session, wanted: str) -> Target:
    """The target of that name or path.

    A name means modules/NAME, else the kind NAME as it stands in templates/,
    else configs/tests/NAME.yaml; anything else is a folder. Raises
    RflError(usage) with the names that there are.
    """
    workspace = session.workspace
    tests = workspace.configs / "tests"
    if not _is_path(wanted):
        own = workspace.modules / wanted
        if own.is_dir():
            return _folder(session, own, f"modules/{wanted}")
        if wanted in scaffold.kind_names(workspace):
            kind = scaffold.load_kind(workspace, wanted)
            return Target(wanted, TestSpec(), workspace.templates / wanted, kind=kind)
        named = tests / f"{wanted}.yaml"
        if named.is_file():
            return Target(wanted, testspec.read(named), tests)
    path = Path(wanted).expanduser()
    if _is_path(wanted) or path.is_dir():
        return _folder(session, path, wanted)
    known = [*module.names(session), *scaffold.kind_names(workspace)]
    raise module.unknown(wanted, [*known, *sorted(p.stem for p in tests.glob("*.yaml"))])


def plan(session: Session, target: Target, request: Request, links: Links) -> tuple[Target, Plan]:
    """A target, its files right for a kernel, and the plan of the kernel, when they fit.

    Raises RflError(usage) for what module.yaml asks of the kernel's version and source
    in vain; the version alone, if it can be known, is looked at before anything is fetched.
    """
    if target.in_tree:
        return target, _plan_in_tree(session, target, target.in_tree, request, links)
    if target.builtin:
        raise usage_error(
            f"{target.name} is not in the kernel's tree, and so cannot be built in: "
            f"make one that is by `./rfl new-module NAME --in-tree`"
        )
    stated = chain.stated_version(session, request.kernel)
    if stated:
        numbers = tuple(int(part) for part in stated.split("."))
        needs = _needs(session, target, numbers)
        if needs:
            requirements.check_version(needs, numbers, stated)
    planned = chain.plan(session, request, links)
    needs = _needs(session, target, planned.source.version)
    if needs:
        requirements.check_source(needs, planned.source, planned.arch)
    return for_kernel(session, target, planned.source), replace(planned, needs=needs)


def _plan_in_tree(
    session: Session, target: Target, module: InTree, request: Request, links: Links
) -> Plan:
    """The kernel that builds a module of its own tree."""
    if module.tree and request.kernel is None:
        request = replace(request, kernel=module.tree)
    planned = chain.plan(session, request, links)
    own = str(planned.source.path) if planned.source.mutable else ""
    if own != module.tree:
        raise usage_error(
            f"{target.name} is in {module.tree}: leave --kernel out"
            if module.tree
            else f"{target.name} is not in {own}: type `./rfl new-module NAME --in-tree "
            f"--kernel {own}` to make one there"
        )
    files = {} if module.tree else intree.files(module, target.files, planned.source)
    setting = module.setting("y" if target.builtin else "m", target.files / intree.FILE)
    scope = key_of("in-tree", str(target.files))
    return kernel.vary(session, planned, files, scope, [setting])


def again(session: Session, wanted: str, kernel: Kernel) -> Target:
    """A target once more, from its files as they are now, for a kernel that is built.

    Raises RflError(usage) for what no longer holds, as `find` and `plan` do.
    """
    target = find(session, wanted)
    needs = _needs(session, target, kernel.source.version)
    if needs:
        values = kconfig.read(kernel.out / ".config")
        requirements.check_source(needs, kernel.source, kernel.arch)
        requirements.check_options(needs, kernel.source, kernel.arch, kernel.label, values)
    return for_kernel(session, target, kernel.source)


def _needs(session: Session, target: Target, version: Sequence[int]) -> Path | None:
    """The module.yaml of a target for a kernel of a version, if there is one."""
    if target.kind:
        return scaffold.sources(session.workspace, target.kind, version).get(requirements.FILE)
    path = target.module and target.module.directory / requirements.FILE
    return path if path and path.is_file() else None


def for_kernel(session: Session, target: Target, source: Source) -> Target:
    """The target with its module's files right for a kernel."""
    if target.kind is None:
        return target
    files = scaffold.files(
        session.workspace, target.kind, target.name, source.version, source.release
    )
    key = key_of(str(session.workspace.root), target.name, source.release)
    folder = session.store.work("template", key)
    with session.store.lock(f"template-{key}", quiet=True):
        _render(folder, files)
    rendered = Module(target.name, folder, f"templates/{target.name}")
    spec = testspec.read(folder / "test.yaml")
    return replace(target, module=rendered, spec=spec, files=folder, kind=None)


def on_disk(target: Target) -> Target:
    """The target as a guest on a disk tests it: by its test-debian.yaml, if it has one."""
    own = target.files / _ON_DISK
    if not target.module or not own.is_file():
        return target
    return replace(target, spec=testspec.read(own))


def _render(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder hold these files; make sees only what changed."""
    for old in folder.rglob("*"):
        if old.is_file() and str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)


def _is_path(wanted: str) -> bool:
    return "/" in wanted or wanted in (".", "..") or wanted.startswith("~")


def _folder(session: Session, folder: Path, shown: str) -> Target:
    in_tree = intree.read(folder)
    if in_tree:
        own = folder.resolve() / "test.yaml"
        spec = testspec.read(own) if own.is_file() else TestSpec()
        return Target(own.parent.name, spec, own.parent, in_tree=in_tree)
    found = module.at(folder, shown)
    requirements.read(found.directory)
    own = found.directory / "test.yaml"
    named = session.workspace.configs / "tests" / f"{found.name}.yaml"
    if own.is_file():
        return Target(found.name, testspec.read(own), found.directory, found)
    spec = testspec.read(named) if named.is_file() else TestSpec()
    return Target(found.name, spec, named.parent, found)
