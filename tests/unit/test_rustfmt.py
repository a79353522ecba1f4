"""rustfmt: which files are laid out, and that none is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch, rustfmt
from rflbuild.kconfig import Kconfig
from rflbuild.kernel import Plan
from rflbuild.module import Module
from rflbuild.rustfmt import Formatted
from rflbuild.session import Session
from rflbuild.source import Source
from rflbuild.toolchain import Toolchain
from rflbuild.verdict import RflError, Verdict


@pytest.fixture
def owner(tmp_path: Path) -> Module:
    folder = tmp_path / "card"
    (folder / "net").mkdir(parents=True)
    for name in ("main.rs", "net/rx.rs", "bindings_generated.rs", "helpers.c", "helpers.h"):
        (folder / name).write_text(f"// {name}\n")
    return Module("card", folder, "modules/card")


@pytest.fixture
def plan(tmp_path: Path, session: Session, make_program: Callable[..., Path]) -> Plan:
    """A plan whose rustfmt makes everything capital, and fails on a `!`."""
    tree = tmp_path / "linux"
    tree.mkdir()
    (tree / ".rustfmt.toml").touch()
    bin_ = tmp_path / "bin"
    make_program(
        bin_ / "rustfmt",
        f'text=$(cat); echo "$@" >>{tmp_path}/asked\n'
        'case $text in *!*) echo "error: no good" >&2; echo "  --> <stdin>:1:1" >&2; exit 1; esac\n'
        'printf "%s\\n" "$text" | tr a-z A-Z',
    )
    return Plan(
        arch.load(session.workspace.configs, "arm64"),
        Source("x", tree, (7, 3, 4), "7.3.4", "s"),
        Toolchain("x", "t", (), lambda argv, *_: ["env", f"PATH={bin_}:/usr/bin:/bin", *argv]),
        Kconfig("virt", "allnoconfig", (), 1),
    )


def write(path: Path, text: str) -> Formatted:
    path.write_text(text)
    return Formatted(path, f"modules/{path.name}", text.encode(), text.upper().encode())


# ---- which files --------------------------------------------------------------------------


def test_rust_that_is_generated_is_left_out(owner: Module) -> None:
    assert list(rustfmt.rust_of_module(owner).values()) == [
        "modules/card/main.rs",
        "modules/card/net/rx.rs",
    ]


def test_c_is_taken_with_its_headers(owner: Module) -> None:
    assert list(rustfmt.c_of_module(owner).values()) == [
        "modules/card/helpers.c",
        "modules/card/helpers.h",
    ]


# ---- laying out ---------------------------------------------------------------------------


def test_each_file_is_laid_out_and_none_is_written_to(
    session: Session, plan: Plan, owner: Module
) -> None:
    done = rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)

    assert [each.after for each in done] == [b"// MAIN.RS\n", b"// NET/RX.RS\n"]
    assert [each.changed for each in done] == [True, True]
    assert (owner.directory / "main.rs").read_text() == "// main.rs\n"


def test_the_kernels_settings_are_used(
    session: Session, plan: Plan, owner: Module, tmp_path: Path
) -> None:
    rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)

    config = plan.source.path / ".rustfmt.toml"
    assert (tmp_path / "asked").read_text().splitlines() == [f"--config-path {config}"] * 2


def test_a_modules_own_settings_go_first(
    session: Session, plan: Plan, owner: Module, tmp_path: Path
) -> None:
    (owner.directory / "rustfmt.toml").touch()

    rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)

    assert f"--config-path {owner.directory}/rustfmt.toml" in (tmp_path / "asked").read_text()


def test_what_cannot_be_read_is_told_with_the_users_path(
    session: Session, plan: Plan, owner: Module
) -> None:
    (owner.directory / "net" / "rx.rs").write_text("!\n")

    with pytest.raises(RflError) as caught:
        rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)

    assert caught.value.verdict is Verdict.BUILD_ERROR
    assert "cannot read modules/card/net/rx.rs; nothing was changed" in caught.value.sentence
    assert "--> modules/card/net/rx.rs:1:1" in caught.value.detail


def test_a_formatter_that_makes_nothing_is_not_believed(
    session: Session, plan: Plan, owner: Module, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "rustfmt").write_text("#!/bin/sh\n")

    with pytest.raises(RflError) as caught:
        rustfmt.rust(session, plan, rustfmt.rust_of_module(owner), owner)

    assert caught.value.verdict is Verdict.ENVIRONMENT


def test_c_is_left_alone_without_clang_format(session: Session, plan: Plan, owner: Module) -> None:
    session.store.root.mkdir()
    assert rustfmt.c(session, plan, rustfmt.c_of_module(owner)) is None


def test_c_is_laid_out_where_clang_format_is(
    session: Session,
    plan: Plan,
    owner: Module,
    tmp_path: Path,
    make_program: Callable[..., Path],
) -> None:
    session.store.root.mkdir()
    make_program(
        tmp_path / "bin" / "clang-format",
        '[ "$1" = --version ] && echo 19.1.7 || tr a-z A-Z',
    )

    done = rustfmt.c(session, plan, rustfmt.c_of_module(owner))

    assert done is not None
    assert [each.after for each in done] == [b"// HELPERS.C\n", b"// HELPERS.H\n"]


# ---- writing ------------------------------------------------------------------------------


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    each = write(tmp_path / "a.rs", "a\n")
    each.path.chmod(0o640)

    each.write()

    assert each.path.read_text() == "A\n"
    assert each.path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.glob("*.rs*")] == ["a.rs"]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "b.rs").symlink_to("a.rs")
    write(tmp_path / "b.rs", "a\n").write()

    assert (tmp_path / "a.rs").read_text() == "A\n"
    assert (tmp_path / "b.rs").is_symlink()


def test_a_file_that_was_edited_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    each = write(tmp_path / "a.rs", "a\n")
    each.path.write_text("a day's work\n")

    with pytest.raises(RflError) as caught:
        each.write()

    assert caught.value.verdict is Verdict.USAGE
    assert "modules/a.rs was changed meanwhile" in caught.value.sentence
    assert each.path.read_text() == "a day's work\n"


def test_a_diff_says_what_would_change(tmp_path: Path) -> None:
    assert write(tmp_path / "a.rs", "a\n").diff() == (
        "--- modules/a.rs\n+++ modules/a.rs\n@@ -1 +1 @@\n-a\n+A\n"
    )
