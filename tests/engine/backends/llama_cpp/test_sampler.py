"""The sampler draws what llama.cpp's own chain draws from the whole vocabulary."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as lib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localrl.engine.backends.llama_cpp.sampler import HEIGHT, Candidates, Sampler
from localrl.sampling import Sampling

VOCABULARIES = [40, 9000, 32_000, 32_033]


def reference(sampling: Sampling, seed: int) -> Any:
    """llama.cpp's chain, in the order that `Sampling` promises."""
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    parts = [lib.llama_sampler_init_greedy()] if not sampling.temperature else []
    if sampling.temperature:
        parts += [lib.llama_sampler_init_top_k(sampling.top_k)] if sampling.top_k else []
        parts += [lib.llama_sampler_init_top_p(sampling.top_p, 1)]
        parts += [lib.llama_sampler_init_min_p(sampling.min_p, 1)]
        parts += [lib.llama_sampler_init_temp(sampling.temperature), lib.llama_sampler_init_dist(seed)]
    for part in parts:
        lib.llama_sampler_chain_add(chain, part)
    return chain


def drawn(chain: Any, logits: Any) -> int:
    data = np.zeros(len(logits), dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    data["id"], data["logit"] = np.arange(len(logits)), logits
    pointer = data.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
    array = lib.llama_token_data_array(pointer, len(data), -1, False)
    lib.llama_sampler_apply(chain, ctypes.byref(array))
    return int(array.data[array.selected].id)


def rows(vocabulary: int, seed: int, slope: float, count: int = 8) -> Any:
    """Logits that fall with the rank as a language model's do, the more steeply the greater `slope`."""
    rng = np.random.default_rng(seed)
    ranked = -slope * np.log(np.arange(1, vocabulary + 1)) + rng.normal(size=(count, vocabulary))
    return rng.permuted(ranked, axis=1).astype(np.float32)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    vocabulary=st.sampled_from(VOCABULARIES),
    seed=st.integers(0, 2**32 - 2),
    slope=st.sampled_from([0.0, 0.8, 1.5, 3.0]),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.6, 1.0, 1.7]),
        top_k=st.sampled_from([0, 0, 1, 20, 40, 300]),
        top_p=st.sampled_from([1.0, 0.95, 0.7, 0.01]),
        min_p=st.sampled_from([0.0, 0.0, 0.05, 1.0]),
    ).filter(lambda s: not s.temperature or s.top_k or s.top_p < 1 or s.min_p),
)
def test_a_seed_draws_the_tokens_of_llama_cpps_own_chain(
    vocabulary: int, seed: int, slope: float, sampling: Sampling
) -> None:
    sampler, chain = Sampler(sampling, seed, Candidates(vocabulary)), reference(sampling, seed)
    for logits in rows(vocabulary, seed, slope):
        assert sampler.draw(logits) == drawn(chain, logits)
    sampler.close()
    lib.llama_sampler_free(chain)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.6, top_k=40, top_p=0.95),
        Sampling(temperature=0.6, top_p=0.95),
        Sampling(temperature=1.0, min_p=0.05),
    ],
)
def test_filters_see_few_candidates_of_a_large_vocabulary(sampling: Sampling) -> None:
    sampler = Sampler(sampling, 1, Candidates(150_000))
    for logits in rows(150_000, 2, 1.5):
        few = sampler._few(logits)
        assert few is not None
        assert 0 < len(few) < 2000
    sampler.close()


def test_the_seed_that_llama_cpp_takes_as_random_is_a_seed_like_any_other() -> None:
    logits = rows(9000, 1, 0.8, 1)[0]
    texts = []
    for _ in range(2):
        sampler = Sampler(Sampling(temperature=1.0, top_k=40), 2**32 - 1, Candidates(9000))
        texts.append([sampler.draw(logits) for _ in range(20)])
        sampler.close()
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_without_filters_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    vocabulary = 20 * HEIGHT + 7
    logits = rows(vocabulary, 5, 2.5, 1)[0]
    expected = np.exp(logits.astype(np.float64) / 1.3)
    expected /= expected.sum()
    sampler = Sampler(Sampling(temperature=1.3), 11, Candidates(vocabulary))
    draws = 20_000
    seen = np.bincount([sampler.draw(logits) for _ in range(draws)], minlength=vocabulary) / draws
    sampler.close()
    often = expected > 0.001
    error = np.sqrt(expected * (1 - expected) / draws)
    assert often.sum() > 20
    assert (abs(seen - expected)[often] < 4.5 * error[often]).all()
    assert abs(seen[~often].sum() - expected[~often].sum()) < 0.02


