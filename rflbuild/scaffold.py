"""New modules from the kinds in templates/: names checked, nothing overwritten."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rflbuild import document, requirements
from rflbuild.render import render
from rflbuild.session import Session, Workspace
from rflbuild.store import remove_tree
from rflbuild.verdict import environment_error, usage_error

COMMON = "common"
_UNTIL = "until-"
_PLACEHOLDERS = ("rfl_module", "RflModule")
# MODULE_NAME_LEN is 64 - sizeof(unsigned long) with the final NUL (include/linux/moduleparam.h).
_LONGEST_NAME = 55
_KEYWORDS = set(
    # The Rust Reference, "Keywords"; C23 (ISO/IEC 9899:2024), 6.4.1
    "abstract as async await become box break const continue crate do dyn else enum extern false "
    "final fn for gen if impl in let loop macro match mod move mut override priv pub ref return "
    "self static struct super trait true try type typeof union unsafe unsized use virtual where "
    "while yield auto bool case char default double float goto inline int long register restrict "
    "short signed sizeof switch typedef unsigned void volatile constexpr nullptr thread_local "
    "alignas alignof static_assert typeof_unqual".split()
)
# Crates that every module is linked with or named beside (rust/Makefile).
_CRATES = set(
    "alloc bindings build_error compiler_builtins core ffi kernel macros pin_init "
    "pin_init_internal proc_macro proc_macro2 quote std syn test uapi zerocopy".split()
)
# Types that the module's own type would hide (rust/kernel/prelude.rs, core's prelude).
_PRELUDE = set(
    "Box Clone Copy Default Drop Eq Err Error Fn From Into Iterator LocalModule Module None Ok "
    "Option Ord Pin Result Send Some String Sync ThisModule Vec".split()
)


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of templates/: kind.yaml, the files, and overlays `until-V` for older kernels."""

    summary: str
    name: str = ""


def kinds(workspace: Workspace) -> dict[str, Kind]:
    """The kinds of modules by name."""
    found = {}
    for path in sorted(workspace.templates.glob("*/kind.yaml")):
        name = path.parent.name
        found[name] = msgspec.structs.replace(document.read(path, Kind), name=name)
    return found


def kind_names(workspace: Workspace) -> list[str]:
    """The names of the kinds, without reading them."""
    return sorted(path.parent.name for path in workspace.templates.glob("*/kind.yaml"))


def load_kind(workspace: Workspace, name: str) -> Kind:
    """The kind of that name; RflError(usage) names the others."""
    known = kind_names(workspace)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
        raise usage_error(f"unknown kind `{name}`; {hint}")
    path = workspace.templates / name / "kind.yaml"
    return msgspec.structs.replace(document.read(path, Kind), name=name)


def check_name(name: str) -> None:
    """Raise RflError(usage) unless a module can have this name in C, Rust and make."""
    fault = _fault(name)
    if fault:
        near = re.sub(r"\W+", "_", name.strip("./ ").lower()).strip("_")
        hint = "" if _fault(near) else f"; `{near}` would do"
        raise usage_error(f"`{name}` cannot be a module's name: {fault}{hint}")


def _fault(name: str) -> str:
    """Why a module cannot have this name; empty if it can."""
    if "/" in name or name.startswith("."):
        return "it is a path"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return "it is no identifier of small letters, digits and _, beginning with a letter"
    if len(name) > _LONGEST_NAME:
        return f"the kernel allows {_LONGEST_NAME} characters"
    taken = {
        "it is a keyword of Rust, C or Python": name in _KEYWORDS or keyword.iskeyword(name),
        "a crate of the kernel's build has it": name in _CRATES,
        f"the module's type would hide {camel(name)} of the kernel's prelude or macros": (
            camel(name) in _PRELUDE
        ),
    }
    return next((reason for reason, is_so in taken.items() if is_so), "")


def camel(name: str) -> str:
    """`my_driver` as Rust names a type: `MyDriver`."""
    return "".join(part.capitalize() for part in name.split("_"))


def files(
    workspace: Workspace, kind: Kind, name: str, version: Sequence[int], release: str
) -> dict[str, str]:
    """The files of a new module, by their paths in it, for a kernel of that version.

    Raises RflError(usage) when the kernel is older than the kind can be.
    """
    chosen = sources(workspace, kind, version)
    if requirements.FILE in chosen:
        requirements.check_version(chosen[requirements.FILE], version, release)
    made = {}
    for file, path in chosen.items():
        if path.suffix == ".rs" and camel(name) in _words(path.read_text()):
            raise usage_error(
                f"`{name}` cannot be the name of a `{kind.name}`: the kind has a {camel(name)} "
                "of its own; choose another name"
            )
        if path.suffix == ".j2":
            text = render(
                path,
                name=name,
                kind=kind.name,
                summary=kind.summary,
                kernel=release,
                files=list(chosen),
            )
        else:
            text = _with_name(path.read_text(), name)
        made[_with_name(file.removesuffix(".j2"), name)] = text
    return made


def sources(workspace: Workspace, kind: Kind, version: Sequence[int]) -> dict[str, Path]:
    """The files of templates/ that a module of a kind is made from, for a kernel of a version.

    By their paths in the module; a folder `until-V` of a kind is an overlay, not one of those.
    """
    own = workspace.templates / kind.name
    folders = [workspace.templates / COMMON, own, *_overlays(own, version)]
    if requirements.read(own).bindings:
        folders.insert(0, workspace.templates / requirements.BINDINGS)
    found: dict[str, Path] = {}
    for folder in folders:
        paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")))
        found |= {
            str(path): folder / path
            for path in paths
            if not path.parts[0].startswith(_UNTIL) and (folder / path).is_file()
        }
    found.pop("kind.yaml", None)
    return found


def _words(rust: str) -> set[str]:
    """The words of Rust code, without its comments and strings."""
    return set(re.findall(r"\w+", re.sub(r'//.*|"(?:[^"\\]|\\.)*"', "", rust)))


def _overlays(folder: Path, version: Sequence[int]) -> list[Path]:
    """The folders `until-V` that are for kernels older than V; the oldest V has the last word."""
    found = []
    for path in folder.glob(f"{_UNTIL}*"):
        bound = tuple(int(part) for part in path.name.removeprefix(_UNTIL).split("."))
        if tuple(version[:2]) < bound:
            found.append((bound, path))
    return [path for _, path in sorted(found, reverse=True)]


def _with_name(text: str, name: str) -> str:
    snake, type_name = _PLACEHOLDERS
    return text.replace(snake, name).replace(type_name, camel(name))


def new_module(
    session: Session, name: str, kind: Kind, version: Sequence[int], release: str
) -> Path:
    """Make modules/NAME/ from a kind; nothing that exists is touched."""
    check_name(name)
    folder = session.workspace.modules / name
    if folder.exists() or folder.is_symlink():
        raise usage_error(f"modules/{name} is there already: choose another name, or remove it")
    make_folder(folder, files(session.workspace, kind, name, version, release))
    return folder


def make_folder(folder: Path, content: Mapping[str, str]) -> None:
    """Make a folder with files, by their paths in it: the whole of it, or nothing.

    Raises RflError(environment) if that cannot be.
    """
    folder.parent.mkdir(exist_ok=True)
    half = folder.parent / f".{folder.name}.new"
    remove_tree(half)
    try:
        half.mkdir()
        for file, text in content.items():
            (half / file).parent.mkdir(parents=True, exist_ok=True)
            (half / file).write_text(text)
        half.rename(folder)
    except OSError as error:
        raise environment_error(f"cannot make {folder}: {error.strerror}") from error
    finally:
        remove_tree(half)
