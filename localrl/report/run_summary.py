"""One run in words, made from its report: what the terminal, the interface, HTML and Markdown render."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from localrl import formats, stats
from localrl.formats import bounds, duration, number, percent, points, size
from localrl.report import budget_summary, metrics
from localrl.report.tables import Table
from localrl.sampling import PENALTIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SO_FAR = "unfinished: what ends first is short, and short ones are more often right"
"""To be said beside every accuracy of a run that is not complete."""


class Line(NamedTuple):
    label: str
    text: str
    warns: bool = False


@dataclass(frozen=True, slots=True)
class EvalSummary:
    name: str
    title: str
    """With its version: "gsm8k v2"."""
    problems: str
    """"100 problems × 4"."""
    outcomes: tuple[tuple[str, int], ...]
    """Those that occurred, with how many samples ended so."""
    lines: tuple[Line, ...]
    budgets: Table | None
    """A row a thinking budget."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    run: str
    model: str
    setup: str
    """The device and the backend."""
    status: str
    created: str
    evals: tuple[EvalSummary, ...]
    lines: tuple[Line, ...]
    """Speed, and what the run cost and yielded."""


def of_run(report: Mapping[str, Any]) -> RunSummary:
    backend = report["backend"]
    return RunSummary(
        run=report["run"],
        model=model_name(report),
        setup=f"{report['hardware'].get('device', '?')}, {backend['name']} {backend['version']}",
        status=report["status"],
        created=report["created"][:16].replace("T", " "),
        evals=tuple(_eval(entry, report["status"] != "complete") for entry in report["evals"]),
        lines=tuple(_speed(report)),
    )


def model_name(report: Mapping[str, Any]) -> str:
    """The model with its quantisation, and its adapter: "qwq-32b:Q4_K_M + adapter 1f0e3dad"."""
    model, name = report["model"], _model(report)
    return f"{name} + adapter {model['adapter_sha256'][:8]}" if "adapter" in model else name


def _model(report: Mapping[str, Any]) -> str:
    return ":".join(filter(None, (report["model"]["name"], report["model"]["quantisation"])))


def interval(found: Mapping[str, Any] | None) -> str:
    """An interval of the report: `78.9 % (71.0–85.1)`."""
    return formats.interval(found["value"], found["low"], found["high"]) if found else formats.ABSENT


def _eval(entry: Mapping[str, Any], unfinished: bool) -> EvalSummary:
    several = f" × {entry['samples']}" if entry["samples"] > 1 else ""
    return EvalSummary(
        name=entry["eval"],
        title=f"{entry['eval']} v{entry['version']}",
        problems=formats.count(entry["problems"], "problem") + several,
        outcomes=tuple((name, count) for name, count in entry["outcomes"].items() if count),
        lines=tuple(_lines(entry, unfinished)),
        budgets=budget_summary.table(entry),
    )


