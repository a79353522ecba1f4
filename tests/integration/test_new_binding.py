"""C functions for Rust: bound in a tree of the user's own and in an overlay, and called."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import binding, bindings_edit, declaration
from rflbuild.binding import Wanted
from rflbuild.declaration import Compiler
from rflbuild.process import Processes
from rflbuild.session import Session, Workspace
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from rflbuild.verdict import RflError, Verdict
from tests.integration.harness import (
    GUEST,
    KERNEL,
    BuiltKernel,
    Rfl,
    Run,
    examples,
    git,
    snapshot,
    waited_for,
)

pytestmark = pytest.mark.timeout(1800, func_only=True)
ModuleAt = Callable[..., Path]

# What the module tests/data/modules/bound calls: with a symbol, inline, a macro.
LCM = ("lcm", "--header", "linux/lcm.h")
VALID = ("is_valid_ether_addr", "--header", "linux/etherdevice.h")
POWER = (
    *("roundup_pow_of_two", "--header", "linux/log2.h"),
    *("--prototype", "unsigned long roundup_pow_of_two(unsigned long n)"),
)
CALLED = (LCM, VALID, POWER)
_PCI = ("--header", "linux/pci.h")


# The message, and the look at MAINTAINERS that a new file asks for, are the user's.
_NOT_OURS = "COMMIT_MESSAGE,FILE_PATH_CHANGES"


@pytest.fixture
def bind(rfl: Rfl, kernel: BuiltKernel) -> Iterator[Callable[..., Run]]:
    """Runs new-binding; what it keeps in the checkout goes with the test."""

    def run(*words: str, timeout: float = GUEST) -> Run:
        return rfl("new-binding", *words, timeout=timeout)

    yield run
    shutil.rmtree(rfl.workspace / "overlay", ignore_errors=True)


def kept(rfl: Rfl) -> Path:
    return rfl.workspace / "overlay" / "7.3.yaml"


def patch(tree: Path) -> str:
    """What differs in a tree from its last commit, new and ignored files included."""
    git(tree, "add", "--all", "--force")
    return git(tree, "diff", "--cached")


# ---- a tree of the user's own --------------------------------------------------------------


# Seen to pass, in 100 s on a loaded machine: it builds all Rust of the kept tree anew, and so
# does the next test that builds there. In CI the overlay's twin of it stands for both.
@pytest.mark.slow
def test_functions_bound_in_a_tree_of_ones_own_are_called_in_the_guest(
    rfl: Rfl, bind: Callable[..., Run], own_tree: Path, module_at: ModuleAt
) -> None:
    for words in CALLED:
        assert bind(*words, "--kernel", str(own_tree)).status == 0
    module = module_at("bound", folder="bound")

    run = rfl.test(str(module), "--kernel", str(own_tree), timeout=KERNEL)
    shown = bind("is_valid_ether_addr", "--show", "--kernel", str(own_tree), timeout=KERNEL)

    run.passed()
    assert "pub fn is_valid_ether_addr(addr: *const u8_) -> bool_;" in shown.stdout, shown


def test_a_tree_of_ones_own_has_what_checkpatch_wants(
    bind: Callable[..., Run], own_tree: Path
) -> None:
    long = ("skb_fill_page_desc", "--header", "linux/skbuff.h")
    conditional = ("pci_is_enabled", *_PCI)
    for words in (LCM, POWER, long, conditional):
        assert bind(*words, "--kernel", str(own_tree)).status == 0

    diff = patch(own_tree)
    checked = subprocess.run(
        ["scripts/checkpatch.pl", "--strict", "--no-signoff", f"--ignore={_NOT_OURS}", "-"],
        cwd=own_tree,
        input=diff,
        capture_output=True,
        text=True,
        timeout=GUEST,
        check=False,
    )

    assert "+#ifdef CONFIG_PCI\n+__rust_helper int rust_helper_pci_is_enabled(" in diff
    assert checked.returncode == 0, checked.stdout


def test_what_was_bound_in_a_tree_of_ones_own_comes_out_again_in_any_order(
    rfl: Rfl, bind: Callable[..., Run], own_tree: Path
) -> None:
    helper = own_tree / "rust" / "helpers" / "pci.c"
    helper.write_text(f"{helper.read_text()}\n/* mine */\n")
    mine = patch(own_tree)
    functions = [LCM, VALID, ("is_zero_ether_addr", *VALID[1:]), ("pci_set_drvdata", *_PCI)]
    for words in functions:
        bind(*words, "--kernel", str(own_tree))
    assert patch(own_tree) != mine

    for name, *_ in functions:
        run = bind(name, "--remove", "--kernel", str(own_tree))
        assert run.status == 0, run

    assert patch(own_tree) == mine
    assert not (rfl.workspace / "overlay").exists()


def test_a_function_that_a_tree_has_is_not_added_to_it_again(
    bind: Callable[..., Run], own_tree: Path
) -> None:
    first = bind(*VALID, "--kernel", str(own_tree))
    before = snapshot(own_tree / "rust")

    again = bind(*VALID, "--kernel", str(own_tree))

    assert first.status == again.status == 0
    assert "is there already" in again.stdout
    assert snapshot(own_tree / "rust") == before


def test_a_read_only_tree_is_said_to_be_so_and_nothing_is_recorded(
    rfl: Rfl, bind: Callable[..., Run], own_tree: Path
) -> None:
    wrapper = rfl.read_only(own_tree)

    run = rfl("new-binding", *VALID, "--kernel", str(own_tree), wrapper=wrapper, timeout=GUEST)

    assert "cannot write" in run.came_to(Verdict.ENVIRONMENT)
    assert not (rfl.workspace / "overlay").exists()
    assert not patch(own_tree)


def test_a_helper_that_was_changed_since_is_left_to_the_user(
    bind: Callable[..., Run], own_tree: Path
) -> None:
    bind(*VALID, "--kernel", str(own_tree))
    made = own_tree / "rust" / "helpers" / "etherdevice.c"
    made.write_text(made.read_text().replace("return is", "return !is"))

    run = bind("is_valid_ether_addr", "--remove", "--kernel", str(own_tree))

    assert "etherdevice.c:5: " in run.came_to(Verdict.USAGE)
    assert "return !is" in made.read_text()


# ---- a kernel that is not to be changed -----------------------------------------------------


def test_functions_bound_in_an_overlay_are_called_in_the_guest(
    rfl: Rfl, bind: Callable[..., Run], kernel: BuiltKernel, module_at: ModuleAt
) -> None:
    for words in CALLED:
        assert bind(*words).status == 0
    module = module_at("bound", folder="bound")

    run = rfl.test(str(module), timeout=KERNEL)
    shown = bind("lcm", "--show", timeout=KERNEL)

    run.passed()
    assert "pub fn lcm(a: ffi::c_ulong, b: ffi::c_ulong) -> ffi::c_ulong;" in shown.stdout, shown


def test_an_interrupted_run_leaves_a_tree_as_it_was_or_bound(
    rfl: Rfl, bind: Callable[..., Run], own_tree: Path, chance: random.Random
) -> None:
    words = (*VALID, "--kernel", str(own_tree))
    whole = bind(*words)
    bound = patch(own_tree)
    bind("is_valid_ether_addr", "--remove", "--kernel", str(own_tree))

    started = rfl.start("new-binding", *words)
    assert waited_for(lambda: started.handles(signal.SIGTERM), GUEST)
    time.sleep(chance.random() * whole.seconds)
    os.killpg(started.pid, signal.SIGINT)
    run = started.end(GUEST)

    assert run.status in {0, 128 + signal.SIGINT}, run
    assert "Traceback" not in run.text, run
    assert patch(own_tree) == (bound if run.status == 0 else "")


def test_an_overlay_is_kept_once_and_goes_with_its_last_function(
    rfl: Rfl, bind: Callable[..., Run], kernel: BuiltKernel
) -> None:
    before = snapshot(kernel.plan.source.path / "rust")
    first = bind(*VALID)
    assert first.status == 0, first
    text = kept(rfl).read_text()

    again = bind(*VALID)
    status = rfl("status")
    removed = bind("is_valid_ether_addr", "--remove")

    assert "overlay    C functions for Rust" in status.stdout
    assert again.status == removed.status == 0
    assert first.stdout.splitlines()[-1].startswith("Next: ./rfl kernel builds the kernel anew")
    assert "bound already" in again.stdout
    assert "rust_helper_is_valid_ether_addr" in text
    assert not kept(rfl).parent.exists()
    assert snapshot(kernel.plan.source.path / "rust") == before


def test_the_kernels_own_helper_is_shown_without_being_bound(bind: Callable[..., Run]) -> None:
    run = bind("pci_dev_id", "--show")

    assert run.status == 0, run
    assert "pub fn pci_dev_id(dev: *mut pci_dev) -> u16_;" in run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("register_netdev",), "linux/netdevice.h may be it"),
        (("pci_set_drvdata", "--header", "linux/pcii.h"), "did you mean linux/pci.h?"),
        (("pci_set_drvdat", *_PCI), "did you mean pci_set_drvdata"),
        (("pci_dev_id", *_PCI, "--remove"), "--remove goes with a function's name alone"),
        (("pci_dev_id", "--remove"), "has not bound pci_dev_id"),
        ((*POWER[:-1], "int roundup_pow_of_two(char *a)"), "rust/helpers/log2.c:"),
    ],
)
def test_what_cannot_be_bound_is_said_in_a_sentence_and_nothing_is_kept(
    rfl: Rfl, bind: Callable[..., Run], words: tuple[str, ...], sentence: str
) -> None:
    run = bind(*words)

    assert sentence in run.came_to(Verdict.USAGE)
    assert not kept(rfl).exists()


@pytest.fixture(scope="module")
def compiler(rfl: Rfl, kernel: BuiltKernel) -> Iterator[Compiler]:
    """The default kernel's, for the questions that a run would ask it."""
    with Processes(os.environ) as processes, Path(os.devnull).open("w") as null:
        session = Session(
            Workspace(rfl.workspace), Store(rfl.store), processes, Terminal(null), jobs=1
        )
        yield declaration.compiler(session, kernel.plan, kernel.out)


