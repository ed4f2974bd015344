"""Which models fit a machine, and how fast they would be: what `models fit` and the models screen show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from localrl.catalog import card as cards
from localrl.catalog import fit, throughput
from localrl.machine import hardware

if TYPE_CHECKING:
    from localrl.catalog.fit import Plan
    from localrl.catalog.shape import Shape
    from localrl.machine.hardware import Machine

SHARE_USED = 0.4
"""Part of the token limit that a reasoning model uses on average: a guess, and called one."""
RANK = {"fits": 0, "tight": 1, "no": 2}


@dataclass(frozen=True, slots=True)
class Work:
    """What the machine is asked to do."""

    tokens_per_stream: int
    eval: str = ""
    samples: int = 0
    """Over all problems."""


@dataclass(frozen=True, slots=True)
class Line:
    """One quantisation's answer."""

    name: str
    shape: Shape
    plan: Plan
    pace: throughput.Throughput | None
    hours: float | None
    kwh: float | None


def here() -> Machine:
    """This machine; where nobody says its memory's bandwidth, it is measured for a moment."""
    machine = hardware.probe()
    if machine.bandwidth is None and machine.kind == "cpu":
        return replace(machine, bandwidth=hardware.measured_bandwidth())
    return machine


def line_of(name: str, shape: Shape, machine: Machine, work: Work, path: Any = None) -> Line:
    """One quantisation on a machine; with the file's path, llama.cpp itself says what it allocates."""
    measure = None
    if path is not None and not machine.described:
        from localrl.engine.backends.llama_cpp.allocation import Measured

        measure = Measured(path, machine.kind, fit.sequences(shape))
    plan = fit.plan(shape, machine, tokens_per_stream=work.tokens_per_stream, measure=measure)
    expected = None
    if plan.verdict != "no":
        used = int(work.tokens_per_stream * SHARE_USED)
        streams = max(plan.streams, min(fit.STREAMS, plan.context // used))
        expected = throughput.expect(shape, machine, streams, used, plan.cache_type)
    hours = (
        throughput.hours(work.samples * work.tokens_per_stream * SHARE_USED, expected) if expected else None
    )
    hours = hours if work.samples else None
    kwh = throughput.kilowatt_hours(machine, hours) if hours is not None else None
    return Line(name, shape, plan, expected, hours, kwh)


def options(card: cards.Card, machine: Machine, work: Work) -> list[Line]:
    """Every quantisation of a card on a machine, the one to take first.

    That is the largest that fits, a whole stream before a part of one, or the smallest where none does.
    """
    backend = "mlx" if machine.kind == "metal" and not card.gguf else "gguf"
    names = card.quantisations(backend) or (["Q4_1"] if card.package else [])
    lines = [line_of(f"{card.name}:{q}", shape, machine, work) for q in names if (shape := card.at(q))]
    whole = work.tokens_per_stream
    lines.sort(
        key=lambda line: (RANK[line.plan.verdict], line.plan.context < whole, -line.shape.weight_bytes)
    )
    if lines and lines[0].plan.verdict == "no":
        lines.sort(key=lambda line: line.shape.weight_bytes)
    return lines


def catalogue(machine: Machine, work: Work) -> list[Line]:
    """Each card that can be read at the quantisation to take; the largest models that fit first."""
    best = [
        (card.parameters, lines[0]) for card in cards.every()[0] if (lines := options(card, machine, work))
    ]
    best.sort(key=lambda pair: (RANK[pair[1].plan.verdict], -pair[0]))
    return [line for _, line in best]
