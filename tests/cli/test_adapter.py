"""`--adapter`: a run and a chat on a model with an adapter, and what the report says of it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from localrl.store.runs import Store
from tests.commands import localrl
from tests.engine.tiny import write_gguf
from tests.scripted import write_eval, write_script
from tests.serve.serving import served

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def arguments(folder: Path) -> list[str]:
    """A run that is right once in four, and with an adapter after many steps nearly always."""
    script = write_script(folder, "it is 4", "it is 5", "it is 6", "it is 7")
    return ["bench", str(script), str(write_eval(folder, 20)), "--backend", "scripted", "--json"]


def test_a_run_with_an_adapter_says_which_and_is_told_from_one_without(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.json"
    adapter.write_text('{"steps": 1000}')
    sha256 = hashlib.sha256(adapter.read_bytes()).hexdigest()
    plain = json.loads(localrl(*arguments(tmp_path)).stdout)
    adapted = json.loads(localrl(*arguments(tmp_path), "--adapter", "adapter.json").stdout)
    assert "adapter" not in plain["model"]
    assert adapted["model"]["adapter_sha256"] == sha256
    assert adapted["model"]["adapter"].endswith("adapter.json")
    assert adapted["evals"][0]["deviations"][-1] == f"adapter adapter.json ({sha256[:8]})"
    assert adapted["evals"][0]["accuracy"]["value"] > 0.9 > plain["evals"][0]["accuracy"]["value"]
    shown = localrl("runs", "show", adapted["run"]).stdout
    assert f"+ adapter {sha256[:8]}" in shown


def test_a_run_does_not_go_on_with_an_adapter_that_changed(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.json"
    adapter.write_text('{"steps": 1}')
    run = json.loads(localrl(*arguments(tmp_path), "--adapter", str(adapter)).stdout)["run"]
    adapter.write_text('{"steps": 22}')
    again = localrl("bench", "--resume", run)
    assert (again.returncode, "has changed since this run began" in again.stderr) == (2, True)
    adapter.unlink()
    assert "the adapter of this run is gone" in localrl("bench", "--resume", run).stderr


def test_an_adapter_may_be_named_by_its_training(tmp_path: Path) -> None:
    with Store() as store:
        training = store.trainings.create({}, "sums")
        adapter = training.adapter(1)
        adapter.parent.mkdir(parents=True)
        early = localrl(*arguments(tmp_path), "--adapter", "sums")
        adapter.write_text('{"steps": 3}')
        store.trainings.add_step(training, 0, {})
    assert "has no adapter yet" in early.stderr
    found = json.loads(localrl(*arguments(tmp_path), "--adapter", "sums").stdout)
    assert found["model"]["adapter"].endswith(adapter.name)
    assert localrl(*arguments(tmp_path), "--adapter", "nothing").returncode == 2


def test_what_is_no_adapter_is_refused_before_anything_starts(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    done = localrl("bench", str(model), str(write_eval(tmp_path)), "--adapter", str(model), "--dry-run")
    assert (done.returncode, "is no LoRA adapter" in done.stderr) == (2, True)


def test_chat_speaks_with_the_adapter(tmp_path: Path) -> None:
    script = write_script(tmp_path, "one", "two", "three")
    (tmp_path / "adapter.json").write_text('{"steps": 1000000}')
    asked = ["chat", str(script), "--backend", "scripted", "-p", "how many", "--seed", "1"]
    assert "two" in localrl(*asked).stdout
    assert "one" in localrl(*asked, "--adapter", "adapter.json").stdout


def test_a_server_answers_with_the_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter.json").write_text('{"steps": 1000000}')
    with served(tmp_path, "one", "two", "three", adapter=str(tmp_path / "adapter.json")) as client:
        answers = [client.chat(seed=seed).json["choices"][0]["message"]["content"] for seed in range(3)]
    assert answers == ["one", "one", "one"]
