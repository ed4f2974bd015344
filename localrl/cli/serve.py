"""`localrl serve`: our engine behind OpenAI's API, for other programs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import click

from localrl import installation, settings
from localrl.chat import ThinkingControl
from localrl.cli.flags import Real, adapter_flag, adapter_of, control_of, count, thinking_flags
from localrl.cli.output import as_json, note
from localrl.errors import Unavailable
from localrl.store.runs import Store


@click.command("serve")
@click.argument("model", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another one needs a key.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: a free one.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key that clients must send.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Name by which clients reach this machine.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="Web page that may read the answers.")
@click.option("--parallel", type=count(), help="Samples at once; found by measuring by default.")
@click.option("--ctx", type=count(64), help="Tokens of context in all, over all samples.")
@click.option("--backend", type=click.Choice(["auto", "llama.cpp", "mlx"]), default="auto")
@thinking_flags
@adapter_flag
@click.option("--queue", type=count(0), default=256, show_default=True, help="Requests that may wait.")
@click.option("--idle-unload", type=Real(0), metavar="MINUTES", help="Unload the model when nobody asks.")
@click.option("--on-demand", is_flag=True, help="Load the model with the first request.")
@click.option("--json", "as_json_line", is_flag=True, help="Print one JSON document when it is ready.")
def command(model: str | None, as_json_line: bool, **options: Any) -> int:
    """Serve MODEL to clients of OpenAI's API until Ctrl-C."""
    try:
        from localrl.serve import options as serve_options
        from localrl.serve import server
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed", hint=installation.extra("server")) from error
    chosen = settings.load().settings
    key = options["api_key_file"]
    setup = serve_options.ServeOptions(
        host=options["host"],
        port=options["port"],
        key=serve_options.read_key(key) if key else "",
        allowed_hosts=options["allow_host"],
        origins=options["cors"],
        most_waiting=options["queue"],
        idle_unload_s=None if options["idle_unload"] is None else 60 * options["idle_unload"],
        on_demand=options["on_demand"],
        control=ThinkingControl(**control_of(options)),
    )
    choice, engine = server.make(
        model or chosen.model,
        backend=options["backend"],
        parallel=options["parallel"],
        context=options["ctx"] or chosen.ctx,
        adapter=_adapter(options["adapter"]),
    )

    async def serve() -> None:
        serving = server.Server(choice, engine, setup)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        note(f"loading {serving.name} ..." if not setup.on_demand else f"{serving.name} loads when asked for")
        starting = asyncio.create_task(serving.start())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            _say(serving.name, serving.address, with_key=bool(setup.key), as_json_line=as_json_line)
        await stopping
        starting.cancel()
        await serving.stop()

    asyncio.run(serve())
    return 0


def _adapter(named: str | None) -> str | None:
    with Store() as store:
        return adapter_of(store, named)


def _say(name: str, address: str, *, with_key: bool, as_json_line: bool) -> None:
    """One line: where it is, and how clients find it."""
    if as_json_line:
        click.echo(as_json({"url": f"{address}/v1", "model": name, "pid": os.getpid()}))
        return
    key = "the key in your file" if with_key else "none"
    click.echo(
        f"{name} at {address}/v1 · OPENAI_BASE_URL={address}/v1 OPENAI_API_KEY={key} · Ctrl-C stops it"
    )
