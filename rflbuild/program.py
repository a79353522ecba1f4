"""Small programs of a test's own for the guest: C, without a library but the kernel's nolibc."""

from __future__ import annotations

from pathlib import Path

from rflbuild import buildlog
from rflbuild.kernel import Kernel
from rflbuild.session import Session
from rflbuild.store import key_of

_TIMEOUT = 60.0
# What the kernel's `make headers_install` takes out of its headers for user space
# (scripts/headers_install.sh) means nothing here.
_FLAGS = (
    *("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror"),
    *("-D__EXPORTED_HEADERS__", "-D__user=", "-D__force=", "-D__iomem="),
    *("-D__attribute_const__=", "-D__packed=__attribute__((packed))"),
    *("-fno-builtin", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    *("-nostdlibinc", "-nostdlib", "-static", "-fuse-ld=lld"),
)


def build(session: Session, kernel: Kernel, path: Path) -> Path:
    """The static program for a kernel's guest that a C file makes, if it is not there yet.

    It includes C's usual headers, as far as tools/include/nolibc of the kernel's
    source goes, and the kernel's own. Raises RflError(build-error) with the
    compiler's words.
    """
    own = _own_headers(session)
    texts = [file.read_text() for file in (path, *sorted(own.glob("*/*.h")))]
    key = key_of("program", path.stem, texts, kernel.key, _FLAGS)
    return session.store.build("program", key, lambda into: _make(session, kernel, path, into)) / (
        path.stem
    )


def command(session: Session, kernel: Kernel) -> list[str]:
    """The compiler and its flags for such a program."""
    source, srcarch = kernel.source.path, kernel.arch.srcarch
    headers = [
        source / "tools/include/nolibc",
        _own_headers(session),
        source / "include/uapi",
        source / f"arch/{srcarch}/include/uapi",
        kernel.out / "include/generated/uapi",
        kernel.out / f"arch/{srcarch}/include/generated/uapi",
    ]
    return [
        kernel.toolchain.llvm("clang"),
        f"--target={kernel.arch.qemu.kvm_host}-linux-gnu",  # `uname -m` begins the triple
        *_FLAGS,
        *(f"-I{folder}" for folder in headers),
    ]


def _own_headers(session: Session) -> Path:
    return session.workspace.templates / "guest" / "include"


def _make(session: Session, kernel: Kernel, path: Path, into: Path) -> None:
    own = _own_headers(session)
    argv = [*command(session, kernel), "-o", str(into / path.stem), str(path)]
    log = session.store.work("logs", "program") / f"{path.stem}.log"
    done = session.processes.run(
        kernel.toolchain.command(
            argv, cwd=into, read=[*kernel.source.mounts, kernel.out, own, path.parent], write=[into]
        ),
        timeout=_TIMEOUT,
        cwd=into,
        log=log,
    )
    if done.status:
        raise session.store.full_disk() or buildlog.failure(
            f"the test's program {path.name}", done.output, str(log)
        )
