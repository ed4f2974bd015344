"""A run with thinking budgets: forks are stored with their samples, judged, counted and reported."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from localrl.catalog.locate import LocalModel
from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine.protocol import EngineSettings
from localrl.errors import UsageError
from localrl.evals import protocol
from localrl.report import report
from localrl.runs import budgets, estimate, plan, session
from localrl.runs.rescore import rescore
from localrl.runs.watching import RunWatcher
from localrl.sample import Sample
from localrl.sampling import fork_seed
from localrl.verdict import Outcome
from localrl.verify.pool import VerifierPool
from tests.engine.tiny import write_gguf
from tests.scripted import KNOWN_FROM, make_plan, thinker, write_eval

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.runs.progress import EvalProgress
    from localrl.store.runs import Run, Store

pytestmark = pytest.mark.process

BUDGETS = (2, 4, 10, 16, 30)


def run_all(store: Store, folder: Path, **more: Any) -> tuple[Run, list[Sample], EvalProgress]:
    plan = make_plan(folder, budgets=BUDGETS, **thinker(), **more)
    with session.start(store, plan) as opened:
        events = list(opened.runner.events())
        (progress,) = opened.runner.progress.evals
        return opened.run, [event for event in events if isinstance(event, Sample)], progress


def right_at(sample: Sample, budget: int) -> bool:
    """Whether the scripted thinker knows the answer at this budget."""
    known = KNOWN_FROM[sample.seed % len(KNOWN_FROM)]
    return known <= min(budget, 20)


def test_the_curve_is_exactly_the_known_one(store: Store, tmp_path: Path) -> None:
    run, judged, progress = run_all(store, tmp_path, problems=12, samples=4)
    samples = list(store.samples(run))
    assert len(samples) == 48
    known = [sum(right_at(s, budget) for s in samples) / 48 for budget in BUDGETS]
    assert known == sorted(known)
    assert known[0] == 0 < known[1] < known[2] < known[3]
    entry = report.make(store, store.find(run.id))["evals"][0]
    assert [at["budget"] for at in entry["budgets"]] == list(BUDGETS)
    assert [at["accuracy"]["value"] for at in entry["budgets"]] == pytest.approx(known)
    assert [(at["forced"], at["natural"]) for at in entry["budgets"]] == [(48, 0)] * 4 + [(0, 48)]
    assert entry["budgets"][-1]["accuracy"]["value"] == entry["accuracy"]["value"]
    assert [at["hard_cut"]["value"] for at in entry["budgets"]] == [0, 0, 0, 0, entry["accuracy"]["value"]]
    gains = [at["gain"] and at["gain"]["value"] for at in entry["budgets"]]
    assert gains[0] is None
    assert gains[1:] == pytest.approx([b - a for a, b in itertools.pairwise(known)])
    assert Counter(event.budget for event in judged) == dict.fromkeys((None, 2, 4, 10, 16), 48)
    counted = [at.outcomes[Outcome.CORRECT] / at.done for at in progress.budgets.values()]
    assert counted == pytest.approx(known)
    assert [sum(at.counts().values()) for at in progress.budgets.values()] == [12] * 5


def test_a_fork_has_a_seed_of_its_own_and_says_where_it_left_its_sample(store: Store, tmp_path: Path) -> None:
    run, _, _ = run_all(store, tmp_path, problems=2)
    for sample in store.samples(run):
        assert sample.natural == (30,)
        assert [fork.budget for fork in sample.forks] == [2, 4, 10, 16]
        for fork in sample.forks:
            assert fork.budget is not None
            assert fork.seed == fork_seed(sample.seed, fork.budget)
            assert sample.response.raw[: fork.at].count("hm") == fork.budget - 1
            assert fork.response.answer == f"it is {4 if right_at(sample, fork.budget) else 5}"
            assert fork.verifier == sample.verifier is not None


def test_forks_that_were_stored_and_not_judged_are_judged_when_the_run_goes_on(
    store: Store, tmp_path: Path
) -> None:
    run, _, before = run_all(store, tmp_path, problems=6, samples=2)
    store.connection.execute("UPDATE forks SET outcome = NULL, score = NULL WHERE idx = 1 AND budget = 4")
    store.connection.execute("UPDATE samples SET outcome = NULL, score = NULL WHERE idx = 0 AND problem = 2")
    with session.work_on(store, run) as opened:
        made = [event for event in opened.runner.events() if isinstance(event, Sample)]
        (after,) = opened.runner.progress.evals
    assert Counter(event.budget for event in made) == {4: 6, None: 1}
    for budget, at in after.budgets.items():
        assert at.outcomes == before.budgets[budget].outcomes
        assert at.counts() == before.budgets[budget].counts()
    assert after.counts() == before.counts()
    assert store.find(run.id).status == "complete"


def test_a_run_without_budgets_has_none_in_its_report(store: Store, tmp_path: Path) -> None:
    with session.start(store, make_plan(tmp_path, problems=2)) as opened:
        list(opened.runner.events())
    entry = report.make(store, opened.run)["evals"][0]
    assert (entry["budgets"], entry["budget_summary"]) == ([], None)


def test_where_a_further_token_pays_and_stopping_when_sure_are_told_from_the_same_run(
    store: Store, tmp_path: Path
) -> None:
    run, _, _ = run_all(store, tmp_path, problems=12, samples=4)
    entry = report.make(store, store.find(run.id))["evals"][0]
    summary = entry["budget_summary"]
    at = {each["budget"]: each["accuracy"]["value"] for each in entry["budgets"]}
    assert 0 < summary["area"]["low"] < summary["area"]["value"] < summary["area"]["high"] < 1
    ways = {(way["budget"], way["samples"]): way for way in summary["spending"]}
    assert set(ways) == {(budget, k) for budget in (*BUDGETS, None) for k in (1, 2, 4)}
    assert ways[10, 4]["tokens"] == pytest.approx(4 * ways[10, 1]["tokens"])
    assert ways[10, 1]["accuracy"] == at[10]
    assert not ways[None, 4]["frontier"]
    assert summary["unlimited"]["gain"]["value"] == pytest.approx(0)
    hourly = {each["budget"]: each["correct_per_hour"] for each in entry["budgets"]}
    best = summary["most_per_hour"]
    assert best["correct_per_hour"] == max(*hourly.values(), summary["unlimited"]["correct_per_hour"])
    two, three, four = summary["stop_when_sure"]
    samples = list(store.samples(run))
    stopped = [
        next(i for i, a in enumerate(s.forks) if i and a.extracted == s.forks[i - 1].extracted)
        for s in samples
    ]
    assert two["stopped"] == 1.0  # 5 and 5, or 4 and 4
    right = sum(s.forks[i].outcome is Outcome.CORRECT for s, i in zip(samples, stopped, strict=True))
    assert two["accuracy"]["value"] == pytest.approx(right / 48)
    spent = sum(s.forks[i].thinking_tokens + 3 * (i + 1) for s, i in zip(samples, stopped, strict=True))
    assert two["tokens_per_sample"] == pytest.approx(spent / 48)
    assert two["difference"]["value"] == pytest.approx(right / 48 - entry["accuracy"]["value"])
    assert three["stopped"] < 1.0
    assert all(each["in_sample"] for each in (two, three, four))


@pytest.mark.parametrize(
    ("text", "budgets_", "at_1000"),
    [
        ("512,1024, 256", (256, 512, 1024), (256, 512)),
        ("log2", "log2", (64, 128, 256, 512)),
        ("LOG2", "log2", (64, 128, 256, 512)),
    ],
)
def test_budgets_are_read_and_taken_below_an_evals_limit(
    text: str, budgets_: budgets.Budgets, at_1000: tuple[int, ...]
) -> None:
    assert budgets.parsed(text) == budgets_
    assert budgets.below(budgets_, 1000) == at_1000


@pytest.mark.parametrize("text", ["", "0", "-5", "many", "512,,1024", "5e2", "9" * 20])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no thinking budgets"):
        budgets.parsed(text)


def test_a_grid_has_the_largest_powers_below_the_limit() -> None:
    assert budgets.below("log2", 32768) == tuple(2**i for i in range(7, 15))
    assert budgets.below("log2", 128) == (64,)
    for wanted, limit in (((2048,), 1024), ("log2", 64)):
        with pytest.raises(UsageError, match="below the limit"):
            budgets.below(wanted, limit)  # type: ignore[arg-type]


def test_budgets_are_refused_where_a_backend_cannot_fork(tmp_path: Path) -> None:
    from localrl.catalog.locate import LocalModel
    from localrl.engine.protocol import EngineSettings
    from localrl.runs import plan
    from tests.scripted import write_eval, write_script

    model = LocalModel("script", write_script(tmp_path))
    with pytest.raises(UsageError, match=r"server cannot fork .*localrl runs budgets RUN"):
        plan.make(model, [str(write_eval(tmp_path))], EngineSettings(backend="server"), wanted_budgets=(16,))


def test_forks_are_judged_again_with_their_samples(store: Store, tmp_path: Path) -> None:
    run, _, _ = run_all(store, tmp_path, problems=3)
    store.connection.execute("UPDATE forks SET outcome = 'truncated' WHERE budget = 2")
    with VerifierPool(1) as pool:
        changes = list(rescore(store, run, pool))
    assert [(c.index, c.budget, c.before, c.after) for c in changes] == [(0, 2, "truncated", "wrong")] * 3


def test_how_the_thinking_was_steered_is_a_deviation(tmp_path: Path) -> None:
    tags = ThinkingTags(budget_message="Time is up.</think>")
    assert protocol.steered(ThinkingControl(), tags) == []
    steered = ThinkingControl(enabled=False, budget=512, effort="low", stop_when_sure=3)
    assert protocol.steered(steered, tags) == [
        "thinking off",
        "thinking closed after 512 tokens by 'Time is up.</think>'",
        "effort low",
        "thinking closed after 3 equal answers by 'Time is up.</think>'",
    ]
    made = make_plan(tmp_path, control=ThinkingControl(stop_when_sure=2))
    assert [words for words in made.evals[0].deviations if "equal answers" in words]


def test_a_run_of_another_process_is_watched_with_its_curve(store: Store, tmp_path: Path) -> None:
    run, _, progress = run_all(store, tmp_path, problems=4, samples=2)
    watch = RunWatcher(store, run)
    watch.look()
    (part,) = watch.progress.evals
    assert {budget: at.counts() for budget, at in part.budgets.items()} == {
        budget: at.counts() for budget, at in progress.budgets.items()
    }


def test_an_estimate_counts_the_answers_at_budgets(store: Store, tmp_path: Path) -> None:
    without = estimate.estimate(store, make_plan(tmp_path, problems=10))
    with_budgets = estimate.estimate(store, make_plan(tmp_path, problems=10, budgets=BUDGETS))
    assert with_budgets.tokens - without.tokens == pytest.approx(
        0.4 * 10 * len(BUDGETS) * budgets.ANSWER_TOKENS
    )


def test_effort_is_refused_before_a_model_is_loaded_where_its_template_takes_none(tmp_path: Path) -> None:
    model = LocalModel("tiny", write_gguf(tmp_path / "tiny.gguf"))
    with pytest.raises(UsageError, match="takes no effort"):
        plan.make(
            model,
            [str(write_eval(tmp_path))],
            EngineSettings(backend="llama.cpp"),
            control=ThinkingControl(effort="low"),
        )
