"""Recipes: their formulas by hand, what a person changes, and mistakes in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.errors import ConfigError, UsageError
from localrl.train import recipe
from localrl.train.recipe import Kl

if TYPE_CHECKING:
    from pathlib import Path

OWN = 'name = "own"\ntitle = "Mine"\n[optimiser]\nlr = 1e-4\n'


def test_every_shipped_recipe_is_named_as_its_file_and_says_what_it_departs_from() -> None:
    assert set(recipe.available()) == {"grpo", "dapo", "grpo-d"}
    for name in recipe.available():
        found = recipe.load(name)
        assert found.name == name
        assert any("paper all weights" in words for words in found.deviations(256))


def test_the_weight_of_grpo_d_falls_and_then_rises_as_equation_3_says() -> None:
    kl = Kl(lowest=0.04, highest=0.1, turn=0.3)
    assert [kl.weight(step, 10) for step in (0, 3, 10)] == pytest.approx([0.07, 0.04, 0.1])
    assert kl.weight(5, 10) == pytest.approx(0.04 + 0.06 * 2 / 7)


def test_a_constant_weight_stays() -> None:
    kl = Kl(lowest=0.04, highest=0.04)
    assert {round(kl.weight(step, 7), 12) for step in range(7)} == {0.04}


def test_flags_change_a_recipe_and_a_rank_keeps_the_adapters_scale() -> None:
    found = recipe.load("dapo").changed(lr=1e-3, rank=8, steps=14, samples=None)
    assert (found.optimiser.lr, found.lora.rank, found.lora.alpha, found.steps) == (1e-3, 8, 16, 14)
    assert found.samples == recipe.load("dapo").samples


def test_a_flag_out_of_its_range_is_refused() -> None:
    with pytest.raises(UsageError, match="lr"):
        recipe.load("grpo").changed(lr=-1.0)


def test_deviations_name_what_the_paper_did() -> None:
    found = recipe.load("dapo").deviations(256)
    assert {"samples 8, paper 16", "prompts 8, paper 512", "max tokens 256, paper 20480"} <= set(found)


def test_a_recipe_of_ones_own_is_a_file_and_has_no_paper_to_depart_from(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    found = recipe.load(str(tmp_path / "own.toml"))
    assert (found.name, found.deviations(256)) == ("own", [])


def test_a_mistyped_key_is_told_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN + "warmpu = 3\n")
    with pytest.raises(ConfigError, match=r"own\.toml:5.*did you mean 'warmup'"):
        recipe.load(str(path))


def test_another_temperature_is_refused_since_the_engine_s_probabilities_are_of_1(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("temperature = 0.6\n" + OWN)
    with pytest.raises(ConfigError, match="temperature must be 1"):
        recipe.load(str(path))


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'grpo-d'"):
        recipe.load("grpod")