def _lines(entry: Mapping[str, Any], unfinished: bool) -> Iterator[Line]:
    if entry["accuracy"] is None:
        yield Line("accuracy", "nothing was judged yet")
        return
    accuracy, several, done = entry["accuracy"], entry["samples"] > 1, entry["completed"]
    yield Line("accuracy", f"{interval(accuracy)}   {percent(accuracy['level'], 0)}, {accuracy['method']}")
    if unfinished:
        yield Line("so far", SO_FAR, warns=True)
    if several:
        yield Line("repeated", f"{interval(entry['repeatability'])}   on these problems")
    if entry.get("stopped"):
        yield Line("stopped", _stopped(entry["stopped"]))
    if several:
        yield Line("groups", "  ".join(_shares("pass", entry["pass_at"])))
        if votes := _shares("majority", entry["majority_at"]):
            yield Line("votes", "  ".join([*votes, *_shares("shortest", entry["shortest_majority_at"])[-1:]]))
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in entry["outcomes"].items() if count]
    yield Line("outcomes", f"{', '.join(counts)}   (of {metrics.samples(entry):,})")
    for each in entry.get("errors", []):
        yield Line("because", f"{each['samples']:,} × {each['error']}", warns=True)
    if done["cut_share"]:
        ended = percent(1 - done["cut_share"])
        yield Line("completed", f"{interval(done['accuracy'])} of the {ended} that ended")
    low, high = entry["verifier_bounds"]["low"], entry["verifier_bounds"]["high"]
    if low != high:
        words = (
            f"the verifier failed on some samples; accuracy lies between {percent(low)} and {percent(high)}"
        )
        yield Line("doubtful", words, warns=True)
    yield Line("tokens", ", ".join(f"{count:,} {part}" for part, count in entry["tokens"].items()))
    yield Line("protocol", f"{entry['verifier']} on {entry['extractor']}, {_sampling(entry['sampling'])}")
    yield from (Line(*line) for line in budget_summary.lines(entry))
    for score in entry["published"]:
        yield Line("published", f"{percent(score['value'])}  {score['source']}")
    if entry["deviations"]:
        yield Line("differs", "; ".join(entry["deviations"]), warns=True)


def _shares(name: str, shares: Mapping[str, float]) -> list[str]:
    return [f"{name}@{k} {percent(share)}" for k, share in shares.items()]


def _stopped(stop: Mapping[str, Any]) -> str:
    """Why the eval stopped early, with the interval that holds although the run was watched."""
    i, after = stop["interval"], f"after {stop['problems']} {stop['unit']}"
    if stop["rule"] == "decide":
        between = f"{points(i['low'])} to {points(i['high'])} points, e-value {stop['e_value']:.3g}"
        return f"by --decide {after}: {stop['verdict']} than the other run, {between}"
    return f"by --until {after}: what holds although the run was watched is {bounds(i['low'], i['high'])} %"


