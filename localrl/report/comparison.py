"""Several runs side by side: what differs, on the problems that they share, and what one gains for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from localrl import formats, stats
from localrl.errors import UsageError
from localrl.report import metrics
from localrl.report.budget_comparison import BudgetDifference, differences
from localrl.report.run_summary import SO_FAR, model_name
from localrl.sampling import PENALTIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from localrl.report.metrics import RunMetrics
    from localrl.report.results import Results
    from localrl.sample import Group

SAMPLING = ("temperature", "top_p", "top_k", "min_p", *PENALTIES, "max_tokens")
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
class RunPair:
    """One run against the baseline on one eval."""

    eval: str
    run: str
    comparison: stats.PairedComparison
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
    budgets: tuple[BudgetDifference, ...] = ()
    """The difference at each thinking budget that both runs have."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs compared with the first of them."""

    baseline: str
    metrics: tuple[RunMetrics, ...]
    pairs: tuple[RunPair, ...]
    warnings: tuple[str, ...] = ()
    """Differences of protocol: reasons why a difference of accuracy may not be the model's."""
    changed: tuple[str, ...] = ()
    """Differences of model, backend and machine: what is being compared."""

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self)
        return {"schema": 1, "baseline": found["baseline"], "figures": found.pop("metrics"), **found}


def compare(runs: Sequence[Results], level: float = 0.95) -> RunComparison:
    """Compare runs with the first one.

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
    pairs = [
        pair
        for label, other in zip(labels[1:], runs[1:], strict=True)
        for pair in _pairs(label, runs[0], other, level)
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
    return RunComparison(
        baseline=labels[0],
        metrics=tuple(metrics.of_run(run.report, label) for label, run in zip(labels, runs, strict=True)),
        pairs=tuple(_adjusted(pairs)),
        warnings=tuple(warnings),
        changed=tuple(changed),
    )


def of_sharing(runs: Sequence[Results]) -> RunComparison | None:
    """The comparison, or None where no run shares two problems of an eval with the first."""
    first = runs[0].groups
    shares = any(
        len(first.get(name, {}).keys() & problems.keys()) > 1
        for other in runs[1:]
        for name, problems in other.groups.items()
    )
    return compare(runs) if shares else None


def _pairs(label: str, baseline: Results, run: Results, level: float) -> list[RunPair]:
    base, other, found = baseline.groups, run.groups, list[RunPair]()
    ours, theirs = run.budget_counts, baseline.budget_counts
    alike = {name: set(base[name]) for name in base} == {name: set(other[name]) for name in other}
    for name in base:
        if name not in other:
            continue
        shared = [problem for problem in base[name] if problem in other[name]]
        if len(shared) < 2:
            continue
        a, b = [other[name][p] for p in shared], [base[name][p] for p in shared]
        found.append(
            RunPair(
                eval=name,
                run=label,
                comparison=stats.compare(*metrics.arrays(a), *metrics.arrays(b), level=level),
                holm=None,
                flips=_flips(shared, a, b),
                unshared=len(set(base[name]) ^ set(other[name])),
                tokens_per_sample=(_tokens_per_sample(b), _tokens_per_sample(a)),
                alike=alike,
                budgets=differences(ours.get(name, {}), theirs.get(name, {}), level),
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


def _adjusted(pairs: list[RunPair]) -> list[RunPair]:
    tested = [i for i, pair in enumerate(pairs) if pair.comparison.mcnemar is not None]
    p_values = stats.holm([pairs[i].comparison.mcnemar or 0.0 for i in tested])
    for i, p in zip(tested, p_values, strict=True):
        pairs[i] = replace(pairs[i], holm=p)
    return pairs


def protocol_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What must be the same for two accuracies to compare, and is not, in words."""
    found = []
    ours = {entry["eval"]: entry for entry in a["evals"]}
    for theirs in b["evals"]:
        if mine := ours.get(theirs["eval"]):
            named = _differences(mine, theirs, ("version", "extractor", "verifier"))
            settings = [PENALTIES | entry["sampling"] for entry in (mine, theirs)]  # older runs have none
            named += _differences(settings[0], settings[1], SAMPLING)
            found += [f"{theirs['eval']}: {words}" for words in named]
    guards = [report["sampling"].get("loop_guard", True) for report in (a, b)]
    if guards[0] != guards[1]:
        found.append("only one of the two ran with the loop guard")
    x, y = a["model"], b["model"]
    if x["name"] == y["name"] and x["template_sha256"] != y["template_sha256"]:
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


def reservations(report: Mapping[str, Any]) -> list[str]:
    """What is to be said of a run that did not ask all that was planned, in words."""
    found = [] if report["status"] == "complete" else [SO_FAR]
    for entry in report["evals"]:
        stop = entry["stopped"]
        if stop and stop["rule"] == "decide":
            low, high = (formats.points(stop["interval"][end]) for end in ("low", "high"))
            found.append(
                f"{entry['eval']} was stopped because a comparison was settled, so that intervals here "
                f"are too sure; the one that holds for it is {low} to {high} points"
            )
    return found


def setup_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs of model, backend and machine, in words; a comparison is usually about one of these."""
    parts = {
        "model": ("name", "quantisation", "sha256"),
        "backend": ("name", "version", "parallel", "context"),
        "hardware": ("device", "cpu"),
    }
    found = [
        f"{part} {words}" for part, keys in parts.items() for words in _differences(a[part], b[part], keys)
    ]
    x, y = a["backend"]["settings"], b["backend"]["settings"]
    return found + [f"backend setting {words}" for words in _differences(x, y, sorted({*x, *y}))]


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    pairs = [(key, a.get(key), b.get(key)) for key in keys]
    return [f"{key} {_shown(x)} against {_shown(y)}" for key, x, y in pairs if x != y]


def names(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """A short label a run, all different: its own name, else its model, with its id where two are alike."""
    labels = [report["name"] or model_name(report) for report in reports]
    return [
        f"{label} ({report['run'][-6:]})" if labels.count(label) > 1 else label
        for label, report in zip(labels, reports, strict=True)
    ]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
