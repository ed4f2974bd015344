"""Thinking budgets in every form of a report, from one view."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.report import budget_charts, budget_summary, results
from localrl.runs import session
from localrl.store.runs import Store
from tests.commands import localrl
from tests.scripted import make_plan, thinker

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.sample import Sample

pytestmark = pytest.mark.process


@pytest.fixture
def entry(store: Store, tmp_path: Path) -> dict[str, Any]:
    """An eval with budgets, in a run that is stored."""
    plan = make_plan(tmp_path, budgets=(4, 10, 30), problems=8, samples=4, **thinker())
    with session.start(store, plan) as opened:
        list(opened.runner.events())
    found: dict[str, Any] = results.find(store, "last").report["evals"][0]
    return found


def test_the_curve_ends_with_the_samples_that_thought_on(entry: dict[str, Any]) -> None:
    points = budget_summary.curve(entry)
    assert [point.name for point in points] == ["4", "10", "30", "no limit"]
    assert points[-1].value == entry["accuracy"]["value"]
    assert [point.tokens for point in points] == pytest.approx([7, 13, 23, 23])
    assert budget_summary.curve({"budget_summary": None}) == []


def test_the_table_has_a_row_for_each_budget(entry: dict[str, Any]) -> None:
    table = budget_summary.table(entry)
    assert table is not None
    assert [row[0] for row in table.rows] == ["4", "10", "30", "no limit"]
    assert [row[4] for row in table.rows] == ["32 of 32", "32 of 32", "0 of 32", "–"]
    assert all(len(row) == len(table.header) for row in table.rows)
    assert budget_summary.table({"budget_summary": None}) is None


def test_sentences_say_which_budget_gives_the_most_and_where_tokens_pay(entry: dict[str, Any]) -> None:
    said = list(budget_summary.lines(entry))
    labels = [label for label, _ in said]
    assert labels[:2] == ["best", "area"]
    best = entry["budget_summary"]["most_per_hour"]
    assert f"with {best['budget'] or 'no limit'}" in said[0][1]
    assert "further" in labels
    assert all("in-sample" in text for label, text in said if label == "sure")
    entry["budgets"][0]["replayed"] = 3
    assert ("replayed", "answers at 4 were made after the run, from its stored thinking") in list(
        budget_summary.lines(entry)
    )


def test_the_plots_have_a_mark_for_each_budget_and_for_each_way_to_spend_tokens(
    entry: dict[str, Any],
) -> None:
    thinking, tokens = budget_charts.by_thinking(entry), budget_charts.by_tokens(entry)
    assert thinking is not None
    assert tokens is not None
    assert thinking.count("<circle") == 4 + 3  # and what a cut would score
    assert tokens.count("<circle") == 4 * 3
    for words in ("one sample", "vote of 2", "vote of 4"):
        assert words in tokens
    alone = {**entry, "budget_summary": {**entry["budget_summary"]}}
    alone["budget_summary"]["spending"] = [
        w for w in alone["budget_summary"]["spending"] if w["samples"] == 1
    ]
    assert budget_charts.by_tokens(alone) is None
    assert budget_charts.by_thinking({"budget_summary": None}) is None


def test_the_terminal_markdown_and_html_show_the_same_table(entry: dict[str, Any], tmp_path: Path) -> None:
    shown = localrl("runs", "show").stdout
    written = localrl("runs", "report").stdout
    page = localrl("runs", "report", "--format", "html").stdout
    table = budget_summary.table(entry)
    assert table is not None
    for row in table.rows:
        assert row[1] in shown
        assert row[1] in written
        assert f"<td>{row[1]}</td>" in page or f">{row[1]}</td>" in page
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg"') == 6


def test_an_html_report_carries_each_forks_text_and_verdict(entry: dict[str, Any]) -> None:
    page = localrl("runs", "report", "--format", "html").stdout
    packed = re.findall(r'<script id="t\d+" type="text/plain">([^<]*)</script>', page)
    problems = [p for text in packed for p in json.loads(gzip.decompress(base64.b64decode(text)))]
    samples = [sample for problem in problems for sample in problem["samples"]]
    assert len(samples) == 32
    for sample in samples:
        assert [fork["budget"] for fork in sample["forks"]] == [4, 10]
        for fork in sample["forks"]:
            assert (fork["outcome"] == "c") == (fork["extracted"] == "4") == (fork["answer"] == "it is 4")


def test_numbers_for_programs_have_the_curve(entry: dict[str, Any]) -> None:
    document = json.loads(localrl("runs", "report", "--format", "json").stdout)
    assert document["runs"][0]["report"]["evals"][0]["budgets"] == json.loads(json.dumps(entry["budgets"]))


def test_runs_are_compared_at_each_budget_that_both_have(store: Store, tmp_path: Path) -> None:
    early = thinker()
    late = {**early, "knows": [[[0, "it is 5"], [15, "it is 4"]]] * 4}
    for name, script, budgets in (("early", early, (4, 10, 30)), ("late", late, (10, 30, 40))):
        plan = make_plan(tmp_path, budgets=budgets, problems=8, samples=2, **script)
        with session.start(store, plan, name) as opened:
            list(opened.runner.events())
    (pair,) = json.loads(localrl("runs", "compare", "early", "late", "--json").stdout)["pairs"]
    assert [at["budget"] for at in pair["budgets"]] == [10, 30]
    at_10 = results.find(store, "early").report["evals"][0]["budgets"][1]["accuracy"]["value"]
    assert pair["budgets"][0]["difference"]["value"] == pytest.approx(-at_10)  # late knows nothing at 10
    assert pair["budgets"][1]["difference"]["value"] == pytest.approx(
        pair["comparison"]["difference"]["value"]
    )
    assert "thinking budget that both have" in localrl("runs", "compare", "early", "late").stdout
    assert "thinking budget that both have" in localrl("runs", "report", "early", "late").stdout


def test_an_export_carries_forks_and_an_import_keeps_them(
    entry: dict[str, Any], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [(s.natural, s.forks) for s in store.samples(store.find("last"))]
    file = tmp_path / "run.jsonl"
    assert localrl("runs", "export", "-o", str(file)).returncode == 0
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "another"))
    done = localrl("runs", "import", str(file))
    assert done.returncode == 0, done.stderr
    with Store() as other:
        after = list(other.samples(other.find("last")))
    assert [(s.natural, [_told(f) for f in s.forks]) for s in after] == [
        (natural, [_told(f) for f in forks]) for natural, forks in before
    ]
    again = json.loads(localrl("runs", "show", "--json").stdout)["evals"][0]
    assert again["budgets"] == json.loads(json.dumps(entry["budgets"]))
    lines = file.read_text().splitlines()
    twice = json.loads(lines[3])
    twice["stored"]["forks"] *= 2
    lines[3] = json.dumps(twice)
    file.write_text("\n".join(lines))
    refused = localrl("runs", "import", str(file))
    assert refused.returncode == 2
    assert "run.jsonl:4: a thinking budget of problem" in refused.stderr


def _told(fork: Sample) -> Sample:
    """A fork without what only its store knows."""
    return replace(fork, problem=replace(fork.problem, key=0))
