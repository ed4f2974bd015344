"""A card changes how an eval is run, and every departure from a published protocol is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.catalog import card as catalog
from localrl.catalog.card import Card
from localrl.evals import protocol, spec
from localrl.sampling import Sampling

if TYPE_CHECKING:
    from localrl.evals.spec import EvalSpec

QWQ = Sampling(temperature=0.6, top_p=0.95, top_k=40, max_tokens=32768)
CARD = Card.model_validate(
    {
        "name": "dapo-qwen-32b",
        "title": "DAPO",
        "parameters": 32_000_000_000,
        "sampling": {"temperature": 0.3},
        "sampling_source": "this test",
        "evals": {
            "aime*": {
                "template": "Solve.\n{question}\nAnswer: $Answer",
                "extractor": "answer_line",
                "sampling": {"temperature": 1.0, "top_p": 0.7, "max_tokens": 20480},
                "samples": 32,
            }
        },
    }
)
QWQ_CARD = Card(name="qwq-32b", title="QwQ", parameters=1)


@pytest.fixture
def aime() -> EvalSpec:
    return spec.load("aime24")[0]


def test_a_cards_override_is_the_protocol_without_a_flag(aime: EvalSpec) -> None:
    ours = protocol.for_model(aime, CARD)
    assert ours.prompt.messages("1+1?")[0].content == "Solve.\n1+1?\nAnswer: $Answer"
    assert (ours.verifier.name, ours.verifier.extractor, ours.samples) == ("math", "answer_line", 32)
    chosen = protocol.sampling(aime, CARD, Sampling())
    assert (chosen.temperature, chosen.top_p, chosen.max_tokens) == (1.0, 0.7, 20480)


def test_an_eval_that_the_card_does_not_name_keeps_its_own_prompt_and_limit() -> None:
    other = spec.load("gsm8k")[0]
    assert protocol.for_model(other, CARD) == other
    assert protocol.sampling(other, CARD, Sampling()) == Sampling(temperature=0.3, max_tokens=8192)
    assert protocol.for_model(other, None) == other


def test_a_run_by_the_published_protocol_deviates_only_in_its_grader(aime: EvalSpec) -> None:
    assert protocol.deviations(aime, QWQ_CARD, sampling=QWQ, samples=64, quantisation="BF16") == [
        "graded by math, not by QwQ's own parser"
    ]


def test_every_departure_is_named(aime: EvalSpec) -> None:
    run = aime.model_copy(update={"prompt": aime.prompt.model_copy(update={"system": "Think."})})
    sampling = QWQ.model_copy(update={"temperature": 0.0, "max_tokens": 4096})
    found = protocol.deviations(
        run, QWQ_CARD, sampling=sampling, samples=1, problems=5, quantisation="Q4_K_M"
    )
    assert found == [
        "quantised Q4_K_M",
        "1 sample a problem, not 64",
        "only 5 problems",
        "temperature 0, not 0.6",
        "max_tokens 4096, not 32768",
        "another system prompt",
        "graded by math, not by QwQ's own parser",
    ]


def test_no_model_is_given_another_prompt_than_behind_its_published_score() -> None:
    for name in spec.available():
        given = spec.load(name)[0]
        for score in given.published:
            model = catalog.load(score.model)
            ours = protocol.for_model(given, model)
            found = protocol.deviations(ours, model, sampling=QWQ, samples=1, problems=1)
            assert "only 1 problem" in found
            assert not [text for text in found if "prompt" in text], (name, score.model)


def test_without_a_published_score_the_evals_own_definition_is_the_protocol(aime: EvalSpec) -> None:
    assert protocol.deviations(aime, None, sampling=QWQ, samples=8) == []
    assert protocol.deviations(aime, None, sampling=QWQ, samples=1) == ["1 sample a problem, not 8"]


def test_published_scores_are_those_of_this_model_and_have_a_source(aime: EvalSpec) -> None:
    assert [score.value for score in protocol.published(aime, QWQ_CARD)] == [0.795]
    assert protocol.published(aime, None) == []
    for name in spec.available():
        for score in spec.load(name)[0].published:
            assert score.source
            assert 0 < score.value < 1