@pytest.mark.parametrize("value", [np.nan, -np.inf, 0.0])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.6, top_k=40),
        Sampling(temperature=0.6, top_p=0.95),
        Sampling(temperature=1.0, min_p=0.05),
        Sampling(temperature=1.0),
    ],
)
def test_logits_that_say_nothing_end_in_some_token(value: float, sampling: Sampling) -> None:
    logits = np.full(20_000, value, np.float32)
    sampler = Sampler(sampling, 1, Candidates(len(logits)))
    assert 0 <= sampler.draw(logits) < len(logits)
    sampler.close()


def test_a_forbidden_token_is_never_drawn() -> None:
    logits = np.full(20_000, -np.inf, np.float32)
    logits[[7, 19_999]] = 0.0
    sampler = Sampler(Sampling(temperature=1.0, top_k=20, top_p=0.9), 3, Candidates(len(logits)))
    assert {sampler.draw(logits) for _ in range(50)} == {7, 19_999}
    sampler.close()


def test_every_token_of_a_vocabulary_can_be_drawn_even_past_the_last_whole_column() -> None:
    vocabulary = 200 * HEIGHT + 3
    for token in (0, 199, 200, vocabulary - 4, vocabulary - 1):
        logits = np.zeros(vocabulary, np.float32)
        logits[token] = 30.0
        for sampling in (Sampling(temperature=0.6, top_k=20), Sampling(temperature=0.6, top_p=0.5)):
            sampler = Sampler(sampling, 1, Candidates(vocabulary))
            assert sampler.draw(logits) == token
            sampler.close()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 2),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.6, 1.0]),
        top_k=st.sampled_from([1, 40]),
        presence_penalty=st.sampled_from([0.0, 1.5, -1.0]),
        frequency_penalty=st.sampled_from([0.0, 0.7]),
        repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
    ),
)
def test_penalties_change_what_is_drawn_as_llama_cpps_own_do(seed: int, sampling: Sampling) -> None:
    penalties = lib.llama_sampler_init_penalties(
        500, 1000, sampling.repetition_penalty, sampling.frequency_penalty, sampling.presence_penalty
    )
    sampler, chain = (
        Sampler(sampling, seed, Candidates(500)),
        lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params()),
    )
    for part in (penalties, reference(sampling, seed)):
        lib.llama_sampler_chain_add(chain, part)
    row = rows(500, seed, 1.5, count=1)[0]
    for _ in range(40):  # the same logits again and again: only penalties make a difference
        before = row.copy()
        token = sampler.draw(row)
        assert token == drawn(chain, row)
        assert (row == before).all(), "others draw from the same logits"
        lib.llama_sampler_accept(penalties, token)
    sampler.close()
    lib.llama_sampler_free(chain)


def test_a_sampler_goes_on_with_what_was_said_and_a_prompt_is_only_repeated() -> None:
    logits = np.zeros(100, np.float32)
    logits[[5, 6]] = 3.0, 2.9
    for sampling, prompt, said, first in (
        (Sampling(presence_penalty=1.0), [], [], 5),
        (Sampling(presence_penalty=1.0), [], [5], 6),
        (Sampling(presence_penalty=1.0), [5], [], 5),
        (Sampling(repetition_penalty=1.2), [5], [], 6),
    ):
        sampler = Sampler(sampling, 1, Candidates(100), prompt, said)
        assert sampler.draw(logits) == first
        sampler.close()


def test_penalties_know_however_many_tokens_were_said() -> None:
    logits = np.zeros(2000, np.float32)
    sampler = Sampler(Sampling(presence_penalty=1.0), 1, Candidates(2000), (), range(1200))
    assert [sampler.draw(logits) for _ in range(600)] == list(range(1200, 1800))
    sampler.close()
