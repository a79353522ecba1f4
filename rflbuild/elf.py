"""A module's object file: where its functions are, and a copy in which each has an address.

A .ko is relocatable: its sections all begin at 0, so that an offset does not tell
.text from .init.text. The copy lays them out one behind the other.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_FIRST = 0x10000  # where the first section goes; away from 0, which means "nowhere" to many
_GAP = 16  # keeps the end of a section out of the next one

Functions = dict[str, list[tuple[int, int]]]  # address and size, in bytes; statics share names


@dataclass(frozen=True)
class Layout:
    """The copy, and each function in it with the size that kallsyms gives it."""

    image: bytes
    functions: Functions


def lay_out(content: bytes) -> Layout:
    """The layout of a .ko; ValueError if it is none."""
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        elf = ELFFile(io.BytesIO(content))
        image = bytearray(content)
        begins: dict[int, int] = {}
        ends: dict[int, int] = {}
        free = _FIRST
        for number, section in enumerate(elf.iter_sections()):
            header = section.header
            if header.sh_flags & SH_FLAGS.SHF_ALLOC:
                free += -free % max(header.sh_addralign, 1)
                begins[number] = header.sh_addr = free
                ends[free] = free + header.sh_size
                free += header.sh_size + _GAP
            elif section.name == ".debug_aranges":
                # rustc's index of addresses, to which LLVM applies no relocations; where
                # there is none, LLVM makes its own.
                header.sh_size = 0
            else:
                continue
            place = elf["e_shoff"] + number * elf["e_shentsize"]
            image[place : place + elf["e_shentsize"]] = elf.structs.Elf_Shdr.build(header)
        symbols = [
            (begins[symbol["st_shndx"]] + symbol["st_value"], symbol.name)
            for table in elf.iter_sections()
            if isinstance(table, SymbolTableSection)
            for symbol in table.iter_symbols()
            if symbol.name and symbol["st_shndx"] in begins
        ]
    except (ELFError, ConstructError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no whole ELF file: {error}") from error
    return Layout(bytes(image), sized(symbols, ends))


def sized(symbols: Iterable[tuple[int, str]], ends: Mapping[int, int]) -> Functions:
    """Symbols, given as address and name, with sizes: each reaches to the next one.

    That is how the kernel prints them (kernel/kallsyms.c, kernel/module/kallsyms.c).
    `ends` has the end of each section by its beginning.
    """
    rows = list(symbols)
    borders = sorted({address for address, _ in rows} | set(ends.values()))
    following = dict(itertools.pairwise(borders))
    found: Functions = {}
    for address, name in rows:
        found.setdefault(name, []).append((address, following.get(address, address) - address))
    return found
