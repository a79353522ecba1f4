"""chain: a request is checked before anything is fetched, and what can run side by side does."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import chain, source
from rflbuild.chain import Links, Request
from rflbuild.session import Session
from rflbuild.source import Origin
from rflbuild.verdict import RflError, Verdict, usage_error


def failure(do: Callable[[], object]) -> RflError:
    with pytest.raises(RflError) as caught:
        do()
    return caught.value


# ---- requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(), ""),
        (Request(kernel="6.12"), "--kernel 6.12"),
        (Request(arch="x86_64", base="defconfig"), "--arch x86_64 --base defconfig"),
        (Request(toolchain="system"), "--toolchain system"),
        (Request(fragments=("debug", "a.config")), "--fragment debug --fragment a.config"),
        (Request(allow_dropped=True), "--allow-dropped"),
    ],
)
def test_a_request_is_made_again_by_its_words(request_: Request, words: str) -> None:
    assert request_.words() == words.split()


def plan(session: Session, request: Request) -> object:
    return chain.plan(session, request, Links(session))


@pytest.mark.parametrize("look", [plan, chain.check])
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(toolchain="nix"), ["`nix`", "auto, system, debian"]),
        (Request(arch="sparc"), ["`sparc`", "arm64, x86_64"]),
        (Request(base="tiny"), ["`tiny`", "virt, defconfig"]),
        (Request(fragments=("debgu",)), ["`debgu`", "`debug`"]),
        (Request(kernel="seven"), ["`seven`", "7.3"]),
        (Request(kernel="git+https://a.org/l"), ["names no ref"]),
    ],
)
def test_a_mistake_in_a_request_is_found_before_anything_is_fetched(
    session: Session,
    look: Callable[[Session, Request], object],
    request_: Request,
    words: list[str],
) -> None:
    error = failure(lambda: look(session, request_))

    assert error.verdict is Verdict.USAGE
    for word in words:
        assert word in error.sentence
    assert not session.store.root.exists()


def test_a_mistake_in_a_fragment_is_found_before_anything_is_fetched(
    session: Session, tmp_path: Path
) -> None:
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_X=y\nOOPS\n")

    error = failure(lambda: chain.check(session, Request(fragments=(str(fragment),))))

    assert error.sentence.startswith(f"{fragment}:2: ")


def test_a_request_without_a_mistake_yields_its_architecture(session: Session) -> None:
    assert chain.check(session, Request(arch="x86_64")).name == "x86_64"


# ---- versions -----------------------------------------------------------------------------


def test_the_version_of_a_folder_is_its_makefiles(
    session: Session, tmp_path: Path, make_kernel_tree: Callable[..., Path]
) -> None:
    tree = make_kernel_tree(tmp_path / "linux", "6.18.3")

    assert chain.version(session, str(tree)) == ((6, 18, 3), "6.18.3")


def test_the_version_of_a_debian_kernel_is_known_without_fetching_it(session: Session) -> None:
    assert chain.version(session, "6.12") == ((6, 12), "6.12")
    assert not session.store.root.exists()


def test_the_version_of_a_kernel_that_is_there_is_its_point_release(
    session: Session, make_kernel_tree: Callable[..., Path]
) -> None:
    def make(into: Path) -> None:
        make_kernel_tree(into, "6.12.57")

    session.store.build("source", "key", make)
    session.store.note(source._pin(Origin(debian="linux-source-6.12")), {"key": "key", "what": ""})

    assert chain.version(session, "6.12") == ((6, 12, 57), "6.12.57")


def test_a_debian_package_without_a_version_is_no_traceback(
    session: Session, own_configs: Path
) -> None:
    path = own_configs / "kernels.yaml"
    path.write_text("default: a\nsuites: [sid]\nkernels:\n  a: {debian: linux-source}\n")

    error = failure(lambda: chain.version(session, "a"))

    assert error.verdict is Verdict.USAGE
    assert error.sentence.startswith(f"{path}:4: ")


# ---- side by side -------------------------------------------------------------------------


def test_jobs_run_side_by_side(session: Session) -> None:
    barrier = threading.Barrier(3, timeout=10)

    chain.together(session, [barrier.wait] * 3)


def test_an_error_of_one_job_ends_the_others_and_is_raised(session: Session) -> None:
    begun = threading.Event()

    def wait() -> None:
        session.processes.run(
            ["sh", "-c", "echo a; exec sleep 60"], timeout=5, on_line=lambda _: begun.set()
        )

    def fail() -> None:
        begun.wait(10)
        raise usage_error("this one")

    start = time.monotonic()
    error = failure(lambda: chain.together(session, [wait, fail]))

    assert error.sentence == "this one"
    assert time.monotonic() - start < 5


# ---- links --------------------------------------------------------------------------------


def test_a_link_is_shown_and_kept_with_what_it_took(session: Session, screen: io.StringIO) -> None:
    links = Links(session)
    links.add("kernel", "Linux 7.3.4", "key", 1.23456, cached=False)

    assert [(link.name, link.key, link.seconds) for link in links.done] == [
        ("kernel", "key", 1.235)
    ]
    assert "Linux 7.3.4" in screen.getvalue()
    assert "1.2 s" in screen.getvalue()


def test_a_link_that_was_there_took_no_time(session: Session, screen: io.StringIO) -> None:
    links = Links(session)
    links.add("kernel", "Linux 7.3.4", "key", 5.0, cached=True)

    assert links.done[0].seconds == 0
    assert "cached" in screen.getvalue()


def test_what_a_link_took_is_remembered_unless_it_was_there(session: Session) -> None:
    links = Links(session)
    links.add("kernel", "x", "key", 60.0, cached=False)
    links.add("kernel", "x", "key", 0.1, cached=True)

    assert session.store.noted("cost-kernel") == {"seconds": 60.0}


# ---- keys for a CI ------------------------------------------------------------------------


def test_the_keys_of_a_request_are_known_without_fetching(session: Session) -> None:
    root, kernel = chain.cache_keys(session, Request(toolchain="debian"))

    assert root.startswith("rflbuild-root-")
    assert kernel.startswith("rflbuild-kernel-")
    assert not session.store.root.exists()


def test_the_system_toolchain_needs_no_root(session: Session) -> None:
    root, _ = chain.cache_keys(session, Request(toolchain="system"))

    assert root == ""


def test_the_key_of_a_kernel_stays_while_the_request_stays(session: Session) -> None:
    request = Request(toolchain="debian")

    assert chain.cache_keys(session, request) == chain.cache_keys(session, request)


@pytest.mark.parametrize(
    "other",
    [
        Request(toolchain="debian", kernel="6.12"),
        Request(toolchain="debian", arch="x86_64"),
        Request(toolchain="debian", fragments=("debug",)),
        Request(toolchain="debian", base="defconfig"),
    ],
)
def test_another_kernel_has_another_key_and_the_same_root(session: Session, other: Request) -> None:
    one = chain.cache_keys(session, Request(toolchain="debian"))
    two = chain.cache_keys(session, other)

    assert one[0] == two[0]
    assert one[1] != two[1]


def test_the_keys_change_with_the_packages_of_the_root(session: Session, own_configs: Path) -> None:
    before = chain.cache_keys(session, Request(toolchain="debian"))
    path = own_configs / "toolchain.yaml"
    path.write_text(path.read_text() + "  - sparse\n")
    after = chain.cache_keys(session, Request(toolchain="debian"))

    assert before[0] != after[0]
    assert before[1] != after[1]


# ---- links --------------------------------------------------------------------------------


def test_a_link_is_told_of_once(session: Session, screen: io.StringIO) -> None:
    links = Links(session)
    for _ in range(2):
        links.add("source", "Linux 7.3.4", "k", 0, cached=True)
    links.add("source", "Linux 6.12", "l", 0, cached=True)

    assert [line.split()[2] for line in screen.getvalue().splitlines()] == ["7.3.4", "6.12"]
