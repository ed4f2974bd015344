"""A command is one file: its first line puts it into the help; nothing is imported before it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import localrl.cli
from localrl.cli import command
from localrl.cli.lazy import LazyGroup
from localrl.errors import UsageError
from tests.commands import localrl as run

FOLDER = Path(localrl.cli.__file__).parent
DEFINING = sorted(path for path in FOLDER.glob("[a-z]*.py") if "\ndef command(" in path.read_text("utf-8"))


@pytest.mark.parametrize("path", DEFINING, ids=lambda path: str(path.stem))
def test_a_file_that_defines_a_command_is_found_under_its_name_and_says_its_help(path: Path) -> None:
    group: click.Command | None = command
    *parents, name = path.stem.split("_")
    for parent in parents:
        assert isinstance(group, LazyGroup)
        group = group.get_command(click.Context(group), parent)
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    assert name in group.list_commands(context), f"the first line of {path.name} does not name its command"
    assert group.get_command(context, name)
    formatter = click.HelpFormatter(width=200)
    group.format_commands(context, formatter)
    assert f"  {name} " in formatter.getvalue()


@pytest.mark.process
def test_help_imports_no_command() -> None:
    script = (
        "import sys; from localrl.cli import command\n"
        "command.main(['--help'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('localrl.cli.', 'rich', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['localrl.cli.lazy']"


@pytest.mark.parametrize(("words", "nearest"), [(["modles"], "models"), (["models", "fti"], "fit")])
def test_an_unknown_command_names_the_nearest(words: list[str], nearest: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{nearest}'"):
        command.main(words, standalone_mode=False)


def test_a_group_without_a_command_shows_its_help_on_stderr() -> None:
    done = run("runs")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: localrl runs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Usage: localrl [OPTIONS]"),
        (["runs"], "Usage: localrl runs"),
        (["runs", "ls"], "localrl runs ls"),
    ],
)
def test_help_on_a_command_is_its_help(words: list[str], said: str) -> None:
    done = run("help", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert done.stdout == run(*words, "--help").stdout


@pytest.mark.parametrize("words", [["nosuch"], ["runs", "shw"], ["bench", "x"]])
def test_help_on_what_is_no_command_says_so(words: list[str]) -> None:
    done = run("help", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert words[-1] in done.stderr