def _penalties(sampling: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Those that change something; runs made before there were any have none."""
    return [
        (name, sampling[name])
        for name, neutral in PENALTIES.items()
        if sampling.get(name, neutral) != neutral
    ]


def _sampling(sampling: Mapping[str, Any]) -> str:
    limit = f"at most {sampling['max_tokens']} tokens"
    if sampling["temperature"] == 0:
        penalties = [f"{name} {value:g}" for name, value in _penalties(sampling)]
        return ", ".join(["greedy", *penalties, limit])
    filters = [
        f"{name} {sampling[name]:g}"
        for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0), *PENALTIES.items())
        if sampling.get(name, off) != off
    ]
    return ", ".join([f"temperature {sampling['temperature']:g}", *filters, limit])


def _speed(report: Mapping[str, Any]) -> Iterator[Line]:
    speed, ttft = report["speed"], report["speed"]["ttft_s"]
    yield Line(
        "speed",
        f"{number(speed['decode_tokens_per_s'])} tokens/s decode over all streams, "
        f"{number(speed['stream_tokens_per_s']['p50'])} one stream, "
        f"{number(speed['prefill_tokens_per_s'])} prefill",
    )
    yield Line("latency", f"first token after {duration(ttft['p50'])} (p50), {duration(ttft['p95'])} (p95)")
    yield Line(
        "cost",
        f"{duration(speed['wall_s'])}, {number(speed['correct_per_hour'], 0)} right an hour, "
        f"{size(speed['peak_memory_bytes'])} peak memory",
    )
    found = metrics.of_run(report, "")
    if found.energy_j is None:
        yield Line("energy", "not measured (`localrl doctor` says why)")
    else:
        kilojoules = f"{number(found.energy_j / 1000)} kJ"
        yield Line("energy", f"{kilojoules}, {number(found.correct_per_kilojoule, 2)} right a kJ")


def evals_table(report: Mapping[str, Any]) -> Table:
    """Every eval with its intervals, and what was published for this model."""
    header = ["eval", "accuracy (95 %)", "published", "on these problems", "pass@k", "majority@k"]
    header += ["completed only", "not completed", "problems × k", "tokens/sample"]
    rows = [
        [
            entry["eval"],
            interval(entry["accuracy"]),
            "; ".join(_published(score) for score in entry["published"]) or formats.ABSENT,
            interval(entry["repeatability"] if entry["samples"] > 1 else None),
            _largest(entry["pass_at"]),
            _largest(entry["majority_at"]),
            interval(entry["completed"]["accuracy"]),
            percent(entry["completed"]["cut_share"]),
            f"{entry['problems']} × {entry['samples']}",
            number(stats.per(metrics.generated(entry), metrics.samples(entry))),
        ]
        for entry in judged(report)
    ]
    return Table(header, rows)


def judged(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of evals that have a judged sample."""
    return [entry for entry in report["evals"] if entry["accuracy"]]


def _published(score: Mapping[str, Any]) -> str:
    return percent(score["value"]) + (f" ({score['source']})" if score["source"] else "")


def _largest(shares: Mapping[str, float]) -> str:
    """Of the largest k alone; with one sample it is the accuracy."""
    k = list(shares)[-1] if shares else "1"
    return f"{percent(shares[k])} (k={k})" if k != "1" else formats.ABSENT


def subtitle(report: Mapping[str, Any]) -> str:
    backend = report["backend"]
    words = [
        report["created"][:10],
        " ".join(str(v) for v in (backend["name"], backend["version"]) if v),
        str(report["hardware"].get("device") or ""),
        f"run {report['run']}",
    ]
    return " · ".join(filter(None, words))


def headline(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The few numbers that a report begins with: what, its value, and a remark."""
    found, streams = metrics.of_run(report, ""), report["backend"]["parallel"]
    items = [
        (entry["eval"], percent(a["value"]), bounds(a["low"], a["high"]))
        for entry in judged(report)[:3]
        for a in [entry["accuracy"]]
    ]
    at_once = f"{streams} at once" if streams else ""
    items.append(("decode", f"{number(found.decode_tokens_per_s)} tok/s", at_once))
    items.append(("right answers", f"{number(found.correct_per_hour)} /h", f"{found.correct:,} in this run"))
    if found.correct_per_kilojoule is not None:
        items.append(("right answers", f"{number(found.correct_per_kilojoule, 2)} /kJ", "measured"))
    return items


def command(report: Mapping[str, Any]) -> str:
    """The command that makes this run again: as the run recorded it, else put together from its settings."""
    if report.get("command"):
        return shlex.join(report["command"])
    evals, sampling, backend = report["evals"], report["sampling"], report["backend"]
    words = ["localrl", "bench", _model(report), *[entry["eval"] for entry in evals]]
    words += ["--samples", str(evals[0]["samples"])]
    if adapter := report["model"].get("adapter"):
        words += ["--adapter", adapter]
    for key in ("seed", "temperature", "top_p", "top_k", "min_p", "max_tokens"):
        if sampling.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", str(sampling[key])]
    for key, value in _penalties(sampling):
        words += [f"--{key.replace('_', '-')}", str(value)]
    for key, flag in (("name", "--backend"), ("parallel", "--parallel"), ("context", "--ctx")):
        if backend[key]:
            words += [flag, str(backend[key])]
    return shlex.join(words)


def environment(report: Mapping[str, Any]) -> Table:
    """Model, backend, hardware and sampling, key by key."""
    rows = []
    for part in ("model", "backend", "hardware", "sampling"):
        for key, value in report[part].items():
            if isinstance(value, dict):
                rows += [
                    [f"{part} {key.removesuffix('s')} {name}", str(each)] for name, each in value.items()
                ]
            elif value not in (None, "", []):
                rows.append([f"{part} {key.replace('_', ' ')}", str(value)])
    return Table(["environment", ""], rows, text=2)
