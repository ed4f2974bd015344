"""`localrl models fit`: say whether a model fits, with how much cache, and how fast."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrl import formats
from localrl.catalog import card as cards
from localrl.catalog import fit, reference
from localrl.catalog import shape as shapes
from localrl.catalog.assess import (
    SHARE_USED,
    USABLE,
    Assessment,
    Workload,
    advise,
    assess,
    catalogue,
    quantisations,
)
from localrl.catalog.ggml import CACHE_TYPES
from localrl.catalog.locate import locate
from localrl.catalog.yields import NOTHING
from localrl.cli import arguments
from localrl.cli.output import document, note, table
from localrl.errors import LocalrlError, UsageError
from localrl.machine import hardware

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.catalog.fit import Measure
    from localrl.catalog.shape import Shape
    from localrl.catalog.yields import Experience
    from localrl.machine.hardware import Machine


@click.command("fit")
@arguments.model(required=False)
@click.option("--device", default="", help="A machine that is not here: rtx-4090, 'm3-ultra 512GB'.")
@click.option("--memory", default="", help="Its memory, such as 24GiB.")
@click.option("--bandwidth", default="", help="Its memory's bandwidth, such as 1008GB/s.")
@click.option(
    "--eval", "eval_name", default="", help="Plan for this eval's length, and say how long it takes."
)
@click.option("-k", "--samples", type=click.IntRange(1), help="Samples a problem; the eval's own by default.")
@click.option("--tokens", type=click.IntRange(64), help="Longest stream; 32,768 by default.")
@click.option("--hub", "ask_hub", is_flag=True, help="Read the real file's header from the hub.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str | None,
    device: str,
    memory: str,
    bandwidth: str,
    eval_name: str,
    samples: int | None,
    tokens: int | None,
    ask_hub: bool,
    as_json: bool,
) -> None:
    """Say whether MODEL fits this machine or a described one; without MODEL, rank the catalogue."""
    machine = _machine(device, memory, bandwidth)
    work = replace(_work(eval_name, samples, tokens), measured=_measured(machine))
    if model:
        found = _from_hub(model) if ask_hub else _shapes(model, apple=machine.kind == "metal")
        card = cards.every()[0].get(model.partition(":")[0])
        lines = [
            assess(name, shape, machine, work, _measure(path, shape, machine), card)
            for name, shape, path in found
        ]
    else:
        for error in cards.every()[1]:
            note(f"localrl: {error}")
        lines = catalogue(machine, work)
    nearest = _nearest(model, machine, work, lines) if model else ""
    if as_json:
        document(
            {
                "machine": asdict(machine),
                "tokens_per_stream": work.tokens_per_stream,
                "models": [_as_json(line) for line in lines],
                "nearest": nearest or None,
                "advice": asdict(advise(lines)),
            }
        )
        return
    _show(machine, work, lines, one=bool(model))
    if nearest:
        note(f"the nearest that fits: {nearest}")
    elif model and all(line.plan.verdict == "no" for line in lines):
        note("nothing in the catalogue fits this machine at this length; try fewer --tokens")


def _machine(device: str, memory: str, bandwidth: str) -> Machine:
    rate = hardware.parse_bandwidth(bandwidth) if bandwidth else None
    if device or memory:
        return hardware.describe(device, hardware.parse_bytes(memory) if memory else None, rate)
    return replace(hardware.probe(), bandwidth=rate) if rate else hardware.here()


def _work(eval_name: str, samples: int | None, tokens: int | None) -> Workload:
    if not eval_name:
        if samples:
            raise UsageError("-k counts samples of an eval's problems", hint="add --eval NAME")
        return Workload(tokens) if tokens else Workload()
    from localrl.evals import dataset, spec
    from localrl.runs.plan import PROMPT_TOKENS

    found, path = spec.load(eval_name)
    problems = dataset.size(found, path) or 0
    length = tokens or found.max_tokens + PROMPT_TOKENS
    return Workload(length, problems * (samples or found.samples), (eval_name,))


def _measured(machine: Machine) -> dict[str, Experience]:
    """What earlier runs know, if they were on this machine; a store that cannot be read tells nothing."""
    from localrl.report import experience
    from localrl.store.runs import Store

    with contextlib.suppress(LocalrlError), Store() as store:
        return {} if machine.described else experience.of(store, machine)
    return {}


def _measure(path: Path | None, shape: Shape, machine: Machine) -> Measure | None:
    """Lets llama.cpp itself say what it allocates, where there is a file, and the machine is this one."""
    if path is None or machine.described:
        return None
    from localrl.engine.backends.llama_cpp.allocation import Measured

    return Measured(path, machine.kind, fit.sequences(shape))


def _from_hub(model: str) -> list[tuple[str, Shape, Path | None]]:
    """What the hub's own file says; llama.cpp then plans with a copy that holds no weights."""
    from localrl.catalog import pull, remote

    wanted = reference.parse(model)
    if wanted is None:
        raise UsageError(f"{model} is not on a hub")
    folder = click.get_current_context().with_resource(tempfile.TemporaryDirectory())
    shape, path = remote.shape_of(pull.prepare(wanted), Path(folder))
    return [(wanted.name, shape, path)]


