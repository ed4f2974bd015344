"""Evals named with options are protocols of their own, and a mistyped option names the nearest."""

from __future__ import annotations

from typing import Any

import pytest

from localrl.errors import UsageError
from localrl.evals import dataset, options, spec
from localrl.evals.data import Data


def test_a_gym_eval_takes_a_generators_parameters_size_and_seed() -> None:
    eval_spec, path = spec.load("gym:countdown,size=3,seed=7,min_numbers=3,max_numbers=3")
    found = list(dataset.problems(eval_spec, path))
    assert len(found) == 3
    assert found == list(dataset.problems(eval_spec, path))
    assert all(len(problem.target["entry"]["metadata"]["numbers"]) == 3 for problem in found)
    other, _ = spec.load("gym:countdown,size=3,seed=8,min_numbers=3,max_numbers=3")
    assert next(dataset.problems(other, path)).question != found[0].question
    assert eval_spec.name == "gym:countdown,size=3,seed=7,min_numbers=3,max_numbers=3"


def test_option_values_are_toml_values_or_text() -> None:
    assert options.split("a,b=1,c=[1, 2],d=x y,e=true,f=2024-08-01")[1] | {"f": ""} == {
        "b": 1,
        "c": [1, 2],
        "d": "x y",
        "e": True,
        "f": "",
    }
    assert options.split("plain") == ("plain", {})


def test_a_release_and_a_window_replace_the_default_ones() -> None:
    eval_spec, _ = spec.load("livecodebench,release=v6,since=2025-01-01")
    window = eval_spec.data.window
    assert window
    assert (window.release, window.since, window.until) == (6, "2025-01-01", "")
    assert eval_spec.data.size is None, "the default window's size says nothing of another"
    assert eval_spec.published == []  # those are of the default span


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gym:cuontdown", "did you mean 'countdown'"),
        ("gym:gcd,min_number=3", "did you mean 'min_numbers'"),
        ("gym:gcd,size=x", "size: Input should be a valid integer"),
        ("gym:gcd,size=0", "size"),
        ("gym:gcd,extractor=boxd", "did you mean 'boxed'"),
        ("gym:gcd,size", "is not one key=value"),
        ("gym:gcd,size=1,size=2", "is not one key=value"),
        ("aime24,release=3", "takes no option 'release'"),
        ("livecodebench,relaese=2", "did you mean 'release'"),
        ("livecodebench,release=vv", "release"),
        ("livecodebench,since=2024-8-1", "since is no day; write it as YYYY-MM-DD"),
        ("livecodebench,until=soon", "until is no day"),
        ("gsm8", "did you mean 'gsm8k'"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_nearest(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        spec.load(name)


def test_what_older_versions_stored_of_an_evals_data_is_read() -> None:
    """They wrote a key for every environment, empty where it was not meant."""
    hub = {"dataset": "a/b", "revision": "main", "files": ["x.csv"], "gated": False}
    stored: dict[str, Any] = {
        "gym": [],
        "file": None,
        "package": None,
        "hub": hub,
        "window": None,
        "layout": "gpqa",
    }
    read = Data.model_validate(stored)
    environment, params = read.environment
    assert (environment.LOCAL, params.files, read.layout) == (False, ["x.csv"], "gpqa")
    assert Data.model_validate(read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"file": {"path": "x"}, "gym": [{"generator": "gcd", "size": 1}]},
        {
            "package": {"module": "m", "file": "f"},
            "file": {"path": "x"},
            "gym": [{"generator": "g", "size": 1}],
        },
    ],
)
def test_there_is_one_source_of_problems_beside_one_that_may_be_absent(
    sources: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="name exactly one source of problems: file, gym, hub, package"):
        Data.model_validate(sources)
