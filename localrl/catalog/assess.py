"""How a model would do on a machine: memory, throughput and hours of work, the same for every screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog import fit, throughput

if TYPE_CHECKING:
    from localrl.catalog.fit import Measure, Plan
    from localrl.catalog.shape import Shape
    from localrl.catalog.throughput import Throughput
    from localrl.machine.hardware import Machine

SHARE_USED = 0.4
"""Part of the token limit that a reasoning model uses on average: a guess, and called one."""
RANK = {"fits": 0, "tight": 1, "no": 2}


@dataclass(frozen=True, slots=True)
class Workload:
    """What the machine is asked to do."""

    tokens_per_stream: int = 32_768
    """The length that a stream must be able to reach, its prompt included."""
    samples: int = 0
    """Over all problems of an eval; 0 asks for no hours."""

    @property
    def tokens_used(self) -> int:
        """Tokens of a stream when it ends, on average."""
        return int(self.tokens_per_stream * SHARE_USED)


@dataclass(frozen=True, slots=True)
class Assessment:
    """One model at one quantisation on one machine."""

    name: str
    """As the command line takes it."""
    shape: Shape
    plan: Plan
    throughput: Throughput | None
    """None where it does not fit, or the machine's bandwidth is unknown."""
    hours: float | None
    kwh: float | None
    """At the device's full power: an upper bound."""


def assess(
    name: str, shape: Shape, machine: Machine, workload: Workload, measure: Measure | None = None
) -> Assessment:
    """One model on a machine; with `measure`, llama.cpp itself says how large its compute buffers are."""
    plan = fit.plan(shape, machine, tokens_per_stream=workload.tokens_per_stream, measure=measure)
    if plan.verdict == "no":
        return Assessment(name, shape, plan, None, None, None)
    used = workload.tokens_used
    streams = max(plan.streams, min(fit.STREAMS, plan.context // used))
    found = throughput.expect(shape, machine, streams, used, plan.cache_type)
    tokens = workload.samples * workload.tokens_per_stream * SHARE_USED
    hours = tokens / found.together / 3600 if found and tokens else None
    kwh = machine.power_w * hours / 1000 if machine.power_w and hours is not None else None
    return Assessment(name, shape, plan, found, hours, kwh)


def quantisations(card: cards.Card, machine: Machine, workload: Workload) -> list[Assessment]:
    """Every quantisation of a card on a machine, the one to take first.

    That is the largest that fits, a whole stream before a part of one, or the smallest where none does.
    """
    form: cards.WeightFormat = "mlx" if machine.kind == "metal" and not card.gguf else "gguf"
    names = card.quantisations(form) or (["Q4_1"] if card.package else [])
    found = [assess(f"{card.name}:{q}", shape, machine, workload) for q in names if (shape := card.at(q))]
    whole = workload.tokens_per_stream
    found.sort(key=lambda one: (RANK[one.plan.verdict], one.plan.context < whole, -one.shape.weight_bytes))
    if found and found[0].plan.verdict == "no":
        found.sort(key=lambda one: one.shape.weight_bytes)
    return found


def catalogue(machine: Machine, workload: Workload) -> list[Assessment]:
    """Each card that can be read at the quantisation to take; the largest models that fit first."""
    best = [
        (card.parameters, found[0])
        for card in cards.every()[0].values()
        if (found := quantisations(card, machine, workload))
    ]
    best.sort(key=lambda pair: (RANK[pair[1].plan.verdict], -pair[0]))
    return [one for _, one in best]