def _shapes(model: str, *, apple: bool) -> list[tuple[str, Shape, Path | None]]:
    """(name, shape, local path if any) of what MODEL means: one file, or every quantisation of a card."""
    base, _, quantisation = model.partition(":")
    card = cards.load(base) if base in cards.available() else None
    if not (card and not quantisation and (card.gguf or card.mlx)):
        try:
            local = locate(model)
        except UsageError:
            if card is None and reference.parse(model) is None:
                raise
        else:
            shape = shapes.of(local.path)
            if local.path.is_dir():
                return [(local.name, shape, None)]
            return [(f"{local.name}:{local.quantisation or shape.quantisation}", shape, local.path)]
    if card:
        every = card.quantisations("gguf") + (card.quantisations("mlx") if apple else [])
        names = [_known(card, quantisation)] if quantisation else every or ["BF16"]
        found = [(f"{card.name}:{name}", card.at(name), None) for name in names]
        return [(name, shape, path) for name, shape, path in found if shape]
    return _from_hub(model)


def _known(card: cards.Card, quantisation: str) -> str:
    """The name as the card writes it; raises UsageError for one that it does not have."""
    wanted = reference.of_card(card, quantisation)
    return wanted.quantisation if wanted else quantisation


def _as_json(line: Assessment) -> dict[str, Any]:
    plan = line.plan
    accuracy = line.expected.accuracy if line.expected else None
    return {
        "model": line.name,
        "quantisation": line.shape.quantisation,
        **asdict(plan),
        "memory": asdict(plan.memory) | {"total": plan.memory.total},
        "tokens_per_s": asdict(line.throughput) if line.throughput else None,
        "accuracy": accuracy.value if accuracy else None,
        "accuracy_eval": accuracy.eval if accuracy else None,
        "accuracy_measured": accuracy.measured if accuracy else None,
        "tokens_per_answer": line.expected.tokens_per_answer if line.expected else None,
        "tokens_measured": line.expected.tokens_measured if line.expected else None,
        "right_per_hour": line.right_per_hour,
        "hours": line.hours,
        "kwh": line.kwh,
    }


