"""`localrl evals`: definitions checked with line and nearest key, verifiers checked on the eval itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from localrl.cli.evals import command
from localrl.errors import ConfigError, UsageError
from localrl.evals import spec as specs

if TYPE_CHECKING:
    from pathlib import Path

MINE = """\
name = "mine"
title = "Mine"
version = 1

[data]
file = { path = "mine.jsonl" }

[prompt]
template = "Q: {question}"

[verifier]
name = "math"
extractor = "boxed"
"""
ROWS = [{"question": "1+1?", "target": "2"}, {"question": "1/2?", "target": "\\frac{1}{2}"}]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own benchmark, dropped into ./evals."""
    folder = tmp_path / "evals"
    folder.mkdir()
    (folder / "mine.toml").write_text(MINE)
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.chdir(tmp_path)
    return folder / "mine.toml"


def test_a_benchmark_of_ones_own_is_listed_shown_and_checked_like_a_shipped_one(mine: Path) -> None:
    listed = json.loads(run("ls", "--json").stdout)
    assert {"mine", "starter", "aime24", "livecodebench"} <= {row["eval"] for row in listed}
    assert "mine.jsonl" in run("show", "mine").stdout
    for name in ("mine", str(mine)):
        checked = run("check", name, "--json")
        assert checked.exit_code == 0
        assert json.loads(checked.stdout) == {
            "schema": 1,
            "eval": "mine",
            "tried": {"empty": 2, "gold": 2, "cut gold": 2, "junk": 2, "other gold": 1},
            "failed": [],
        }


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('template = "Q', 'tmplate = "Q', 9, "did you mean 'template'"),
        ('name = "math"', 'name = "mth"', 12, "did you mean 'math'"),
        ('extractor = "boxed"', 'extractor = "boxd"', 13, "did you mean 'boxed'"),
        ('extractor = "boxed"', "params = { mod = 1 }", 13, "unknown"),
        ("Q: {question}", "Q:", 9, r"has no \{question\}"),
        ("Q: {question}", r"\boxed{} {question}", 9, r"template holds a backspace where \\boxed was meant"),
        ("Q: {question}", r"\frac12 {question}", 9, r"template holds a form feed where \\frac was meant"),
        ("Q: {question}", r"\text{} {question}", 9, r"template holds a tab where \\text was meant"),
        ("Q: {question}", r"\right {question}", 9, r"template holds a carriage return where \\right"),
        ("Q: {question}", r"\u001b {question}", 9, r"template holds the control character U\+001B"),
        ('template = "Q', 'system = "\\b"\ntemplate = "Q', 9, "system holds a backspace"),
        ("file = {", "fiel = {", 6, "did you mean 'file'"),
        ('{ path = "mine.jsonl" }', '{ pth = "mine.jsonl" }', 6, "did you mean 'path'"),
    ],
)
def test_a_mistake_in_a_definition_is_named_with_its_line_and_the_nearest_key(
    mine: Path, old: str, new: str, line: int, words: str
) -> None:
    mine.write_text(MINE.replace(old, new))
    with pytest.raises(ConfigError, match=words) as caught:
        run("check", str(mine))
    assert caught.value.line == line


def test_tabs_and_ends_of_lines_may_stand_in_a_prompt(mine: Path) -> None:
    mine.write_text(MINE.replace("Q: {question}", r"Q:\tan example\r\n\tx = 1\n{question}"))
    assert run("check", str(mine)).exit_code == 0


def test_a_mistyped_generator_is_named_with_its_line(mine: Path) -> None:
    mine.write_text(
        MINE.replace('[data]\nfile = { path = "mine.jsonl" }', '[[data.gym]]\nsize = 1\ngenerator = "gdc"')
    )
    with pytest.raises(ConfigError, match="did you mean 'gcd'") as caught:
        run("check", str(mine))
    assert caught.value.line == 7