@pytest.mark.parametrize(
    ("name", "header", "prototype", "sentence"),
    [
        ("register_netdev", "linux/pci.h", "", "linux/netdevice.h does"),
        ("alloc_etherdev", "linux/etherdevice.h", "", "give them by --prototype"),
        ("net_device", "linux/netdevice.h", "", "is a struct or union"),
        ("ETH_ALEN", "linux/etherdevice.h", "", "a macro without parameters (6)"),
        ("pci_alloc_p2p", "linux/pci-p2pdma.h", "", "did you mean pci_alloc_p2pmem"),
        ("lcm", "linux/lcm.h", "int lcm(int a)", "leave out --prototype"),
        ("roundup_pow_of_two", "linux/log2.h", "int roundup_pow_of_two(foo a)", "type name 'foo'"),
        ("kthread_run", "linux/kthread.h", "int kthread_run(int a, ...)", "cannot pass it on"),
        ("dev_trace", "linux/byteorder/generic.h", "", "does not compile by itself"),
    ],
)
def test_what_the_compiler_knows_to_be_wrong_is_said(
    compiler: Compiler, name: str, header: str, prototype: str, sentence: str
) -> None:
    form = bindings_edit.form(compiler.source.read)

    with pytest.raises(RflError) as caught:
        binding.find(compiler, form, Wanted(name, header, prototype))

    assert caught.value.verdict is Verdict.USAGE
    assert sentence in caught.value.sentence


