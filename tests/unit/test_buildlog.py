"""buildlog: from a build's output, its progress and the compiler's own first words.

The outputs are as Linux 7.3's build prints them, cut down to what matters.
"""

from __future__ import annotations

import pytest

from rflbuild import buildlog
from rflbuild.verdict import Verdict

RUSTC = """\
  RUSTC [M] hello.o
error[E0425]: cannot find value `squares` in this scope
  --> modules/hello/hello.rs:49:9
   |
49 |         squares.push(1, GFP_KERNEL)?;
   |         ^^^^^^^ help: a local variable with a similar name exists: `square`
   |
note: the lint level is defined here
  --> modules/hello/hello.rs:1:9

error[E0599]: no method named `frob` found
  --> modules/hello/hello.rs:52:9

error: aborting due to 2 previous errors

Some errors have detailed explanations: E0425, E0599.
make[3]: *** [scripts/Makefile.build:287: hello.o] Error 1
make[2]: *** [/src/linux/Makefile:2010: .] Error 2
make[1]: *** [/src/linux/Makefile:248: __sub-make] Error 2
make: *** [Makefile:248: __sub-make] Error 2
"""
RUSTC_FIRST = RUSTC[RUSTC.index("error[E0425]") : RUSTC.index("\n\nerror[E0599]")]

# With -j, other compilers' lines come between.
CLANG = """\
  CC      fs/locks.o
../fs/locks.c:99:2: warning: unused variable 'x' [-Wunused-variable]
   99 |         int x;
      |             ^
  CC      fs/readdir.o
../fs/readdir.c:12:5: error: use of undeclared identifier 'foo'
   12 |     foo();
      |     ^
  CC      fs/select.o
1 error generated.
make[3]: *** [../scripts/Makefile.build:229: fs/readdir.o] Error 1
make[3]: *** Waiting for unfinished jobs....
"""
CLANG_FIRST = """\
../fs/readdir.c:12:5: error: use of undeclared identifier 'foo'
   12 |     foo();
      |     ^"""

HEADER = """\
  CC [M]  net.o
net.c:3:10: fatal error: 'linux/nothing.h' file not found
    3 | #include <linux/nothing.h>
      |          ^~~~~~~~~~~~~~~~~
1 error generated.
make[3]: *** [scripts/Makefile.build:229: net.o] Error 1
"""

LLD = """\
  LD      .tmp_vmlinux1
ld.lld: error: undefined symbol: rust_helper_spin_lock
>>> referenced by lock.rs:120 (../rust/kernel/sync/lock.rs:120)
>>>               rust/kernel.o:(kernel::sync::lock) in archive vmlinux.a
make[2]: *** [../scripts/Makefile.vmlinux:72: vmlinux.unstripped] Error 1
"""

MODPOST = """\
  MODPOST Module.symvers
WARNING: modpost: missing MODULE_DESCRIPTION() in hello.o
ERROR: modpost: "register_netdev" [hello.ko] undefined!
ERROR: modpost: "napi_enable" [hello.ko] undefined!
make[2]: *** [/src/linux/scripts/Makefile.modpost:147: Module.symvers] Error 1
"""

NO_RULE = """\
make[3]: *** No rule to make target 'helo.o', needed by 'hello.ko'.  Stop.
make[2]: *** [/src/linux/Makefile:2010: .] Error 2
"""

NOT_CLEAN = """\
***
*** The source tree is not clean, please run 'make ARCH=arm64 mrproper'
*** in /src/linux
***
make[2]: *** [/src/linux/Makefile:586: outputmakefile] Error 1
"""

MAKES_ERROR = """\
Makefile:15: *** no built kernel in /lib/modules/6.1.0/build: set KDIR=/path.  Stop.
"""

BINDGEN = """\
  BINDGEN rust/bindings/bindings_generated.rs
/src/linux/include/linux/frob.h:7:2: error: unknown type name 'u99'
panicked at bindgen-cli/main.rs:52:36:
Unable to generate bindings: clang diagnosed error
make[3]: *** [../rust/Makefile:420: rust/bindings/bindings_generated.rs] Error 1
"""


