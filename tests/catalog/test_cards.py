"""Every shipped card is valid and complete, and names evals, repos and thinking tags that exist."""

from __future__ import annotations

import re

import pytest

from localrl.catalog import card as cards
from localrl.catalog import fit, gguf, hubcache, reference, shape
from localrl.catalog.locate import locate
from localrl.evals import spec
from localrl.machine import hardware
from localrl.verify import registry

NAMES = sorted(cards.available())

WANTED = {
    "smollm2-135m",
    "qwq-32b",
    "deepseek-r1",
    "deepseek-r1-0528",
    "deepseek-r1-distill-qwen-1.5b",
    "deepseek-r1-distill-qwen-7b",
    "deepseek-r1-distill-qwen-14b",
    "deepseek-r1-distill-qwen-32b",
    "deepseek-r1-distill-llama-8b",
    "deepseek-r1-distill-llama-70b",
    "dapo-qwen-32b",
    "areal-boba-rl-7b",
    "qwen3-0.6b",
    "qwen3-1.7b",
    "qwen3-4b",
    "qwen3-8b",
    "qwen3-14b",
    "qwen3-32b",
    "qwen3-30b-a3b-thinking-2507",
    "qwen3.6-27b",
    "qwen3.6-35b-a3b",
    "gpt-oss-20b",
}


def test_the_models_that_people_come_for_have_cards() -> None:
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_valid_and_its_links_exist(name: str) -> None:
    card = cards.load(name)
    assert card.name == name
    assert card.shape is not None
    for weights in filter(None, (card.gguf, card.mlx)):
        for quantisation in weights.quantisations:
            assert hubcache.is_repo(weights.repo_of(quantisation))
    evals = set(spec.available())
    assert {score.eval for score in card.published} <= evals
    for pattern, override in card.evals.items():
        assert any(re.fullmatch(pattern.replace("*", ".*"), known) for known in evals)
        assert override.source
        if override.extractor:
            registry.extractors(override.extractor)
        assert override.template is None or "{question}" in override.template
    assert all(re.search(r"https?://|header of", source) for source in _sources(card))


def _sources(card: cards.Card) -> list[str]:
    found = [score.source for score in card.published]
    found += [card.shape.source] if card.shape else []
    return found + ([card.sampling_source] if card.sampling_source else [])


def test_scores_in_cards_and_evals_agree() -> None:
    for name in spec.available():
        definition, _ = spec.load(name)
        for score in definition.published:
            ours = [
                mine.value
                for mine in cards.load(score.model).published
                if mine.eval == name and mine.metric == "accuracy"
            ]
            assert ours in ([], [score.value]), (name, score.model)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_follow_from_the_shape(name: str) -> None:
    """Layers and widths that do not add up to the parameter count are mistyped."""
    card = cards.load(name)
    shape = card.shape
    assert shape is not None
    experts = max(1, shape.experts)
    attention = 2 * shape.embedding * shape.head_size * (shape.heads + shape.kv_heads)
    if shape.shared_cache_width:
        attention = shape.embedding * 1536 + 1536 * 24_576 + shape.embedding * 576 + 512 * 32_768
        attention += 16_384 * shape.embedding
    table = shape.vocabulary * shape.embedding * (1 if shape.tied else 2)
    total = shape.layers * (attention + 3 * experts * shape.embedding * shape.feed_forward) + table
    assert total == pytest.approx(card.parameters, rel=0.12)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_alone_is_enough_to_say_whether_it_fits(name: str) -> None:
    card = cards.load(name)
    for quantisation in card.quantisations() or ["Q8_0"]:
        shape = card.at(quantisation)
        assert shape is not None
        assert fit.plan(shape, hardware.describe(memory=1 << 40)).verdict == "fits"
        assert fit.plan(shape, hardware.describe(memory=1 << 29)).verdict == "no"
        assert shape.active_bytes <= shape.weight_bytes


def test_the_cache_of_the_large_models_is_the_published_one() -> None:
    expected = {"qwq-32b": 262_144, "deepseek-r1": 70_272, "deepseek-r1-distill-llama-70b": 327_680}
    for name, size in expected.items():
        shape = cards.load(name).at("Q4_K_M")
        assert shape is not None
        assert shape.cache_bytes(1, "f16") == size


@pytest.mark.parametrize(
    ("path", "quantisation"),
    [
        ("qwq-32b-q4_k_m.gguf", "Q4_K_M"),
        ("DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf", "UD-IQ1_S"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Model-Q4_K.gguf", "Q4_K"),
        ("Q8_0/model-00001-of-00002.gguf", "Q8_0"),
        ("model.gguf", ""),
    ],
)
def test_a_quantisation_is_read_from_the_name(path: str, quantisation: str) -> None:
    assert reference.quantisation_of(path) == quantisation


def test_a_quantisation_never_matches_a_longer_one() -> None:
    choice = reference.parse("owner/name:Q4_K")
    assert choice is not None
    assert choice.select(["a-Q4_K_M.gguf", "a-Q4_K.gguf", "mmproj-Q4_K.gguf"]) == ["a-Q4_K.gguf"]


def test_the_starters_card_tells_the_size_of_its_file() -> None:
    said, _ = cards.load("smollm2-135m").weight_bytes("Q4_1")
    held = shape.from_header(gguf.preflight(locate("smollm2-135m").path)).weight_bytes
    assert abs(said - held) < held / 500
