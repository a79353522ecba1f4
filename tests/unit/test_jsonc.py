from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from rflbuild import jsonc
from rflbuild.jsonc import NotJsoncError


def set_in(text: str, value: object, *path: str) -> str:
    return jsonc.set_value(text, path, value)


def test_comments_and_a_last_comma_are_no_obstacle_to_reading() -> None:
    text = '// a\n{ /* b */ "k" /* c */ : [1, 2, /* d */], // e\n "u": "http://x/*y*/", }\n// f'

    assert jsonc.read(text) == {"k": [1, 2], "u": "http://x/*y*/"}


@pytest.mark.parametrize("text", ["", "  \n", "// only this\n", "/* or\n this */", "\ufeff"])
def test_a_text_without_a_value_is_an_empty_object(text: str) -> None:
    assert jsonc.read(text) == {}
    made = set_in(text, 1, "a")
    assert made.startswith(text)
    assert jsonc.read(made) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ("{\n  'a': 1\n}", 2),
        ('{\n\n "a" 1}', 3),
        ('{"a": 1 "b": 2}', 1),
        ('{"a": }', 1),
        ("{,}", 1),
        ('{"a": 1,,}', 1),
        ('{"a": 1}\n{}', 2),
        ("{\n/* no end }", 2),
        ('{"a": "no end}', 1),
        ("yes: 1", 1),
        ('{"a": 01}', 1),
        ('{"a\nb": 1}', 1),
        ("[" * 100_000, 1),
    ],
)
def test_what_is_no_jsonc_is_refused_with_its_line(text: str, line: int) -> None:
    for use in (jsonc.read, lambda text: set_in(text, 1, "k")):
        with pytest.raises(NotJsoncError) as raised:
            use(text)
        assert raised.value.line == line


def test_a_new_key_goes_behind_the_last_with_its_indentation() -> None:
    assert set_in('{\n  "a": 1\n}\n', [1, 2], "b") == '{\n  "a": 1,\n  "b": [1, 2]\n}\n'


def test_a_comment_behind_the_last_value_stays_on_its_line() -> None:
    text = '{\n\t"a": 1 /* x */ // why\n\t// end\n}'

    assert set_in(text, 2, "b") == '{\n\t"a": 1, /* x */ // why\n\t"b": 2\n\t// end\n}'


def test_a_last_comma_stays_the_style() -> None:
    text = '{\n    "a": 1, // why\n}\n'

    assert set_in(text, 2, "b") == '{\n    "a": 1, // why\n    "b": 2,\n}\n'


def test_line_ends_of_windows_stay() -> None:
    made = set_in('{\r\n  "a": {\r\n    "b": 1\r\n  }\r\n}\r\n', {"c": 1}, "d")

    assert made.count("\n") == made.count("\r\n") == 8
    assert jsonc.read(made) == {"a": {"b": 1}, "d": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{}", '{\n    "k": 1\n}'),
        ("{ }", '{\n    "k": 1\n}'),
        ("{\n}\n", '{\n    "k": 1\n}\n'),
        ("{ // why\n}\n", '{ // why\n    "k": 1\n}\n'),
        ("{\n  // why\n}\n", '{\n  // why\n  "k": 1\n}\n'),
        ('{"a": 1}', '{"a": 1, "k": 1}'),
        ('{ "a": 1, }', '{ "a": 1, "k": 1 }'),
        ('{ "a": 1 } // z', '{ "a": 1, "k": 1 } // z'),
        ('{\n "a": 1 }', '{\n "a": 1, \n "k": 1}'),
        ('{"a": {}\n // }\n}', '{"a": {}, "k": 1\n // }\n}'),
    ],
)
def test_an_object_of_any_form_takes_a_key(text: str, made: str) -> None:
    assert set_in(text, 1, "k") == made
    assert jsonc.read(made) == {**jsonc.read(text), "k": 1}


def test_a_value_is_replaced_and_nothing_around_it() -> None:
    text = '{ // a\n  "k" : /* b */ "old" /* c */ , // d\n  "z": 0\n}'

    assert set_in(text, "new", "k") == text.replace('"old"', '"new"')


