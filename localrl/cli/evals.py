"""`localrl evals`: which benchmarks there are, what one is, and whether one works."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from localrl.cli import arguments, evals_prompt
from localrl.cli.flags import backend_flags, count
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note, table
from localrl.errors import UsageError
from localrl.formats import percent

if TYPE_CHECKING:
    from localrl.evals.golds import GoldCheck


@click.group("evals", cls=LazyGroup)
def command() -> None:
    """Which benchmarks there are, and check one."""


class _Listing(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from localrl.evals import environments

        with formatter.section("Evals made by name"):
            formatter.write_dl(list(environments.forms().items()))


@command.command("ls", cls=_Listing)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ls(as_json: bool) -> None:
    """List the benchmarks: those in ./evals, your own, the shipped ones and those of other packages."""
    from localrl.definitions import definitions
    from localrl.evals import spec as specs

    rows: list[dict[str, Any]] = []
    for name, definition in sorted(definitions("evals").items()):
        try:
            spec, _ = specs.load(str(definition.path))
        except UsageError as error:
            note(f"localrl: {error}")
            continue
        row: dict[str, Any] = {
            "eval": name,
            "title": spec.title,
            "verifier": spec.verifier.name,
            "extractor": spec.verifier.extractor,
        }
        row |= {"samples": spec.samples, "max_tokens": spec.max_tokens, "from": definition.origin}
        rows.append({**row, "file": str(definition.path)})
    if as_json:
        document(rows)
        return
    columns = ["eval", "title", "verifier", "extractor", "samples", "max_tokens", "from"]
    table(columns, [[row[column] for column in columns] for row in rows], right=(4, 5))


@command.command("show")
@arguments.evals("name")
@click.option("--model", help="Show the prompt of one problem as this model is given it.")
@click.option("--problem", type=count(0), metavar="N", help="Which problem, from 0.")
@backend_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(name: str, model: str | None, problem: int | None, as_json: bool, **options: Any) -> None:
    """Show one benchmark: its data, prompt, verifier and published scores; or the prompt of a problem.

    With --model or --problem: the exact prompt, with the names of control tokens (bold on a terminal). It
    takes the model's template and vocabulary, not its weights.
    """
    from localrl.evals import spec as specs

    if model is not None or problem is not None:
        evals_prompt.show(name, model, problem or 0, options, as_json=as_json)
        return
    spec, path = specs.load(name)
    if as_json:
        document({**spec.model_dump(), "file": str(path)})
        return
    lines = {
        "title": spec.title,
        "version": spec.version,
        "about": spec.description,
        "data": ", or ".join(environment.describe(params) for environment, params in spec.data.sources),
        "prompt": spec.prompt.template,
        "system": spec.prompt.system,
        "verifier": f"{spec.verifier.name}, extractor {spec.verifier.extractor}",
        "rewards": ", ".join(reward.name for reward in spec.rewards),
        "defaults": f"{spec.samples} samples a problem, {spec.max_tokens} tokens",
        "licence": spec.licence,
        "citation": spec.citation,
        "file": path,
    }
    for key, value in lines.items():
        if value:
            click.echo(f"{key:9} " + str(value).strip().replace("\n", "\n" + " " * 10))
    if spec.published:
        click.echo()
        shown = [[p.model, percent(p.value), p.protocol.samples or "", p.source] for p in spec.published]
        table(["published for", "accuracy", "samples", "source"], shown, right=(1, 2))


@command.command("check")
@arguments.evals("name")
@click.option("--limit", type=count(), help="Only the first so many problems.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(ctx: click.Context, name: str, limit: int | None, as_json: bool) -> None:
    """Check a definition, and its verifier on the benchmark itself.

    NAME is a benchmark or a TOML file. A mistake in the definition is named with its line and the nearest
    valid key. Then every gold answer has to be correct, and junk, nothing, another problem's answer and an
    answer cut inside thinking must not be. The exit code is 1 when one is judged otherwise.
    """
    from localrl.evals import check as definition
    from localrl.evals import golds
    from localrl.evals import spec as specs
    from localrl.verify.pool import VerifierPool

    spec, path = specs.load(name)
    definition.check(spec, path)
    note(f"{spec.name}: the definition is valid")
    for environment, params in spec.data.sources:
        if (warning := getattr(environment, "warning", None)) and (text := warning(params)):
            note(f"{spec.name}: {text}")
    failed: list[GoldCheck] = []
    tried: Counter[str] = Counter()
    with VerifierPool() as pool:
        for one in golds.checks(spec, path, pool, limit):
            tried[one.kind] += 1
            if not one.passed:
                failed.append(one)
    if as_json:
        document(
            {
                "eval": spec.name,
                "tried": dict(tried),
                "failed": [{"problem": f.problem, "kind": f.kind, "reason": f.reason} for f in failed],
            }
        )
    else:
        bad = Counter(one.kind for one in failed)
        table(["text", "tried", "judged otherwise"], [[k, n, bad[k]] for k, n in tried.items()], right=(1, 2))
        for one in failed:
            click.echo(f"{one.problem}: {one.kind}: {one.reason}")
    if limit is None and spec.data.size not in (None, tried["empty"]):
        raise UsageError(
            f"{spec.name}: its data has {tried['empty']} problems, [data] says size = {spec.data.size}",
            hint="write the number that it has",
        )
    if not tried["gold"]:
        note(f"{spec.name}: no gold answer was tried: {golds.why_none(spec)}")
    if failed:
        ctx.exit(1)
