"""kconfig: what is asked for, where it was asked for, and what the kernel dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from rflbuild import arch, kconfig
from rflbuild.arch import Arch
from rflbuild.fragment import Option
from rflbuild.kconfig import Kconfig
from rflbuild.source import Source
from rflbuild.verdict import RflError, Verdict

REPOSITORY = Path(__file__).parents[2]
FRAGMENTS = sorted(p.stem for p in (REPOSITORY / "configs" / "kconfig").glob("*.config"))


@pytest.fixture
def arm(repository: Path) -> Arch:
    return arch.load(repository / "configs", "arm64")


def linux(*version: int) -> Source:
    return Source("x", Path("/x"), version, "", "")


@pytest.fixture
def fragment(tmp_path: Path) -> Path:
    return tmp_path / "mine.config"


def compose(
    configs: Path, arm: Arch, *fragments: str | Path, base: str = "virt", at: Source | None = None
) -> Kconfig:
    return kconfig.compose(configs, base, [str(f) for f in fragments], arm, at or linux(7, 3, 4))


def asked(config: Kconfig, name: str) -> Option | None:
    return next((option for option in config.options if option.name == name), None)


def usage(configs: Path, arm: Arch, *fragments: str | Path, base: str = "virt") -> str:
    with pytest.raises(RflError) as caught:
        compose(configs, arm, *fragments, base=base)
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


def config_of(*options: tuple[str, str]) -> Kconfig:
    return Kconfig("x", "x", tuple(Option(name, value, "x:1") for name, value in options), 0)


# ---- what is shipped ----------------------------------------------------------------------


@pytest.mark.parametrize("name", FRAGMENTS)
@pytest.mark.parametrize("base", ["virt", "defconfig"])
def test_every_shipped_fragment_parses(repository: Path, arm: Arch, name: str, base: str) -> None:
    config = compose(repository / "configs", arm, name, base=base, at=linux(999, 0))

    assert config.options


@pytest.mark.parametrize("name", arch.names(REPOSITORY / "configs"))
def test_the_options_of_every_shipped_architecture_parse(repository: Path, name: str) -> None:
    configs = repository / "configs"
    config = compose(configs, arch.load(configs, name))

    assert any(f"configs/arch/{name}.yaml:" in option.where for option in config.options)


@pytest.mark.parametrize("base", ["virt", "defconfig"])
def test_every_base_asks_for_rust(repository: Path, arm: Arch, base: str) -> None:
    option = asked(compose(repository / "configs", arm, base=base), "RUST")

    assert option is not None
    assert option.value == "y"


# ---- lines of a fragment ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("CONFIG_X=y", "y"),
        ("CONFIG_X=m  # why", "m"),
        ("  CONFIG_X=y", "y"),
        ("CONFIG_X=y# why", "y"),
        ("CONFIG_X=0x10", "0x10"),
        ("CONFIG_X=-1", "-1"),
        ('CONFIG_X=""', '""'),
        ('CONFIG_X="a b # c"', '"a b # c"'),
        (r'CONFIG_X="a \" b"  # why', r'"a \" b"'),
        ("CONFIG_X=n", "n"),
        ("# CONFIG_X is not set", "n"),
    ],
)
def test_an_option_has_the_value_of_its_line(
    repository: Path, arm: Arch, fragment: Path, line: str, value: str
) -> None:
    fragment.write_text(f"{line}\n")
    option = asked(compose(repository / "configs", arm, fragment), "X")

    assert option == Option("X", value, f"{fragment}:1")


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "#CONFIG_X=y", "# CONFIG_X is fine"])
def test_comments_ask_for_nothing(repository: Path, arm: Arch, fragment: Path, line: str) -> None:
    fragment.write_text(f"{line}\n")

    assert asked(compose(repository / "configs", arm, fragment), "X") is None


@pytest.mark.parametrize(
    "line", ["X=y", "CONFIG_X", "CONFIG_X = y", "CONFIG_X=", "config_X=y", "CONFIG_X=a b", "-X"]
)
def test_a_line_that_is_no_option_is_refused_with_its_place(
    repository: Path, arm: Arch, fragment: Path, line: str
) -> None:
    fragment.write_text(f"CONFIG_A=y\n\n{line}\n")

    said = usage(repository / "configs", arm, fragment)

    assert said.startswith(f"{fragment}:3: `{line}`")


def test_a_bad_line_of_an_architecture_is_refused_with_its_place(own_configs: Path) -> None:
    path = own_configs / "arch" / "arm64.yaml"
    path.write_text(path.read_text() + "  CONFIG OOPS\n")
    line = len(path.read_text().splitlines())

    said = usage(own_configs, arch.load(own_configs, "arm64"))

    assert said.startswith(f"{path}:{line}: ")


# ---- the last word ------------------------------------------------------------------------


def test_the_last_line_has_the_last_word_and_says_where(
    repository: Path, arm: Arch, fragment: Path
) -> None:
    fragment.write_text("CONFIG_X=y\nCONFIG_Y=y\nCONFIG_X=m\n")

    option = asked(compose(repository / "configs", arm, fragment), "X")

    assert option == Option("X", "m", f"{fragment}:3")


def test_the_last_fragment_has_the_last_word(repository: Path, arm: Arch, tmp_path: Path) -> None:
    for name, value in (("one", "y"), ("two", "n")):
        (tmp_path / name).write_text(f"CONFIG_X={value}\n")

    config = compose(repository / "configs", arm, tmp_path / "one", tmp_path / "two")

    assert asked(config, "X") == Option("X", "n", f"{tmp_path / 'two'}:1")


def test_a_fragment_has_the_word_over_the_base(repository: Path, arm: Arch, fragment: Path) -> None:
    fragment.write_text("CONFIG_IPV6=y\n")

    option = asked(compose(repository / "configs", arm, fragment), "IPV6")

    assert option == Option("IPV6", "y", f"{fragment}:1")


def test_an_option_of_the_architecture_stands_in_its_file(repository: Path, arm: Arch) -> None:
    path = repository / "configs" / "arch" / "arm64.yaml"
    option = asked(compose(repository / "configs", arm), "SERIAL_AMBA_PL011")

    assert option is not None
    file, _, line = option.where.rpartition(":")
    assert file == str(path)
    assert "CONFIG_SERIAL_AMBA_PL011=y" in path.read_text().splitlines()[int(line) - 1]


# ---- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "version", "there"),
    [
        ("since 6.13", (6, 12, 9), False),
        ("since 6.13", (6, 13, 0), True),
        ("since 6.9", (6, 12), True),
        ("until 6.13", (6, 12, 9), True),
        ("until 6.13", (6, 13, 0), False),
        ("since 6.10, until 6.13", (6, 12), True),
        ("since 6.10, until 6.13", (6, 13), False),
        ("a thing since 6.13, as the manual has it", (6, 12), False),
        ("sincere 6.13", (6, 12), True),
    ],
)
def test_an_option_is_asked_of_kernels_since_and_until_a_version(
    repository: Path, arm: Arch, fragment: Path, word: str, version: tuple[int, ...], there: bool
) -> None:
    fragment.write_text(f"CONFIG_X=y  # {word}\n")
    config = compose(repository / "configs", arm, fragment, at=linux(*version))

    assert (asked(config, "X") is not None) is there


@pytest.mark.parametrize(("version", "there"), [((6, 12), False), ((6, 13), True)])
def test_an_unset_option_has_versions_too(
    repository: Path, arm: Arch, fragment: Path, version: tuple[int, ...], there: bool
) -> None:
    fragment.write_text("# CONFIG_X is not set  # since 6.13\n")
    config = compose(repository / "configs", arm, fragment, at=linux(*version))

    assert (asked(config, "X") is not None) is there


# ---- names --------------------------------------------------------------------------------


def test_a_named_fragment_is_the_one_of_configs(repository: Path, arm: Arch) -> None:
    option = asked(compose(repository / "configs", arm, "debug"), "KASAN")

    assert option is not None
    assert "configs/kconfig/debug.config:" in option.where


@pytest.mark.parametrize(("name", "hint"), [("debgu", "did you mean `debug`?"), ("xyz", "debug")])
def test_an_unknown_fragment_names_those_that_are_there(
    repository: Path, arm: Arch, name: str, hint: str
) -> None:
    said = usage(repository / "configs", arm, name)

    assert f"`{name}`" in said
    assert hint in said


def test_a_folder_is_no_fragment(repository: Path, arm: Arch, tmp_path: Path) -> None:
    assert "no fragment" in usage(repository / "configs", arm, tmp_path)


def test_an_unknown_base_names_those_that_are_there(repository: Path, arm: Arch) -> None:
    assert "virt, defconfig" in usage(repository / "configs", arm, base="tiny")


def test_a_mistake_in_the_bases_names_its_line(own_configs: Path, arm: Arch) -> None:
    path = own_configs / "kconfig" / "bases.yaml"
    path.write_text(path.read_text().replace("  objects: 11500", "  objetcs: 11500"))
    line = path.read_text().splitlines().index("  objetcs: 11500") + 1

    said = usage(own_configs, arm)

    assert said.startswith(f"{path}:{line}: unknown key `objetcs`; did you mean `objects`?")


def test_the_label_is_the_base_and_the_fragments(
    repository: Path, arm: Arch, fragment: Path
) -> None:
    fragment.touch()

    assert compose(repository / "configs", arm).label == "virt"
    assert compose(repository / "configs", arm, "debug", fragment).label == "virt+debug+mine"


# ---- keys and text ------------------------------------------------------------------------


def test_what_asks_for_the_same_has_the_same_key(
    repository: Path, arm: Arch, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("CONFIG_X=y  # why\nCONFIG_Y=m\n")
    (tmp_path / "two").write_text("CONFIG_Y=m\n\nCONFIG_X=n\nCONFIG_X=y\n")
    configs = [compose(repository / "configs", arm, tmp_path / name) for name in ("one", "two")]

    assert configs[0].key == configs[1].key


def test_what_asks_for_another_value_has_another_key(
    repository: Path, arm: Arch, fragment: Path
) -> None:
    keys = set()
    for value in ("y", "m", "n"):
        fragment.write_text(f"CONFIG_X={value}\n")
        keys.add(compose(repository / "configs", arm, fragment).key)

    assert len(keys) == 3


def test_the_text_is_lines_of_a_config() -> None:
    text = config_of(("A", "y"), ("B", "n"), ("C", '"x y"')).text()

    assert text == 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x y"\n'


def test_a_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / ".config"
    path.write_text(
        "#\n# Automatically generated file; DO NOT EDIT.\n#\n"
        'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="a=b"\nCONFIG_D=0x10\n'
    )

    assert kconfig.read(path) == {"A": "y", "C": '"a=b"', "D": "0x10"}


# ---- what was dropped ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "got", "lost"),
    [
        pytest.param("y", "y", False, id="taken over"),
        pytest.param("y", None, True, id="absent"),
        pytest.param("y", "m", True, id="a module instead"),
        pytest.param("m", "y", True, id="built in instead"),
        pytest.param("n", None, False, id="off and absent"),
        pytest.param("n", "y", True, id="off, but on"),
        pytest.param("0x10", "0x10", False, id="hex"),
        pytest.param("0x10", "16", False, id="hex as a decimal"),
        pytest.param("0x0A", "0xa", False, id="hex in other letters"),
        pytest.param("0x10", "0x11", True, id="another hex"),
        pytest.param("64", "65", True, id="another number"),
        pytest.param("010", "010", False, id="a number with a zero"),
        pytest.param('"a"', '"a"', False, id="a text"),
        pytest.param('"a"', '"b"', True, id="another text"),
        pytest.param('""', '""', False, id="an empty text"),
        pytest.param('"1"', "1", True, id="a text that looks like a number"),
    ],
)
def test_an_option_is_dropped_unless_it_was_taken_over(
    wanted: str, got: str | None, lost: bool
) -> None:
    config = config_of(("A", "y"), ("X", wanted))
    values = {"A": "y"} | ({} if got is None else {"X": got})

    names = [option.name for option in kconfig.dropped(config, values)]

    assert names == (["X"] if lost else [])
