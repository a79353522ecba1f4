"""Is this machine able to build and run, and what would make it so.

It goes beyond `make rustavailable`: it knows of combinations that pass there and
make the build choke far away from the cause.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rflbuild import accelerator, debian, kernel, tools
from rflbuild.arch import Arch
from rflbuild.process import Completed
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.store import key_of
from rflbuild.toolchain import Tool, Toolchain
from rflbuild.tools import Version, dotted, parse_version

# What scripts/min-tool-version.sh knows, and where on Debian it comes from.
_JUDGED = {"clang": "llvm", "rustc": "rustc", "bindgen": "bindgen"}
_PACKAGES = {
    "clang": "clang lld llvm",
    "ld.lld": "lld",
    "rustc": "rustc rust-src",
    "bindgen": "bindgen",
    "pahole": "pahole",
    "rustfmt": "rustfmt",
    "clippy-driver": "rust-clippy",
}
_OLDEST_QEMU: Version = (7, 2)  # the oldest that this project's guests were seen on
_GIGABYTES = 6.0  # root, source and one small kernel


@dataclass(frozen=True)
class Check:
    """One row: `wanted` is what the kernel asks for; `mend` is what to type."""

    name: str
    found: str
    wanted: str
    where: str
    good: bool
    needed: bool = True
    mend: str = ""

    @property
    def verdict(self) -> str:
        """The row's verdict in a word."""
        if self.good:
            return "ok"
        if not self.needed:
            return "not needed"
        return "missing" if self.found == "-" else "will not do"


def minimum(session: Session, source: Source, tool: str) -> Version | None:
    """The version that a kernel asks for, from its own scripts/min-tool-version.sh."""
    script = source.path / "scripts" / "min-tool-version.sh"
    done = session.processes.run(
        ["sh", str(script), tool], timeout=30.0, env={"SRCARCH": "", "ARCH": ""}
    )
    return None if done.status else parse_version(done.output)


def passes(session: Session, toolchain: Toolchain, arch: Arch, source: Source) -> bool:
    """Whether a toolchain can build a kernel; asked once for the same tools and source."""
    name = f"doctor-{key_of(toolchain.key, source.key, arch.name)}"
    noted = session.store.noted(name)
    if noted is None or source.mutable:
        rows = list(examine(session, toolchain, arch, source))
        bad = [row.name for row in rows if row.needed and not row.good]
        noted = {"bad": bad}
        session.store.note(name, noted)
        if bad:
            session.terminal.note(
                f"the {toolchain.name} toolchain will not do for Linux {source.release} "
                f"({', '.join(bad)}; see `./rfl doctor`): using debian"
            )
    return not noted["bad"]


def examine(session: Session, toolchain: Toolchain, arch: Arch, source: Source) -> Iterator[Check]:
    """Every check of a toolchain for a kernel, in the order of the chain."""
    names = [*tools.HOST_TOOLS, *tools.LLVM_TOOLS, *tools.VARIABLES, arch.qemu.binary]
    found = toolchain.tools(session, names, source.path)
    for name in tools.HOST_TOOLS:
        yield _present(name, found, f"sudo apt install {tools.HOST_TOOLS[name]}")
    for name in tools.LLVM_TOOLS:
        if name not in _JUDGED:
            yield _present(name, found, "sudo apt install clang lld llvm")
    for name, asked in _JUDGED.items():
        yield _version(name, found, minimum(session, source, asked))
    for name in ("rustfmt", "clippy-driver", "pahole"):
        yield _present(name, found, f"sudo apt install {_PACKAGES[name]}", needed=False)
    yield _rust_source(session, toolchain, found, source)
    yield _libclang(session, toolchain, found, source)
    yield _bindgen_for_llvm(found)
    yield _available(session, toolchain, arch, source)
    yield _qemu(found, arch)


def _present(name: str, found: dict[str, Tool], mend: str, *, needed: bool = True) -> Check:
    tool = found.get(name)
    version = dotted(tool.version) if tool else "-"
    where = tool.path if tool else "-"
    return Check(name, version, "any", where, tool is not None, needed, "" if tool else mend)


