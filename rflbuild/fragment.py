"""Kconfig fragments: found by name or path, read, and options put into one.

A fragment belongs to whoever wrote it: putting options in changes the lines of these
options, and nothing else of the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import key_of, write_atomically
from rflbuild.verdict import usage_error

SUFFIX = ".config"
_SET = re.compile(
    r"CONFIG_(?P<name>\w+)=(?P<value>\"(?:[^\"\\]|\\.)*\"|[^\s#]+)(?P<tail>\s*(?:#(?P<word>.*))?)$"
)
_UNSET = re.compile(r"# CONFIG_(?P<name>\w+) is not set(?P<tail>\s*(?:#(?P<word>.*))?)$")
_VERSIONS = re.compile(r"\b(?P<which>since|until) (?P<version>\d+\.\d+)\b")


@dataclass(frozen=True)
class Option:
    """An option that was asked for: `name` without CONFIG_, and where it stands."""

    name: str
    value: str
    where: str

    @property
    def line(self) -> str:
        """The option as a line of a .config."""
        return line_of(self.name, self.value)


def line_of(name: str, value: str) -> str:
    """An option, without CONFIG_, as a line of a .config."""
    return f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"


def find(configs: Path, name: str) -> Path:
    """The file of a fragment that is given by name or path; RflError(usage) if there is none."""
    named = _named(configs, name)
    if named.is_file():
        return named
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = names(configs)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"configs/kconfig/ has: {', '.join(known)}"
    raise usage_error(f"there is no fragment `{name}`, nor a file of that name; {hint}")


def names(configs: Path) -> list[str]:
    """The fragments of configs/kconfig/, sorted."""
    return sorted(path.stem for path in (configs / "kconfig").glob(f"*{SUFFIX}"))


def _named(configs: Path, name: str) -> Path:
    return configs / "kconfig" / f"{name}{SUFFIX}"


def to_write(configs: Path, wanted: str) -> Path:
    """The file that a name or a path means as a place to write to; it need not be there.

    A name without a `/` and without `.config` is one of configs/kconfig/. Raises
    RflError(usage) for what is no place for a file.
    """
    if "/" in wanted or wanted.endswith(SUFFIX):
        path = Path(wanted).expanduser()
    elif re.fullmatch(r"\w[\w.+-]*", wanted):
        path = _named(configs, wanted)
    else:
        raise usage_error(f"`{wanted}` is neither a fragment's name nor a path")
    if path.is_dir() or wanted.endswith("/"):
        raise usage_error(f"{path} is a folder: give the name of a file in it")
    if not path.parent.is_dir():
        raise usage_error(f"there is no folder {path.parent} to write {path.name} into")
    return path


def parse(lines: Iterable[str], path: Path, first: int, source: Source) -> Iterator[Option]:
    """The options of a fragment's lines, the first of which is line `first` of `path`.

    Options marked `# since V` or `# until V` are left out for kernels of other
    versions. Raises RflError(usage) for a line that is none.
    """
    for number, line in enumerate(lines, first):
        text = line.strip()
        found = _SET.match(text) or _UNSET.match(text)
        if found:
            if _applies(found["word"] or "", source):
                yield Option(found["name"], _value(found), f"{path}:{number}")
        elif text and not text.startswith("#"):
            raise usage_error(
                f"{path}:{number}: `{text}` is no option: write CONFIG_NAME=value, "
                "or `# CONFIG_NAME is not set`"
            )


def _value(found: re.Match[str]) -> str:
    return found.groupdict().get("value") or "n"


def _applies(word: str, source: Source) -> bool:
    for match in _VERSIONS.finditer(word):
        version = tuple(int(part) for part in match["version"].split("."))
        if (source.version[:2] >= version) != (match["which"] == "since"):
            return False
    return True


def merged(text: str, options: Mapping[str, str], source: Source) -> str:
    """A fragment's text with options in it, so that a kernel of this version gets their values.

    The last line that speaks of an option, and applies, is replaced, its comment kept;
    an option that has none comes at the end. What is for kernels of other versions
    keeps its meaning for them.
    """
    lines = text.splitlines(keepends=True)
    applying: dict[str, int] = {}
    others: dict[str, int] = {}
    for number, line in enumerate(lines):
        found = _SET.match(line.strip()) or _UNSET.match(line.strip())
        if found and found["name"] in options:
            if _applies(found["word"] or "", source):
                applying[found["name"]] = number
            else:
                others.setdefault(found["name"], number)
    before: dict[int, str] = {}
    added = []
    for name, value in options.items():
        if name in applying:
            lines[applying[name]] = _replaced(lines[applying[name]], value)
        elif name in others:
            # Behind the line for other versions it would count for these, too.
            before[others[name]] = f"{before.get(others[name], '')}{line_of(name, value)}\n"
        else:
            added.append(f"{line_of(name, value)}\n")
    if added and lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += "\n"
    kept = [before.get(number, "") + line for number, line in enumerate(lines)]
    return "".join([*kept, *added])


def _replaced(line: str, value: str) -> str:
    """A line with another value; one that has the value already stays as it is."""
    text = line.strip()
    found = _SET.match(text) or _UNSET.match(text)
    if found is None or _value(found) == value:
        return line
    start = line.index(text)
    rest = line[start + len(text) :]
    return f"{line[:start]}{line_of(found['name'], value)}{found['tail']}{rest}"


def read(path: Path) -> str:
    """A fragment's text, "" if it is not there yet; any byte survives to `write`."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""


def write(
    session: Session, path: Path, options: Mapping[str, str], source: Source, title: str
) -> bool:
    """Put options into a fragment, a new one beginning with a comment; False if it says so already.

    A link is followed and the file's mode kept.
    """
    path = path.resolve()
    with session.store.lock(f"fragment-{key_of(str(path))}"):
        old = read(path)
        there = path.exists()
        new = merged(old if there else f"# {title}\n", options, source)
        if there and new == old:
            return False
        write_atomically(path, new.encode(errors="surrogateescape"))
    return True
