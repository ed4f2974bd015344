"""What is exported can be read back, recomputed, and holds whatever a model may have said."""

from __future__ import annotations

import csv
import io
import json
import statistics
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest

from localrl import stats
from localrl.errors import StoreError, UsageError
from localrl.report.exports import FORMATS, export
from localrl.report.metrics import arrays
from localrl.report.results import OneEval
from localrl.verdict import Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "</think><script>alert(1)</script>\x00\x1b[31m\ud800\u202e =1+1 \"'`|\n"


def hostile(run: Any) -> Any:
    """Make a run's first sample say something unpleasant."""
    first = run.made[0]
    run.made[0] = replace(first, extracted=HOSTILE, response=Response(HOSTILE, HOSTILE, HOSTILE))
    return run


def suffix(name: str) -> str:
    return FORMATS.get(name).SUFFIX


def on_the_hub(run: Any) -> Any:
    """The run, with an eval whose data are on the hub, which not every format is content without."""
    data = {"hub": {"dataset": "someone/sums"}}
    run.origin = {"manifest": {"plan": {"evals": [{"spec": {"name": "sums", "data": data}}]}}}
    return run


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_takes_any_text_and_leaves_no_half_file(
    name: str, tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    path = tmp_path / f"run{suffix(name)}"
    export(hostile(on_the_hub(make_run())), name, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    path.read_bytes()


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_number_that_json_cannot_hold_is_text(
    name: str, tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    run, path = on_the_hub(make_run()), tmp_path / f"run{suffix(name)}"
    asked = replace(run.made[0].problem, target={"output": float("nan")})
    run.made[0] = replace(run.made[0], problem=asked, detail={"got": [float("-inf")]})
    export(run, name, path)
    if suffix(name) in (".json", ".jsonl"):
        text = path.read_text()
        assert "NaN" not in text.replace('"NaN"', "").replace('\\"NaN\\"', "")
        assert "Infinity" not in text


def test_grpo_advantages_recompute_and_groups_without_spread_are_marked(
    tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    run, path = make_run(problems=20, k=4), tmp_path / "g.jsonl"
    export(run, "grpo", path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 20
    for line in lines:
        rewards = line["rewards"]
        assert len(rewards) == len(line["completions"]) == 4
        assert line["zero_spread"] == (len(set(rewards)) == 1)
        if not line["zero_spread"]:
            mean, spread = statistics.mean(rewards), statistics.stdev(rewards)
            assert line["advantages"] == pytest.approx([(r - mean) / spread for r in rewards], abs=1e-4)
        else:
            assert line["advantages"] == [0, 0, 0, 0]
    assert {line["zero_spread"] for line in lines} == {True, False}
    assert lines[0]["prompt"] == [{"role": "user", "content": "What is 0 + 40?"}]
    assert lines[0]["reward_model"] == {"style": "rule", "ground_truth": "40"}
    assert lines[0]["completions"][0].startswith("<think>")


@pytest.mark.slow  # pyarrow takes seconds to import
def test_parquet_opens_with_types_and_the_report(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run, path = make_run(problems=300), tmp_path / "run.parquet"
    export(run, "parquet", path)
    table = pyarrow.parquet.read_table(path)
    assert table.num_rows == 1200
    assert table["outcome"].to_pylist() == [s.outcome for s in run.made]
    assert str(table.schema.field("thinking_tokens").type) == "int64"
    assert json.loads(table.schema.metadata[b"localrl.report"]) == run.report


def test_grpo_parquet_has_verls_columns(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    path = tmp_path / "g.parquet"
    export(make_run(), "grpo-parquet", path)
    rows = pyarrow.parquet.read_table(path).to_pylist()
    assert len(rows) == 12
    assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} <= set(rows[0])
    assert rows[3]["prompt"] == [{"role": "user", "content": "What is 3 + 40?"}]


def test_csv_reads_back_and_holds_no_formula(make_run: Callable[..., Any]) -> None:
    run = make_run()
    first = run.made[0]
    run.made[0] = replace(first, extracted="=1+1")
    run.made[1] = replace(run.made[1], extracted="-5")
    out = io.BytesIO()
    export(run, "csv", None, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    assert len(rows) == len(run.made)
    assert rows[0]["extracted"] == "'=1+1"
    assert rows[1]["extracted"] == "-5"
    assert "thinking" not in rows[0]


def test_lm_eval_results_hold_our_accuracy(make_run: Callable[..., Any]) -> None:
    run, out = make_run(), io.BytesIO()
    export(run, "lm-eval", None, out)
    document = json.loads(out.getvalue())
    ours = stats.generalisation(*arrays(run.groups["sums"].values()))
    assert document["results"]["sums"]["exact_match,boxed"] == ours.value
    assert document["results"]["sums"]["exact_match_stderr,boxed"] == pytest.approx(
        ours.half_width / 1.96, rel=1e-3
    )
    assert document["n-samples"]["sums"] == {"original": 12, "effective": 12}


def test_an_inspect_log_holds_every_sample_once_and_the_reasoning_apart(
    tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    run, path = make_run(), tmp_path / "run.eval"
    export(run, "inspect", path)
    with zipfile.ZipFile(path) as log:
        names = log.namelist()
        assert len([n for n in names if n.startswith("samples/")]) == len(set(names)) - 4 == len(run.made)
        header = json.loads(log.read("header.json"))
        sample = json.loads(log.read("samples/sums-3_epoch_2.json"))
    right = sum(s.outcome == "correct" for s in run.made) / len(run.made)
    assert header["results"]["scores"][0]["metrics"]["accuracy"]["value"] == pytest.approx(right)
    assert [part["type"] for part in sample["messages"][-1]["content"]] == ["reasoning", "text"]


def test_an_inspect_log_of_two_evals_asks_for_one(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run, other = make_run(), make_run(eval_name="products")
    run.made += other.made
    run.about["evals"] += other.about["evals"]
    with pytest.raises(UsageError, match="one eval"):
        export(run, "inspect", tmp_path / "x.eval")
    assert not list(tmp_path.iterdir())
    export(OneEval(run, "products"), "inspect", tmp_path / "x.eval")


def test_what_cannot_be_written_is_said(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        export(make_run(), "parket", tmp_path / "x")
    with pytest.raises(UsageError, match="binary"):
        export(make_run(), "parquet", None, io.BytesIO())
    with pytest.raises(StoreError, match="cannot write"):
        export(make_run(), "jsonl", tmp_path / "no" / "x.jsonl")