def _version(name: str, found: dict[str, Tool], wanted: Version | None) -> Check:
    tool = found.get(name)
    version = tool.version if tool else None
    good = version is not None and (wanted is None or version >= wanted)
    mend = f"sudo apt install {_PACKAGES[name]}" if tool is None else _newer(name)
    return Check(
        name,
        dotted(version) if tool else "-",
        f">= {dotted(wanted)}" if wanted else "any",
        tool.path if tool else "-",
        good,
        mend="" if good else mend,
    )


def _newer(name: str) -> str:
    if name == "clang":
        return "install a newer LLVM (clang-19, lld-19 and llvm-19 on the PATH are found)"
    return "./rfl setup-rustup, or --toolchain debian"


def _rust_source(
    session: Session, toolchain: Toolchain, found: dict[str, Tool], source: Source
) -> Check:
    """The standard library's source, of which `core` is built, must be rustc's own."""
    mend = "sudo apt install rust-src, or rustup component add rust-src"
    if "rustc" not in found:
        return Check("rust-src", "-", "as rustc", "-", good=False, mend=mend)
    rustc = _variable(toolchain, "RUSTC", "rustc")
    script = (
        'root=$("$1" --print sysroot) && file=$root/lib/rustlib/src/rust/library/core/src/lib.rs &&'
        ' test -f "$file" && echo "$file" && cat "${file%/core/src/lib.rs}/../version" 2>/dev/null'
        '; test -f "$file"'
    )
    done = _run(session, toolchain, source, ["sh", "-c", script, "sh", rustc])
    lines = done.output.split("\n")
    where = lines[0] if done.status == 0 else "-"
    stated = parse_version(lines[1]) if len(lines) > 1 else None
    rustc_version = found["rustc"].version
    good = done.status == 0 and stated in (None, rustc_version)
    shown = dotted(stated or rustc_version) if done.status == 0 else "-"
    return Check(
        "rust-src", shown, f"= {dotted(rustc_version)}", where, good, mend="" if good else mend
    )


def _libclang(
    session: Session, toolchain: Toolchain, found: dict[str, Tool], source: Source
) -> Check:
    """The libclang that bindgen loads must be the clang that compiles.

    Else bindgen reads headers with another compiler's rules (Rust-for-Linux
    issue 595). bindgen tells on a header of the kernel's own
    (scripts/rust_is_available.sh).
    """
    header = source.path / "scripts" / "rust_is_available_bindgen_libclang.h"
    clang = found["clang"].version if "clang" in found else None
    if "bindgen" not in found or not header.exists():
        return Check("libclang", "-", f"= {dotted(clang)}", "-", good=False, mend="see bindgen")
    bindgen = _variable(toolchain, "BINDGEN", "bindgen")
    done = _run(session, toolchain, source, [bindgen, str(header)])
    match = re.search(r"clang version (\d+\.\d+(?:\.\d+)*)", done.output)
    version = parse_version(match[1]) if match else None
    good = version is not None and clang is not None and version[0] == clang[0]
    mend = f"set LIBCLANG_PATH to clang {dotted(clang)}'s lib folder, or install its libclang"
    return Check(
        "libclang",
        dotted(version),
        f"= {dotted(clang)}",
        "as bindgen loads it",
        good,
        mend="" if good else mend,
    )


def _bindgen_for_llvm(found: dict[str, Tool]) -> Check:
    """LLVM 22 and newer need bindgen 0.72.1, else structs turn opaque (issue 1247)."""
    clang = found["clang"].version if "clang" in found else None
    bindgen = found["bindgen"].version if "bindgen" in found else None
    matters = clang is not None and clang >= (22,)
    good = not matters or (bindgen is not None and bindgen >= (0, 72, 1))
    return Check(
        "bindgen for LLVM",
        f"{dotted(bindgen)} with {dotted(clang)}" if bindgen and clang else "-",
        ">= 0.72.1 from LLVM 22 on",
        found["bindgen"].path if "bindgen" in found else "-",
        good,
        mend="" if good else "cargo install --locked --version 0.72.1 bindgen-cli",
    )


