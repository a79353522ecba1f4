"""rustdoc: a crate's command is made of two, and a module's pages lead to the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import rustdoc, savedcmd
from rflbuild.session import Session

# As Linux 7.3's `make rustdoc` and a module's build save them, with fewer words.
KERNEL = """\
savedcmd_rustdoc-kernel := OBJTREE=/o rustdoc --edition=2021 @./rustc_cfg --extern ffi \
--extern pin_init -L./rust --output ./Documentation/output --crate-name kernel \
--sysroot=/dev/null @./rustc_cfg /l/rust/kernel/lib.rs
"""
MODULE = """\
savedcmd_card.o := OBJTREE=/o RUST_MODFILE=./card rustc --edition=2021 -Cpanic=abort --cfg MODULE \
-Zallow-features=asm_goto -Zcrate-attr=no_std --extern kernel --emit=obj=card.o card.rs

source_card.o := card.rs
"""


def test_what_is_the_kernel_crates_own_is_left_out() -> None:
    command = savedcmd.parse(KERNEL)

    assert command
    assert list(rustdoc._without_own(command)) == [
        *("rustdoc", "--edition=2021", "@./rustc_cfg", "-L./rust"),
        *("--sysroot=/dev/null", "@./rustc_cfg"),
    ]


def test_what_makes_a_modules_crate_is_taken() -> None:
    command = savedcmd.parse(MODULE)

    assert command
    assert list(rustdoc._taken(command)) == [
        *("--cfg", "MODULE", "-Zallow-features=asm_goto", "-Zcrate-attr=no_std"),
        *("--extern", "kernel"),
    ]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A documentation of the crate `kernel`."""
    html = tmp_path / "theirs"
    for name in ("kernel/index.html", "src/kernel/lib.rs.html", "static.files/a.css", "crates.js"):
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).touch()
    return html


def test_the_kernels_crates_are_joined_by_links_and_its_index_as_a_copy(
    theirs: Path, tmp_path: Path
) -> None:
    rustdoc._join(theirs, tmp_path / "html")

    found = {
        str(path.relative_to(tmp_path / "html")): path.is_symlink()
        for path in sorted((tmp_path / "html").rglob("*"))
    }
    assert found == {
        "crates.js": False,
        "kernel": True,
        "src": False,
        "src/kernel": True,
        "static.files": False,
        "static.files/a.css": False,
    }
    assert (tmp_path / "html" / "kernel" / "index.html").is_file()


# ---- what is kept -------------------------------------------------------------------------


def test_what_is_kept_is_made_anew_in_its_place_when_its_state_changes(session: Session) -> None:
    made: list[str] = []

    def keep(state: str) -> Path:
        def make(into: Path) -> None:
            made.append(state)
            (into / "text").write_text(state)

        return rustdoc._kept(session, "x", state, make)

    places = [keep("a"), keep("a"), keep("b")]

    assert made == ["a", "b"]
    assert len(set(places)) == 1
    assert (places[0] / "text").read_text() == "b"


def test_what_is_kept_stays_when_the_next_cannot_be_made(session: Session) -> None:
    def fail(into: Path) -> None:
        raise OSError("no room")

    place = rustdoc._kept(session, "x", "a", lambda into: (into / "text").touch())
    with pytest.raises(OSError, match="no room"):
        rustdoc._kept(session, "x", "b", fail)

    assert (place / "text").is_file()
    assert rustdoc._kept(session, "x", "a", fail) == place
