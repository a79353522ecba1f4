"""Sourced by gdb after the kernel's own scripts: boot as far as modules can be followed.

The kernel's lx-symbols loads a module's symbols just before the kernel runs its init
function; then breakpoints find their places that were set by name before.
"""

import gdb
import linux.symbols

_INIT = (".init.text", ".init.data")
_EXIT = (".exit.text", ".exit.data")
_KERNEL = ("start_kernel", "update_process_times")  # init/main.c, kernel/time/timer.c


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
    if _find_cpu_in_kernel():
        gdb.execute("frame")
    else:
        _run_into_kernel()
    Symbols()
    gdb.execute(f"lx-symbols {folders}", to_string=True)
    gdb.events.stop.connect(_stopped)


def _stopped(event):
    """After Ctrl-C, be where the kernel's memory can be read."""
    if isinstance(event, gdb.SignalEvent) and event.stop_signal == "SIGINT":
        chosen = gdb.selected_thread()
        if not _find_cpu_in_kernel():
            gdb.events.before_prompt.connect(_go_on)  # gdb has to be done with this stop first
        elif gdb.selected_thread() != chosen:
            gdb.write(f"CPU {chosen.num - 1} runs a program; in the kernel is ")
            gdb.execute("frame")


def _go_on():
    gdb.events.before_prompt.disconnect(_go_on)
    gdb.write("All CPUs run programs; the next in the kernel is ")
    _run_into_kernel()


def _find_cpu_in_kernel():
    """Select a CPU that is in the kernel, if there is one: others do not let its memory be read."""
    chosen = gdb.selected_thread()
    for thread in (chosen, *gdb.selected_inferior().threads()):
        thread.switch()
        if _is_mapped():
            return True
    chosen.switch()
    return False


def _run_into_kernel():
    """Let the guest run until a CPU is in the kernel: as it boots, or where a program is ticked."""
    kind = gdb.BP_HARDWARE_BREAKPOINT  # such a one needs no memory that can be written now
    places = [gdb.Breakpoint(name, type=kind, internal=True) for name in _KERNEL]
    try:
        for place in places:
            place.silent = True
        gdb.execute("continue", to_string=True)
    finally:
        for place in places:
            place.delete()
    gdb.execute("frame")


def _is_mapped():
    """Whether the kernel's memory can be read.

    At the first instruction its addresses mean nothing yet, and to a CPU that runs a program
    they mean nothing either, or are barred.
    """
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
