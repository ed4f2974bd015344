"""Several runs side by side: what differs, on the problems that they share, and what one gains for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from localrl import formats, stats
from localrl.errors import UsageError
from localrl.report.report import SO_FAR
from localrl.stats.groups import Group, Groups, arrays, groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.report.results import Results

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "max_tokens")
Questions = Mapping[tuple[str, str], tuple[str, str]]
"""Prompt and target of every problem, by eval and id."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A problem that one run answers right more often than not, and the other does not."""

    problem: str
    baseline: str
    """The baseline's correct samples of all, such as "3/4"."""
    other: str
    gained: bool
    """True when the other run is the one that answers it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One run against the baseline on one eval."""

    eval: str
    run: str
    comparison: stats.Comparison
    """The run minus the baseline."""
    holm: float | None
    """McNemar's p-value, adjusted for all the comparisons shown; None where there is none."""
    flips: tuple[Flip, ...]
    unshared: int
    """Problems that only one of the two runs answered."""
    tokens_per_sample: tuple[float, float]
    """Generated for a sample of the shared problems, by the baseline and by the run."""
    alike: bool
    """Whether both runs answered the same problems of the same evals, so that their yields compare."""


@dataclass(frozen=True, slots=True)
class Figures:
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
    correct: int
    correct_per_hour: float | None
    correct_per_thousand_tokens: float | None
    correct_per_kilojoule: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """Runs compared with the first of them."""

    baseline: str
    figures: tuple[Figures, ...]
    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...] = ()
    """Differences of protocol: reasons why a difference of accuracy may not be the model's."""
    changed: tuple[str, ...] = ()
    """Differences of model, backend and machine: what is being compared."""

    def as_dict(self) -> dict[str, Any]:
        return {"schema": 1, **asdict(self)}


def compare(runs: Sequence[Results], level: float = 0.95, counted: Sequence[Groups] = ()) -> Side:
    """Compare runs with the first one.

    Args:
        counted: the runs' samples by problem, when they are counted already.

    Raises:
        UsageError: there are fewer than two runs, or no two problems are shared with the baseline.
    """
    if len(runs) < 2:
        raise UsageError(
            "a comparison needs two runs", hint="name a second one; `localrl runs ls` lists them"
        )
    ids = [run.report.get("run") for run in runs]
    if len(set(ids)) < len(ids):
        raise UsageError("a run is named twice", hint="`localrl runs ls` lists the others")
    labels = names([run.report for run in runs])
    counted = counted or [groups(run.rows()) for run in runs]
    pairs = [
        pair
        for label, other in zip(labels[1:], counted[1:], strict=True)
        for pair in _pairs(label, counted[0], other, level)
    ]
    if not pairs:
        raise UsageError("these runs share no problems", hint="compare runs of the same eval")
    base = runs[0].report
    warnings = [
        f"{label}: {w}" for label, run in zip(labels, runs, strict=True) for w in reservations(run.report)
    ]
    changed, asked = [], runs[0].questions()
    for label, run in zip(labels[1:], runs[1:], strict=True):
        warnings += [f"{label}: {words}" for words in protocol_differences(base, run.report)]
        warnings += [f"{label}: {words}" for words in question_differences(asked, run.questions())]
        changed += [f"{label}: {words}" for words in setup_differences(base, run.report)]
    for pair in pairs:
        if pair.unshared:
            warnings.append(
                f"{pair.run}: {pair.unshared} problems of {pair.eval} are in one run only, left out; "
                "what a run costs and yields is told of all that it answered"
            )
    return Side(
        baseline=labels[0],
        figures=tuple(
            figures(label, run.report, count) for label, run, count in zip(labels, runs, counted, strict=True)
        ),
        pairs=tuple(_adjusted(pairs)),
        warnings=tuple(warnings),
        changed=tuple(changed),
    )


def _pairs(label: str, base: Groups, other: Groups, level: float) -> list[Pair]:
    found = []
    alike = {name: set(base[name]) for name in base} == {name: set(other[name]) for name in other}
    for name in base:
        if name not in other:
            continue
        shared = [problem for problem in base[name] if problem in other[name]]
        if len(shared) < 2:
            continue
        a, b = [other[name][p] for p in shared], [base[name][p] for p in shared]
        found.append(
            Pair(
                eval=name,
                run=label,
                comparison=stats.compare(*arrays(a), *arrays(b), level=level),
                holm=None,
                flips=_flips(shared, a, b),
                unshared=len(set(base[name]) ^ set(other[name])),
                tokens_per_sample=(_tokens_per_sample(b), _tokens_per_sample(a)),
                alike=alike,
            )
        )
    return found


def _tokens_per_sample(of: list[Group]) -> float:
    return sum(group.tokens for group in of) / sum(group.n for group in of)


def _flips(problems: list[str], others: list[Group], bases: list[Group]) -> tuple[Flip, ...]:
    """Problems whose majority changed sides, the largest change first."""
    turned = [
        (abs(a.share - b.share), Flip(p, f"{b.correct}/{b.n}", f"{a.correct}/{a.n}", a.share > b.share))
        for p, a, b in zip(problems, others, bases, strict=True)
        if (a.share > 0.5) != (b.share > 0.5)
    ]
    return tuple(flip for _, flip in sorted(turned, key=lambda item: (-item[0], item[1].problem)))