@pytest.mark.parametrize(
    ("name", "header", "head"),
    [
        (
            "ioread32_rep",
            "linux/io.h",
            "void rust_helper_ioread32_rep(const volatile void __iomem *addr,\n",
        ),
        ("copy_from_user", "linux/uaccess.h", "const void __user *from,\n"),
        ("ERR_PTR", "linux/err.h", "__rust_helper void *rust_helper_ERR_PTR(long error)\n"),
        ("pci_is_enabled", "linux/pci.h", "#ifdef CONFIG_PCI\n__rust_helper int rust_helper_"),
    ],
)
def test_a_helper_has_the_types_of_the_function(
    compiler: Compiler, name: str, header: str, head: str
) -> None:
    form = bindings_edit.form(compiler.source.read)

    found = binding.find(compiler, form, Wanted(name, header))

    assert head in found.binding.helper


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pci_dev_id", *_PCI), "pci_dev_id is there already (rust/helpers/pci.c:5)"),
        (("pci_enable_device", *_PCI), "is there already (include/linux/pci.h:"),
    ],
)
def test_what_the_kernel_has_bound_is_said_to_be_there(
    rfl: Rfl, bind: Callable[..., Run], words: tuple[str, ...], said: str
) -> None:
    run = bind(*words)

    assert run.status == 0, run
    assert said in run.stdout
    assert not kept(rfl).exists()


def test_a_function_that_no_module_can_call_comes_with_a_note(bind: Callable[..., Run]) -> None:
    run = bind("dev_get_alias", "--header", "linux/netdevice.h")

    assert run.status == 0, run
    assert "note       dev_get_alias is not exported" in run.stdout


def test_every_example_of_the_guide_is_run(bind: Callable[..., Run], own_tree: Path) -> None:
    """Those that build the kernel are the same as in the tests above."""
    for _, *words in examples("new-binding"):
        if "--show" not in words:
            run = bind(*(str(own_tree) if word == "~/linux" else word for word in words))
            assert run.status == 0, run
