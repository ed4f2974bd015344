"""`localrl train`: what it prints, keeps and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.commands import localrl
from tests.scripted import write_script
from tests.train.scripted import RECIPE, TEXTS, write_sums

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Store


@pytest.fixture
def asked(tmp_path: Path, store: Store) -> list[str]:
    """The arguments of a small training."""
    (tmp_path / "small.toml").write_text(RECIPE)
    script = write_script(tmp_path, *TEXTS)
    recipe = ["--recipe", str(tmp_path / "small.toml"), "--backend", "scripted", "--steps", "3"]
    return ["train", str(script), write_sums(tmp_path), *recipe]


@pytest.mark.process
def test_a_training_ends_with_the_comparison_and_is_kept(asked: list[str], store: Store) -> None:
    done = localrl(*asked, "--name", "mine")
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("held-out accuracy ")
    assert "McNemar p = " in last
    assert "3 steps in " in last
    training = store.trainings.find("mine")
    assert f"--adapter {training.id}" in done.stderr
    assert "step 3/3" in done.stderr


@pytest.mark.process
def test_json_is_one_document(asked: list[str]) -> None:
    done = localrl(*asked, "--json", "--display", "none")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["schema"], made["status"], len(made["steps"])) == (1, "complete", 3)


def test_a_dry_run_says_what_it_would_do_and_begins_nothing(asked: list[str], store: Store) -> None:
    done = localrl(*asked, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "up to 3 steps of 3 problems × 4 samples" in done.stderr
    assert store.trainings.all() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "name a model and the eval"),
        (["train", "--resume", "nothing"], "no training 'nothing'"),
        (["train", "--resume", "last", "--lr", "1e-3"], "--lr cannot be changed"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(store: Store, arguments: list[str], said: str) -> None:
    done = localrl(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--recipe", "dappo"], "did you mean 'dapo'"),
        (["--reward", "nice"], "has no reward 'nice'"),
        (["--eval", "SUMS:train"], "by what is trained on"),
        (["--rank", "0"], "--rank"),
    ],
)
def test_a_request_that_cannot_work_is_refused_before_a_model_is_loaded(
    asked: list[str], more: list[str], said: str
) -> None:
    done = localrl(*asked, *(word.replace("SUMS", asked[2]) for word in more))
    assert done.returncode == 2
    assert said in done.stderr


def test_help_shows_how_to_train_the_recipes_and_the_other_commands() -> None:
    for arguments in (["train", "--help"], ["help", "train"]):
        done = localrl(*arguments)
        assert done.returncode == 0
        assert "Usage: localrl train [OPTIONS] [MODEL] [EVAL]" in done.stdout
        assert "grpo-d" in done.stdout


@pytest.mark.process
def test_a_training_is_listed_shown_exported_and_deleted(
    asked: list[str], store: Store, tmp_path: Path
) -> None:
    assert localrl(*asked, "--name", "mine", "--display", "none").returncode == 0
    (listed,) = json.loads(localrl("runs", "ls", "--trainings", "--json").stdout)
    assert (listed["name"], listed["steps"], listed["status"]) == ("mine", 3, "complete")
    assert "mine before" in (table := localrl("runs", "ls").stdout)
    assert listed["training"] in table
    assert [run["name"] for run in json.loads(localrl("runs", "ls", "--json").stdout)] == [
        "mine after",
        "mine before",
    ]
    shown = localrl("runs", "show", "mine")
    assert "held-out accuracy" in shown.stdout
    assert json.loads(localrl("runs", "show", "mine", "--json").stdout)["training"] == listed["training"]
    assert "is complete" in localrl("runs", "watch", "mine").stderr
    out = tmp_path / "adapter.gguf"
    assert localrl("train", "export", "mine", "-o", str(out)).returncode == 0
    assert json.loads(out.read_text()) == {"steps": 3}
    refused = localrl("train", "export", "mine", "-o", str(out), "--step", "1")
    assert (refused.returncode, "after 2, 3 steps" in refused.stderr) == (2, True)
    assert localrl("runs", "rm", "mine", "--yes").returncode == 0
    assert json.loads(localrl("runs", "ls", "--json").stdout) == []
    assert "start one with: localrl train" in localrl("runs", "ls", "--trainings").stderr


def test_an_export_says_what_it_can_write(store: Store) -> None:
    done = localrl("train", "export", "last")
    assert done.returncode == 2
    assert "--peft DIR" in done.stderr
