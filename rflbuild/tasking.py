"""Invoke tasks that share their options: those which choose a kernel, and how a command is run.

A task's body takes a `Run` and the options that are its own; the rest is added to
its signature here, so that each option has one name, one default and one help.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invoke.context import Context
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from rflbuild import cli
from rflbuild.chain import Request
from rflbuild.cli import Options
from rflbuild.userland import Choice

_CHOICE: Mapping[str, tuple[Any, str]] = {
    "kernel": ("", "a name of configs/kernels.yaml, a version, a folder, a tarball or git+URL@REF"),
    "arch": ("arm64", "the guest's architecture, a file of configs/arch/"),
    "toolchain": ("auto", "auto, system (what is on the PATH) or debian (a private root)"),
    "base": ("virt", "where the configuration starts: virt (small) or defconfig"),
    "fragment": (None, "options on top, by name (debug) or path; may be given again"),
    "allow_dropped": (False, "options that the kernel drops are a warning, not an error"),
    "jobs": (0, "compilers at once (default: one for each CPU)"),
}
_MANNER: Mapping[str, tuple[Any, str]] = {
    "debug": (False, "show a traceback when something goes wrong"),
}
_GUEST: Mapping[str, tuple[Any, str]] = {
    "guest": ("initramfs", "what runs above the kernel: initramfs (busybox) or debian"),
    "suite": ("", "Debian's suite, such as sid (default: that of configs/debian.yaml)"),
    "package": (None, "a Debian package more in its image; may be given again"),
    "image": ("", "a disk of your own with a Debian on it, qcow2 or raw; it is not written to"),
    "initrd": ("", "the initrd that your image needs, if it needs one"),
    "root": ("", "where your image has its root (default: /dev/vda; with --initrd LABEL=rootfs)"),
    "identity": ("", "a private key of your image's root user, for SSH"),
    "persist": ("", "a file that keeps what the guest writes; made if it is not there"),
    "over_ssh": (False, "commands and files go into the guest by SSH alone"),
    "files": (
        "",
        "how files come in: disk, ssh (by --over-ssh), share, or image, before the boot",
    ),
    "fresh": (False, "boot, and do not go on from where an earlier run had booted to"),
}
_JSON: Mapping[str, tuple[Any, str]] = {
    "json": (False, "print JSON on stdout; the lines for people go to stderr"),
}


@dataclass(frozen=True)
class Run:
    """What a task's body is handed; calling it runs a command and ends the program.

    `request` is the kernel that was asked for, and `choice` the guest above it; the default
    ones in tasks without their options.
    """

    request: Request
    choice: Choice
    options: Options

    def __call__(self, command: str, *arguments: Any, **more: Any) -> None:
        """Run `ROOM.FUNCTION` of rflbuild.commands with these arguments."""
        cli.run(command, *arguments, options=self.options, **more)


Body = Callable[..., None]


def task(
    *,
    kernel: bool = True,
    guest: bool = False,
    json: bool = False,
    optional: Sequence[str] = (),
    help: Mapping[str, str] | None = None,  # noqa: A002 - Invoke's own word
) -> Callable[[Body], Task[Body]]:
    """Make an Invoke task of a body that takes a Run and its own options.

    With `kernel` and `guest` it has the options that choose one, with `json` that one.
    `help` is for the body's own options; all of those without a default are positional.
    Those named in `optional` may be given without a value, and are True then.
    """
    chosen = {**(_CHOICE if kernel else {}), **(_GUEST if guest else {})}
    added = {**chosen, **(_JSON if json else {}), **_MANNER}

    def decorate(body: Body) -> Task[Body]:
        own = list(inspect.signature(body).parameters.values())[1:]

        @functools.wraps(body)
        def run(_: Context, **given: Any) -> None:
            options = {name: given.pop(name, default) for name, (default, _) in added.items()}
            body(_run_of(options), **given)

        parameters = [
            inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(each.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in own),
            *(
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
                for name, (default, _) in added.items()
            ),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        texts = {name: text for name, (_, text) in added.items()} | dict(help or {})
        lists = [each.name for each in parameters if each.default is None]
        made: Task[Body] = invoke_task(help=texts, iterable=lists, optional=optional)(run)
        return made

    return decorate


def _run_of(options: Mapping[str, Any]) -> Run:
    request = Request(
        options.get("kernel") or None,
        options.get("arch", "arm64"),
        options.get("toolchain", "auto"),
        options.get("base", "virt"),
        tuple(options.get("fragment") or ()),
        options.get("allow_dropped", False),
    )
    choice = Choice(
        options.get("guest", "initramfs"),
        options.get("suite", ""),
        tuple(options.get("package") or ()),
        options.get("image", ""),
        options.get("initrd", ""),
        options.get("root", ""),
        options.get("identity", ""),
        options.get("persist", ""),
        options.get("over_ssh", False),
        options.get("files", ""),
        options.get("fresh", False),
    )
    manner = Options(options.get("jobs", 0), options.get("json", False), options["debug"])
    return Run(request, choice, manner)
