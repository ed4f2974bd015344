"""Runs compare on the problems that they share; what differs becompareds is said."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.chat import Message
from localrl.errors import UsageError
from localrl.report import comparison, comparison_summary, metrics, tables
from localrl.sample import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.report.budget_comparison import BudgetCounts
    from localrl.sample import Groups


def verdict(compared: comparison.RunComparison) -> str:
    return comparison_summary.of_comparison(compared).pairs[0].verdict


def test_a_difference_is_of_the_second_run_over_the_first(make_run: Callable[..., Any]) -> None:
    good, bad = (
        make_run("g", accuracy=0.9, seed=1),
        make_run("b", accuracy=0.2, seed=2, quantisation="Q4_K_M"),
    )
    (pair,) = comparison.compare([bad, good]).pairs
    assert pair.comparison.difference.low > 0
    assert pair.comparison.p_better > 0.99
    assert {flip.gained for flip in pair.flips} == {True}
    (reverse,) = comparison.compare([good, bad]).pairs
    assert reverse.comparison.difference.value == pytest.approx(-pair.comparison.difference.value)


def test_only_shared_problems_count_and_the_others_are_named(make_run: Callable[..., Any]) -> None:
    a, b = make_run("a", problems=12), make_run("b", problems=8)
    compared = comparison.compare([a, b])
    assert compared.pairs[0].comparison.problems == 8
    assert compared.pairs[0].unshared == 4
    assert any("4 problems of sums are in one run only" in w for w in compared.warnings)


def test_ratios_are_of_the_shared_problems_or_are_left_out(make_run: Callable[..., Any]) -> None:
    whole, part = make_run("a"), make_run("b", problems=8, quantisation="Q4_K_M")
    whole.made = [
        replace(s, thinking_tokens=50 if int(s.problem.id[5:]) < 8 else 5000, answer_tokens=0)
        for s in whole.made
    ]
    part.made = [replace(s, thinking_tokens=100, answer_tokens=0) for s in part.made]
    compared = comparison.compare([whole, part])
    said = verdict(compared)
    assert "2.00× the tokens a sample" in said
    assert "an hour" not in said
    again = comparison.compare([whole, make_run("c", quantisation="Q4_K_M")])
    assert "an hour" in verdict(again)


def test_a_difference_of_protocol_is_a_warning_and_one_of_setup_is_not(make_run: Callable[..., Any]) -> None:
    a, b = make_run("a"), make_run("b", quantisation="Q4_K_M")
    b.report["evals"][0]["sampling"]["temperature"] = 1.0
    b.report["evals"][0]["version"] = 2
    b.report["backend"]["settings"] = {"cache": "q8_0"}
    compared = comparison.compare([a, b])
    assert compared.warnings == (
        "tiny:Q4_K_M: sums: version 1 against 2",
        "tiny:Q4_K_M: sums: temperature 0.6 against 1.0",
    )
    assert compared.changed == (
        "tiny:Q4_K_M: model quantisation Q8_0 against Q4_K_M",
        "tiny:Q4_K_M: backend setting cache none against q8_0",
    )


def test_problems_that_are_asked_or_judged_by_another_text_are_counted(make_run: Callable[..., Any]) -> None:
    a, b = make_run("a"), make_run("b", quantisation="Q4_K_M")
    for i in range(8):  # the samples of two problems
        b.made[i] = replace(
            b.made[i],
            problem=replace(b.made[i].problem, messages=(Message(role="user", content="In French: 40?"),)),
        )
    for i in range(4):
        b.made[i] = replace(b.made[i], problem=replace(b.made[i].problem, target="41"))
    assert comparison.compare([a, b]).warnings == (
        "tiny:Q4_K_M: sums: another prompt in 2 problems",
        "tiny:Q4_K_M: sums: another target in 1 problem",
    )


def test_a_run_that_did_not_ask_all_or_was_stopped_for_its_result_is_warned_of(
    make_run: Callable[..., Any],
) -> None:
    a, b = make_run("a"), make_run("b", quantisation="Q4_K_M")
    a.report["status"] = "partial"
    b.report["sampling"]["loop_guard"] = False
    b.report["evals"][0]["stopped"] = {"rule": "decide", "interval": {"low": 0.01, "high": 0.2}}
    unfinished, stopped, guard = comparison.compare([a, b]).warnings
    assert unfinished.startswith("tiny:Q8_0: unfinished")
    assert stopped.endswith("the one that holds for it is +1.0 to +20.0 points")
    assert guard == "tiny:Q4_K_M: only one of the two ran with the loop guard"


def test_a_run_is_not_compared_with_itself(make_run: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="named twice"):
        comparison.compare([make_run("a"), make_run("a")])


def test_one_sample_a_problem_gets_mcnemar_and_several_runs_get_holm(make_run: Callable[..., Any]) -> None:
    runs = [make_run(name, problems=60, k=1, seed=i) for i, name in enumerate("abc")]
    compared = comparison.compare(runs)
    assert len(compared.pairs) == 2
    for pair in compared.pairs:
        assert pair.comparison.mcnemar is not None
        assert pair.holm is not None
        assert pair.holm >= pair.comparison.mcnemar
        assert len(pair.flips) == pair.comparison.won + pair.comparison.lost


def test_runs_of_one_model_get_labels_that_differ(make_run: Callable[..., Any]) -> None:
    compared = comparison.compare([make_run("20250101-a"), make_run("20250101-b")])
    assert len({f.name for f in compared.metrics}) == 2


def test_yield_is_right_answers_for_what_was_spent(make_run: Callable[..., Any]) -> None:
    run = make_run("a")
    run.report["speed"]["energy"] = {"total_j": 5000.0}
    found = metrics.of_run(run.report, "a")
    tokens = sum(r.thinking_tokens + r.answer_tokens for r in run.rows())
    assert found.correct_per_hour == pytest.approx(found.correct * 30)
    assert found.correct_per_thousand_tokens == pytest.approx(1000 * found.correct / tokens)
    assert found.correct_per_kilojoule == pytest.approx(found.correct / 5)
    del run.report["speed"]["energy"]
    assert metrics.of_run(run.report, "a").correct_per_kilojoule is None


def test_runs_that_share_nothing_are_refused(make_run: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="two runs"):
        comparison.compare([make_run("a")])
    with pytest.raises(UsageError, match="share no problems"):
        comparison.compare([make_run("a"), make_run("b", eval_name="other")])


def test_a_comparison_is_json_and_reads_as_text(make_run: Callable[..., Any]) -> None:
    compared = comparison.compare([make_run("a"), make_run("b", accuracy=0.3, quantisation="Q4_K_M", seed=5)])
    assert json.loads(json.dumps(compared.as_dict(), allow_nan=False))["baseline"] == "tiny:Q8_0"
    text = comparison_summary.text(comparison_summary.of_comparison(compared))
    assert "tiny:Q4_K_M against tiny:Q8_0 is" in text
    assert "1.00× the decode speed" in text


def test_a_warning_is_read_before_the_numbers_it_is_about(make_run: Callable[..., Any]) -> None:
    compared = comparison.compare([make_run("a"), make_run("b", problems=8, quantisation="Q4_K_M")])
    assert comparison_summary.text(comparison_summary.of_comparison(compared)).startswith(
        "Warning, a difference may not be the model's:"
    )


def test_a_cell_cannot_break_out_of_its_table() -> None:
    table = tables.markdown(tables.Table(["a", "b"], [["x|y\n<script>", "1"]]))
    assert table.count("\n") == 2
    assert "<script>" not in table


@pytest.mark.slow
def test_100_000_samples_a_run_compare_within_five_seconds(make_run: Callable[..., Any]) -> None:
    report = make_run("a").report

    class Large:
        def __init__(self, seed: int) -> None:
            self.report = {**report, "run": str(seed)}
            self.seed = seed
            self.origin: dict[str, Any] = {}
            self.budget_counts: BudgetCounts = {}

        @property
        def groups(self) -> Groups:
            correct = [(7 * i + i // 5 + self.seed) % 3 == 0 for i in range(100_000)]
            return {"sums": {f"p{i}": Group(4, sum(correct[4 * i : 4 * i + 4]), 3636) for i in range(25_000)}}

        def rows(self) -> Any:
            raise AssertionError("a comparison needs no rows")

        def questions(self) -> dict[tuple[str, str], tuple[str, str]]:
            return {("sums", f"p{i}"): (f"What is {i}?", str(i)) for i in range(25_000)}

        def samples(self) -> Any:
            raise AssertionError("a comparison needs no texts")

    runs = [Large(1), Large(2)]
    start = time.process_time()
    compared = comparison.compare(runs)
    assert compared.pairs[0].comparison.problems == 25_000
    assert time.process_time() - start < 5
