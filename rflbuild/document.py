"""YAML files read into typed models; a mistake names the file, the line and what fits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from rflbuild.verdict import RflError, usage_error

Model = TypeVar("Model")

_BaseLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML 1.2's core schema: `on` is a word, and 52:54:00 no number of base 60."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface
        first: [(tag, pattern) for tag, pattern in found if tag.endswith((":null", ":merge"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0|[1-9]\d*|0x[0-9a-fA-F]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key` in `)?(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


class InvalidError(Exception):
    """A model's own check failed; `path` leads to the value, as in ("steps", 2, "run")."""

    def __init__(self, what: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.path = path


def read(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into `model`, a msgspec.Struct.

    A model may have a method `check()` that raises InvalidError. Raises
    RflError(usage), with file and line, for anything that does not fit.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise usage_error(f"cannot read {path}: {reason}") from error
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _forbid_duplicates(node)
            value = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or error.context
        if "\t" in "".join(text.splitlines()[line - 1 : line]):
            problem = f"{problem}; YAML is indented by spaces, and this line has a tab"
        raise usage_error(f"{path}:{line}: {problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise usage_error(f"{path}:1: not YAML: {str(error).splitlines()[0]}") from error
    try:
        result = msgspec.convert(value, model)
        check = getattr(result, "check", None)
        if check:
            check()
    except InvalidError as error:
        raise usage_error(f"{path}:{_line(node, error.path)}: {error.what}") from error
    except msgspec.ValidationError as error:
        raise _explain(path, node, model, value, str(error)) from error
    return result


def dump(value: Mapping[str, Any]) -> str:
    """A mapping as YAML that `read` reads again, its keys in their order."""
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True))


def where(path: Path, *steps: str | int) -> str:
    """`FILE:LINE` of the value that keys and indices lead to, in a file that was read before."""
    loader = _Loader(path.read_text())
    try:
        return f"{path}:{_line(loader.get_single_node(), steps)}"
    finally:
        loader.dispose()


def _explain(
    path: Path, node: yaml.Node | None, model: type, value: object, message: str
) -> RflError:
    """The words of msgspec, with the file and line they are about and the names that fit."""
    found = _WHERE.match(message)
    steps = _path(found["path"] or "", model, value) if found else ()
    what = found["what"] if found else message
    unknown = _UNKNOWN.search(what)
    if unknown:
        name = unknown["name"]
        line = _line(node, (*steps, name))
        valid = _fields(model, steps)
        near = difflib.get_close_matches(name, valid, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"valid here: {', '.join(valid)}"
        return usage_error(f"{path}:{line}: unknown key `{name}`; {hint}")
    where = f" for `{'.'.join(str(s) for s in steps)}`" if steps else ""
    words = what.replace("Expected", "expected", 1).replace("Object missing", "missing", 1)
    words = words.replace(" | null`", "`").replace("`object`", "a mapping")
    words = words.replace("`array`", "a list")
    return usage_error(f"{path}:{_line(node, steps)}: {words}{where}")


def _path(text: str, model: type, value: Any) -> tuple[str | int, ...]:
    """`$.steps[2].run` as ("steps", 2, "run").

    msgspec hides a mapping's key, `$.kernels[...].git`; it is found by trying each.
    """
    steps: list[str | int] = []
    for match in _STEP.finditer(text):
        if match["index"] == "...":
            key = _failing_key(model, tuple(steps), value)
            if key is None:
                break
            steps.append(key)
        else:
            steps.append(int(match["index"]) if match["index"] else match["key"])
        try:
            value = value[steps[-1]]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(steps)


def _failing_key(model: type, path: tuple[str | int, ...], value: Any) -> str | None:
    """The first key of a mapping whose value does not convert."""
    kind = _type_at(model, path)
    if not isinstance(kind, msgspec.inspect.DictType) or not isinstance(value, dict):
        return None
    inner = kind.value_type
    target: Any = inner.cls if isinstance(inner, msgspec.inspect.StructType) else None
    for key, item in value.items():
        try:
            if target:
                msgspec.convert(item, target)
        except msgspec.ValidationError:
            return str(key)
    return None


def _line(node: yaml.Node | None, path: tuple[str | int, ...]) -> int:
    """The 1-based line of the value that a path leads to, or of the last part found."""
    line = node.start_mark.line + 1 if node is not None else 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value in (step, str(step).replace("_", "-")):
                    node, line = value, key.start_mark.line + 1
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _fields(model: type, path: tuple[str | int, ...]) -> list[str]:
    """The names that a mapping at `path` may have."""
    kind = _struct_or_self(_type_at(model, path))
    if isinstance(kind, msgspec.inspect.StructType):
        return [f.encode_name for f in kind.fields]
    return []


def _type_at(model: type, path: tuple[str | int, ...]) -> Any:
    """What a model says of the value at `path`."""
    kind: Any = msgspec.inspect.type_info(model)
    for step in path:
        kind = _struct_or_self(kind)
        if isinstance(kind, msgspec.inspect.StructType):
            kind = next((f.type for f in kind.fields if f.encode_name == step), None)
        elif isinstance(kind, msgspec.inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            kind = kind.item_type
    return kind


def _struct_or_self(kind: Any) -> Any:
    """Of a union such as `Machine | None` the part that has names."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return next(
            (t for t in kind.types if isinstance(t, msgspec.inspect.StructType)), kind.types[0]
        )
    return kind


def _forbid_duplicates(node: yaml.Node | None) -> None:
    """A key given twice would silently lose its first value."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"`{key.value}` is given twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
            _forbid_duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _forbid_duplicates(item)
