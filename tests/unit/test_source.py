"""source: what --kernel may be, and that each form yields the tree it means."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.server
import io
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rflbuild import source
from rflbuild.session import Session
from rflbuild.source import Origin
from rflbuild.verdict import RflError, Verdict

MakeTree = Callable[..., Path]
WriteKernels = Callable[[str], Path]


def failure(do: Callable[[], object]) -> RflError:
    with pytest.raises(RflError) as caught:
        do()
    return caught.value


def usage(do: Callable[[], object]) -> str:
    error = failure(do)
    assert error.verdict is Verdict.USAGE
    return error.sentence


@pytest.fixture
def write_kernels(own_configs: Path) -> Callable[[str], Path]:
    """Writes configs/kernels.yaml with other entries."""

    def write(entries: str) -> Path:
        path = own_configs / "kernels.yaml"
        path.write_text(f'default: "7.3"\nsuites: [trixie]\nkernels:\n{entries}')
        return path

    return write


def made(session: Session) -> list[str]:
    """The keys of what is in the store, and what is half-made."""
    root = session.store.root
    return [path.name for name in ("source", "tmp") for path in (root / name).glob("*")]


# ---- what --kernel means ------------------------------------------------------------------


def test_no_kernel_means_the_default_of_the_list(session: Session) -> None:
    known = source.kernels(session)

    assert source.locate(session, None) == (known.default, known.kernels[known.default])


def test_a_name_of_the_list_means_its_entry(session: Session, write_kernels: WriteKernels) -> None:
    write_kernels('  "7.3": {debian: linux-source-7.3}\n  mine: {git: a, ref: b}\n')

    assert source.locate(session, "mine") == ("mine", Origin(git="a", ref="b"))


def test_a_name_of_the_list_is_taken_before_a_folder(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7.3").mkdir()
    monkeypatch.chdir(tmp_path)

    assert source.locate(session, "7.3")[1].debian == "linux-source-7.3"


@pytest.mark.parametrize("version", ["6.18", "6.12.30"])
def test_a_version_means_debians_package(session: Session, version: str) -> None:
    assert source.locate(session, version)[1] == Origin(debian=f"linux-source-{version}")


def test_a_folder_means_itself(session: Session, tmp_path: Path) -> None:
    assert source.locate(session, str(tmp_path))[1] == Origin(directory=str(tmp_path))


def test_a_relative_folder_means_where_it_is(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linux").mkdir()
    monkeypatch.chdir(tmp_path)

    assert source.locate(session, "linux")[1] == Origin(directory=str(tmp_path / "linux"))


def test_a_tilde_means_the_home_folder(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linux").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))

    assert source.locate(session, "~/linux")[1] == Origin(directory=str(tmp_path / "linux"))


def test_a_file_means_a_tarball(session: Session, tmp_path: Path) -> None:
    (tmp_path / "linux.tar.xz").touch()

    located = source.locate(session, str(tmp_path / "linux.tar.xz"))[1]

    assert located == Origin(tarball=str(tmp_path / "linux.tar.xz"))


@pytest.mark.parametrize(
    ("wanted", "origin"),
    [
        ("https://a.org/l.tar.xz", Origin(tarball="https://a.org/l.tar.xz")),
        ("https://a.org/l.tar.xz#sha256=0A", Origin(tarball="https://a.org/l.tar.xz", sha256="0A")),
        ("git+https://a.org/l.git@main", Origin(git="https://a.org/l.git", ref="main")),
        ("git+https://a.org/l@a/b", Origin(git="https://a.org/l", ref="a/b")),
        ("git+https://me@a.org/l@v7.3-rc1", Origin(git="https://me@a.org/l", ref="v7.3-rc1")),
        ("git+ssh://git@host/x@ref", Origin(git="ssh://git@host/x", ref="ref")),
        ("git+ssh://git@host:22/x@ref", Origin(git="ssh://git@host:22/x", ref="ref")),
        ("git+git@host:x/y.git@ref", Origin(git="git@host:x/y.git", ref="ref")),
        ("git+/srv/linux@main", Origin(git="/srv/linux", ref="main")),
        ("git+file:///srv/linux@main", Origin(git="file:///srv/linux", ref="main")),
    ],
)
def test_a_url_means_a_tarball_or_a_ref_of_a_repository(
    session: Session, wanted: str, origin: Origin
) -> None:
    assert source.locate(session, wanted) == (wanted, origin)


@pytest.mark.parametrize(
    "wanted",
    [
        "git+https://a.org/l.git",
        "git+https://a.org/l.git@",
        "git+https://me@a.org/l.git",
        "git+ssh://git@host/x",
        "git+git@host:x",
        "git+/srv/linux",
        "git+",
    ],
)
def test_a_repository_without_a_ref_is_refused(session: Session, wanted: str) -> None:
    assert "names no ref" in usage(lambda: source.locate(session, wanted))


@pytest.mark.parametrize("wanted", ["seven", "7", "v7.3", "7.3-rc1", "./gone", "/gone/linux"])
def test_anything_else_is_refused_with_what_may_be_given(session: Session, wanted: str) -> None:
    said = usage(lambda: source.locate(session, wanted))

    assert f"`{wanted}` is no kernel" in said
    for name in source.kernels(session).kernels:
        assert name in said


# ---- the list of kernels ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{}", "one of"),
        ("{debian: linux-source-7.3, tarball: /x}", "one of"),
        ("{git: https://a.org/l}", "`ref`"),
        ("{debian: linux-source-7.3, ref: main}", "`ref`"),
        ("{debain: linux-source-7.3}", "did you mean `debian`?"),
        ("{debian: 7}", "`int`"),
    ],
)
def test_a_mistake_in_the_list_of_kernels_names_its_line(
    session: Session, write_kernels: WriteKernels, entry: str, words: str
) -> None:
    path = write_kernels(f'  "7.3": {{debian: linux-source-7.3}}\n  mine: {entry}\n')

    said = usage(lambda: source.kernels(session))

    assert said.startswith(f"{path}:5: ")
    assert words in said


def test_a_default_that_is_not_in_the_list_is_refused(
    session: Session, write_kernels: WriteKernels
) -> None:
    path = write_kernels("  mine: {directory: /x}\n")

    said = usage(lambda: source.kernels(session))

    assert said.startswith(f"{path}:1: ")
    assert "7.3" in said


def test_a_tilde_in_the_list_means_the_home_folder(
    session: Session,
    write_kernels: WriteKernels,
    tmp_path: Path,
    make_kernel_tree: MakeTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_kernel_tree(tmp_path / "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    write_kernels('  "7.3": {debian: linux-source-7.3}\n  mine: {directory: ~/linux}\n')

    assert source.prepare(session, "mine").path == tmp_path / "linux"


# ---- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "extra", "stated"),
    [
        ("7.3.4", "", "7.3.4"),
        ("6.12.0", "-rc7", "6.12.0-rc7"),
        ("6.12.", "", "6.12.0"),
        ("7.3.0", "-rc1-next-20260101", "7.3.0-rc1-next-20260101"),
    ],
)
def test_the_release_is_what_the_makefile_states(
    tmp_path: Path, make_kernel_tree: MakeTree, release: str, extra: str, stated: str
) -> None:
    assert source.version_of(make_kernel_tree(tmp_path / "linux", release, extra)) == stated


def test_the_version_is_three_numbers(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    tree = make_kernel_tree(tmp_path / "linux", "6.12.0", "-rc7")

    assert source.prepare(session, str(tree)).version == (6, 12, 0)


@pytest.mark.parametrize(
    "makefile", [None, "", "all:\n\techo\n", "VERSION = 7\n", "VERSION = x\nPATCHLEVEL = 3\n"]
)
def test_a_folder_without_a_kernel_is_refused(tmp_path: Path, makefile: str | None) -> None:
    if makefile is not None:
        (tmp_path / "Makefile").write_text(makefile)

    said = usage(lambda: source.version_of(tmp_path))

    assert f"{tmp_path} holds no Linux source" in said


def test_a_makefile_alone_is_no_kernel(tmp_path: Path, make_kernel_tree: MakeTree) -> None:
    tree = make_kernel_tree(tmp_path / "linux")
    shutil.rmtree(tree / "scripts")

    assert "no Linux source" in usage(lambda: source.version_of(tree))


# ---- folders ------------------------------------------------------------------------------


def test_a_folder_is_used_where_it_is_and_may_change(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    tree = make_kernel_tree(tmp_path / "linux")

    found = source.prepare(session, str(tree))

    assert (found.path, found.release, found.mutable) == (tree, "7.3.4", True)
    assert made(session) == []


def test_two_folders_have_different_keys(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    trees = [make_kernel_tree(tmp_path / name) for name in ("one", "two")]

    assert len({source.prepare(session, str(tree)).key for tree in trees}) == 2


# ---- tarballs -----------------------------------------------------------------------------


@pytest.fixture
def tarball(tmp_path: Path, make_kernel_tree: MakeTree) -> Path:
    path = tmp_path / "linux-7.3.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(make_kernel_tree(tmp_path / "in-tar"), "linux-7.3")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def beside(path: Path, text: str) -> None:
    path.with_name(f"{path.name}.sha256").write_text(text)


def test_a_tarball_is_unpacked_into_the_store(session: Session, tarball: Path) -> None:
    found = source.prepare(session, str(tarball))

    assert (found.release, found.mutable) == ("7.3.4", False)
    assert found.path.is_relative_to(session.store.path("source", found.key))
    assert source.version_of(found.path) == "7.3.4"


def test_a_tarball_without_a_folder_around_it_is_unpacked_too(
    session: Session, tmp_path: Path, make_kernel_tree: MakeTree
) -> None:
    path = tmp_path / "flat.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(make_kernel_tree(tmp_path / "in-tar"), ".")

    found = source.prepare(session, str(path))

    assert found.path == session.store.path("source", found.key)


def test_the_same_content_elsewhere_is_the_same_source(
    session: Session, tarball: Path, tmp_path: Path
) -> None:
    copy = shutil.copy(tarball, tmp_path / "copy.tar.gz")

    assert source.prepare(session, str(copy)).key == source.prepare(session, str(tarball)).key


@pytest.mark.parametrize("form", ["{sum}", "{sum}  linux-7.3.tar.gz\n", "{sum} *x\n"])
def test_a_right_checksum_beside_a_tarball_is_taken_silently(
    session: Session, tarball: Path, screen: io.StringIO, form: str
) -> None:
    beside(tarball, form.format(sum=sha256(tarball).upper()))
    source.prepare(session, str(tarball))

    assert "checksum" not in screen.getvalue()


def test_a_wrong_checksum_beside_a_tarball_is_an_error_that_names_both(
    session: Session, tarball: Path
) -> None:
    beside(tarball, "0" * 64)

    said = usage(lambda: source.prepare(session, str(tarball)))

    assert sha256(tarball) in said
    assert "0" * 64 in said
    assert made(session) == []


def test_a_checksum_file_without_a_checksum_is_refused(session: Session, tarball: Path) -> None:
    beside(tarball, "see the mail\n")

    assert ".sha256 holds no SHA-256" in usage(lambda: source.prepare(session, str(tarball)))


def test_a_tarball_without_a_checksum_is_used_and_its_checksum_told(
    session: Session, tarball: Path, screen: io.StringIO
) -> None:
    source.prepare(session, str(tarball))

    assert sha256(tarball) in screen.getvalue()


def test_a_checksum_of_the_list_is_held_against_the_tarball(
    session: Session, write_kernels: WriteKernels, tarball: Path
) -> None:
    entry = f"{{tarball: {tarball}, sha256: {'a' * 64}}}"
    write_kernels(f'  "7.3": {{debian: linux-source-7.3}}\n  mine: {entry}\n')

    assert "a" * 64 in usage(lambda: source.prepare(session, "mine"))


def test_a_file_that_is_no_tarball_is_refused_with_tars_reason(
    session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text("<html>not found</html>" * 100)

    said = usage(lambda: source.prepare(session, str(path)))

    assert str(path) in said
    assert "does not look like a tar archive" in said
    assert made(session) == []


def test_a_tarball_without_a_kernel_is_refused_by_its_own_name(
    session: Session, tmp_path: Path
) -> None:
    (tmp_path / "Makefile").write_text("all:\n")
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "Makefile", "other/Makefile")

    said = usage(lambda: source.prepare(session, str(path)))

    assert str(path) in said
    assert "no Linux source" in said
    assert made(session) == []


def test_what_was_unpacked_once_is_pinned(session: Session, tarball: Path) -> None:
    assert source.pinned(session, str(tarball)) is None

    found = source.prepare(session, str(tarball))

    assert source.pinned(session, str(tarball)) == found.key


# ---- tarballs by URL ----------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, counts the requests, and breaks off or waits half-way if told so."""

    daemon_threads = True
    content = b""
    count = 0
    breaks_off = ""
    waits = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.second = threading.Event()

    def wait(self, number: int) -> None:
        """Let the first answer wait for the second request, and the second for the first."""
        if number == 1:
            self.second.wait(0.5)
        else:
            self.second.set()
            time.sleep(0.5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/linux-7.3.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.count += 1
        number = self.server.count
        if self.path != "/linux-7.3.tar.gz":
            self.send_error(404)
            return
        self.send_response(200)
        half = self.server.content[: len(self.server.content) // 2]
        if self.server.breaks_off == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b" % (len(self.server.content), half))
        else:
            self.send_header("Content-Length", str(len(self.server.content)))
            self.end_headers()
            self.wfile.write(half)
            if self.server.waits:
                self.server.wait(number)
            if not self.server.breaks_off:
                self.wfile.write(self.server.content[len(half) :])
        self.close_connection = True

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - as the base has it
        pass


@pytest.fixture
def server(tarball: Path) -> Iterator[Server]:
    with Server() as running:
        running.content = tarball.read_bytes()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_tarball_is_fetched_by_url(session: Session, server: Server, tarball: Path) -> None:
    found = source.prepare(session, f"{server.url}#sha256={sha256(tarball)}")

    assert found.release == "7.3.4"


def test_a_fetched_tarball_with_a_wrong_checksum_leaves_nothing(
    session: Session, server: Server
) -> None:
    said = usage(lambda: source.prepare(session, f"{server.url}#sha256={'0' * 64}"))

    assert "0" * 64 in said
    assert made(session) == []
    assert list((session.store.root / "work" / "download").rglob("*.gz")) == []


def test_a_tarball_with_a_checksum_is_fetched_once(
    session: Session, server: Server, tarball: Path
) -> None:
    for _ in range(2):
        source.prepare(session, f"{server.url}#sha256={sha256(tarball)}")

    assert server.count == 1


def test_two_that_fetch_the_same_at_once_do_not_spoil_it_for_each_other(
    session: Session, server: Server, tarball: Path
) -> None:
    server.waits = True
    wanted = f"{server.url}#sha256={sha256(tarball)}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: source.prepare(session, wanted), range(2)))

    assert found[0] == found[1]


def test_a_url_that_leads_nowhere_is_an_environment_error(session: Session, server: Server) -> None:
    error = failure(lambda: source.prepare(session, f"{server.url}.gone"))

    assert error.verdict is Verdict.ENVIRONMENT
    assert f"cannot fetch {server.url}.gone" in error.sentence


@pytest.mark.parametrize("how", ["chunked", "with a length"])
def test_a_connection_that_breaks_off_is_an_environment_error(
    session: Session, server: Server, tarball: Path, how: str
) -> None:
    server.breaks_off = how

    error = failure(lambda: source.prepare(session, f"{server.url}#sha256={sha256(tarball)}"))

    assert error.verdict is Verdict.ENVIRONMENT
    assert f"cannot fetch {server.url}" in error.sentence
    assert made(session) == []


def test_a_url_of_an_unknown_kind_is_refused(session: Session) -> None:
    assert "nonsense://x" in failure(lambda: source.prepare(session, "nonsense://x/y")).sentence


# ---- git ----------------------------------------------------------------------------------


class Repository:
    """A bare repository, and a checkout from which commits are pushed to it."""

    def __init__(self, folder: Path, environ: dict[str, str], make_tree: MakeTree) -> None:
        self.url = str(folder / "linux.git")
        self._checkout = folder / "checkout"
        self._environ = environ
        self._make_tree = make_tree
        self._git("init", "--quiet", "--bare", "--initial-branch=main", self.url, cwd=folder)
        self._git("init", "--quiet", "--initial-branch=main", str(self._checkout), cwd=folder)

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=cwd or self._checkout,
            env=self._environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def push(self, ref: str, release: str) -> str:
        """Push a commit with that release to a ref; returns the commit."""
        self._make_tree(self._checkout, release)
        self._git("add", ".")
        self._git("commit", "--quiet", f"--message={release}")
        self._git("push", "--quiet", "--force", self.url, f"HEAD:{ref}")
        return self._git("rev-parse", "HEAD")

    def tag(self, name: str) -> None:
        """Push an annotated tag on the last commit."""
        self._git("tag", "--annotate", "--message=x", name)
        self._git("push", "--quiet", self.url, name)


@pytest.fixture
def repository_of_linux(
    tmp_path: Path, environ: dict[str, str], make_kernel_tree: MakeTree
) -> Repository:
    return Repository(tmp_path, environ, make_kernel_tree)


def test_a_branch_is_its_newest_commit(session: Session, repository_of_linux: Repository) -> None:
    wanted = f"git+{repository_of_linux.url}@main"
    repository_of_linux.push("refs/heads/main", "7.3.1")
    first = source.prepare(session, wanted)
    repository_of_linux.push("refs/heads/main", "7.3.2")
    second = source.prepare(session, wanted)

    assert (first.release, second.release) == ("7.3.1", "7.3.2")
    assert first.key != second.key
    assert source.version_of(first.path) == "7.3.1"  # what is in the store stays


def test_a_branch_that_did_not_move_is_the_same_source(
    session: Session, repository_of_linux: Repository
) -> None:
    repository_of_linux.push("refs/heads/main", "7.3.1")
    wanted = f"git+{repository_of_linux.url}@main"

    assert source.prepare(session, wanted) == source.prepare(session, wanted)


def test_a_branch_is_not_mistaken_for_one_that_ends_like_it(
    session: Session, repository_of_linux: Repository
) -> None:
    repository_of_linux.push("refs/heads/a/main", "7.3.1")
    repository_of_linux.push("refs/heads/main", "7.3.2")
    url = repository_of_linux.url
    source.prepare(session, f"git+{url}@a/main")

    assert source.prepare(session, f"git+{url}@main").release == "7.3.2"


def test_a_tag_is_the_commit_it_marks(session: Session, repository_of_linux: Repository) -> None:
    repository_of_linux.push("refs/heads/main", "7.3.1")
    repository_of_linux.tag("v7.3.1")
    repository_of_linux.push("refs/heads/main", "7.3.2")

    assert source.prepare(session, f"git+{repository_of_linux.url}@v7.3.1").release == "7.3.1"


def test_a_commit_is_itself(session: Session, repository_of_linux: Repository) -> None:
    commit = repository_of_linux.push("refs/heads/main", "7.3.1")
    repository_of_linux.push("refs/heads/main", "7.3.2")

    assert source.prepare(session, f"git+{repository_of_linux.url}@{commit}").release == "7.3.1"


def test_a_commit_in_the_store_needs_no_network(
    session: Session, repository_of_linux: Repository
) -> None:
    commit = repository_of_linux.push("refs/heads/main", "7.3.1")
    wanted = f"git+{repository_of_linux.url}@{commit}"
    first = source.prepare(session, wanted)
    shutil.rmtree(repository_of_linux.url)

    assert source.prepare(session, wanted) == first


def test_without_a_network_a_branch_is_what_was_seen_last_and_that_is_told(
    session: Session, repository_of_linux: Repository, screen: io.StringIO
) -> None:
    commit = repository_of_linux.push("refs/heads/main", "7.3.1")
    wanted = f"git+{repository_of_linux.url}@main"
    first = source.prepare(session, wanted)
    shutil.rmtree(repository_of_linux.url)

    assert source.prepare(session, wanted) == first
    assert commit in screen.getvalue()


def test_a_repository_that_is_not_there_is_an_environment_error(
    session: Session, tmp_path: Path
) -> None:
    error = failure(lambda: source.prepare(session, f"git+{tmp_path}/gone.git@main"))

    assert error.verdict is Verdict.ENVIRONMENT
    assert f"{tmp_path}/gone.git" in error.sentence


def test_a_ref_that_a_repository_lacks_is_a_usage_error(
    session: Session, repository_of_linux: Repository
) -> None:
    repository_of_linux.push("refs/heads/main", "7.3.1")

    said = usage(lambda: source.prepare(session, f"git+{repository_of_linux.url}@mian"))

    assert "mian" in said


def test_a_repository_without_a_kernel_is_refused_by_its_own_name(
    session: Session, repository_of_linux: Repository
) -> None:
    repository_of_linux.push("refs/heads/main", "x.y.z")

    said = usage(lambda: source.prepare(session, f"git+{repository_of_linux.url}@main"))

    assert repository_of_linux.url in said
    assert made(session) == []


# ---- what was seen before -----------------------------------------------------------------


def pin_debian(session: Session, make_kernel_tree: MakeTree) -> None:
    """As if linux-source-7.3 had been fetched before."""
    key = "0123456789abcdef"
    pin = source._pin(Origin(debian="linux-source-7.3"))

    def make(into: Path) -> None:
        make_kernel_tree(into / "linux")

    session.store.build("source", key, make)
    session.store.note(pin, {"key": key, "what": "linux-source-7.3 7.3.4-1"})


def test_a_debian_kernel_that_is_there_needs_no_network(
    session: Session, make_kernel_tree: MakeTree
) -> None:
    pin_debian(session, make_kernel_tree)

    assert source.prepare(session, "7.3").release == "7.3.4"


def test_a_pin_whose_source_is_gone_is_no_pin(session: Session, make_kernel_tree: MakeTree) -> None:
    pin_debian(session, make_kernel_tree)
    shutil.rmtree(session.store.root / "source")

    assert source.pinned(session, "7.3") is None


def test_forgetting_pins_tells_them_and_leaves_the_sources(
    session: Session, make_kernel_tree: MakeTree
) -> None:
    pin_debian(session, make_kernel_tree)

    assert source.forget_pins(session) == ["linux-source-7.3 7.3.4-1"]
    assert source.pinned(session, "7.3") is None
    assert made(session) == ["0123456789abcdef"]


def test_there_is_nothing_to_forget_in_a_new_store(session: Session) -> None:
    assert source.forget_pins(session) == []


@pytest.mark.parametrize("garbage", ["", "{", "[]", "{}"])
def test_a_pin_that_is_garbage_is_forgotten_too(
    session: Session, make_kernel_tree: MakeTree, garbage: str
) -> None:
    pin_debian(session, make_kernel_tree)
    (note,) = (session.store.root / "notes").glob("source-*")
    note.write_text(garbage)

    source.forget_pins(session)

    assert not note.exists()
