"""LiveCodeBench's comparison rules, and values that are compared without being built."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.sandbox.inside.values import Unsupported, decode, encode
from localrl.verify.code_compare import plain, same_text, same_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
PYTHON_VALUES = st.recursive(
    SCALARS | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("1 2\n", "1 2"),
        ("\n\n1 2 \r\n3\r\n\n", "1 2\n3"),
        ("3.0", "3"),
        ("1e3 .50", "1000 0.5"),
        ("-0", "0"),
        ("", "\n"),
        ("YES", "YES"),
        ("  a b", "a b  "),
    ],
)
def test_outputs_that_count_as_the_same(output: str, expected: str) -> None:
    assert same_text(output, expected)
    assert same_text(expected, output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "1"),
        ("1\n2", "1 2"),
        ("1\n\n2", "1\n2"),
        ("yes", "YES"),
        ("a  b", "a b"),
        ("3.0000001", "3"),
        ("1 2 3", "1 2"),
        ("nan", "NaN"),
        ("sNaN", "1"),
        ("inf", "1e999999"),
        ("0x10", "16"),
        ("1", "1\n1"),
        ("[1, 2]", "[1,2]"),
    ],
)
def test_outputs_that_do_not(output: str, expected: str) -> None:
    assert not same_text(output, expected)
    assert not same_text(expected, output)


@pytest.mark.slow
@given(JSON_VALUES, JSON_VALUES)
def test_comparing_trees_is_comparing_values(value: Any, other: Any) -> None:
    assert same_value(encode(value), value)
    assert same_value(encode(value), other) == (value == other)


@pytest.mark.slow
@given(PYTHON_VALUES)
def test_a_value_survives_its_encoding_as_text(value: Any) -> None:
    again = decode(json.loads(json.dumps(encode(value))))
    assert again == value
    assert type(again) is type(value)


@given(PYTHON_VALUES)
def test_a_value_is_shown_in_few_words(value: Any) -> None:
    assert len(plain(encode(value))) <= 12**5


def test_a_tuple_is_a_list_at_the_top_only() -> None:
    assert same_value(encode((1, 2)), [1, 2])
    assert not same_value(encode([(1, 2)]), [[1, 2]])


@pytest.mark.parametrize(
    "value", [{1, 2}, frozenset([1]), b"x", float("nan"), [float("nan")], {1: 2}, {"a": 1}]
)
@pytest.mark.parametrize("expected", [[1, 2], [1], "x", None, {"1": 2}, {"a": 2}, {}, float("nan")])
def test_values_of_other_kinds_are_never_the_same(value: Any, expected: Any) -> None:
    assert not same_value(encode(value), expected)


@pytest.mark.parametrize(
    "tree", [[], ["x"], ["d", "sa"], "", "x1", "izz", "fzz", "bzz", [["l"]], ["S", ["l"]], 5]
)
def test_a_malformed_tree_is_no_value(tree: Any) -> None:
    with pytest.raises(Unsupported):
        decode(tree)
    assert not same_value(tree, None)


def test_a_value_made_to_be_slow_is_compared_at_once() -> None:
    colliding = ["S", *(f"i{i * (2**61 - 1):x}" for i in range(200_000))]
    pairs = ["d", *(part for i in range(200_000) for part in (f"i{i * (2**61 - 1):x}", "i1"))]
    deep: Any = []
    for _ in range(5000):
        deep = ["l", deep]
    began = time.monotonic()
    for tree in (colliding, pairs, deep, "i" + "f" * 10**6):
        assert not same_value(tree, {"a": 1})
        assert not same_value(tree, [1])
    assert time.monotonic() - began < 5  # building the set alone would take minutes
