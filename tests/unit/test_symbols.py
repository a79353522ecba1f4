"""symbols: where a run's debug information is, and what its paths are called."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rflbuild import build_folder, symbols
from rflbuild.session import Session
from rflbuild.symbols import Place, Symbols
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def known(tmp_path: Path) -> Symbols:
    """A kernel and a module, with sources as far as tests look at them."""
    for name in ("module/blinky.rs", "source/rust/kernel/list.rs", "source/init/main.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Symbols(
        release="7.3.4",
        arch="arm64",
        toolchain="debian",
        kernel="0123456789abcdef",
        out=str(tmp_path / "out"),
        source=str(tmp_path / "source"),
        mutable=False,
        modules={"blinky": str(tmp_path / "blinky.ko")},
        directory=str(tmp_path / "module"),
        shown="modules/blinky",
    )


def frame(known: Symbols, path: str) -> symbols.Frame:
    row: dict[str, object] = {"FunctionName": "f", "FileName": path, "Line": 7}
    (found,) = symbols._frames(known, [row])
    return found


def test_they_are_read_as_they_were_written(known: Symbols, tmp_path: Path) -> None:
    symbols.write(known, tmp_path)

    assert symbols.read(tmp_path) == known


def test_a_folder_without_them_is_no_runs(tmp_path: Path) -> None:
    with pytest.raises(RflError, match=r"has no symbols\.json") as caught:
        symbols.read(tmp_path)
    assert caught.value.verdict is Verdict.USAGE


def test_a_kernel_that_was_removed_is_told_of(session: Session, known: Symbols) -> None:
    with pytest.raises(RflError, match=r"is not in .* any more: make the run again") as caught:
        symbols.look_up(session, known, [Place("", "foo", 1, 2)])
    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert known.kernel in caught.value.sentence


def test_a_kernel_of_the_users_is_known_to_be_another_after_a_build(
    known: Symbols, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "vmlinux").write_text("one")
    mine = msgspec.structs.replace(known, mutable=True, kernel=build_folder.state(out))
    assert not symbols.rebuilt(mine)

    (out / "vmlinux").write_text("another one")

    assert symbols.rebuilt(mine)


def test_a_work_folder_that_holds_another_kernel_by_now_is_known_to(
    known: Symbols, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert not symbols.rebuilt(known)

    (out / ".rflbuild-built").write_text("another key")

    assert symbols.rebuilt(known)


# ---- paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shown", "own"),
    [
        ("{0}/module/blinky.rs", "modules/blinky/blinky.rs", True),
        ("{0}/module/sub/gone.rs", "modules/blinky/sub/gone.rs", True),
        ("{0}/module/rust/kernel/list.rs", "rust/kernel/list.rs", False),
        ("{0}/source/init/main.c", "init/main.c", False),
        ("{0}/out/rust/bindings_generated.rs", "rust/bindings_generated.rs", False),
        (
            "/other/store/tmp/kernel-0123456789abcdef/rust/kernel/list.rs",
            "rust/kernel/list.rs",
            False,
        ),
        ("/usr/lib/rustlib/src/rust/library/core/src/option.rs", "core/src/option.rs", False),
        ("/elsewhere/a.c", "/elsewhere/a.c", False),
    ],
)
def test_a_path_is_the_users_the_kernels_or_rusts(
    known: Symbols, tmp_path: Path, path: str, shown: str, own: bool
) -> None:
    found = frame(known, path.format(tmp_path))

    assert (found.path, found.own) == (shown, own)


def test_a_module_in_the_folder_where_one_is_has_its_files_there(
    known: Symbols, tmp_path: Path
) -> None:
    here = msgspec.structs.replace(known, shown=".")

    assert frame(here, f"{tmp_path}/module/blinky.rs").path == "blinky.rs"


def test_a_file_laid_over_the_kernels_tree_is_the_users(known: Symbols, tmp_path: Path) -> None:
    mine = msgspec.structs.replace(known, own={"init/main.c": "modules/mine/main.c"})

    found = frame(mine, f"{tmp_path}/source/init/main.c")

    assert (found.path, found.own) == ("modules/mine/main.c", True)


# ---- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (Place("", "only", 0x10, 0x20), 0x1010),
        (Place("", "only", 0x10, 0x20, is_return=True), 0x100F),
        (Place("", "only", 0x10, 0x999), 0x1010),  # of one name there is no doubt
        (Place("", "twice", 4, 0x40), 0x3004),
        (Place("", "twice", 4, 0x999), None),
        (Place("", "none", 4, 4), None),
    ],
)
def test_a_static_function_is_told_from_its_namesakes_by_its_size(
    place: Place, address: int | None
) -> None:
    functions = {"only": [(0x1000, 0x20)], "twice": [(0x2000, 0x30), (0x3000, 0x40)]}

    assert symbols._address(functions, place) == address


def test_a_kernels_function_reaches_to_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text(
        "ffff800080010000 T _text\nffff800080010000 t first\nffff800080010040 T second\n"
        "ffff800080010050 t first\nffff800080010058 B last\n"
    )

    found = symbols._kernels_functions(path, {"first", "second"})

    assert found == {
        "first": [(0xFFFF800080010000, 0x40), (0xFFFF800080010050, 8)],
        "second": [(0xFFFF800080010040, 0x10)],
    }
