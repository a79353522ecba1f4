"""image, rootfs: what goes into an image, and how its packages are asked for."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rflbuild import arch as arches
from rflbuild import image, initramfs, rootfs, userns
from rflbuild.arch import Arch
from rflbuild.process import Completed
from rflbuild.rootfs import Rootfs
from rflbuild.session import Session
from rflbuild.verdict import RflError, Verdict

STATUS = "Package: apt\nStatus: install ok installed\nVersion: 3.0.4\n"


def usage(do: Callable[[], object]) -> str:
    with pytest.raises(RflError) as caught:
        do()
    assert caught.value.verdict is Verdict.USAGE
    return caught.value.sentence


@pytest.fixture
def arm64(session: Session) -> Arch:
    return arches.load(session.workspace.configs, "arm64")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root as mmdebstrap packs it, as far as it matters here."""
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        for name in (".", "./etc", "./etc/ssh", "./root", "./var", "./var/lib", "./var/lib/dpkg"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700 if name == "./root" else 0o755
            tar.addfile(entry)
        for name, text in (("etc/hostname", "host\n"), ("var/lib/dpkg/status", STATUS)):
            entry = tarfile.TarInfo(f"./{name}")
            entry.size, entry.uid = len(text), 7
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def composed(root: Path, files: dict[str, str], links: dict[str, str]) -> tarfile.TarFile:
    tree = root.with_name("tree.tar")
    image.compose(root, tree, files, links)
    return tarfile.open(tree)


def text(tar: tarfile.TarFile, name: str) -> str:
    member = tar.extractfile(f"./{name}")
    assert member
    return member.read().decode()


# ---- the files of an image ------------------------------------------------------------------


def test_a_file_of_ours_takes_the_place_of_debians(root: Path) -> None:
    with composed(root, {"etc/hostname": "debian\n"}, {}) as tar:
        assert text(tar, "etc/hostname") == "debian\n"
        assert tar.getnames().count("./etc/hostname") == 1


def test_what_is_not_ours_stays_as_it_is(root: Path) -> None:
    with composed(root, {}, {}) as tar:
        assert text(tar, "var/lib/dpkg/status") == STATUS
        assert tar.getmember("./var/lib/dpkg/status").uid == 7


def test_a_folder_is_made_once_and_before_what_it_holds(root: Path) -> None:
    with composed(root, {"etc/a/b/c": "x", "etc/a/d": "y"}, {}) as tar:
        names = tar.getnames()
    assert names.count("./etc/a") == names.count("./etc") == 1
    assert names.index("./etc/a") < names.index("./etc/a/b") < names.index("./etc/a/b/c")


def test_private_keys_are_for_root_alone(root: Path) -> None:
    files = {"etc/ssh/ssh_host_ed25519_key": "secret", "root/.ssh/authorized_keys": "public"}
    with composed(root, files, {}) as tar:
        assert tar.getmember("./etc/ssh/ssh_host_ed25519_key").mode == 0o600
        assert tar.getmember("./root/.ssh").mode == 0o700
        assert tar.getmember("./root").mode == 0o700


def test_modules_have_a_folder_to_come_to(root: Path) -> None:
    with composed(root, {}, {}) as tar:
        assert tar.getmember("./modules").isdir()


def test_a_link_leads_where_it_should(root: Path) -> None:
    with composed(root, {}, {"etc/systemd/system/x.timer": "/dev/null"}) as tar:
        assert tar.getmember("./etc/systemd/system/x.timer").linkname == "/dev/null"


def test_the_packages_are_told_from_dpkgs_own_words(root: Path, tmp_path: Path) -> None:
    assert image.compose(root, tmp_path / "tree.tar", {}, {}) == STATUS


def test_units_and_generators_are_masked_each_in_its_folder(session: Session) -> None:
    recipe = image.Recipe("trixie", "4G", "auto", (), ("a.timer", "b-generator"), ())

    links = image._links(recipe)

    assert links["etc/systemd/system/a.timer"] == "/dev/null"
    assert links["etc/systemd/system-generators/b-generator"] == "/dev/null"


def test_templates_are_rendered_by_their_name_in_the_image(session: Session) -> None:
    files = image._templates(session)

    assert files["etc/resolv.conf"] == "nameserver 10.0.2.3\n"
    assert files["etc/fstab"].startswith("LABEL=rootfs / ext4 ")
    assert not [name for name in files if name.endswith(".j2")]


def test_what_editors_leave_is_no_file_of_the_image(session: Session, own_templates: Path) -> None:
    before = image._templates(session)
    (own_templates / "image" / "etc" / ".fstab.swp").write_bytes(b"\xff")
    (own_templates / "image" / "etc" / "fstab~").write_text("old\n")

    assert image._templates(session) == before


# ---- keys -----------------------------------------------------------------------------------


def test_the_order_of_packages_and_those_of_the_recipe_do_not_matter(
    session: Session, arm64: Arch
) -> None:
    assert image.key(session, arm64, "", ["tree", "apt", "strace"]) == image.key(
        session, arm64, "trixie", ["strace", "tree"]
    )


def test_whatever_makes_another_image_makes_another_key(
    session: Session, arm64: Arch, own_templates: Path
) -> None:
    x86_64 = arches.load(session.workspace.configs, "x86_64")
    keys = [
        image.key(session, arm64, "", []),
        image.key(session, x86_64, "", []),
        image.key(session, arm64, "sid", []),
        image.key(session, arm64, "", ["tree"]),
        image.key(dataclasses.replace(session, mirror="http://mirror/debian"), arm64, "", []),
    ]
    (own_templates / "image" / "etc" / "hostname").write_text("other\n")
    keys.append(image.key(session, arm64, "", []))

    assert len(set(keys)) == len(keys)


def test_a_template_does_not_make_other_packages(
    session: Session, arm64: Arch, own_templates: Path
) -> None:
    before = Rootfs(session, arm64, "trixie").key(["apt"])
    (own_templates / "image" / "etc" / "hostname").write_text("other\n")

    assert Rootfs(session, arm64, "trixie").key(["apt"]) == before


# ---- bad input ------------------------------------------------------------------------------


def test_a_size_that_mke2fs_would_not_take_is_told_by_file_and_line(
    session: Session, own_configs: Path
) -> None:
    path = own_configs / "debian.yaml"
    path.write_text(path.read_text().replace("size: 4G", "size: plenty"))

    sentence = usage(lambda: image.recipe(session))

    (line,) = (n for n, row in enumerate(path.read_text().splitlines(), 1) if "plenty" in row)
    assert sentence == f"{path}:{line}: `plenty` is no size such as 4G"


@pytest.mark.parametrize("suite", ["a b", "../x", "-o", "Trixie"])
def test_a_suite_that_cannot_be_one_is_refused(session: Session, arm64: Arch, suite: str) -> None:
    assert f"`{suite}`" in usage(lambda: image.build(session, arm64, suite, []))


# ---- packages of another architecture -------------------------------------------------------


def test_programs_of_another_architecture_are_run_by_qemu_user(
    arm64: Arch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Arch, "native", lambda _: False)

    argv = rootfs.emulated(arm64, Path("/tools"), ["mmdebstrap", "x"])

    assert argv[-2:] == ["mmdebstrap", "x"]
    assert argv[4].startswith(r":rflbuild-arm64:M::\x7fELF")
    assert argv[4].endswith(":/tools/usr/bin/qemu-aarch64:PF")
    assert len(argv[4]) <= 1920  # what the kernel takes (fs/binfmt_misc.c)


def test_the_hosts_own_architecture_needs_no_emulation(
    arm64: Arch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Arch, "native", lambda _: True)

    assert rootfs.emulated(arm64, Path("/tools"), ["mmdebstrap"])[4:] == ["", "mmdebstrap"]


@pytest.mark.parametrize(
    ("asked", "native", "status", "in_guest"),
    [
        ("auto", False, 0, False),
        ("auto", False, 126, True),
        ("auto", True, 126, False),
        ("host", False, 126, False),
        ("guest", True, 0, True),
    ],
)
def test_scripts_run_in_a_guest_where_the_host_cannot_run_them_or_it_was_asked_for(
    session: Session,
    arm64: Arch,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    native: bool,
    status: int,
    in_guest: bool,
) -> None:
    monkeypatch.setattr(Arch, "native", lambda _: native)
    monkeypatch.setattr(initramfs, "busybox", lambda *_: Path("/busybox"))
    monkeypatch.setattr(userns, "run", lambda *_, **__: Completed((), status, "", 0.1))

    assert Rootfs(session, arm64, "trixie", asked)._is_for_guest(Path("/tools")) is in_guest


@pytest.mark.parametrize("name", ["arm64", "x86_64"])
def test_the_magic_is_of_an_elf_file_of_that_machine(session: Session, name: str) -> None:
    user = arches.load(session.workspace.configs, name).qemu_user
    magic, mask = (
        each.encode().decode("unicode_escape").encode("latin-1") for each in (user.magic, user.mask)
    )

    assert len(magic) == len(mask) == 20
    assert magic[:5] == b"\x7fELF\x02"
    assert magic[18] == {"arm64": 183, "x86_64": 62}[name]  # e_machine (elf(5))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("I: x\nE: Write error (28: No space left on device)\nE: mmdebstrap failed", "full"),
        ("I: x\nE: dpkg failed\nE: mmdebstrap failed", "E: dpkg failed"),
        ("no words of its own", "no words of its own"),
        ("", "no output"),
    ],
)
def test_why_packages_were_not_installed_is_told(session: Session, output: str, said: str) -> None:
    session.store.root.mkdir()

    error = rootfs._why_not(session, output, Path("/log"))

    assert error.verdict is Verdict.ENVIRONMENT
    assert said in error.sentence


@pytest.mark.parametrize(
    ("output", "verdict", "said"),
    [
        (
            "handle_entry: Could not allocate block in ext2 filesystem while writing\nmke2fs: x",
            Verdict.USAGE,
            "size",
        ),
        ("qemu-img: x: No space left on device", Verdict.ENVIRONMENT, "full"),
        ("mke2fs: it broke", Verdict.ENVIRONMENT, "mke2fs: it broke"),
    ],
)
def test_why_there_is_no_file_system_is_told(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    verdict: Verdict,
    said: str,
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr" / "src").mkdir(parents=True)
    failed = Completed(("mke2fs",), 1, output, 0.1)
    monkeypatch.setattr(type(session.processes), "run", lambda *_, **__: failed)

    with pytest.raises(RflError) as caught:
        image._run(session, tmp_path, ["mke2fs"], tmp_path)

    assert caught.value.verdict is verdict
    assert said in caught.value.sentence


def test_an_image_knows_its_packages(tmp_path: Path) -> None:
    (tmp_path / "packages.json").write_text(json.dumps({"apt": "3.0.4"}))
    disk = tmp_path / "disk.qcow2"

    assert image.Image(disk, "key", disk, disk).packages() == {"apt": "3.0.4"}
