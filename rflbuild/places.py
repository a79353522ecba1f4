"""Where on this machine the files are that the kernel's build names.

Inside a private root rust-src lies elsewhere, a module is built from a copy, and a kernel's
own files may be named relative to its source; an editor needs the user's own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rflbuild.kernel import Kernel


@dataclass(frozen=True)
class Places:
    """A build as its tools see it, and the files of the host that they mean.

    `work` is the copy that a module was built from, and `own` the user's folder; `bases`
    are where a relative name may lie, in this order; `root` is the private root, if any.
    `laid` has the user's files that are laid over the first base, by their paths there.
    """

    bases: tuple[Path, ...]
    root: Path | None = None
    work: Path | None = None
    own: Path | None = None
    laid: Mapping[str, Path] = field(default_factory=dict)

    def host(self, name: str) -> Path:
        """The absolute path of a file that a tool named; the name itself if nothing is there."""
        path = Path(name)
        if self.work and self.own and path.is_relative_to(self.work):
            mine = self.own / path.relative_to(self.work)
            return mine if mine.exists() else path
        within = path.relative_to(self.bases[0]) if self._is_in_first(path) else path
        if str(within) in self.laid:
            return self.laid[str(within)]
        if not path.is_absolute():
            found = (base / path for base in self.bases)
            return next((each for each in found if each.exists()), path)
        if self.root and not any(path.is_relative_to(base) for base in self.bases):
            inside = self.root / path.relative_to("/")
            if inside.exists():
                return inside.resolve()
        return path

    def _is_in_first(self, path: Path) -> bool:
        return bool(self.bases) and path.is_relative_to(self.bases[0])


def of_kernel(built: Kernel, laid: Mapping[str, Path] | None = None) -> Places:
    """The places of a kernel's own build; `laid` are the user's files among its source's."""
    return Places((built.source.path, built.out), built.toolchain.root, laid=laid or {})


def of_module(built: Kernel, work: Path, own: Path) -> Places:
    """The places of a module's build in `work`, the copy of the user's folder `own`."""
    return Places((own, built.source.path, built.out), built.toolchain.root, work, own)
