"""What a session knows of the model's file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

from localrl import paths
from localrl.catalog.locate import LocalModel
from localrl.engine import prompts
from localrl.engine.protocol import EngineSettings
from localrl.errors import LocalrlError, Unavailable, UsageError
from localrl.evals import dataset
from localrl.runs import plan, session
from localrl.store.runs import Store
from localrl.verify.verifiers import exact
from tests.engine import tiny
from tests.scripted import make_plan, write_script

OTHER = "another chat template than the model's own"
BRIEF = """\
name = "brief"
title = "Brief"
version = 1
[data]
file = { path = "brief.jsonl" }
[prompt]
system = "Answer in one word."
[verifier]
name = "exact"
extractor = "text"
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))


def test_an_eval_without_a_problem_makes_no_run(tmp_path: Path) -> None:
    made = make_plan(tmp_path, problems=0)
    with Store() as store:
        with pytest.raises(UsageError, match="eval 'sums' has no problems"), session.start(store, made):
            pass
        assert store.runs() == []


def test_an_eval_whose_generators_are_not_installed_is_refused_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LocalModel("script", write_script(tmp_path))
    monkeypatch.delitem(sys.modules, "reasoning_gym", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Unavailable, match="reasoning-gym is not installed"):
        plan.make(model, ["starter"], EngineSettings(backend="scripted"))


def test_evals_of_generators_are_planned_however_many_were_planned_before(tmp_path: Path) -> None:
    model = LocalModel("script", write_script(tmp_path))
    for name in ("gym:countdown,size=3", "starter", "gym:basic_arithmetic,size=2,seed=5"):
        made = plan.make(model, [name], EngineSettings(backend="scripted"))
        assert made.evals[0].spec.data.model_extra


@pytest.mark.process
@pytest.mark.parametrize("remembered", ["", '{"cut off', "[1]"])
def test_the_models_hash_is_kept_whatever_stands_where_hashes_are_remembered(
    tmp_path: Path, remembered: str
) -> None:
    cache = paths.ensure(paths.home("cache")) / "sha256.json"
    cache.write_text(remembered)
    made = make_plan(tmp_path)
    with Store() as store:
        with session.start(store, made) as opened:
            list(opened.runner.events())
        kept = store.find("last").manifest["model_sha256"]
    assert kept == hashlib.sha256((tmp_path / "script.json").read_bytes()).hexdigest()
    assert kept in cache.read_text()
    assert [path.name for path in cache.parent.iterdir()] == ["sha256.json"]


@pytest.mark.process
def test_the_models_hash_is_known_where_nothing_can_be_remembered(tmp_path: Path) -> None:
    paths.home("cache").parent.mkdir(parents=True)
    paths.home("cache").write_text("a file in the place of the folder")
    with Store() as store:
        with session.start(store, make_plan(tmp_path)) as opened:
            list(opened.runner.events())
        assert len(store.find("last").manifest["model_sha256"]) == 64


def test_a_verifier_without_a_version_is_refused_before_a_model_is_loaded_or_a_run_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("a model is loaded")

    made = make_plan(tmp_path)
    with Store() as store:
        run = session.create(store, made)
        monkeypatch.setattr(session, "EngineClient", loaded)
        monkeypatch.delattr(exact, "VERSION")
        with pytest.raises(LocalrlError, match=r"verifier 'exact' .*has no VERSION"):
            make_plan(tmp_path)
        with (
            pytest.raises(LocalrlError, match=r"verifier 'exact' .*has no VERSION"),
            session.work_on(store, run),
        ):
            pass
        assert [each.id for each in store.runs()] == [run.id]


PARTS = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + tiny.TEMPLATE


@pytest.mark.process
@pytest.mark.parametrize(
    ("own", "named", "said"),
    [
        (None, None, {prompts.NO_TEMPLATE}),
        ({"tool_use": tiny.TEMPLATE}, None, {prompts.NO_TEMPLATE}),
        (tiny.TEMPLATE, None, set()),
        ({"default": tiny.TEMPLATE}, tiny.TEMPLATE, set()),
        (None, tiny.TEMPLATE, {OTHER}),
        (PARTS, None, {"content given to the chat template as parts"}),
        (PARTS, NO_SYSTEM, {OTHER, "system message moved into the user turn"}),
    ],
)
def test_a_plan_lists_where_the_template_departs_from_what_eval_and_model_say(
    tmp_path: Path, own: str | dict[str, str] | None, named: str | None, said: set[str]
) -> None:
    (tmp_path / "brief.toml").write_text(BRIEF)
    (tmp_path / "brief.jsonl").write_text('{"question": "1+1?", "target": "2"}\n')
    model = LocalModel("tiny", tiny.write_gguf(tmp_path / "tiny.gguf", template=own))
    engine = EngineSettings(backend="scripted", chat_template=named)
    made = plan.make(model, [str(tmp_path / "brief.toml")], engine)
    assert set(made.evals[0].deviations) == said


@pytest.mark.process
def test_a_template_that_leaves_the_question_out_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    model = LocalModel("tiny", tiny.write_gguf(tmp_path / "tiny.gguf", template="Hello"))
    with pytest.raises(UsageError, match="leaves the question out"):
        plan.make(model, ["starter"], EngineSettings(backend="scripted"))


def test_the_longest_stream_bounds_every_prompt_and_its_output(tmp_path: Path) -> None:
    made = make_plan(tmp_path, problems=3)
    part = made.evals[0]
    prompts = [sum(len(m.content) for m in p.messages) for p in dataset.problems(part.spec, Path(part.path))]
    bound = session.longest_stream(made)
    assert bound is not None
    assert bound >= max(prompts) + part.sampling.max_tokens


def test_the_longest_stream_is_not_known_with_forks_or_very_many_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_plan(tmp_path, problems=3)
    forking = made.evals[0].model_copy(update={"budgets": [64]})
    assert session.longest_stream(made.model_copy(update={"evals": [forking]})) is None
    monkeypatch.setattr(session, "MOST_READ", 2)
    assert session.longest_stream(made) is None
