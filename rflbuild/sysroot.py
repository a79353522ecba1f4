"""The private root's programs for a host's editor: a folder of scripts, laid out as a sysroot.

An editor runs its language servers on the host, beside the user's files, where the root's
programs lack their libraries. Started by the root's own dynamic loader (ld.so(8)) they run
as they are. rust-analyzer looks for the server that runs procedural macros, and for rustc, in
the sysroot that a project names; both must be of the compiler that built the kernel.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from rflbuild.session import Session
from rflbuild.store import key_of
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import environment_error

MACRO_SERVER = "libexec/rust-analyzer-proc-macro-srv"
_RECIPE = 1  # raise it when the scripts change
_PROGRAMS = ("bin/rustc", "bin/rustfmt", "bin/rust-analyzer", "bin/clangd", MACRO_SERVER)
_SCRIPT = """\
#!/bin/sh
# Made by rflbuild: a program of the toolchain's root, run by the root's own loader.
program={program}
if [ ! -e "$program" ]; then
	echo "$program is gone: \\`./rfl rust-analyzer\\` makes it anew" >&2
	exit 6
fi
exec {loader} --library-path {libraries} "$program" {options}"$@"
"""


def of(session: Session, toolchain: Toolchain) -> Path | None:
    """The folder for a toolchain; None for one without a root, whose programs run as they are.

    Raises RflError(environment) if the root has no language servers.
    """
    root = toolchain.root
    if root is None:
        return None
    lacking = [name for name in _PROGRAMS if not (root / "usr" / name).exists()]
    if lacking:
        raise environment_error(
            f"the toolchain's root lacks {', '.join(Path(name).name for name in lacking)}: "
            "configs/toolchain.yaml names its packages, rust-analyzer and clangd among them"
        )
    key = key_of("sysroot", _RECIPE, _SCRIPT, str(root), toolchain.key)
    return session.store.build("sysroot", key, lambda into: _make(root, into))


def _make(root: Path, into: Path) -> None:
    loader = next(iter(sorted(root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))), None)
    if loader is None:
        raise environment_error(f"{root} has no dynamic loader in usr/lib")
    libraries = ":".join(str(folder) for folder in (loader.parent, root / "usr" / "lib"))
    resources = sorted((root / "usr" / "lib").glob("llvm-*/lib/clang/*"))
    for name in _PROGRAMS:
        # clangd finds its own headers by the place of its program, and that is the loader's here.
        options = f"--resource-dir={resources[-1]}" if name == "bin/clangd" and resources else ""
        script = into / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            _SCRIPT.format(
                program=shlex.quote(str(root / "usr" / name)),
                loader=shlex.quote(str(loader)),
                libraries=shlex.quote(libraries),
                options=f"{shlex.quote(options)} " if options else "",
            )
        )
        script.chmod(0o755)
