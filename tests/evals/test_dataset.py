"""Problems come lazily, in a fixed order, with stable ids, and mistakes in data are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localrl import tomlfile
from localrl.errors import UsageError
from localrl.evals import dataset
from localrl.evals.dataset import size
from localrl.evals.spec import EvalSpec, available, load
from localrl.verdict import Response
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import gym

if TYPE_CHECKING:
    from pathlib import Path

FILE_EVAL = """\
name = "mine"
title = "Mine"
version = 1
[data]
id = "key"
file = {{ path = "{path}" }}
[prompt]
system = "Be short."
template = "Q: {{question}}"
[verifier]
name = "exact"
"""
ROWS = [{"key": "a", "question": "1+1 {x}?", "target": "2"}, {"key": "b", "question": "é?", "target": "e,\n"}]


def file_eval(folder: Path, name: str) -> tuple[EvalSpec, Path]:
    path = folder / "mine.toml"
    return tomlfile.loads(FILE_EVAL.format(path=name), EvalSpec, path), path


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    elif path.suffix in (".csv", ".tsv"):
        import csv

        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_rows_of_each_kind_of_file_become_the_same_problems(tmp_path: Path, ending: str) -> None:
    write_rows(tmp_path / f"rows{ending}", ROWS)
    spec, path = file_eval(tmp_path, f"rows{ending}")
    first, second = dataset.problems(spec, path)
    assert (first.id, second.id) == ("a", "b")
    assert [m.content for m in spec.prompt.messages(first.question)] == ["Be short.", "Q: 1+1 {x}?"]
    assert second.target == "e,\n"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv"])
def test_a_byte_order_mark_before_the_rows_is_not_a_part_of_them(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name, ROWS)
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    assert [problem.id for problem in dataset.problems(*file_eval(tmp_path, name))] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("null", "'question' is null"),
        ("NaN", "'question' is NaN"),
        ('{"text": "1?"}', "'question' is {"),
        ('["1?"]', "'question' is ["),
        ("true", "'question' is true"),
        ('""', "'question' is empty"),
        (r'"1? Write \boxed{}"', r"a backspace where \boxed was meant"),
        (r'"Is \frac{1}{2} a half?"', r"a form feed where \frac was meant"),
    ],
)
def test_a_cell_that_is_no_question_is_refused_with_its_file_and_row(
    tmp_path: Path, value: str, words: str
) -> None:
    rows = [f'{{"key": {key}, "question": {asked}, "target": 1}}' for key, asked in enumerate(["5", value])]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    with pytest.raises(UsageError) as caught:
        list(dataset.problems(*file_eval(tmp_path, "rows.jsonl")))
    assert str(caught.value).startswith("rows.jsonl, row 1: column ")
    assert words in str(caught.value)


def test_half_a_surrogate_pair_in_a_row_becomes_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"key": "a", "question": "\\ud800 \\ud83d\\ude00", "target": 1}\n')
    (problem,) = dataset.problems(*file_eval(tmp_path, "rows.jsonl"))
    assert problem.question == "? 😀"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "rows.jsonl",
            b'{"key": 1, "question": "x", "target": 1}\nnot json\n',
            r"rows.jsonl:2: not a JSON object",
        ),
        ("rows.jsonl", b"[1]\n", r"rows.jsonl, row 0: not a JSON object"),
        ("rows.json", b'[{"key": 1},\n{"key" 2}]', r"rows.json:2: not a JSON object"),
        ("rows.json", b'[{"key": 1}] {}', r"rows.json:1: not a JSON object"),
        ("rows.jsonl", b'{"key": 1, "questoin": "x", "target": 1}\n', "did you mean 'questoin'"),
        ("rows.jsonl", b"\xff\xfe", "not UTF-8"),
        ("rows.jsonl", b'{"key": 1, "question": "x", "target": 1}\n' * 2, "two problems have the id '1'"),
        ("rows.csv", b"key,question,target\na,b\n", r"rows.csv:2: not 3 columns"),
        ("rows.parquet", b"text", "not a parquet file"),
        ("rows.jsonl", b"\n", "has no problems; its data has no rows"),
        ("rows.xml", b"<x/>", "use .jsonl, .json, .csv, .tsv, .parquet"),
        ("rows.csv", b"key,question,question,target\n", r"rows.csv:1: two columns are called 'question'"),
        ("rows.csv", b"key,question,target\na,1?,2\nb, ,2\n", r"rows.csv, row 1: column 'question' is empty"),
    ],
)
def test_a_mistake_in_a_data_file_is_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=words):
        list(dataset.problems(*file_eval(tmp_path, name)))


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rows.jsonl: No such file"):
        next(dataset.problems(*file_eval(tmp_path, "rows.jsonl")))


def test_problems_are_made_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"key": 1, "question": "x", "target": 1}\nbroken\n')
    assert [p.id for p in dataset.problems(*file_eval(tmp_path, "rows.jsonl"), limit=1)] == ["1"]


def test_the_starter_has_100_problems_that_are_always_the_same_and_whose_golds_are_correct() -> None:
    spec, path = load("starter")
    found = list(dataset.problems(spec, path))
    assert found == list(dataset.problems(spec, path))
    assert len(found) == 100
    assert len({problem.question for problem in found}) >= 80
    for problem in found:
        gold = Response(f"I think it is 3, or rather {problem.target['entry']['answer']}.")
        assert gym.verify(gold, problem.target, spec.verifier).correct, problem
        assert not gym.verify(Response("I do not know."), problem.target, spec.verifier).correct
        assert json.loads(json.dumps(problem.target)) == problem.target


def test_one_generator_twice_gets_ids_of_its_own() -> None:
    part = {"generator": "gcd", "size": 2}
    spec = EvalSpec.model_validate(
        {
            "name": "x",
            "title": "x",
            "version": 1,
            "data": {"gym": [part, {**part, "seed": 9}]},
            "verifier": VerifierSpec(name="gym").model_dump(),
        }
    )
    ids = [problem.id for problem in dataset.problems(spec, load("starter")[1])]
    assert ids == ["gcd-0", "gcd-1", "gcd.2-0", "gcd.2-1"]


@pytest.mark.parametrize("name", sorted(available()))
def test_every_shipped_eval_says_its_size(name: str) -> None:
    found = size(*load(name))
    assert found
    assert size(*load(name), limit=7) == 7


def test_the_size_that_a_definition_says_is_the_number_of_its_problems() -> None:
    """Of those whose data comes with a package; `evals check` compares the others."""
    for name in ("humaneval", "starter"):
        assert size(*load(name)) == dataset.count(*load(name))


def test_a_size_that_is_not_said_is_counted_in_a_local_file_and_else_unknown(tmp_path: Path) -> None:
    found = file_eval(tmp_path, "rows.jsonl")
    assert size(*found) is None
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert size(*found) == 2
    assert size(*load("livecodebench,release=6")) is None
