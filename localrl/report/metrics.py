"""What a run measured, from counts: computed here, kept in its report, and from there on only shown.

Accuracy is the mean over problems of their shares of correct samples; nothing pools samples of several
problems or evals. Everything returned is JSON values as docs/report.md describes them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localrl import stats
from localrl.runs import energy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from localrl.report.votes import Votes
    from localrl.sample import Group
    from localrl.store.aggregates import GroupCounts

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy of a run at work."""

    value: float
    low: float
    high: float
    """For problems of this kind."""
    repeatability: float
    """Half the width of the interval for these problems."""


def accuracy(counts: Mapping[tuple[int, int], int]) -> Accuracy | None:
    """Accuracy so far; None where there is none yet.

    Args:
        counts: (samples, correct ones) of a problem -> how many problems have these counts.
    """
    if not counts:
        return None
    n, c = _expanded(counts)
    such = stats.generalisation(n, c, LEVEL)
    return Accuracy(such.value, such.low, such.high, stats.repeatability(n, c, LEVEL).half_width)


def evaluate(counts: Mapping[GroupCounts, int], votes: Votes | None = None) -> dict[str, Any]:
    """The statistics of one eval's entry in the report.

    Args:
        counts: the counts of a problem -> how many problems have these counts.
        votes: of the samples of each problem; None where a problem has one, and the vote is the accuracy.
    """
    if not counts:
        missing = dict.fromkeys(("accuracy", "repeatability", "completed", "verifier_bounds"))
        return {"problems": 0, **missing, "pass_at": {}, "majority_at": {}, "shortest_majority_at": {}}
    n, c, incomplete, failed = _expanded(counts)
    least = int(n.min())
    low, high = stats.verifier_bounds(n, c, failed)
    return {
        "problems": len(n),
        "accuracy": stats.generalisation(n, c, LEVEL).as_dict(),
        "repeatability": stats.repeatability(n, c, LEVEL).as_dict(),
        "pass_at": {str(j): stats.pass_at(n, c, j) for j in powers(least)},
        "majority_at": votes.majority_at(least) if votes else {},
        "shortest_majority_at": votes.shortest_majority_at(least) if votes else {},
        "completed": asdict(stats.completed_accuracy(n, n - incomplete, c, LEVEL)),
        "verifier_bounds": {"low": low, "high": high},
    }


def _expanded(counts: Mapping[Any, int]) -> NDArray[np.int64]:
    """One array a count, each of shape (problems,)."""
    times = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    return np.repeat(np.array(list(counts), dtype=np.int64), times, axis=0).T


def arrays(groups: Iterable[Group]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples and correct samples a problem, as the statistics take them; each of shape (problems,)."""
    pairs = np.array([(group.n, group.correct) for group in groups], dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def powers(k: int) -> list[int]:
    """1, the powers of two below k, and k."""
    return sorted({1, k, *(2**i for i in range(1, k.bit_length()) if 2**i < k)})


def speed(
    ttft: Sequence[float], rates: Sequence[float], counters: Sequence[Mapping[str, Any]], correct: int
) -> dict[str, Any]:
    """The report's `speed`.

    Args:
        ttft: seconds to the first token, of every sample looked at.
        rates: tokens per second of every stream looked at.
        counters: what each session counted.
        correct: samples of the whole run.
    """

    def total(key: str) -> float:
        return float(sum(c.get(key, 0) for c in counters))

    wall = total("wall_s")
    return {
        "wall_s": wall,
        "prefill_tokens_per_s": stats.per(total("prefill_tokens"), total("prefill_s")),
        "decode_tokens_per_s": stats.per(total("generated_tokens"), total("decode_s")),
        "stream_tokens_per_s": _quantiles(rates),
        "ttft_s": _quantiles(ttft),
        "energy": energy.summed([c.get("energy_j") for c in counters]),
        "peak_memory_bytes": int(max((c.get("peak_memory_bytes", 0) for c in counters), default=0)),
        "correct_per_hour": stats.per(correct, wall, 3600),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None}
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"p50": float(p50), "p95": float(p95)}


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What a run costs and yields; None where it was not measured."""

    run: str
    name: str
    decode_tokens_per_s: float | None
    stream_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    ttft_s: float | None
    peak_memory_bytes: int | None
    wall_s: float | None
    energy_j: float | None
    tokens_per_sample: float
    """Generated tokens, thinking included."""
    correct: int
    correct_per_hour: float | None
    correct_per_thousand_tokens: float | None
    correct_per_kilojoule: float | None


def of_run(report: Mapping[str, Any], name: str) -> RunMetrics:
    """Speed and yield of a run, over all its evals."""
    speed, evals = report["speed"], report["evals"]
    energy_j = (speed.get("energy") or {}).get("total_j")
    correct, tokens = sum(e["outcomes"]["correct"] for e in evals), sum(generated(e) for e in evals)
    return RunMetrics(
        run=report["run"],
        name=name,
        decode_tokens_per_s=speed["decode_tokens_per_s"],
        stream_tokens_per_s=speed["stream_tokens_per_s"]["p50"],
        prefill_tokens_per_s=speed["prefill_tokens_per_s"],
        ttft_s=speed["ttft_s"]["p50"],
        peak_memory_bytes=speed["peak_memory_bytes"],
        wall_s=speed["wall_s"],
        energy_j=energy_j,
        tokens_per_sample=stats.per(tokens, sum(samples(e) for e in evals)) or 0.0,
        correct=correct,
        correct_per_hour=stats.per(correct, speed["wall_s"], 3600),
        correct_per_thousand_tokens=stats.per(correct, tokens, 1000),
        correct_per_kilojoule=stats.per(correct, energy_j, 1000),
    )


def samples(entry: Mapping[str, Any]) -> int:
    """Judged samples of an eval's entry."""
    return sum(entry["outcomes"].values())


def generated(entry: Mapping[str, Any]) -> int:
    """Generated tokens of an eval's entry, thinking included."""
    return int(entry["tokens"]["thinking"] + entry["tokens"]["answer"])
