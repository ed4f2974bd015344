"""A stored run is what was put into the store, and travels to another store and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from localrl import stats
from localrl.cli.runs import command
from localrl.errors import UsageError
from localrl.report import importing, report
from localrl.report.results import StoredResults
from localrl.store.runs import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def invoke(*arguments: str) -> Any:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_store_gives_back_what_was_put_in(home: Path, make_storable: Callable[..., Any]) -> None:
    made = make_storable()
    with Store() as store:
        run = StoredResults(store, importing.put(store, made))
        assert list(run.rows()) == made.rows()
        assert list(run.samples()) == made.made
        assert run.report["status"] == "complete"
        assert run.report["speed"]["wall_s"] == 60.0
        assert run.report["command"] == ["localrl", "bench", "tiny"]


def test_a_run_travels_to_another_store_unchanged(
    home: Path, make_storable: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store() as store:
        kept = importing.put(store, make_storable())
    invoke("export", kept.id, "-o", str(home / "run.jsonl"))
    monkeypatch.setenv("LOCALRL_HOME", str(home / "other"))
    new = invoke("import", str(home / "run.jsonl")).stdout.strip()
    there = json.loads(invoke("show", new, "--json").stdout)
    monkeypatch.setenv("LOCALRL_HOME", str(home / "home"))
    here = json.loads(invoke("show", kept.id, "--json").stdout)
    assert there.pop("run") != here.pop("run")
    assert there == here
    assert there["created"] == make_storable().report["created"]


def test_what_is_shared_does_not_hold_the_home_folder_and_is_at_home_where_it_is_imported(
    home: Path, make_storable: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    me, you = "/home/jane.doe", "/Users/you"
    monkeypatch.setenv("HOME", me)
    made = make_storable()
    plan = made.origin["manifest"]["plan"]
    plan["model_path"] = plan["engine"]["model"] = f"{me}/models/tiny.gguf"
    plan["command"] = [
        "localrl",
        "bench",
        f"{me}/models/tiny.gguf",
        f"--name={me}",
        "/home/jane.doe2",
        f"/x{me}/y",
    ]
    plan["evals"][0]["path"] = f"{me}/evals/starter.toml"
    made.origin["sessions"][0][0]["settings"] = {"file": f"{me}/models/tiny.gguf"}
    with Store() as store:
        run = importing.put(store, made)
    assert run.manifest["plan"] == plan
    for form in ("html", "md", "csv", "json"):
        assert f"{me}/models" not in invoke("report", run.id, "--format", form).stdout
    shown = json.loads(invoke("show", run.id, "--json").stdout)
    assert shown["model"]["file"] == "~/models/tiny.gguf"
    assert shown["backend"]["settings"]["file"] == "~/models/tiny.gguf"
    invoke("export", run.id, "-o", str(home / "run.jsonl"))
    exported = (home / "run.jsonl").read_text()
    assert f'"{me}/' not in exported
    command = json.loads(exported.splitlines()[0])["report"]["command"]
    assert command[2:] == ["~/models/tiny.gguf", "--name=~", "/home/jane.doe2", f"/x{me}/y"]
    monkeypatch.setenv("HOME", you)
    monkeypatch.setenv("LOCALRL_HOME", str(home / "other"))
    new = invoke("import", str(home / "run.jsonl")).stdout.strip()
    with Store() as store:
        there = store.find(new).manifest["plan"]
    assert there["model_path"] == there["engine"]["model"] == f"{you}/models/tiny.gguf"
    assert there["evals"][0]["path"] == f"{you}/evals/starter.toml"


def test_the_report_names_the_verifier_that_judged_and_not_todays(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    old, mixed, foreign = make_storable("a"), make_storable("b"), make_storable("c")
    old.made = [replace(s, verifier="gym/0") for s in old.made]
    mixed.made[-1] = replace(mixed.made[-1], verifier="gym/2", ended=2.0)
    foreign.origin["manifest"]["plan"]["evals"][0]["spec"]["verifier"]["name"] = "oracle"
    foreign.made = [replace(s, verifier=None) for s in foreign.made]
    with Store() as store:
        said = [
            StoredResults(store, importing.put(store, run)).report["evals"][0]["verifier"]
            for run in (old, mixed, foreign)
        ]
    assert said == ["gym/0", "gym/1, gym/2", "oracle"]
    assert "oracle" not in invoke("ls").stderr


def test_every_vote_of_a_report_is_over_all_problems(home: Path, make_storable: Callable[..., Any]) -> None:
    run = make_storable("a")
    partial = make_storable("b")
    partial.made = partial.made[:-1]  # one problem has three samples of four
    with Store() as store:
        whole, part = (
            StoredResults(store, importing.put(store, made)).report["evals"][0] for made in (run, partial)
        )
    groups = [run.made[i : i + 4] for i in range(0, len(run.made), 4)]
    for j in (2, 4):
        won = [
            stats.majority_of([s.extracted for s in g], [s.outcome == "correct" for s in g], j)
            for g in groups
        ]
        assert whole["majority_at"][str(j)] == pytest.approx(sum(won) / len(won))
    assert list(part["majority_at"]) == ["2", "3"] == list(part["pass_at"])[1:]


def test_the_votes_of_a_large_run_are_those_of_problems_drawn_by_chance(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    run = make_storable("a", problems=400)
    with Store() as store:
        kept = importing.put(store, run)
        exact, drawn = (report._votes(store, kept, 0, most) for most in (1600, 400))
    assert 60 < drawn.problems < 140
    for j in ("2", "4"):
        votes, estimate = exact.majority_at(4)[j], drawn.majority_at(4)[j]
        assert estimate != votes
        assert estimate == pytest.approx(votes, abs=0.15)


def test_the_same_run_is_not_imported_twice(home: Path, make_storable: Callable[..., Any]) -> None:
    with Store() as store:
        importing.put(store, make_storable("abc"))
        with pytest.raises(UsageError, match="here already"):
            importing.put(store, make_storable("abc"))


def test_a_run_that_cannot_be_kept_whole_leaves_nothing(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    bare, foreign = make_storable("a"), make_storable("b")
    bare.origin = {}
    foreign.made[7] = replace(foreign.made[7], problem=replace(foreign.made[7].problem, eval="unknown"))
    with Store() as store:
        for run, words in ((bare, "no whole run"), (foreign, "no eval 'unknown'")):
            with pytest.raises(UsageError, match=words):
                importing.put(store, run)
        assert store.runs() == []


def test_samples_that_no_verifier_has_judged_are_left_out(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    with Store() as store:
        run = StoredResults(store, importing.put(store, make_storable()))
        store.connection.execute("UPDATE samples SET outcome = NULL WHERE idx = 0")
        assert len(list(run.rows())) == len(list(run.samples())) == 36


def test_compare_report_and_export_work_from_the_command_line(
    home: Path, make_storable: Callable[..., Any]
) -> None:
    with Store() as store:
        a = importing.put(store, make_storable("a", accuracy=0.9)).id
        b = importing.put(store, make_storable("b", accuracy=0.2, seed=3)).id
    side = json.loads(invoke("compare", a, b, "--json").stdout)
    assert side["pairs"][0]["comparison"]["difference"]["high"] < 0
    assert "| starter |" in invoke("compare", a, b).stdout
    invoke("report", a, b, "-o", str(home / "r.html"))
    assert (home / "r.html").read_text().startswith("<!doctype html>")
    assert invoke("report", a, "--format", "md").stdout.startswith("# ")
    assert len(invoke("export", a).stdout.splitlines()) == 48
    assert len(invoke("export", a, "--format", "grpo", "--eval", "starter").stdout.splitlines()) == 12
    with pytest.raises(UsageError, match="did you mean 'starter'"):
        invoke("export", a, "--eval", "startr")
