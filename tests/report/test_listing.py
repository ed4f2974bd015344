"""A list of runs shows the accuracies of their reports, and nothing of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.report import importing, listing
from localrl.store.runs import Store
from localrl.verdict import Outcome
from tests.report.test_results import invoke

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def with_outcomes(run: Any, right: Callable[[int, int], bool], eval_name: str) -> list[Any]:
    """A made run's samples with other outcomes, for another eval."""
    return [
        replace(
            s,
            problem=replace(s.problem, eval=eval_name),
            outcome=Outcome.CORRECT if right(i, s.index) else Outcome.WRONG,
        )
        for i, s in enumerate(run.made)
    ]


@pytest.fixture
def two_evals(home: Path, make_storable: Callable[..., Any]) -> str:
    """The id of a run with half of 2 × 1 and all of 1 × 8 right."""
    few, many = make_storable("a", problems=2, k=1), make_storable("b", problems=1, k=8)
    first, second = (run.origin["manifest"]["plan"]["evals"][0] for run in (few, many))
    second["spec"]["name"] = "other"
    few.origin["manifest"]["plan"]["evals"] = [first, second]
    few.made = [
        *with_outcomes(few, lambda i, _: i == 0, "starter"),
        *with_outcomes(many, lambda *_: True, "other"),
    ]
    with Store() as store:
        return importing.put(store, few).id


def test_a_run_of_several_evals_has_one_accuracy_an_eval_and_pools_no_samples(two_evals: str) -> None:
    with Store() as store:
        (run,) = listing.runs(store)
    assert run.accuracies == {"starter": 0.5, "other": 1.0}
    (line,) = json.loads(invoke("ls", "--json").stdout)
    assert line["accuracies"] == run.accuracies
    assert line["accuracy"] == pytest.approx(2 / 3), "the mean over problems"
    assert line["samples"] == 10
    assert "50.0, 100.0 %" in invoke("ls").stdout


def test_the_list_and_the_report_say_the_same_of_a_run_with_groups_of_different_sizes(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    run = make_storable()
    run.made = run.made[:-3]  # the last problem has one sample of four
    with Store() as store:
        kept = importing.put(store, run).id
    (line,) = json.loads(invoke("ls", "--json").stdout)
    (entry,) = json.loads(invoke("show", kept, "--json").stdout)["evals"]
    outcomes = entry["outcomes"]
    assert line["accuracy"] == entry["accuracy"]["value"]
    assert line["accuracy"] != pytest.approx(outcomes["correct"] / sum(outcomes.values()))
