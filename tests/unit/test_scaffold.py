"""scaffold: new modules with names that work everywhere, and nothing that exists touched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import scaffold, testspec
from rflbuild.scaffold import Kind
from rflbuild.session import Session, Workspace
from rflbuild.verdict import RflError, Verdict

REPOSITORY = Path(__file__).parents[2]
KINDS = sorted(path.parent.name for path in (REPOSITORY / "templates").glob("*/kind.yaml"))
NEWEST = ((999, 0), "999.0.0")


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def new(session: Session, name: str, kind: str = "minimal") -> Path:
    chosen = scaffold.load_kind(session.workspace, kind)
    return scaffold.new_module(session, name, chosen, *NEWEST)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "hello", "my_driver", "e1000", "a_1", "x" * 55])
def test_an_identifier_of_small_letters_is_a_name(name: str) -> None:
    scaffold.check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("", "identifier", id="nothing"),
        pytest.param("a/b", "path", id="a path"),
        pytest.param("../a", "path", id="a path up"),
        pytest.param("/a", "path", id="a path from the root"),
        pytest.param(".", "path", id="a dot"),
        pytest.param(".hidden", "path", id="hidden"),
        pytest.param("a.ko", "identifier", id="a dot within"),
        pytest.param("a-b", "identifier", id="a dash"),
        pytest.param("a b", "identifier", id="a space"),
        pytest.param("a\n", "identifier", id="a line's end"),
        pytest.param("Hello", "identifier", id="a capital letter"),
        pytest.param("1st", "identifier", id="a digit first"),
        pytest.param("_a", "identifier", id="an underscore first"),
        pytest.param("--help", "identifier", id="an option"),
        pytest.param("größe", "identifier", id="letters beyond ASCII"),
        pytest.param("a٣", "identifier", id="digits beyond ASCII"),
        pytest.param("x" * 56, "55 characters", id="too long"),
        pytest.param("match", "keyword", id="a keyword of Rust"),
        pytest.param("async", "keyword", id="a keyword of Rust's later editions"),
        pytest.param("int", "keyword", id="a keyword of C"),
        pytest.param("typeof_unqual", "keyword", id="a keyword of new C"),
        pytest.param("lambda", "keyword", id="a keyword of Python"),
        pytest.param("kernel", "crate", id="the kernel crate"),
        pytest.param("core", "crate", id="the core crate"),
        pytest.param("bindings", "crate", id="the bindings crate"),
        pytest.param("vec", "Vec", id="a type of the prelude"),
        pytest.param("this_module", "ThisModule", id="a type of two words of the prelude"),
        pytest.param("local_module", "LocalModule", id="the type that module! makes"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(name: str, reason: str) -> None:
    said = usage(lambda: scaffold.check_name(name))

    assert f"`{name}`" in said
    assert reason in said


@pytest.mark.parametrize(
    ("name", "near"), [("My-Driver", "my_driver"), ("./hello/", "hello"), ("a.b c", "a_b_c")]
)
def test_a_name_that_would_do_is_offered(name: str, near: str) -> None:
    assert f"`{near}` would do" in usage(lambda: scaffold.check_name(name))


@pytest.mark.parametrize("name", ["Match", "Kernel", "Vec", "größe", "1st", "X" * 60])
def test_a_name_that_would_not_do_either_is_not_offered(name: str) -> None:
    assert "would do" not in usage(lambda: scaffold.check_name(name))


@pytest.mark.parametrize(
    ("name", "camel"),
    [("hello", "Hello"), ("my_driver", "MyDriver"), ("e1000", "E1000"), ("a__b_", "AB")],
)
def test_a_type_is_named_in_camel_case(name: str, camel: str) -> None:
    assert scaffold.camel(name) == camel


# ---- kinds --------------------------------------------------------------------------------


def test_an_unknown_kind_names_a_near_one(workspace: Workspace) -> None:
    assert "did you mean `hello`?" in usage(lambda: scaffold.load_kind(workspace, "helo"))


def test_an_unknown_kind_names_them_all_when_none_is_near(workspace: Workspace) -> None:
    said = usage(lambda: scaffold.load_kind(workspace, "xyzzy"))

    for name in KINDS:
        assert name in said


@pytest.mark.parametrize("name", ["common", "guest"])
def test_a_folder_of_templates_without_a_kind_file_is_no_kind(
    workspace: Workspace, name: str
) -> None:
    assert "unknown kind" in usage(lambda: scaffold.load_kind(workspace, name))


def test_a_new_folder_is_a_new_kind(workspace: Workspace, own_templates: Path) -> None:
    (own_templates / "mine").mkdir()
    (own_templates / "mine" / "kind.yaml").write_text("summary: mine\n")

    assert scaffold.load_kind(workspace, "mine") == Kind("mine", name="mine")


def test_a_mistake_in_a_kind_names_its_file(workspace: Workspace, own_templates: Path) -> None:
    path = own_templates / "hello" / "kind.yaml"
    path.write_text("summary: x\nkernel: 6.12\n")

    assert usage(lambda: scaffold.load_kind(workspace, "hello")).startswith(f"{path}:2: ")


# ---- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["my_thing", "same"])
def test_every_kind_renders_without_a_placeholder_left(
    workspace: Workspace, kind: str, name: str
) -> None:
    name = kind if name == "same" else name  # as `qemu-test KIND` has it
    made = scaffold.files(workspace, scaffold.load_kind(workspace, kind), name, *NEWEST)

    assert {"Kbuild", "Makefile", "README.md", "test.yaml"} <= made.keys()
    assert {f"{name}.rs", f"{name}_main.rs"} & made.keys()
    for file, text in made.items():
        assert not re.search(r"rfl_?module|\{[{%]", file + text, re.IGNORECASE), file


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_renders_for_the_oldest_kernel_it_names(workspace: Workspace, kind: str) -> None:
    texts = [path.read_text() for path in (workspace.templates / kind).glob("**/module.yaml")]
    bounds = re.findall(r">=(\d+)\.(\d+)", "".join(texts))
    oldest = min([(int(major), int(minor)) for major, minor in bounds], default=(6, 12))
    chosen = scaffold.load_kind(workspace, kind)

    made = scaffold.files(workspace, chosen, "my_thing", oldest, "oldest")

    assert "MyThing" in made.get("my_thing.rs", made.get("my_thing_main.rs", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_of_every_kind_is_valid_and_loads_the_module(
    workspace: Workspace, kind: str, tmp_path: Path
) -> None:
    chosen = scaffold.load_kind(workspace, kind)
    for file, text in scaffold.files(workspace, chosen, "my_thing", *NEWEST).items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)

    spec = testspec.read(tmp_path / "test.yaml")

    assert "my_thing" in {step.insmod for step in spec.steps}


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_takes_a_name_that_it_uses_for_something_else(
    workspace: Workspace, kind: str
) -> None:
    files = (workspace.templates / kind).glob("rfl_module*.rs")
    text = "".join(path.read_text() for path in files)
    types = set(re.findall(r"^struct (\w+)", text, re.MULTILINE)) - {"RflModule"}
    assert "struct RflModule" in text
    chosen = scaffold.load_kind(workspace, kind)

    for name in types:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        with pytest.raises(RflError, match=name):
            scaffold.files(workspace, chosen, snake, *NEWEST)


def test_a_kernel_older_than_the_kind_is_refused_with_both_versions(
    workspace: Workspace, own_templates: Path
) -> None:
    path = own_templates / "pci" / "module.yaml"
    path.write_text("kernel: '>=6.16'\n")

    said = usage(lambda: scaffold.files(workspace, Kind("x", name="pci"), "a", (6, 9, 3), "6.9.3"))

    assert said.startswith(f"{path}:1: it needs Linux 6.16 or newer, and this is 6.9.3")


def test_a_module_for_an_older_kernel_says_that_it_is_for_no_newer_one(
    workspace: Workspace,
) -> None:
    for version, bound in (((6, 12), "<6.15"), ((7, 3), ">=6.15")):
        made = scaffold.files(workspace, Kind("x", name="hello"), "a", version, "x")
        assert bound in made["module.yaml"]


def test_a_kind_that_needs_bindings_is_handed_out_with_what_makes_them(
    workspace: Workspace, own_templates: Path
) -> None:
    with_them = Kind("x", name="pci")
    (own_templates / "pci" / "module.yaml").write_text("headers: [linux/netdevice.h]\n")

    made = scaffold.files(workspace, with_them, "a", *NEWEST)
    without = scaffold.files(workspace, Kind("x", name="faux"), "a", *NEWEST)

    assert {"bindings.mk", "bindings.py"} == made.keys() - without.keys()


@pytest.mark.parametrize(
    ("version", "text"),
    [((7, 0), "new"), ((6, 15), "new"), ((6, 14), "6.15"), ((6, 9), "6.10"), ((6, 10), "6.15")],
)
def test_the_overlay_of_the_oldest_bound_has_the_last_word(
    workspace: Workspace, own_templates: Path, version: tuple[int, ...], text: str
) -> None:
    folder = own_templates / "mine"
    for path, content in (
        ("kind.yaml", "summary: x\n"),
        ("file", "new"),
        ("until-6.15/file", "6.15"),
        ("until-6.10/file", "6.10"),
    ):
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_text(content)
    kind = scaffold.load_kind(workspace, "mine")

    assert scaffold.files(workspace, kind, "a", version, "x")["file"] == text


def test_a_kinds_own_file_is_taken_before_the_common_one(
    workspace: Workspace, own_templates: Path
) -> None:
    (own_templates / "minimal" / "Kbuild").write_text("# my own\n")
    kind = scaffold.load_kind(workspace, "minimal")

    assert scaffold.files(workspace, kind, "a", *NEWEST)["Kbuild"] == "# my own\n"


# ---- new modules --------------------------------------------------------------------------


def test_a_new_module_has_the_files_of_its_kind(session: Session) -> None:
    folder = new(session, "my_thing")

    assert folder == session.workspace.modules / "my_thing"
    assert {"my_thing.rs", "Kbuild", "test.yaml"} <= set(listing(folder))
    assert "obj-m := my_thing.o" in (folder / "Kbuild").read_text()


def test_nothing_else_is_left_in_modules(session: Session) -> None:
    new(session, "my_thing")

    assert listing(session.workspace.modules) == ["my_thing"]


def test_the_folder_of_modules_keeps_its_mode(session: Session) -> None:
    session.workspace.modules.mkdir()
    session.workspace.modules.chmod(0o755)

    new(session, "my_thing")

    assert session.workspace.modules.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("what", ["folder", "file", "dangling link"])
def test_what_exists_is_not_touched(session: Session, what: str) -> None:
    path = session.workspace.modules / "my_thing"
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_text("mine")
    else:
        path.symlink_to("nowhere")
    before = path.lstat()

    said = usage(lambda: new(session, "my_thing"))

    assert "modules/my_thing is there already" in said
    assert path.lstat() == before


def test_what_a_killed_one_left_is_no_hindrance(session: Session) -> None:
    left = session.workspace.modules / ".my_thing.new"
    left.mkdir(parents=True)
    (left / "half").touch()

    folder = new(session, "my_thing")

    assert "half" not in listing(folder)
    assert listing(session.workspace.modules) == ["my_thing"]


@pytest.mark.parametrize("wrong", ["name", "kernel"])
def test_a_mistake_makes_nothing(session: Session, wrong: str) -> None:
    kind = Kind("x", name="minimal")
    name = "match" if wrong == "name" else "my_thing"
    version = (6, 9) if wrong == "kernel" else (7, 0)

    with pytest.raises(RflError):
        scaffold.new_module(session, name, kind, version, "x")

    assert not session.workspace.modules.exists()


def test_an_error_half_way_leaves_nothing_and_is_explained(
    session: Session, own_templates: Path
) -> None:
    # With a long name put into it, the file's name is longer than any file system allows.
    (own_templates / "minimal" / f"rfl_module_{'x' * 230}").touch()

    with pytest.raises(RflError) as caught:
        new(session, "y" * 50)

    assert caught.value.verdict is Verdict.ENVIRONMENT
    assert "name too long" in caught.value.sentence.lower()
    assert listing(session.workspace.modules) == []
