"""What every room needs to work: the workspace, the store, the children, the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rflbuild.process import Processes
from rflbuild.store import Store
from rflbuild.terminal import Terminal


@dataclass(frozen=True)
class Workspace:
    """The checkout: where people's files and the project's data are."""

    root: Path

    @property
    def configs(self) -> Path:
        """YAML files and Kconfig fragments that people may edit."""
        return self.root / "configs"

    @property
    def templates(self) -> Path:
        """The module kinds, and what is rendered into the guest."""
        return self.root / "templates"

    @property
    def modules(self) -> Path:
        """The user's own modules."""
        return self.root / "modules"

    @property
    def results(self) -> Path:
        """A folder for each run."""
        return self.root / "results"


@dataclass(frozen=True)
class Session:
    """One invocation. `mirror` overrides where Debian's packages come from."""

    workspace: Workspace
    store: Store
    processes: Processes
    terminal: Terminal
    jobs: int
    mirror: str | None = None

    def on_stderr(self) -> Session:
        """The same, with its lines on stderr: stdout is for what was asked for."""
        terminal = Terminal(sys.stderr)
        return replace(self, terminal=terminal, store=replace(self.store, on_wait=terminal.note))
