"""What `runs export` wrote is read back unchanged; anything else is refused with the line that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localrl.errors import UsageError
from localrl.report.exports import export
from localrl.report.importing import read_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_run_survives_jsonl_unchanged(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run, path = make_run(), tmp_path / "run.jsonl"
    export(run, "jsonl", path)
    back = read_jsonl(path)
    assert back.report == run.report
    assert list(back.samples()) == run.made
    assert len(path.read_text().splitlines()) == len(run.made)


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[1].replace('"outcome": "', '"outcome": "x')],
        lambda lines: [lines[0], lines[1][:40]],
        lambda _: ["not json"],
        lambda _: [],
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    damage: Callable[[list[str]], list[str]], tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    path = tmp_path / "run.jsonl"
    export(make_run(), "jsonl", path)
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    with pytest.raises(UsageError):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": 7}, "score: Input should be less than or equal to 1"),
        ({"score": float("nan")}, "NaN is no JSON"),
        ({"sample": -1}, "sample: "),
        ({"sample": 0}, "sample 0 of problem 'sums-0' is here twice"),
        ({"answer_tokens": "many"}, "answer_tokens: "),
        ({"tokens_per_s": float("inf")}, "Infinity is no JSON"),
        ({"seed": 2**70}, "seed: "),
        ({"problem": None}, "problem: "),
        ({"raw": None}, "raw: "),
        ({"finish": "tired"}, "finish: "),
        ({"detail": [1]}, "detail: "),
        ({"stored": [1]}, "stored: "),
        ({"target": "41"}, "problem 'sums-0' has another prompt or target"),
    ],
)
def test_a_value_that_no_sample_can_have_is_named_with_its_line(
    change: dict[str, Any], words: str, tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    path = tmp_path / "run.jsonl"
    export(make_run(), "jsonl", path)
    lines = path.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=f"run.jsonl:3: .*{words}"):
        read_jsonl(path)


def test_bytes_that_are_no_text_are_named_with_their_line(
    tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    path = tmp_path / "run.jsonl"
    export(make_run(), "jsonl", path)
    lines = path.read_bytes().splitlines()
    for bad in (b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(b"\n".join([*lines[:4], bad, *lines[4:]]))
        with pytest.raises(UsageError, match="line is not JSON"):
            read_jsonl(path)


def test_a_file_that_went_through_windows_is_read(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run, path = make_run(), tmp_path / "run.jsonl"
    export(run, "jsonl", path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_jsonl(path).samples()) == run.made


def test_half_a_surrogate_pair_is_taken_as_a_question_mark(
    tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    path = tmp_path / "run.jsonl"
    export(make_run(), "jsonl", path)
    path.write_text(path.read_text().replace('"raw": "<think>', '"raw": "\\ud800<think>'))
    assert all(s.response.raw.startswith("?<think>") for s in read_jsonl(path).samples())