def _adjusted(pairs: list[Pair]) -> list[Pair]:
    tested = [i for i, pair in enumerate(pairs) if pair.comparison.mcnemar is not None]
    p_values = stats.holm([pairs[i].comparison.mcnemar or 0.0 for i in tested])
    for i, p in zip(tested, p_values, strict=True):
        pairs[i] = replace(pairs[i], holm=p)
    return pairs


def figures(label: str, report: dict[str, Any], counted: Groups) -> Figures:
    """Speed and yield of one run from its report and counts."""
    speed = report.get("speed") or {}
    every = [group for problems in counted.values() for group in problems.values()]
    samples, correct = sum(g.n for g in every), sum(g.correct for g in every)
    tokens, energy = sum(g.tokens for g in every), (speed.get("energy") or {}).get("total_j")
    return Figures(
        run=str(report.get("run", label)),
        name=label,
        decode_tokens_per_s=speed.get("decode_tokens_per_s"),
        stream_tokens_per_s=(speed.get("stream_tokens_per_s") or {}).get("p50"),
        prefill_tokens_per_s=speed.get("prefill_tokens_per_s"),
        ttft_s=(speed.get("ttft_s") or {}).get("p50"),
        peak_memory_bytes=speed.get("peak_memory_bytes"),
        wall_s=speed.get("wall_s"),
        energy_j=energy,
        tokens_per_sample=tokens / samples if samples else 0.0,
        correct=correct,
        correct_per_hour=stats.per(correct, speed.get("wall_s"), 3600),
        correct_per_thousand_tokens=stats.per(correct, tokens, 1000),
        correct_per_kilojoule=stats.per(correct, energy, 1000),
    )


def protocol_differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What must be the same for two accuracies to compare, and is not, in words."""
    found = []
    ours = {e.get("eval"): e for e in a.get("evals") or []}
    for theirs in b.get("evals") or []:
        mine = ours.get(theirs.get("eval"))
        if mine is None:
            continue
        pairs = [(key, mine.get(key), theirs.get(key)) for key in ("version", "extractor", "verifier")]
        x, y = (e.get("sampling") or r.get("sampling") or {} for e, r in ((mine, a), (theirs, b)))
        pairs += [(key, x.get(key), y.get(key)) for key in SAMPLING]
        found += [f"{theirs.get('eval')}: {k} {_shown(p)} against {_shown(q)}" for k, p, q in pairs if p != q]
    guards = [(r.get("sampling") or {}).get("loop_guard", True) for r in (a, b)]
    if guards[0] != guards[1]:
        found.append("only one of the two ran with the loop guard")
    models = (a.get("model") or {}), (b.get("model") or {})
    templates = [model.get("template_sha256") for model in models]
    if models[0].get("name") == models[1].get("name") and templates[0] != templates[1]:
        found.append("the chat templates of the same model differ")
    return found


def question_differences(a: Questions, b: Questions) -> list[str]:
    """Evals whose shared problems are not asked, or not judged, by the same text; in words."""
    found = []
    for part, what in enumerate(("prompt", "target")):
        other = Counter(key[0] for key in a.keys() & b.keys() if a[key][part] != b[key][part])
        found += [
            f"{name}: another {what} in {formats.count(count, 'problem')}"
            for name, count in sorted(other.items())
        ]
    return found


def reservations(report: dict[str, Any]) -> list[str]:
    """What is to be said of a run that did not ask all that was planned, in words."""
    found = [SO_FAR] if report.get("status") in ("partial", "failed") else []
    for entry in report.get("evals") or []:
        stop = entry.get("stopped") or {}
        if stop.get("rule") == "decide":
            low, high = (formats.points(stop["interval"][end]) for end in ("low", "high"))
            found.append(
                f"{entry.get('eval')} was stopped because a comparison was settled, so that intervals here "
                f"are too sure; the one that holds for it is {low} to {high} points"
            )
    return found


def setup_differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What differs of model, backend and machine, in words; a comparison is usually about one of these."""
    found = []
    for part, keys in (
        ("model", ("name", "quantisation", "sha256")),
        ("backend", ("name", "version", "parallel", "context")),
        ("hardware", ("device", "cpu")),
    ):
        x, y = a.get(part) or {}, b.get(part) or {}
        found += [
            f"{part} {key} {_shown(x.get(key))} against {_shown(y.get(key))}"
            for key in keys
            if x.get(key) != y.get(key)
        ]
    x, y = ((r.get("backend") or {}).get("settings") or {} for r in (a, b))
    found += [
        f"backend setting {key} {_shown(x.get(key))} against {_shown(y.get(key))}"
        for key in sorted({*x, *y})
        if x.get(key) != y.get(key)
    ]
    return found


def names(reports: Sequence[dict[str, Any]]) -> list[str]:
    """A short label a run, all different: its own name, else the model with its quantisation, else its id."""
    labels = []
    for report in reports:
        model = report.get("model") or {}
        words = [str(model[key]) for key in ("name", "quantisation") if model.get(key)]
        labels.append(str(report.get("name") or ":".join(words) or report.get("run", "run")))
    return [
        f"{label} ({str(report.get('run', i))[-6:]})" if labels.count(label) > 1 else label
        for i, (label, report) in enumerate(zip(labels, reports, strict=True))
    ]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
