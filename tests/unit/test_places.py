"""places: where on the host the files are that the kernel's build names."""

from __future__ import annotations

from pathlib import Path

from rflbuild.places import Places


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_rust_src_lies_in_the_private_root_behind_its_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    real = touch(root / "usr" / "src" / "rustc-1.85.1" / "library" / "core" / "src" / "lib.rs")
    (root / "usr" / "lib" / "rustlib" / "src").mkdir(parents=True)
    (root / "usr" / "lib" / "rustlib" / "src" / "rust").symlink_to("../../../src/rustc-1.85.1")
    there = Places((), root)

    assert there.host("/usr/lib/rustlib/src/rust/library/core/src/lib.rs") == real


def test_a_users_tree_is_itself_even_where_the_root_has_such_a_path(tmp_path: Path) -> None:
    root, tree = tmp_path / "root", tmp_path / "linux"
    own = touch(tree / "rust" / "kernel" / "lib.rs")
    touch(root / own.relative_to("/"))

    assert Places((tree,), root).host(str(own)) == own


def test_a_copy_means_the_users_file_if_there_is_one(tmp_path: Path) -> None:
    work, own = tmp_path / "work", tmp_path / "own"
    mine = touch(own / "net" / "a.rs")
    touch(work / "net" / "a.rs")
    generated = touch(work / "bindings_generated.rs")
    there = Places((own,), None, work, own)

    assert there.host(str(work / "net" / "a.rs")) == mine
    assert there.host(str(generated)) == generated


def test_a_relative_name_is_looked_for_in_order(tmp_path: Path) -> None:
    own, source = tmp_path / "own", tmp_path / "linux"
    touch(own / "a.rs")
    touch(source / "a.rs")
    only = touch(source / "rust" / "b.rs")
    there = Places((own, source))

    assert there.host("a.rs") == own / "a.rs"
    assert there.host("rust/b.rs") == only
    assert there.host("c.rs") == Path("c.rs")


def test_what_is_laid_over_the_source_is_the_users_file_by_either_name(tmp_path: Path) -> None:
    source, mine = tmp_path / "linux", touch(tmp_path / "modules" / "blinky" / "a.rs")
    other = touch(source / "samples" / "b.rs")
    there = Places((source,), laid={"samples/a.rs": mine})

    assert there.host("samples/a.rs") == mine
    assert there.host(str(source / "samples" / "a.rs")) == mine
    assert there.host("samples/b.rs") == other