def _show(machine: Machine, work: Workload, lines: list[Assessment], *, one: bool) -> None:
    rate = f", {formats.bandwidth(machine.bandwidth)}" if machine.bandwidth else ""
    note(f"{machine.device}: {formats.size(machine.usable_bytes)} for models{rate}")
    if not one:
        advice = advise(lines)
        note(str(advice))
        if advice.best and not machine.described:
            note(f"next: localrl models pull {advice.best}")
    columns = _columns(work, one=one)
    rows = [[COLUMNS[name](line, work) for name in columns] for line in lines]
    table(columns, rows, right=tuple(range(2, len(columns))))
    if one:
        for line in lines:
            how = "measured by llama.cpp" if line.plan.measured else "estimated"
            note(f"{line.name}: {line.plan.verdict}, {line.plan.reason} ({how})")
        note("f16, q8_0, q4_0: tokens of cache over all streams")
    share = formats.percent(SHARE_USED, 0)
    note(
        f"streams: how many of {work.tokens_per_stream:,} tokens fit; tok/s: of one stream; all: of as many "
        f"together as fit at {share} of that; expected, but a run here measured what has a *"
    )
    note(
        f"accuracy: {' or else '.join(work.evals)}, published or *; right/h: accuracy × all × 3600 / tokens "
        f"of an answer ({work.tokens_used:,}, a guess, or *); below {USABLE:g} tok/s comes last"
    )
    if work.samples:
        note(f"time: of {work.samples:,} samples; kWh: at full power")


def _columns(work: Workload, *, one: bool) -> list[str]:
    """Names of columns; in a narrow terminal those that the order can be recomputed from."""
    time = ["time", "kWh"] if work.samples else []
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < WIDE:
        return ["model", "fit", "all", "accuracy", "right/h", *time[:1]]
    cache = list(CACHE_TYPES) if one else []
    return ["model", "fit", "weights", *cache, "streams", "tok/s", "all", "accuracy", "right/h", *time]


def _together(line: Assessment, work: Workload) -> str:
    known = work.measured.get(line.name, NOTHING)
    return formats.rate(line.throughput.together if line.throughput else None) + _star(known.tokens_per_s)


def _accuracy(line: Assessment, _: Workload) -> str:
    accuracy = line.expected and line.expected.accuracy
    return formats.percent(accuracy.value) + _star(accuracy.measured) if accuracy else formats.ABSENT


def _right(line: Assessment, _: Workload) -> str:
    return formats.number(line.right_per_hour) + _star(line.expected and line.expected.tokens_measured)


def _star(measured: object) -> str:
    return "*" if measured else ""


def _cells(kind: str) -> Callable[[Assessment, Workload], str]:
    return lambda line, _: f"{line.plan.cells[kind] / 1000:,.0f}k"


COLUMNS: dict[str, Callable[[Assessment, Workload], str]] = {
    "model": lambda line, _: line.name,
    "fit": lambda line, _: line.plan.verdict,
    "weights": lambda line, _: formats.size(line.plan.memory.weights),
    **{kind: _cells(kind) for kind in CACHE_TYPES},
    "streams": lambda line, _: formats.ABSENT if line.plan.verdict == "no" else str(line.plan.streams),
    "tok/s": lambda line, _: formats.rate(line.throughput.single if line.throughput else None),
    "all": _together,
    "accuracy": _accuracy,
    "right/h": _right,
    "time": lambda line, _: formats.duration(line.hours and line.hours * 3600),
    "kWh": lambda line, _: formats.number(line.kwh),
}
"""Of the table: a cell by the column's name."""
WIDE = 112
"""Columns of a terminal that the whole table needs."""


def _nearest(model: str, machine: Machine, work: Workload, lines: list[Assessment]) -> str:
    """Where nothing asked for fits: the same card at a smaller quantisation, else the largest that fits."""
    if any(line.plan.verdict != "no" for line in lines):
        return ""
    base = model.partition(":")[0]
    same = quantisations(cards.load(base), machine, work) if base in cards.available() else []
    if same and same[0].plan.verdict != "no":
        return same[0].name
    smallest = min(line.shape.weight_bytes for line in lines)
    fitting = [line for line in catalogue(machine, work) if line.plan.verdict == "fits"]
    smaller = [line for line in fitting if line.shape.weight_bytes < smallest]
    return max(smaller, key=lambda line: line.shape.weight_bytes).name if smaller else ""
