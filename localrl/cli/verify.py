"""`localrl verify`: score text that already exists, one response or a file of them."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import click

from localrl.cli.output import as_json
from localrl.errors import UsageError
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from localrl.chat import ThinkingTags
    from localrl.verdict import Verdict
    from localrl.verify.base import VerifierSpec
    from localrl.verify.pool import VerifierPool

_AHEAD = 256  # responses under way at once: enough to keep workers busy, little enough to keep memory flat

_HELP = f"""Score text that already exists.

VERIFIER is one of {", ".join(registry.VERIFIERS.names())}. Only what follows the thinking is judged; a
response that ends inside its thinking is truncated.
"""


@click.command("verify", help=_HELP)
@click.argument("verifier")
@click.option("--response", metavar="TEXT", help="One response, as the model wrote it.")
@click.option("--target", metavar="TEXT", help="What is right: JSON, or else plain text.")
@click.option(
    "--jsonl", metavar="FILE|-", help='One {"id", "response", "target"} a line; - is standard input.'
)
@click.option("--json", "in_json", is_flag=True, help="Print verdicts as JSON, one a line.")
@click.option(
    "--extractor",
    metavar="NAME",
    help=f"How the answer is found, or several joined by | to try: {', '.join(registry.EXTRACTORS.names())}.",
)
@click.option("--param", "params", metavar="KEY=VALUE", multiple=True, help="A parameter of the verifier.")
@click.option(
    "--tags",
    metavar="OPEN CLOSE",
    nargs=2,
    help="The thinking tags; without them <think>, <thinking>, [THINK] and others are known.",
)
@click.option("--starts-inside", is_flag=True, help="The prompt ended with the opening thinking tag.")
def command(
    verifier: str,
    response: str | None,
    target: str | None,
    jsonl: str | None,
    in_json: bool,
    extractor: str | None,
    params: tuple[str, ...],
    tags: tuple[str, str] | None,
    starts_inside: bool,
) -> None:
    from localrl.chat import ThinkingTags
    from localrl.verify.base import VerifierSpec
    from localrl.verify.pool import VerifierPool

    if (jsonl is None) == (response is None or target is None):
        raise UsageError("give either --jsonl FILE, or both --response and --target")
    usual = getattr(registry.VERIFIERS.get(verifier), "EXTRACTOR", "text")
    spec = VerifierSpec(name=verifier, extractor=extractor or usual, params=_params(params))
    registry.ready(spec)
    thinking = ThinkingTags(open=tags[0], close=tags[1]) if tags else None
    if jsonl is None:
        rows = iter([{"id": None, "response": response, "target": _value(target or "")}])
    else:
        rows = _rows(jsonl)
    outcomes: Counter[str] = Counter()
    with VerifierPool() as pool:
        for name, verdict in _verdicts(pool, spec, rows, thinking, starts_inside):
            outcomes[verdict.outcome] += 1
            click.echo(_line(name, verdict, in_json=in_json, with_id=jsonl is not None))
    if jsonl is not None and not in_json:
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()), err=True)


def _verdicts(
    pool: VerifierPool,
    spec: VerifierSpec,
    rows: Iterator[dict[str, Any]],
    tags: ThinkingTags | None,
    starts_inside: bool,
) -> Iterator[tuple[Any, Verdict]]:
    """Verdicts in the order of the rows."""
    from localrl.thinking import tags_in, whole

    waiting: deque[tuple[Any, Future[Verdict]]] = deque()
    for row in rows:
        text = row["response"] or ""
        future = pool.submit(spec, whole(text, tags or tags_in(text), starts_inside), row["target"])
        waiting.append((row["id"], future))
        while waiting and (len(waiting) > _AHEAD or waiting[0][1].done()):
            name, done = waiting.popleft()
            yield name, done.result()
    for name, future in waiting:
        yield name, future.result()


def _rows(file: str) -> Iterator[dict[str, Any]]:
    try:
        with click.open_file(file, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, number, "standard input" if file == "-" else file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text") from error


def _row(line: str, number: int, file: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}:{number}: not JSON") from error
    if not isinstance(row, dict) or not {"response", "target"} <= row.keys():
        raise UsageError(f'{file}:{number}: not an object with "response" and "target"')
    if not isinstance(row["response"], str | None):
        raise UsageError(f'{file}:{number}: "response" is not text')
    return {"id": number, **row}


def _line(name: Any, verdict: Verdict, *, in_json: bool, with_id: bool) -> str:
    if in_json:
        fields = {
            "id": name,
            "verdict": verdict.outcome.value,
            "score": verdict.score,
            "extracted": verdict.extracted,
            "detail": verdict.detail,
        }
        return as_json(fields)
    shown = " ".join((verdict.extracted or "").split())[:80]
    why = next(
        (str(value) for key, value in verdict.detail.items() if key in ("error", "fault", "refused")), ""
    )
    line = "\t".join([*([str(name)] if with_id else []), verdict.outcome.value, shown, why]).rstrip()
    return line.encode(errors="replace").decode()


def _params(given: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--param {item}: not KEY=VALUE")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """A JSON object, list or boolean; numbers stay text, so that 007 and 1.50 stay what they are."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list | bool) else text
