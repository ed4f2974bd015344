"""Rows become targets; private tests are read without running a pickle, and never past their size."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from localrl.evals.layouts import livecodebench
from localrl.evals.layouts.humaneval import target as humaneval_target
from localrl.evals.layouts.livecodebench import target as livecodebench_target

STDIN = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
FUNCTIONAL = [{"input": '[1, 2]\n"ab"', "output": "[true, 2.5]", "testtype": "functional"}]


def packed(tests: object, protocol: int = 4) -> str:
    text = pickle.dumps(json.dumps(tests), protocol=protocol)
    return base64.b64encode(zlib.compress(text)).decode()


def row(public: object, private: str, function: str | None = None) -> dict[str, Any]:
    metadata = {} if function is None else {"func_name": function}
    return {
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps(metadata),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_private_tests_follow_the_public_ones_whatever_the_pickle_protocol(protocol: int) -> None:
    hidden = [{"input": "é" * 300, "output": "4", "testtype": "stdin"}]
    target = livecodebench_target(row(STDIN, packed(hidden, protocol)))
    assert target["kind"] == "stdin"
    assert target["tests"] == [
        {"input": "1 2\n", "output": "3\n"},
        {"input": "é" * 300, "output": "4"},
    ]


def test_private_tests_may_be_plain_json() -> None:
    assert len(livecodebench_target(row(STDIN, json.dumps(STDIN)))["tests"]) == 2


def test_a_functional_test_holds_one_json_argument_a_line() -> None:
    target = livecodebench_target(row(FUNCTIONAL, packed([]), function="solve"))
    assert target["kind"] == "call"
    assert target["function"] == "solve"
    assert target["tests"] == [{"args": [[1, 2], "ab"], "output": [True, 2.5]}]


def test_an_integer_may_have_any_number_of_digits() -> None:
    test = {"input": "-" + "9" * 20_000, "output": "[1" + "0" * 20_000 + "]", "testtype": "functional"}
    target = livecodebench_target(row([test], packed([]), function="solve"))
    assert target["tests"] == [{"args": [1 - 10**20_000], "output": [10**20_000]}]


class Payload:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Payload, "ran", True)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_not_run(protocol: int) -> None:
    evil = base64.b64encode(zlib.compress(pickle.dumps([json.dumps(STDIN), Payload()], protocol))).decode()
    with pytest.raises(ValueError, match="more than a text"):
        livecodebench_target(row(STDIN, evil))
    assert not Payload.ran


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "PRIVATE_TESTS_BYTES", 1024**2)
    bomb = base64.b64encode(zlib.compress(bytes(2 * 1024**2))).decode()
    with pytest.raises(ValueError, match="more than 1 MiB"):
        livecodebench_target(row(STDIN, bomb))


@pytest.mark.parametrize(
    ("public", "private", "words"),
    [
        ([], packed([]), "kinds"),
        (STDIN + FUNCTIONAL, packed([]), "kinds"),
        (STDIN, "not base64!", "neither JSON nor base64"),
        (STDIN, base64.b64encode(zlib.compress(b"junk")).decode(), "private_test_cases: "),
        (STDIN, base64.b64encode(zlib.compress(b"junk")[:-3]).decode(), "cut short"),
        ({"a": 1}, packed([]), "not a list"),
        ([{"testtype": "stdin"}], packed([]), "malformed"),
        (FUNCTIONAL, packed([]), "func_name"),
    ],
)
def test_a_malformed_row_is_an_error_that_says_why(public: object, private: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        livecodebench_target(row(public, private))


def test_a_humaneval_target_leaves_out_the_solution() -> None:
    columns = {"prompt": "def f():\n", "test": "def check(c): pass", "entry_point": "f"}
    assert humaneval_target(
        {**columns, "canonical_solution": "    return 1\n", "task_id": "HumanEval/0"}
    ) == {
        "kind": "check",
        **columns,
    }
    with pytest.raises(ValueError, match="entry_point"):
        humaneval_target({"prompt": "", "test": ""})
