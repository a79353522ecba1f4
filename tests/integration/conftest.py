"""The store, a copy of the checkout, and the command line over both.

Kernels, toolchain roots and sources are the user's own ($RFLBUILD_CACHE, else
the default), so that a warm cache makes the suite take minutes; whatever else a
run builds, and its results, lie in folders of the session's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rflbuild import chain, cli, image
from rflbuild.chain import Links, Request
from rflbuild.process import Processes
from rflbuild.session import Session, Workspace
from rflbuild.store import Store
from rflbuild.terminal import Terminal
from tests.integration.harness import (
    CHECKOUT,
    KERNEL,
    MODULES,
    BuiltKernel,
    DebianImage,
    Rfl,
    git,
    restore,
    restored,
)

# Saved guests are not among them: what they lie on is named by the store's own path.
_COSTLY = ("root", "source", "kernel", "busybox", "rustdoc", "image", "rootfs")
_SEED = "RFLBUILD_TEST_SEED"
_seed = int(os.environ.get(_SEED) or time.time_ns() % 1_000_000)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "slow: takes minutes, or makes a root or a kernel; RFLBUILD_TEST_SLOW=1"
    )
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores Ctrl-C, and so would all that we start.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"rflbuild: the moments of interrupts come from {_SEED}={_seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("RFLBUILD_TEST_SLOW"):
        skip = pytest.mark.skip(
            reason="it takes minutes, or makes a root or a kernel: set RFLBUILD_TEST_SLOW=1"
        )
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def user_store() -> Path:
    return cli.cache_folder(os.environ)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the session's own, in which the `kernel` fixtures put what is costly."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def rfl(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Rfl:
    workspace = tmp_path_factory.mktemp("workspace")
    shutil.copy2(CHECKOUT / "tasks.py", workspace)
    for name in ("rflbuild", "templates", "configs"):
        shutil.copytree(CHECKOUT / name, workspace / name)
    (workspace / "modules").mkdir()
    return Rfl(workspace, store)


@pytest.fixture(autouse=True)
def _nothing_runs_on(rfl: Rfl) -> Iterator[None]:
    with rfl.nothing_runs_on():
        yield


@pytest.fixture(scope="session")
def kernel(rfl: Rfl, user_store: Path) -> Iterator[BuiltKernel]:
    """The default kernel, built in the user's store if it is not there yet."""
    yield from _kernel(rfl, user_store, None)


@pytest.fixture(scope="session")
def documented(rfl: Rfl, kernel: BuiltKernel, user_store: Path) -> Path:
    """The first page of the default kernel's documentation, made in the user's store."""
    run = rfl.on(user_store)("rustdoc", timeout=KERNEL)
    assert run.status == 0, run
    share(user_store, rfl.store)
    return rfl.store / Path(run.stdout.split()[-1]).relative_to(user_store)


@pytest.fixture(scope="session")
def kernel_6_12(rfl: Rfl, user_store: Path, kernel: BuiltKernel) -> Iterator[BuiltKernel]:
    yield from _kernel(rfl, user_store, "6.12")


@pytest.fixture(scope="session")
def _kept_tree(rfl: Rfl, kernel: BuiltKernel, user_store: Path) -> Path:
    """A tree of the user's own: the default kernel's source with a history, and its build.

    Both are kept in the user's store, since a build takes as long as the first kernel's.
    """
    base = kernel.plan.source.path.resolve()
    tree = user_store / "work" / "tests" / f"tree-{kernel.plan.source.key}"
    if not (tree / ".git" / "complete").exists():
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(base, tree, symlinks=True)
        for words in (
            ["init", "--quiet"],
            ["add", "--all", "--force"],
            ["commit", "--quiet", "-m", "Linux"],
        ):
            git(tree, *words)
        (tree / ".git" / "complete").touch()
    with _alone(tree):
        restore(tree)
        run = rfl.on(user_store)("kernel", "--kernel", str(tree), timeout=KERNEL)
    assert run.status == 0, run
    (out,) = (line.split()[1] for line in run.stdout.splitlines() if line.startswith("KDIR "))
    link = rfl.store / "work" / "kernel" / Path(out).name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(out)
    return tree