# ---- progress -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "  CC      fs/locks.o",
        "  CC [M]  samples/kfifo/bytestream-example.o",
        "  AS      arch/arm64/kernel/entry.o",
        "  RUSTC L rust/core.o",
        "  RUSTC [M] samples/rust/rust_minimal.o",
        "  HOSTCC  scripts/basic/fixdep",
    ],
)
def test_a_compiled_file_is_a_step(line: str) -> None:
    assert buildlog.is_step(line)


@pytest.mark.parametrize(
    "line",
    ["", "  LD      vmlinux", "  GEN     Makefile", "CC fs/locks.o", "make[1]: CC", "  CCC x"],
)
def test_other_lines_are_no_steps(line: str) -> None:
    assert not buildlog.is_step(line)


# ---- the first error ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "first"),
    [
        pytest.param(RUSTC, RUSTC_FIRST, id="rustc"),
        pytest.param(CLANG, CLANG_FIRST, id="clang"),
        pytest.param(LLD, "\n".join(LLD.splitlines()[1:4]), id="ld.lld"),
        pytest.param(NO_RULE, NO_RULE.splitlines()[0], id="make"),
        pytest.param(MAKES_ERROR, MAKES_ERROR.strip(), id="make's own $(error)"),
        pytest.param("what\never\n", "what\never", id="nothing known"),
        pytest.param("", "", id="nothing at all"),
    ],
)
def test_the_first_error_is_the_compilers_own_words(output: str, first: str) -> None:
    assert buildlog.first_error(output) == first


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param(HEADER, "net.c:3:10: fatal error: 'linux/nothing.h'", id="a missing header"),
        pytest.param(MODPOST, 'ERROR: modpost: "register_netdev" [hello.ko]', id="modpost"),
        pytest.param(NOT_CLEAN, "*** The source tree is not clean", id="a tree that is not clean"),
        pytest.param(BINDGEN, "/src/linux/include/linux/frob.h:7:2: error: ", id="bindgen"),
    ],
)
def test_the_first_error_begins_with_what_is_wrong(output: str, words: str) -> None:
    assert buildlog.first_error(output).startswith(words)


@pytest.mark.parametrize(
    "line",
    [
        "ld.lld-19: error: undefined symbol: foo",
        "clang-19: error: no such file or directory: 'x.c'",
        "llvm-objcopy: error: 'vmlinux': No such file or directory",
        "error: couldn't read `hello.rs`: No such file or directory (os error 2)",
    ],
)
def test_an_error_of_any_tool_is_found(line: str) -> None:
    output = f"  LD      x.o\n{line}\nmake[1]: *** [Makefile:1: x.o] Error 1\n"

    assert buildlog.first_error(output) == line


def test_a_warning_is_no_error() -> None:
    output = "warning: unused import\n  --> a.rs:1:1\nmake: *** [Makefile:1: a.o] Error 1\n"

    assert buildlog.first_error(output) == "make: *** [Makefile:1: a.o] Error 1"


def test_an_endless_error_is_cut() -> None:
    output = "error: too much\n" + "  |\n" * 1000

    assert len(buildlog.first_error(output).splitlines()) <= 30


# ---- what a failed build comes to ---------------------------------------------------------


def test_a_compilers_error_is_a_build_error_with_its_words_and_the_log() -> None:
    error = buildlog.failure("the module hello", RUSTC, "/logs/hello.log")

    assert error.verdict is Verdict.BUILD_ERROR
    assert error.detail == RUSTC_FIRST
    assert "the module hello" in error.sentence
    assert "/logs/hello.log" in error.sentence


@pytest.mark.parametrize(
    "line",
    [
        "fatal error: error writing to output file: No space left on device",
        "error: failed to write `hello.o`: No space left on device (os error 28)",
        "make[2]: write error: No space left on device",
    ],
)
def test_a_full_disk_is_an_environment_error(line: str) -> None:
    output = f"  CC      x.o\n{line}\nmake[1]: *** [Makefile:1: x.o] Error 1\n"

    error = buildlog.failure("the kernel", output, "/log")

    assert error.verdict is Verdict.ENVIRONMENT
    assert "disk" in error.sentence


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Killed\nmake[3]: *** [Makefile:1: x.o] Error 137", id="dash"),
        pytest.param(
            "/bin/sh: line 1: 4242 Killed                  clang -Wp,-MMD,.x.o.d -c -o x.o x.c\n"
            "make[3]: *** [Makefile:1: x.o] Error 137",
            id="bash",
        ),
        pytest.param("make[3]: *** [Makefile:1: x.o] Killed", id="make"),
        pytest.param("clang: error: unable to execute command: Killed", id="clang"),
        pytest.param("process didn't exit successfully: (signal: 9, SIGKILL: kill)", id="rustc"),
    ],
)
def test_a_compiler_that_was_killed_is_an_environment_error(line: str) -> None:
    error = buildlog.failure("the kernel", f"  CC      x.o\n{line}\n", "/log")

    assert error.verdict is Verdict.ENVIRONMENT
    assert "memory" in error.sentence


