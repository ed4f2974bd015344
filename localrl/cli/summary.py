"""A report in words, for people: `bench` prints it at the end and `runs show` again."""

from __future__ import annotations

from typing import Any

from localrl.formats import bounds, duration, number, percent, points, size
from localrl.report.report import SO_FAR

OUTCOMES = {
    "correct": "correct",
    "wrong": "wrong",
    "no_answer": "no answer",
    "truncated": "truncated",
    "looped": "looped",
    "verifier_timeout": "verifier timeout",
    "verifier_error": "verifier error",
    "engine_error": "engine error",
}


def summary(report: dict[str, Any]) -> str:
    """The report as a few aligned lines."""
    model, backend, speed = report["model"], report["backend"], report["speed"]
    parts = [
        f"{model['name']}{':' + model['quantisation'] if model['quantisation'] else ''} on "
        f"{report['hardware'].get('device', '?')}, {backend['name']} {backend['version']}"
        + ("" if report["status"] == "complete" else f"   [{report['status']}]"),
        "",
    ]
    for part in report["evals"]:
        parts += _eval(part)
        if report["status"] == "partial" and part["accuracy"]:
            parts.append(f"  so far     {SO_FAR}")
        parts.append("")
    stream, ttft = speed["stream_tokens_per_s"], speed["ttft_s"]
    parts += [
        f"  speed      {number(speed['decode_tokens_per_s'])} tokens/s decode over all streams, "
        f"{number(stream['p50'])} one stream, {number(speed['prefill_tokens_per_s'])} prefill",
        f"  latency    first token after {duration(ttft['p50'])} (p50), {duration(ttft['p95'])} (p95)",
        f"  cost       {duration(speed['wall_s'])}, {number(speed['correct_per_hour'], 0)} right an hour, "
        f"{size(speed['peak_memory_bytes'])} peak memory",
    ]
    if speed.get("energy"):
        joules = speed["energy"]["total_j"]
        right = sum(part["outcomes"]["correct"] for part in report["evals"])
        parts.append(f"  energy     {joules / 1000:,.1f} kJ, {number(1000 * right / joules, 2)} right a kJ")
    else:
        parts.append("  energy     not measured (`localrl doctor` says why)")
    return "\n".join(parts)


def _eval(part: dict[str, Any]) -> list[str]:
    accuracy = part["accuracy"]
    samples = sum(part["outcomes"].values())
    of = f"{part['problems']} problems" + (f" × {part['samples']}" if part["samples"] > 1 else "")
    lines = [f"{part['eval']} v{part['version']}   {of}"]
    if accuracy is None:
        return [*lines, "  nothing was judged yet"]
    span = bounds(accuracy["low"], accuracy["high"])
    lines.append(f"  accuracy   {percent(accuracy['value'])}   95 % interval {span} ({accuracy['method']})")
    if part.get("stopped"):
        lines.append(f"  stopped    {_stopped(part['stopped'])}")
    if part["samples"] > 1:
        passed = [f"pass@{k} {percent(value)}" for k, value in part["pass_at"].items()]
        voted = [f"majority@{k} {percent(value)}" for k, value in part["majority_at"].items()]
        lines.append("  groups     " + "   ".join(passed))
        lines += ["  votes      " + "   ".join(voted)] if voted else []
    shown = [f"{count} {OUTCOMES[name]}" for name, count in part["outcomes"].items() if count]
    lines.append(f"  outcomes   {', '.join(shown)}   (of {samples})")
    lines += [f"  because    {each['samples']} × {each['error']}" for each in part.get("errors", [])]
    cut = part["outcomes"]["truncated"] + part["outcomes"]["looped"]
    if cut:
        lines.append(
            f"  completed  {percent(part['completed_accuracy'])} of those that were not cut are correct"
        )
    tokens = part["tokens"]
    lines.append(
        f"  tokens     {tokens['prompt']:,} prompt, {tokens['thinking']:,} thinking, "
        f"{tokens['answer']:,} answer"
    )
    lines.append(f"  protocol   {part['verifier']} on {part['extractor']}, {_sampling(part['sampling'])}")
    lines += [f"  published  {percent(score['value'])}  {score['source']}" for score in part["published"]]
    if part["deviations"]:
        lines.append(f"  differs    {'; '.join(part['deviations'])}")
    return lines


def _stopped(stop: dict[str, Any]) -> str:
    """Why the eval stopped early, with the interval that holds although the run was watched."""
    i, after = stop["interval"], f"after {stop['problems']} {stop['unit']}"
    if stop["rule"] == "decide":
        span = f"{points(i['low'])} to {points(i['high'])} points"
        return f"{stop['verdict']} than the other run, {after}: {span}, e-value {stop['e_value']:.3g}"
    return f"precise enough {after}: {bounds(i['low'], i['high'])} % ({i['method']})"


def _sampling(sampling: dict[str, Any]) -> str:
    if sampling["temperature"] == 0:
        return f"greedy, at most {sampling['max_tokens']} tokens"
    filters = [
        f"{name} {sampling[name]:g}"
        for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0))
        if sampling[name] != off
    ]
    return ", ".join(
        [f"temperature {sampling['temperature']:g}", *filters, f"at most {sampling['max_tokens']} tokens"]
    )
