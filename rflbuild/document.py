"""YAML files read into typed models; a mistake names the file, the line and what fits."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from rflbuild.verdict import RflError, usage_error

Model = TypeVar("Model")

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?(?P<path>[^`]*)`)?$", re.DOTALL)
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
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _forbid_duplicates(node)
        value = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise usage_error(f"{path}:{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise usage_error(f"{path}:1: not YAML: {str(error).splitlines()[0]}") from error
    finally:
        loader.dispose()
    try:
        result = msgspec.convert(value, model)
        check = getattr(result, "check", None)
        if check:
            check()
    except InvalidError as error:
        raise usage_error(f"{path}:{_line(node, error.path)}: {error.what}") from error
    except msgspec.ValidationError as error:
        raise _explain(path, node, model, str(error)) from error
    return result


def _explain(path: Path, node: yaml.Node | None, model: type, message: str) -> RflError:
    """The words of msgspec, with the file and line they are about and the names that fit."""
    found = _WHERE.match(message)
    steps = _path(found["path"] or "") if found else ()
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
    words = words.replace("`object`", "a mapping").replace("`array`", "a list")
    return usage_error(f"{path}:{_line(node, steps)}: {words}{where}")


def _path(text: str) -> tuple[str | int, ...]:
    """`$.steps[2].run` as ("steps", 2, "run"); an index that msgspec hides ends it."""
    steps: list[str | int] = []
    for match in _STEP.finditer(text):
        if match["index"] == "...":
            break
        steps.append(int(match["index"]) if match["index"] else match["key"])
    return tuple(steps)


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
    kind: Any = msgspec.inspect.type_info(model)
    for step in path:
        kind = _struct_or_self(kind)
        if isinstance(kind, msgspec.inspect.StructType):
            kind = next((f.type for f in kind.fields if f.encode_name == step), None)
        elif isinstance(kind, msgspec.inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            kind = kind.item_type
    kind = _struct_or_self(kind)
    if isinstance(kind, msgspec.inspect.StructType):
        return [f.encode_name for f in kind.fields]
    return []


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