def test_missing_crates_are_told_as_another_rustc() -> None:
    output = (
        "error[E0463]: can't find crate for `core`\n\nerror: aborting due to 1 previous error\n"
    )

    error = buildlog.failure("the module hello", output, "/log")

    assert error.verdict is Verdict.BUILD_ERROR
    assert "another rustc" in error.sentence
    assert error.detail == "error[E0463]: can't find crate for `core`"


def test_a_message_that_speaks_of_killed_is_no_killed_compiler() -> None:
    output = RUSTC.replace("squares.push", 'pr_info!("Killed"); squares.push')

    assert buildlog.failure("the module", output, "/log").verdict is Verdict.BUILD_ERROR


# ---- warnings -----------------------------------------------------------------------------


def test_each_warning_is_told_once_with_its_place() -> None:
    output = (
        "  RUSTC [M] main.o\n"
        "warning: unused variable: `x`\n"
        "  --> modules/mine/main.rs:5:9\n"
        "   |\n"
        "warning: 1 warning emitted\n"
        "\n"
        "modules/mine/helpers.c:7:2: warning: unused variable 'y' [-Wunused-variable]\n"
        "modules/mine/helpers.c:7:2: warning: unused variable 'y' [-Wunused-variable]\n"
    )

    assert buildlog.warnings(output) == [
        "modules/mine/main.rs:5:9: unused variable: `x`",
        "modules/mine/helpers.c:7:2: unused variable 'y' [-Wunused-variable]",
    ]


def test_a_build_without_warnings_has_none() -> None:
    assert buildlog.warnings("  RUSTC [M] main.o\n  LD [M]  mine.ko\n") == []


def test_a_mistake_in_a_kconfig_file_is_the_first_error() -> None:
    output = (
        "  HOSTLD  scripts/kconfig/conf\n"
        "drivers/Kconfig:3:warning: ignoring unsupported character\n"
        'samples/Kconfig:320: unknown statement "endfi"\n'
        "samples/Kconfig:5: missing end statement for this entry\n"
        "make[3]: *** [scripts/kconfig/Makefile:85: allnoconfig] Error 1\n"
    )
    assert buildlog.first_error(output).splitlines() == [
        'samples/Kconfig:320: unknown statement "endfi"',
        "samples/Kconfig:5: missing end statement for this entry",
    ]


# ---- diagnostics --------------------------------------------------------------------------

CLIPPY = """\
make[1]: Entering directory '/store/work/module/1'
  CLIPPY [M] hello.o
warning: unneeded `return` statement
  --> modules/hello/hello.rs:39:5
   |
39 |     return a == 0;
   |     ^^^^^^^^^^^^^
   |
   = note: `-W clippy::needless-return` implied by `-W clippy::all`
help: remove `return`
   |
39 -     return a == 0;

warning: constant `A` is never used
 --> modules/hello/hello.rs:3:7

warning: 2 warnings emitted

make[1]: Leaving directory '/store/work/module/1'
"""


def test_each_diagnostic_is_whole_and_nothing_else_is_taken() -> None:
    first, second = buildlog.diagnostics(CLIPPY)

    assert first.startswith("warning: unneeded `return` statement\n  --> modules/hello")
    assert first.endswith("39 -     return a == 0;")
    assert second == "warning: constant `A` is never used\n --> modules/hello/hello.rs:3:7"


@pytest.mark.parametrize("output", ["", RUSTC, "warning: 2 warnings emitted\n"])
def test_what_warns_of_no_place_has_no_diagnostics(output: str) -> None:
    assert buildlog.diagnostics(output) == []
