"""`localrl speed`: measure tokens per second: prefill, one stream, batched."""

from __future__ import annotations

from typing import Any

import click

from localrl import settings
from localrl.cli import arguments
from localrl.cli.flags import count, placement_flags, placement_of
from localrl.cli.output import document, note, table
from localrl.engine import backends, resolve
from localrl.engine.client import EngineClient
from localrl.engine.protocol import EngineSettings
from localrl.formats import duration, number
from localrl.report import tables
from localrl.runs.session import new_log
from localrl.runs.speed import Row, Speed, longest

LOCAL = [name for name in backends.offered() if not backends.served(name)]


@click.command("speed")
@arguments.model(required=False)
@click.option(
    "--parallel", type=click.IntRange(1, 192), multiple=True, help="Streams at once; may be repeated."
)
@click.option("--prompt-tokens", type=count(), default=512, show_default=True)
@click.option("--generate-tokens", type=count(2), default=128, show_default=True)
@click.option("--repeats", type=count(), default=3, show_default=True)
@click.option("--ctx", type=count(64), help="Tokens of context in all, over all streams.")
@click.option("--cache-type", type=click.Choice(["f16", "q8_0", "q4_0"]), help="Precision of the KV cache.")
@click.option("--backend", type=click.Choice(["auto", *LOCAL]), default="auto")
@placement_flags
@click.option("--markdown", is_flag=True, help="Print a table in Markdown, as llama-bench does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str | None, parallel: tuple[int, ...], markdown: bool, as_json: bool, **options: Any
) -> None:
    """Measure MODEL: prefill, one stream, and several streams at once (1 and 8 unless said otherwise)."""
    streams = sorted(set(parallel or (1, 8)))
    choice = resolve.resolve(model or settings.load().settings.model, options["backend"])
    prompt, generate = options["prompt_tokens"], options["generate_tokens"]
    engine = EngineSettings(
        backend=choice.backend,
        model=str(choice.model.path),
        parallel=max(streams),
        context=options["ctx"],
        cache_type=options["cache_type"],
        tokens_per_stream=longest(max(streams), prompt, generate),
        speculate=False,
        **placement_of(options),
    )
    rows = []
    with EngineClient(engine, new_log()) as client:
        backend = {
            "name": client.info.backend,
            "version": client.info.version,
            "settings": client.info.settings,
        }
        for row in Speed(client).rows(streams, prompt, generate, options["repeats"]):
            note(f"{row.parallel} streams: {number(row.decode_tokens_per_s)} tokens/s")
            rows.append(row)
    if as_json:
        named = {"name": choice.model.name, "quantisation": choice.model.quantisation}
        document({"model": named, "backend": backend, "rows": [row.as_dict() for row in rows]})
        return
    if markdown:
        full_name = f"{choice.model.name}:{choice.model.quantisation}".rstrip(":")
        click.echo(tables.markdown(_like_llama_bench(full_name, backend, rows)))
        return
    table(
        ["streams", "prefill tok/s", "decode tok/s", "±", "one stream tok/s", "first token"],
        [
            [
                row.parallel,
                number(row.prefill_tokens_per_s),
                number(row.decode_tokens_per_s),
                number(row.stdev),
                number(row.stream_tokens_per_s),
                duration(row.ttft_s),
            ]
            for row in rows
        ],
        right=range(6),
    )


def _like_llama_bench(model: str, backend: dict[str, Any], rows: list[Row]) -> tables.Table:
    """Lines that stand beside llama-bench's: `pp` is prefill, `tg` decoding, here of all streams together."""
    lines = []
    settings_of = backend["settings"] or {}
    for row in rows:
        fixed = [model, backend["name"], str(settings_of.get("threads", "")), str(row.parallel)]
        lines.append([*fixed, f"pp{row.prompt_tokens}", f"{row.prefill_tokens_per_s:.2f}"])
        lines.append([*fixed, f"tg{row.generate_tokens}", f"{row.decode_tokens_per_s:.2f} ± {row.stdev:.2f}"])
    return tables.Table(["model", "backend", "threads", "streams", "test", "t/s"], lines, text=2)
