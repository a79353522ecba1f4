"""rust-project.json: the crates of a kernel and of modules, as rust-analyzer wants them.

The kernel's own script describes its crates (`make rust-analyzer`, scripts/
generate_rust_analyzer.py) as the toolchain sees them; here their files become the host's, and
the crates of modules and of the kernel's tree are added as the script has it for one module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rflbuild import buildlog, kernel, module, places
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import usage_error

Project = dict[str, Any]  # https://rust-analyzer.github.io/book/non_cargo_based_projects.html

FILE = "rust-project.json"
_TIMEOUT = 300.0
_IN_TREE = ("samples", "drivers")  # where the script looks, too
_SAMPLE = "rflbuild_sample"


def make(
    session: Session,
    built: Kernel,
    roots: Iterable[Path],
    folder: Path,
    sysroot: Path | None,
) -> Project:
    """The project of a kernel and of the user's modules for it, with paths of the host.

    `roots` are the files that the modules' crates begin with. One in `folder`, where the file
    is to lie, is named relative to it, so that an editor may have opened it by any of its
    paths. `sysroot` is what rust-analyzer takes its rustc and its server for macros from.
    Raises RflError(usage) for a kernel too old to have the script.
    """
    project = _described(session, built)
    there = places.of_kernel(built)
    crates: list[Project] = project["crates"]
    sample = crates[-1]
    # Older scripts look beside the module, too, where there are more of ours.
    crates[:] = [crate for crate in crates if crate["display_name"] != _SAMPLE]
    for crate in crates:
        crate["root_module"] = str(there.host(crate["root_module"]))
        if not built.source.mutable:  # a library: it is read, and not to be edited
            crate["is_workspace_member"] = False
    crates += _in_tree(built, sample)
    crates += [_crate(sample, _within(folder, path), modular=True, member=True) for path in roots]
    if sysroot:
        project["sysroot"] = str(sysroot)
    return project


def text_of(project: Project) -> str:
    """The project as the text of its file; equal for equal projects."""
    crates = ",\n".join(json.dumps(crate, sort_keys=True) for crate in project["crates"])
    rest = {key: value for key, value in project.items() if key != "crates"}
    return f'{json.dumps(rest, sort_keys=True)[:-1]}, "crates": [\n{crates}\n]}}\n'


def is_generated(path: Path) -> bool:
    """Whether a rust-project.json describes a kernel, and so is nobody's own work."""
    try:
        crates = json.loads(path.read_text())["crates"]
        return any(crate.get("display_name") == "kernel" for crate in crates)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _described(session: Session, built: Kernel) -> Project:
    """What the kernel's script says of a module with one crate, which is the last of them.

    An external module is described wherever it lies, so that nothing is written into the
    kernel's build folder.
    """
    name = key_of(str(built.out))
    with session.store.lock(f"project-{name}"):
        work = session.store.work("project", name)
        for file, text in (("Kbuild", f"obj-m := {_SAMPLE}.o\n"), (f"{_SAMPLE}.rs", "")):
            if not (work / file).exists():
                write_atomically(work / file, text)
        (work / FILE).unlink(missing_ok=True)
        log = session.store.work("logs", "project") / f"{built.source.release}-{name}.log"
        log.unlink(missing_ok=True)
        # 6.12 looks for rust/Makefile in the build folder, if that is another one.
        words = [f"M={work}", f"src={built.source.path}/rust", "rust-analyzer"]
        done = kernel.run_make(session, built, *words, timeout=_TIMEOUT, write=[work], log=log)
        try:
            project: Project = json.loads((work / FILE).read_text())
        except (FileNotFoundError, ValueError):
            project = {"crates": []}
    described = [crate["display_name"] for crate in project["crates"]]
    if done.status or described[-1:] != [_SAMPLE]:
        if "No rule to make target" in done.output:
            raise usage_error(
                f"Linux {built.source.release} cannot describe itself to rust-analyzer for a "
                "module outside its tree: choose a newer one by --kernel"
            )
        raise buildlog.failure(f"{FILE} of Linux {built.source.release}", done.output, str(log))
    return project


def _crate(sample: Project, path: Path, *, modular: bool, member: bool) -> Project:
    """A crate with its root at `path`, with the dependencies of the sample's."""
    cfg = [*sample["cfg"], *(["MODULE"] if modular else [])]
    return {
        **sample,
        "cfg": cfg,
        "display_name": path.stem.replace("-", "_"),
        "is_workspace_member": member,
        "root_module": str(path),
    }


def _within(folder: Path, path: Path) -> Path:
    """A path relative to a folder that it is in; else as it is."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _in_tree(built: Kernel, sample: Project) -> Iterator[Project]:
    """The crates of the kernel's own modules; of a kernel in the store, those that it has."""
    for folder in _IN_TREE:
        for name in module.crate_roots(built.source.path / folder):
            path = built.source.path / folder / name
            saved = (built.out / folder / name).parent / f".{path.stem}.o.cmd"
            command = saved.read_text(errors="replace") if saved.is_file() else ""
            if command or built.source.mutable:
                modular = "--cfg MODULE" in command
                yield _crate(sample, path, modular=modular, member=built.source.mutable)