def test_a_mistake_inside_a_lists_part_is_named_with_the_parts_own_line(mine: Path) -> None:
    terms = '\n[[rewards]]\nname = "r"\n' + "".join(
        f'[[rewards.terms]]\nverifier = {{ name = "{name}" }}\n' for name in ("format", "formt")
    )
    mine.write_text(MINE + terms)
    with pytest.raises(ConfigError, match="did you mean 'format'") as caught:
        run("check", str(mine))
    assert caught.value.line == 20
    source = '[[data.gym]]\ngenerator = "gcd"\nsize = 2\n\n[data.gym.params]\nmax_valu = 5\n'
    mine.write_text(MINE.replace('[data]\nfile = { path = "mine.jsonl" }\n', source))
    with pytest.raises(ConfigError, match="did you mean 'max_value'") as caught:
        run("check", str(mine))
    assert caught.value.line == 9


def test_a_verifier_that_cannot_judge_its_own_gold_answers_fails_the_check(mine: Path) -> None:
    mine.write_text(MINE.replace('"math"', '"choice"').replace('"boxed"', '"letter"'))
    checked = run("check", "mine")
    assert checked.exit_code == 1
    assert "0: gold: no_answer" in checked.stdout


def test_an_eval_without_gold_answers_says_why_and_a_layout_that_finds_none_is_refused(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"key": 1, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    (mine.parent / "mine.jsonl").write_text(json.dumps(row))
    ifeval = MINE.replace("[data]", '[data]\nlayout = "ifeval"').replace('"math"', '"ifeval"')
    mine.write_text(ifeval.replace('extractor = "boxed"', ""))
    assert "no gold answer was tried: the dataset holds instructions" in run("check", "mine").stderr
    monkeypatch.setattr("localrl.evals.layouts.columns.gold", lambda row, problem: None)
    mine.write_text(MINE)
    (mine.parent / "mine.jsonl").write_text(json.dumps(ROWS[0]))
    with pytest.raises(UsageError, match="layout 'columns' finds no gold answer in the data of mine"):
        run("check", "mine")


def test_a_revision_that_can_move_is_warned_of(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localrl.evals.environments.hub.fetch", lambda data, file: mine.parent / file)
    warned = {}
    for revision in ("main", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"):
        data = f'hub = {{ dataset = "a/b", revision = "{revision}", files = ["mine.jsonl"] }}'
        mine.write_text(MINE.replace('file = { path = "mine.jsonl" }', data))
        checked = run("check", "mine")
        assert checked.exit_code == 0
        warned[revision] = "may be moved" in checked.stderr
    assert list(warned.values()) == [True, False]


def test_one_broken_file_does_not_hide_the_other_benchmarks(mine: Path) -> None:
    mine.write_text("name = \ntitle = 1")
    listed = run("ls", "--json")
    assert "starter" in {row["eval"] for row in json.loads(listed.stdout)}
    assert "mine.toml:1" in listed.stderr


@pytest.mark.parametrize("name", sorted(specs.available()))
def test_every_shipped_benchmark_is_valid_and_can_be_shown(name: str) -> None:
    spec, path = specs.load(name)
    assert spec.name == path.stem == name
    assert "{question}" in spec.prompt.template
    assert spec.citation
    assert spec.licence
    shown = run("show", name).stdout
    assert spec.title in shown
    assert json.loads(run("show", name, "--json").stdout)["name"] == name


@pytest.mark.process
def test_the_starter_passes_its_own_check() -> None:
    assert run("check", "starter", "--limit", "40").exit_code == 0


@pytest.mark.process
@pytest.mark.parametrize("name", ["gym:countdown,size=3", "gym:spell_backward,size=3", "gym:maze,size=2"])
def test_a_generator_passes_its_own_check(name: str) -> None:
    checked = run("check", name, "--json")
    assert json.loads(checked.stdout)["failed"] == []


@pytest.mark.process
def test_humaneval_comes_without_a_hub_and_its_solutions_pass() -> None:
    checked = run("check", "humaneval", "--limit", "8", "--json")
    assert json.loads(checked.stdout)["failed"] == []
    assert json.loads(checked.stdout)["tried"]["gold"] == 8


def test_an_unknown_benchmark_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'math500'"):
        run("show", "math50")


def test_a_definition_that_says_another_size_than_its_data_has_is_refused(mine: Path) -> None:
    mine.write_text(MINE.replace("[data]", "[data]\nsize = 3"))
    with pytest.raises(UsageError, match="its data has 2 problems"):
        run("check", "mine")
