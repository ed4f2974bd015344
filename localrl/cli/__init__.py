"""The command line: one file a command, imported only when it is called (see `lazy`).

stdout is the answer; progress, notes and errors go to stderr. `--help` therefore needs nothing but click.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from localrl import __version__, sanitise
from localrl.cli.lazy import LazyGroup
from localrl.errors import INTERRUPTED, LocalrlError, UsageError

_LONGEST_INTEGER = 100_000
"""Digits. Python refuses 4,300, and answers of code benchmarks have more; these take no time to read yet."""


@click.group(
    "", cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="localrl")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Run reasoning models on this machine and tell the truth about them."""
    if ctx.invoked_subcommand is None:
        if sys.stdin.isatty() and sys.stdout.isatty():
            importlib.import_module("localrl.tui.app").main()
            return
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@command.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help_on(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show what a command does, as --help does."""
    assert ctx.parent is not None
    ctx = ctx.parent
    for word in words:
        if not isinstance(ctx.command, click.Group):
            raise UsageError(f"{ctx.command_path} has no command {word!r}")
        name, found, _ = ctx.command.resolve_command(ctx, [word])
        assert found is not None
        ctx = click.Context(found, parent=ctx, info_name=name)
    click.echo(ctx.get_help())


def main() -> None:
    """The program's entry: runs a command and turns what went wrong into one line and an exit code."""
    sys.set_int_max_str_digits(_LONGEST_INTEGER)
    _open_closed_streams()
    try:
        code = command.main(prog_name="localrl", standalone_mode=False)
        sys.stdout.flush()
    except LocalrlError as error:
        _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        called = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "localrl"
        _fail(f"{error.format_message().rstrip('.')}; see {called} --help", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that what could not be written is not tried again
        where = error.filename or "cannot read or write"
        _fail(f"{where}: {error.strerror or error}", LocalrlError.exit_code)
    except Exception as error:  # noqa: BLE001 - a person can do nothing with a traceback
        if damage := _damage():
            _fail(damage, LocalrlError.exit_code)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        advice = "LOCALRL_DEBUG=1 shows where, for a report"
        _fail(f"a mistake in localrl: {what}; {advice}", LocalrlError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _damage() -> str:
    """What is wrong with the store, if the command used it; that is then no mistake of localrl's."""
    if "localrl.store.db" not in sys.modules:
        return ""
    from localrl.store import damage, db

    if not (found := damage.find()):
        return ""
    advice = "move the file away to begin anew; `sqlite3 FILE .recover` may save what is in it"
    return f"the store {db.default_path()} is damaged: {found}; {advice}"


def _fail(message: str, code: int) -> NoReturn:
    if os.environ.get("LOCALRL_DEBUG") and not isinstance(sys.exception(), click.ClickException):
        raise
    with contextlib.suppress(OSError):
        click.echo(f"localrl: {message}", err=True)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Whoever started us with a stream closed gets nothing there; the next file must not take its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - for as long as the program runs
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a dash that the locale lacks is not worth a result
    sys.stdout, sys.stderr = sanitise.wrapped(sys.stdout), sanitise.wrapped(sys.stderr)
