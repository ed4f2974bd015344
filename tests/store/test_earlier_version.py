"""What localrl 0.1 left behind works on: its store, an export, and its settings.

The files were made by that version on the scripted backend: runs `first` and `second` of six sums with four
samples each, and `unfinished`, which was stopped with one sample not judged yet and one that the engine had
failed on. `show.json` and `compare.json` are what it printed of them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from localrl import settings
from localrl.cli.runs import command
from localrl.runs import session
from localrl.runs.rescore import rescore
from localrl.store.runs import Store
from localrl.verdict import Outcome
from localrl.verify.pool import VerifierPool
from tests.scripted import EVAL

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = Path(__file__).parent / "version_0_1"
FOLDER = "/home/user/bench"
"""Where its eval and its scripts were."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The old store and settings as a home, with the eval and the scripts in a folder beside."""
    home = tmp_path / "home"
    for kind in ("data", "config"):
        (home / kind).mkdir(parents=True)
    shutil.copy(MADE / "localrl.db", home / "data")
    shutil.copy(MADE / "config.toml", home / "config")
    targets = ["4", "3", "4", "4", "6", "7"]
    rows = [{"id": f"p{i}", "question": f"{i} + 2?", "target": target} for i, target in enumerate(targets)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sums.toml").write_text(EVAL)
    (tmp_path / "second.json").write_text(json.dumps({"texts": ["it is 4"]}))
    with contextlib.closing(sqlite3.connect(home / "data" / "localrl.db")) as old, old:
        assert old.execute("PRAGMA user_version").fetchone() == (2,)
        old.execute("UPDATE runs SET manifest = REPLACE(manifest, ?, ?)", (FOLDER, str(tmp_path)))
    monkeypatch.setenv("LOCALRL_HOME", str(home))
    return tmp_path


@pytest.fixture
def old(folder: Path) -> Iterator[Store]:
    with Store() as store:
        yield store


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_then(found: Any, then: Any) -> None:
    """Everything that was said then is said now, in the same words and numbers; more may be."""
    if isinstance(then, dict):
        assert then.keys() <= found.keys()
        for key, value in then.items():
            as_then(found[key], value)
    elif isinstance(then, list):
        assert len(found) == len(then)
        for mine, theirs in zip(found, then, strict=True):
            as_then(mine, theirs)
    else:
        assert found == (pytest.approx(then) if isinstance(then, float) else then)


def then(name: str, folder: Path) -> Any:
    return json.loads((MADE / name).read_text().replace(FOLDER, str(folder)))


def test_its_runs_are_listed(folder: Path) -> None:
    listed = json.loads(printed("ls", "--json"))
    assert [(run["name"], run["status"], run["samples"]) for run in listed] == [
        ("unfinished", "partial", 5),
        ("second", "complete", 24),
        ("first", "complete", 24),
    ]


def test_a_report_says_what_it_said_then(folder: Path) -> None:
    as_then(json.loads(printed("show", "first", "--json")), then("show.json", folder))


def test_a_comparison_says_what_it_said_then(folder: Path) -> None:
    as_then(json.loads(printed("compare", "first", "second", "--json")), then("compare.json", folder))


def test_its_runs_are_reported_and_exported(folder: Path) -> None:
    assert printed("report", "first", "second", "--format", "md").startswith("# second against first")
    lines = [json.loads(line) for line in printed("export", "first").splitlines()]
    before = [json.loads(line) for line in (MADE / "export.jsonl").read_text().splitlines()]
    for line in (lines[0], before[0]):
        del line["report"], line["origin"]
    assert lines == before


def test_its_export_is_imported_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(folder / "another"))
    new = printed("import", str(MADE / "export.jsonl")).strip()
    report = json.loads(printed("show", new, "--json"))
    as_then(report["evals"], json.loads((MADE / "show.json").read_text())["evals"])


@pytest.mark.process
def test_an_unfinished_run_goes_on_without_making_anything_twice(old: Store) -> None:
    run = old.find("unfinished")
    before = {(s.problem.id, s.index): s for s in old.samples(run)}
    assert sorted(str(s.outcome) for s in before.values()).count("None") == 1
    with session.work_on(old, run) as opened:
        list(opened.runner.events())
    after = {(s.problem.id, s.index): s for s in old.samples(run)}
    assert len(after) == 24
    assert old.find("unfinished").status == "complete"
    for place, sample in before.items():
        if sample.outcome is not Outcome.ENGINE_ERROR:
            assert after[place].response == sample.response
    assert {s.outcome for s in after.values()} == {Outcome.CORRECT, Outcome.WRONG}


def test_its_verdicts_are_given_again(old: Store) -> None:
    with VerifierPool(1) as pool:
        assert list(rescore(old, old.find("first"), pool)) == []


def test_a_cached_report_of_it_is_forgotten_when_the_run_changes(old: Store) -> None:
    run = old.find("first")
    assert old.cached_report(run) is not None
    old.set_verdicts(run, [next(old.samples(run))])
    assert old.cached_report(run) is None


def test_its_chats_are_there(old: Store) -> None:
    (chat,) = old.chats.all()
    assert chat.title == "2 + 2?"
    assert [(message.role, message.text) for message in old.chats.messages(chat)] == [
        ("user", "2 + 2?"),
        ("assistant", "4"),
    ]


def test_its_settings_are_read(folder: Path) -> None:
    found = settings.load().settings
    assert (found.model, found.evals, found.parallel, found.ctx) == ("first", ["starter"], 2, 4096)
    assert found.keys == {"quit": "ctrl+x"}