def _available(session: Session, toolchain: Toolchain, arch: Arch, source: Source) -> Check:
    """The kernel's own check, run for real."""
    out = session.store.work("rustavailable", key_of(source.key, toolchain.key))
    done = session.processes.run(
        kernel.make(toolchain, arch, source, out, "rustavailable"),
        timeout=120.0,
        cwd=out,
        env=kernel.build_environment(session),
    )
    good = done.status == 0 and "Rust is available" in done.output
    said = [line.strip("* ") for line in done.output.splitlines() if line.startswith("***")]
    words = next((line for line in said if line), "it failed")
    return Check(
        "rustavailable",
        "yes" if good else words,
        "Rust is available!",
        "make LLVM=1 rustavailable",
        good,
        mend="" if good else "mend the rows above, or --toolchain debian",
    )


def _qemu(found: dict[str, Tool], arch: Arch) -> Check:
    tool = found.get(arch.qemu.binary)
    version = tool.version if tool else None
    good = version is not None and version >= _OLDEST_QEMU
    mend = f"sudo apt install {arch.qemu.package}"
    return Check(
        arch.qemu.binary,
        dotted(version) if tool else "-",
        f">= {dotted(_OLDEST_QEMU)}",
        tool.path if tool else "-",
        good,
        mend="" if good else mend,
    )


def host(session: Session, *, private_root: bool) -> Iterator[Check]:
    """What the store, and the `debian` toolchain, need of this host."""
    if private_root:
        yield from _root_tools(session)
    free = shutil.disk_usage(session.store.root).free / 1e9
    good = free >= _GIGABYTES
    yield Check(
        "disk space",
        f"{free:.1f} GB",
        f">= {_GIGABYTES:.0f} GB",
        str(session.store.root),
        good,
        mend="" if good else "make room, or set RFLBUILD_CACHE",
    )


def _root_tools(session: Session) -> Iterator[Check]:
    """The programs that make and enter a private root; root may install them as we go."""
    ordinary = os.geteuid() != 0
    for program, package in debian.HOST_PACKAGES.items():
        path = shutil.which(program)
        needed = ordinary
        mend = f"sudo apt install {package}" if ordinary else "installed at the first use"
        yield Check(
            program,
            "yes" if path else "-",
            "any",
            path or "-",
            bool(path),
            needed,
            "" if path else mend,
        )
    if not shutil.which("bwrap"):
        return
    done = session.processes.run(["bwrap", "--ro-bind", "/", "/", "true"], timeout=30.0)
    words = (done.output.strip().splitlines() or ["it failed"])[-1]
    yield Check(
        "namespaces",
        "yes" if done.status == 0 else words,
        "bubblewrap runs",
        "bwrap --ro-bind / / true",
        done.status == 0,
        mend=""
        if done.status == 0
        else "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, or run as root",
    )


def kvm(session: Session, toolchain: Toolchain, arch: Arch) -> Check:
    """Whether KVM really runs a guest; it is not needed, only faster."""
    chosen = accelerator.choose(session, toolchain, arch)
    good = chosen.name == "kvm"
    return Check("KVM", chosen.why, "a guest that ran", "/dev/kvm", good, needed=False)


def _variable(toolchain: Toolchain, name: str, default: str) -> str:
    variables = dict(pair.split("=", 1) for pair in toolchain.make_variables)
    return variables.get(name, default)


def _run(session: Session, toolchain: Toolchain, source: Source, argv: list[str]) -> Completed:
    command = toolchain.command(argv, cwd=source.path, read=[source.path])
    return session.processes.run(command, cwd=source.path, timeout=60.0)


def report(session: Session, toolchain: Toolchain, arch: Arch, source: Source) -> list[Check]:
    """All rows for a toolchain: its tools, this host, KVM."""
    return [
        *examine(session, toolchain, arch, source),
        *host(session, private_root=toolchain.root is not None),
        kvm(session, toolchain, arch),
    ]


def without_root(session: Session) -> list[Check]:
    """The rows for a private root that is not there yet: whether it can be made."""
    made = Check(
        "private root",
        "not made yet",
        "made at the first use",
        "about a minute, 2 GB",
        good=True,
    )
    return [made, *host(session, private_root=True)]


def as_rows(checks: list[Check]) -> list[dict[str, object]]:
    """The checks for a program."""
    return [{**asdict(check), "verdict": check.verdict} for check in checks]
