"""Sourced by gdb after the kernel's own scripts: boot as far as modules can be followed.

The kernel's lx-symbols loads a module's symbols just before the kernel runs its init
function; then breakpoints find their places that were set by name before.
"""

import gdb
import linux.symbols

_INIT = (".init.text", ".init.data")
_EXIT = (".exit.text", ".exit.data")


class Symbols(linux.symbols.LxSymbols):
    """lx-symbols, and the sections of init and exit, which hold such functions of Rust's."""

    def _section_arguments(self, module, address):
        words = super()._section_arguments(module, address)
        is_live = int(module["state"]) == int(gdb.parse_and_eval("MODULE_STATE_LIVE"))
        wanted = _EXIT if is_live else (*_INIT, *_EXIT)  # what was for init is freed by then
        for name, place in _sections(module):
            if name in wanted:
                words += f" -s {name} {place:#x}"
        return words


def attach(folders):
    """Stop where the kernel's memory can be read, then follow the modules of these folders."""
    if _is_mapped():
        gdb.execute("frame")
    else:
        gdb.execute("thbreak start_kernel", to_string=True)
        gdb.execute("continue", to_string=True)
    Symbols()
    gdb.execute(f"lx-symbols {folders}", to_string=True)


def _is_mapped():
    """Whether the kernel's addresses mean anything yet; at the first instruction they do not."""
    banner = gdb.lookup_global_symbol("linux_banner").value()
    text = banner.address.cast(gdb.lookup_type("char").pointer())
    try:
        return text.string(length=13) == "Linux version"
    except (gdb.MemoryError, UnicodeDecodeError):
        return False


def _sections(module):
    """The names and addresses of a module's sections (kernel/module/sysfs.c)."""
    attributes = module["sect_attrs"].dereference()
    if "nsections" in (field.name for field in attributes.type.fields()):  # before 6.14
        for number in range(int(attributes["nsections"])):
            entry = attributes["attrs"][number]
            yield entry["battr"]["attr"]["name"].string(), int(entry["address"])
        return
    group = attributes["grp"]
    names = [field.name for field in group.type.fields()]
    entry = group["bin_attrs_new" if "bin_attrs_new" in names else "bin_attrs"]
    while entry.dereference():
        attribute = entry.dereference().dereference()
        yield attribute["attr"]["name"].string(), int(attribute["private"])
        entry += 1