@contextlib.contextmanager
def _alone(tree: Path) -> Iterator[None]:
    """Hold the kept tree; another session may be testing on it."""
    with (tree.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def own_tree(_kept_tree: Path, user_store: Path, store: Path) -> Iterator[Path]:
    """A kernel tree of the user's own, with its git history, built once; clean for each test."""
    begun = time.time()

    def is_built() -> bool:
        logs = [
            log
            for root in (user_store, store)
            for kind in ("kernel", "check")
            for log in (root / "work" / "logs" / kind).glob("*.log")
        ]
        return any(log.stat().st_mtime >= begun for log in logs)

    with _alone(_kept_tree), restored(_kept_tree, is_built):
        yield _kept_tree


@pytest.fixture(scope="session")
def debian(rfl: Rfl, user_store: Path, kernel: BuiltKernel) -> DebianImage:
    """The Debian guest's own image, made in the user's store if it is not there yet."""
    run = rfl.on(user_store)("debian-image", timeout=KERNEL)
    assert run.status == 0, run
    with session_on(rfl, user_store) as session:
        made = image.build(session, kernel.plan.arch, "", ())
        tools = image.tools(session)
    share(user_store, rfl.store)
    disk = rfl.store / made.disk.relative_to(user_store)  # as overlays name it
    return DebianImage(disk, made.identity, tools)


def _kernel(rfl: Rfl, user_store: Path, name: str | None) -> Iterator[BuiltKernel]:
    words = ["--kernel", name] if name else []
    run = rfl.on(user_store)("kernel", *words, timeout=KERNEL)
    assert run.status == 0, run
    (out,) = (line.split()[1] for line in run.stdout.splitlines() if line.startswith("KDIR "))
    share(user_store, rfl.store)
    with session_on(rfl, user_store) as session:
        plan = chain.plan(session, Request(kernel=name), Links(session))
        yield BuiltKernel(name or "default", Path(out), plan)


@contextlib.contextmanager
def session_on(rfl: Rfl, store: Path) -> Iterator[Session]:
    """A session of the package's own, on a store."""
    with Processes(os.environ) as processes, Path(os.devnull).open("w") as null:
        yield Session(
            workspace=Workspace(rfl.workspace),
            store=Store(store),
            processes=processes,
            terminal=Terminal(null),
            jobs=1,
            mirror=os.environ.get("RFLBUILD_MIRROR") or None,
        )


def share(user_store: Path, store: Path) -> None:
    """Let a store have what is costly from the user's, and know what the user's knows."""
    for kind in _COSTLY:
        if (user_store / kind).is_dir() and not (store / kind).is_symlink():
            (store / kind).symlink_to(user_store / kind)
    (store / "notes").mkdir(exist_ok=True)
    for note in (user_store / "notes").glob("*.json"):
        if not (store / "notes" / note.name).exists():
            shutil.copy2(note, store / "notes")


@pytest.fixture
def new_store(tmp_path: Path, kernel: BuiltKernel, user_store: Path) -> Path:
    """A store for one test, with the default kernel and nothing else that was built."""
    store = tmp_path / "store"
    store.mkdir()
    share(user_store, store)
    return store


@pytest.fixture
def module_at(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with a copy of a module of tests/data/modules/, and a test.yaml."""

    def make(name: str = "out_of_tree", test: str | None = None, folder: str = "mine") -> Path:
        made = tmp_path / folder
        shutil.copytree(MODULES / name, made)
        if test is not None:
            (made / "test.yaml").write_text(test)
        return made

    return make


@pytest.fixture
def steps(rfl: Rfl, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Makes a test of no module, configs/tests/NAME.yaml, from its text; returns NAME."""
    made: list[Path] = []

    def make(text: str) -> str:
        name = f"test_{len(made)}_{request.node.originalname}"
        made.append(rfl.workspace / "configs" / "tests" / f"{name}.yaml")
        made[-1].write_text(text)
        return name

    yield make
    for path in made:
        path.unlink()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Numbers that differ from test to test and from session to session, unless seeded."""
    return random.Random(f"{_seed} {request.node.nodeid}")  # noqa: S311 - no secrets here
