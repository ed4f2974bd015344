"""`localrl completion`: complete commands, models, evals and runs with Tab, in bash, zsh or fish."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from localrl import paths
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import note
from localrl.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
START = {
    "bash": ("~/.bashrc", "[ -f {file} ] && . {file}"),
    "zsh": ("~/.zshrc", "[ -f {file} ] && . {file}"),
}
"""Where a shell is told to read the script; fish looks for it by itself."""


@click.group("completion", cls=LazyGroup)
def command() -> None:
    """Complete commands, models, evals and runs with Tab."""


@command.command("show")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def show(shell: str | None) -> None:
    """Print the script for SHELL, by default the one in use."""
    click.echo(_script(shell or _shell()))


@command.command("install")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def install(shell: str | None) -> None:
    """Write the script, and one line to the shell's start file that reads it."""
    shell = shell or _shell()
    if shell == "fish":
        file = (
            Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
            / "fish/completions/localrl.fish"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
    else:
        file = paths.ensure(paths.home("data")) / f"completion.{shell}"
    file.write_text(_script(shell), encoding="utf-8")
    if shell in START:
        name, line = START[shell]
        start, line = Path(name).expanduser(), line.format(file=file)
        said = start.read_text(encoding="utf-8") if start.is_file() else ""
        if line not in said.splitlines():
            with start.open("a", encoding="utf-8") as out:
                out.write(f"{'' if said.endswith(chr(10)) or not said else chr(10)}{line}\n")
    note(f"written to {file}; open a new {shell} to use it")


def _shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError("which shell?", hint=f"name it: {', '.join(SHELLS)}")
    return name


def _script(shell: str) -> str:
    from localrl.cli import command as whole

    maker = get_completion_class(shell)
    assert maker is not None
    return maker(whole, {}, "localrl", "_LOCALRL_COMPLETE").source()
