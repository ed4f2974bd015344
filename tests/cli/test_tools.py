"""`localrl speed`, `doctor` and `config`: their documents, on the real starter model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import localrl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def document(*arguments: str) -> Any:
    done = localrl(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_speed_gives_a_row_for_each_number_of_streams() -> None:
    sizes = ["--prompt-tokens", "40", "--generate-tokens", "8", "--repeats", "2"]
    made = document("speed", "smollm2-135m", "--parallel", "2", "--parallel", "1", *sizes)
    assert [row["parallel"] for row in made["rows"]] == [1, 2]
    for row in made["rows"]:
        assert (row["prompt_tokens"], row["generate_tokens"], row["repeats"]) == (40, 8, 2)
        assert min(row[key] for key in row if key.endswith("per_s")) > 0
        assert row["ttft_s"] > 0
    assert made["backend"]["name"] == "llama.cpp"


@pytest.mark.slow
def test_doctor_says_what_works_and_what_to_do() -> None:
    found = {finding["part"]: finding for finding in document("doctor")}
    assert {"machine", "llama.cpp", "mlx", "server", "starter", "sandbox", "data", "models"} <= set(found)
    assert found["llama.cpp"]["state"] == "ok"
    assert found["starter"]["state"] == "ok"
    assert found["energy"]["state"] == "ok" or found["energy"]["text"].startswith("not measured: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [('theme = "drak"', "did you mean 'dark'"), ('[keys]\n"bench.pase" = "x"', "did you mean 'bench.pause'")],
)
def test_config_refuses_what_the_interface_would_refuse(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(f"{text}\n")
    done = localrl("config", "show")
    assert done.returncode == 2
    assert said in done.stderr


def test_config_says_where_each_setting_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text("parallel = 3\n")
    (tmp_path / "localrl.toml").write_text('evals = ["gsm8k"]\n')
    shown = document("config", "show")
    assert shown["parallel"] == {"value": 3, "origin": str(tmp_path / "config" / "config.toml")}
    assert shown["evals"]["value"] == ["gsm8k"]
    assert shown["model"]["origin"] == "default"


def test_an_unknown_setting_names_file_line_and_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "localrl.toml").write_text("# mine\nparalel = 3\n")
    done = localrl("config", "show")
    assert done.returncode == 2
    assert "localrl.toml:2: unknown key 'paralel'; did you mean 'parallel'?" in done.stderr