def test_an_equal_value_changes_nothing() -> None:
    text = '{"k":[ 1,2 , ],"t":true}'

    assert set_in(set_in(text, [1, 2], "k"), True, "t") == text


def test_true_and_1_are_not_the_same() -> None:
    assert set_in('{"k": 1}', True, "k") == '{"k": true}'


def test_objects_on_the_way_are_made() -> None:
    assert jsonc.read(set_in('{"a": {"b": 1}}', 2, "a", "c", "d")) == {"a": {"b": 1, "c": {"d": 2}}}


def test_something_else_on_the_way_is_refused() -> None:
    with pytest.raises(NotJsoncError):
        set_in('{"a": [1]}', 2, "a", "b")


def test_the_last_of_equal_keys_counts() -> None:
    assert set_in('{"a": 1, "a": 2}', 3, "a") == '{"a": 1, "a": 3}'


def test_a_list_gets_one_more_item_in_its_own_style() -> None:
    assert jsonc.append('{"l": [1]}', ["l"], 2) == '{"l": [1, 2]}'
    assert jsonc.append('{"l": []}', ["l"], 2) == '{"l": [\n    2\n]}'
    assert (
        jsonc.append('{\n  "l": [\n    "a" // why\n  ]\n}', ["l"], "b")
        == '{\n  "l": [\n    "a", // why\n    "b"\n  ]\n}'
    )


def test_a_long_list_is_written_one_item_a_line() -> None:
    made = set_in('{\n  "a": 1\n}', ["x" * 50, "y" * 50], "b")

    assert made.splitlines()[2:6] == ['  "b": [', f'    "{"x" * 50}",', f'    "{"y" * 50}"', "  ]"]


def test_letters_beyond_ascii_stay_themselves() -> None:
    assert set_in('{"ä": "ö"}', "ü", "k") == '{"ä": "ö", "k": "ü"}'


def _scattered(chance: random.Random, value: object) -> str:
    """A value as JSONC with blanks, comments and last commas anywhere."""

    def blank() -> str:
        return "".join(
            chance.choice(["", " ", "\n", "\t", '/* { " */', "// ]},\n"])
            for _ in range(chance.randrange(3))
        )

    if isinstance(value, dict):
        parts = [
            f"{json.dumps(k)}{blank()}:{blank()}{_scattered(chance, v)}" for k, v in value.items()
        ]
    elif isinstance(value, list):
        parts = [_scattered(chance, each) for each in value]
    else:
        return json.dumps(value)
    comma = "," if parts and chance.random() < 0.3 else ""
    body = ",".join(f"{blank()}{part}{blank()}" for part in parts) + comma + blank()
    return f"{{{body}}}" if isinstance(value, dict) else f"[{body}]"


def _value(chance: random.Random, depth: int) -> object:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice([1, -2.5, True, None, "", "//", 'a"}', "/*"])
    if chance.random() < 0.5:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {name: _value(chance, depth - 1) for name in chance.sample("abcd", chance.randrange(4))}


def _comments(text: str) -> Sequence[str]:
    """The comments that `_scattered` strews."""
    return sorted([*["/*"] * text.count('/* { " */'), *["//"] * text.count("// ]},\n")])


@pytest.mark.parametrize("seeds", [range(n, n + 100) for n in range(0, 1000, 100)])
def test_any_edit_of_any_text_changes_that_value_alone(seeds: range) -> None:
    for seed in seeds:
        _edit_at_random(seed)


def _edit_at_random(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secrets here
    before = {name: _value(chance, 3) for name in chance.sample("abcdefg", chance.randrange(6))}
    text = _scattered(chance, before)
    value = _value(chance, 2)

    made = set_in(text, value, "new")
    assert jsonc.read(made) == {**before, "new": value}
    assert list(jsonc.read(made))[:-1] == list(before)
    assert _comments(made) == _comments(text)
    assert set_in(made, value, "new") == made

    for key, old in before.items():
        if isinstance(old, list):
            longer = jsonc.append(text, [key], value)
            assert jsonc.read(longer) == {**before, key: [*old, value]}
            assert _comments(longer) == _comments(text)
