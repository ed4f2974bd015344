"""`localrl evals`: which benchmarks there are, what one is, and whether one works."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from localrl.cli.flags import count
from localrl.cli.output import document, note, table
from localrl.errors import ConfigError, LocalrlError, UsageError
from localrl.formats import percent

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.evals.selfcheck import Check
    from localrl.evals.spec import EvalSpec


@click.group("evals")
def command() -> None:
    """Which benchmarks there are, and check one."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ls(as_json: bool) -> None:
    """List the benchmarks: those in ./evals, your own and the shipped ones.

    gym:GENERATOR runs any reasoning-gym generator, such as gym:countdown,size=50,seed=3.
    """
    from localrl.evals import spec as specs

    rows: list[dict[str, Any]] = []
    for name, path in sorted(specs.available().items()):
        try:
            spec, _ = specs.load(str(path))
        except ConfigError as error:
            note(f"localrl: {error}")
            continue
        row = {
            "eval": name,
            "title": spec.title,
            "verifier": spec.verifier.name,
            "extractor": spec.verifier.extractor,
        }
        rows.append({**row, "samples": spec.samples, "max_tokens": spec.max_tokens, "file": str(path)})
    if as_json:
        document(rows)
        return
    columns = ["eval", "title", "verifier", "extractor", "samples", "max_tokens"]
    table(columns, [[row[column] for column in columns] for row in rows], right=(4, 5))


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(name: str, as_json: bool) -> None:
    """Show one benchmark: its data, prompt, verifier and published scores."""
    from localrl.evals import spec as specs

    spec, path = specs.load(name)
    if as_json:
        document({**spec.model_dump(), "file": str(path)})
        return
    lines = {
        "title": spec.title,
        "version": spec.version,
        "about": spec.description,
        "data": _source(spec),
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
@click.argument("name")
@click.option("--limit", type=count(), help="Only the first so many problems.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(ctx: click.Context, name: str, limit: int | None, as_json: bool) -> None:
    """Check a definition, and its verifier on the benchmark itself.

    NAME is a benchmark or a TOML file. A mistake in the definition is named with its line and the nearest
    valid key. Then every gold answer has to be correct, and junk, nothing, another problem's answer and an
    answer cut inside thinking must not be. The exit code is 1 when one is judged otherwise.
    """
    from localrl.evals import selfcheck
    from localrl.evals import spec as specs
    from localrl.verify import registry
    from localrl.verify.pool import VerifierPool

    spec, path = specs.load(name)
    _check_definition(spec, path)
    note(f"{spec.name}: the definition is valid")
    if spec.data.hub and not re.fullmatch("[0-9a-f]{40}", spec.data.hub.revision):
        note(
            f"{spec.name}: revision {spec.data.hub.revision!r} of {spec.data.hub.dataset} may be moved, "
            "and then results compare no longer; write the 40 digits of a commit"
        )
    registry.ready(spec.verifier)
    failed: list[Check] = []
    tried: Counter[str] = Counter()
    with VerifierPool() as pool:
        for one in selfcheck.checks(spec, path, pool, limit):
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
    if failed:
        ctx.exit(1)


def _check_definition(spec: EvalSpec, path: Path) -> None:
    """What the file's form does not tell: names that have to exist, and a prompt that asks the question.

    Raises:
        ConfigError: names the line.
    """
    from localrl import tomlfile
    from localrl.verify import registry

    text = path.read_text(encoding="utf-8") if path.is_file() else ""

    def fault(message: str, *keys: str | int, hint: str = "") -> ConfigError:
        return ConfigError(message, file=path, line=tomlfile.line_of(text, keys) if text else None, hint=hint)

    if "{question}" not in spec.prompt.template:
        raise fault("the prompt's template has no {question}", "prompt", "template")
    named = [(spec.verifier, ("verifier",))] + [
        (term.verifier, ("rewards", index, "terms", number, "verifier"))
        for index, reward in enumerate(spec.rewards)
        for number, term in enumerate(reward.terms)
        if term.verifier
    ]
    for verifier, keys in named:
        try:
            registry.check(verifier)
        except UsageError as error:
            message = str(error.args[0])
            key = "params" if "parameter" in message else "extractor" if "extractor" in message else "name"
            raise fault(message, *keys, key, hint=error.hint) from error
    for index, part in enumerate(spec.data.gym):
        try:
            from localrl.verify import gymload

            gymload.dataset(part.generator, part.params, seed=part.seed)
        except LocalrlError as error:
            message = str(error.args[0])
            key = "params" if "parameter" in message else "generator"
            raise fault(message, "data", "gym", index, key, hint=error.hint) from error


def _source(spec: EvalSpec) -> str:
    data = spec.data
    if data.gym:
        return ", ".join(f"{part.size} x {part.generator} (seed {part.seed})" for part in data.gym)
    if data.file:
        return data.file.path
    found = [f"package {data.package.module}"] if data.package else []
    if data.hub:
        found.append(f"{data.hub.dataset} at {data.hub.revision[:12]}{', gated' if data.hub.gated else ''}")
    return ", or ".join(found)
