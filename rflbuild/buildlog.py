"""Reading the output of the kernel's build: its progress, and its first error."""

from __future__ import annotations

import re

from rflbuild.verdict import RflError, Verdict, environment_error

# Kbuild's short form, `  CC      fs/locks.o` (scripts/Kbuild.include, "quiet_cmd").
_STEP = re.compile(r"  (?:CC|AS|RUSTC|HOSTCC)\b")
_ERROR = re.compile(
    r"^error(?:\[E\d+\])?: "  # rustc
    r"|^\S+?:\d+(?::\d+)?: (?:fatal )?error: "  # clang
    r"|^(?:ld\.lld|clang|llvm-\w+)(?:-\d+)?: error: "
    r"|^ERROR: modpost: "
    r"|^\S+:\d+: \*\*\* "  # make's own $(error …)
    r"|^\S*Kconfig[^:\s]*:\d+: "  # scripts/kconfig; its warnings have no blank there
    r"|^\*\*\* "
)
_WARNING = re.compile(
    r"^warning: (?P<rust>.*)\n +--> (?P<rs>\S+)$|^(?P<c>\S+:\d+:\d+): warning: (?P<clang>.*)$",
    re.MULTILINE,
)
_MAKE = re.compile(r"^make(?:\[\d+\])?: \*\*\* ")
_END = re.compile(r"^(?:make|error|  [A-Z]+ |\S+?:\d+:\d+: error:)")
_DETAIL_LINES = 30


def is_step(line: str) -> bool:
    """Whether a line tells that one more file is being compiled."""
    return bool(_STEP.match(line))


def first_error(output: str) -> str:
    """The compiler's first error with its context, as it was printed; make's word if none."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if _ERROR.match(line):
            block = [line]
            for more in lines[number + 1 : number + _DETAIL_LINES]:
                if _END.match(more):
                    break
                block.append(more)
            return "\n".join(block).rstrip()
    made = [line for line in lines if _MAKE.match(line)]
    return made[0] if made else "\n".join(lines[-5:])


def warnings(output: str) -> list[str]:
    """The compilers' warnings, each as `file:line:column: what`, once."""
    found = []
    for match in _WARNING.finditer(output):
        place, words = match["rs"] or match["c"], match["rust"] or match["clang"]
        found.append(f"{place}: {words}")
    return list(dict.fromkeys(found))


def diagnostics(output: str) -> list[str]:
    """The warnings of rustc and clippy about a place in the source, each as it was printed."""
    blocks = re.findall(r"^warning: .*\n(?:(?! *$|warning: |error).*\n?)*", output, re.MULTILINE)
    return [block.rstrip() for block in blocks if re.search(r"^ *--> ", block, re.MULTILINE)]


def failure(what: str, output: str, log: str) -> RflError:
    """The error for a build that ended with a non-zero status."""
    if "No space left on device" in output:
        return environment_error(
            f"the disk is full, so {what} could not be built: make room, or set RFLBUILD_CACHE "
            f"to a folder on a larger disk; the log is {log}"
        )
    if re.search(
        r"\(signal: 9, SIGKILL|^(?:\S+: line \d+: +\d+ )?Killed\b|(?:\]|command:) Killed$",
        output,
        re.MULTILINE,
    ):
        return environment_error(
            f"a compiler was killed while {what} was built, most likely for want of memory: "
            f"try --jobs 1; the log is {log}"
        )
    if "can't find crate for `" in output and "error[E0463]" in output:
        return RflError(
            Verdict.BUILD_ERROR,
            f"{what} does not build: the kernel's crates were not found, as when it was built by "
            f"another rustc or has no Rust support; the log is {log}",
            first_error(output),
        )
    return RflError(
        Verdict.BUILD_ERROR, f"{what} does not build; the log is {log}", first_error(output)
    )
