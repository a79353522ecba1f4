"""elf: where a module's functions are, by a copy in which its sections have addresses."""

from __future__ import annotations

import struct

import pytest

from rflbuild import elf

_HEADER = 64
_SECTION = 64


def relocatable(
    sections: list[tuple[str, int, bytes]], symbols: list[tuple[str, int, int]]
) -> bytes:
    """A 64-bit little-endian .ko: sections by name, flags, content; symbols by section, offset."""
    names = b"\0"
    strings = b"\0"
    table = bytes(24)
    for name, section, value in symbols:
        table += struct.pack("<IBBHQQ", len(strings), 2, 0, section, value, 0)
        strings += name.encode() + b"\0"
    all_sections = [
        *((name, 1, flags, content, 0) for name, flags, content in sections),
        (".symtab", 2, 0, table, len(sections) + 2),
        (".strtab", 3, 0, strings, 0),
    ]
    body = b""
    headers = bytes(_SECTION)
    place = _HEADER
    for name, kind, flags, content, link in all_sections:
        headers += struct.pack(
            "<IIQQQQIIQQ",
            *(len(names), kind, flags, 0, place, len(content), link, 1),
            *(8, 24 if kind == 2 else 0),
        )
        names += name.encode() + b"\0"
        body += content
        place += len(content)
    headers += struct.pack("<IIQQQQIIQQ", len(names), 3, 0, 0, place, len(names) + 10, 0, 0, 1, 0)
    names += b".shstrtab\0"
    body += names
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH",
        *(1, 183, 1, 0, 0, _HEADER + len(body), 0, _HEADER, 0, 0, _SECTION),
        *(len(all_sections) + 2, len(all_sections) + 1),
    )
    return header + body + headers


TEXT = 0x6  # SHF_ALLOC and SHF_EXECINSTR


def test_functions_at_one_offset_of_two_sections_get_two_addresses() -> None:
    content = relocatable(
        [(".text", TEXT, bytes(64)), (".init.text", TEXT, bytes(32))],
        [("probe", 1, 0), ("init_module", 2, 0)],
    )

    functions = elf.lay_out(content).functions

    assert functions["probe"][0][0] != functions["init_module"][0][0]


def test_a_function_reaches_to_the_next_one_or_to_the_end_of_its_section() -> None:
    content = relocatable(
        [(".text", TEXT, bytes(64)), (".init.text", TEXT, bytes(32))],
        [("first", 1, 0), ("second", 1, 24), ("init_module", 2, 8)],
    )

    functions = elf.lay_out(content).functions

    assert [functions[name][0][1] for name in ("first", "second", "init_module")] == [24, 40, 24]


def test_functions_of_one_name_are_all_there() -> None:
    content = relocatable(
        [(".text", TEXT, bytes(64))], [("show", 1, 0), ("other", 1, 16), ("show", 1, 24)]
    )

    assert [size for _, size in elf.lay_out(content).functions["show"]] == [16, 40]


def test_the_copy_differs_in_headers_alone() -> None:
    content = relocatable([(".text", TEXT, b"\x11" * 64)], [("probe", 1, 0)])

    image = elf.lay_out(content).image

    assert len(image) == len(content)
    assert image != content
    assert image[: content.index(b".shstrtab")] == content[: content.index(b".shstrtab")]


@pytest.mark.parametrize("content", [b"", b"no ELF file", b"\x7fELF\x02\x01\x01" + bytes(20)])
def test_what_is_no_object_file_is_told_so(content: bytes) -> None:
    with pytest.raises(ValueError, match="ELF"):
        elf.lay_out(content)


def test_half_a_file_is_told_so() -> None:
    content = relocatable([(".text", TEXT, bytes(64))], [("probe", 1, 0)])

    with pytest.raises(ValueError, match="ELF"):
        elf.lay_out(content[:-70])
