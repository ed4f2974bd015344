"""`localrl models`: works offline, pulls and checks and removes, and finds what other programs hold."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from localrl.catalog import card as cards
from localrl.catalog import gguf, hubcache, inventory, shape
from localrl.catalog.locate import locate
from localrl.cli.models import command
from localrl.errors import ConfigError, LocalrlError, UsageError
from localrl.registry import plugged
from tests.catalog.hub_server import Hub, serve
from tests.engine.tiny import TEMPLATE, write_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REPO = "someone/Tiny-GGUF"
CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "vocab_size": 300,
    "intermediate_size": 128,
    "quantization": {"bits": 4},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "localrl"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HF_TOKEN", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch, tiny_gguf: Callable[..., Path]) -> Iterator[Hub]:
    hub = Hub()
    stop = serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.repos[REPO] = {"tiny-Q8_0.gguf": tiny_gguf("whole").read_bytes()}
    yield hub
    stop()


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.mark.slow
def test_ls_show_and_fit_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    listed = run_json("ls")
    assert {card["name"] for card in listed["cards"]} == set(cards.available())
    assert next(card for card in listed["cards"] if card["name"] == "smollm2-135m")["here"]
    ranked = run_json("fit", "--device", "rtx-4090")["models"]
    assert {line["verdict"] for line in ranked} == {"fits", "tight", "no"}
    for name in cards.available():
        assert run_json("show", name)["card"]["name"] == name
        assert run_json("fit", name, "--device", "m3-ultra 512GB")["models"]
    assert "QwQ" in run("show", "qwq-32b")
    assert "smollm2" in run("ls")


def test_fit_says_hours_and_kilowatt_hours_for_an_eval() -> None:
    line = run_json("fit", "qwq-32b:Q4_K_M", "--device", "rtx-4090", "--eval", "aime24", "-k", "32")[
        "models"
    ][0]
    assert line["verdict"] == "tight"
    assert line["hours"] > 1
    assert line["kwh"] == pytest.approx(line["hours"] * 0.45)


def test_fit_plans_the_problems_of_the_evals_default_window() -> None:
    arguments = ["fit", "qwq-32b:Q4_K_M", "--device", "rtx-4090", "--eval", "livecodebench"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "279 samples" in result.stderr


def test_the_nearest_that_fits_is_first_sought_in_the_same_card() -> None:
    assert run_json("fit", "qwq-32b:Q8_0", "--device", "rtx-4090")["nearest"] == "qwq-32b:Q4_K_M"
    assert run_json("fit", "qwq-32b", "--device", "rtx-4090")["nearest"] is None
    nearest = run_json("fit", "deepseek-r1", "--device", "rtx-4090")["nearest"]
    assert run_json("fit", nearest, "--device", "rtx-4090")["models"][0]["verdict"] == "fits"


def test_one_broken_card_hides_no_other_and_is_named_with_its_line(
    home: Path, tiny_gguf: Callable[..., Path]
) -> None:
    (home / "localrl/config/models").mkdir(parents=True)
    (home / "localrl/config/models/broken.toml").write_text('nmae = "x"')
    for arguments in (["ls"], ["fit", "--device", "rtx-4090"]):
        made = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
        assert made.exit_code == 0
        assert "qwq-32b" in made.stdout
        assert re.fullmatch(r"localrl: .*broken\.toml:1: unknown key 'nmae'.*\n", made.stderr)
    assert run_json("show", str(tiny_gguf("any")))["file"]
    with pytest.raises(ConfigError, match="unknown key 'nmae'"):
        run("show", "broken")


def test_what_is_no_model_is_not_shown_as_one(home: Path) -> None:
    (home / "folder").mkdir()
    for model, words in (
        (str(home / "folder"), "is no MLX model: it has no config.json"),
        ("", "no model named ''"),
        ("qwq-32b:Q9", "has no quantisation 'Q9'"),
    ):
        with pytest.raises(UsageError, match=words):
            run("show", model)


def test_samples_without_an_eval_are_refused() -> None:
    with pytest.raises(UsageError, match="add --eval NAME"):
        run("fit", "qwq-32b", "-k", "3")


def test_a_model_that_does_not_fit_gets_a_reason_and_a_nearest_choice() -> None:
    result = CliRunner().invoke(command, ["fit", "deepseek-r1", "--device", "rtx-4090"])
    assert "exceed" in result.stderr
    assert "the nearest that fits: " in result.stderr


@pytest.mark.process
def test_fit_of_a_local_file_is_measured_by_llama_cpp(tiny_gguf: Callable[..., Path]) -> None:
    line = run_json("fit", str(tiny_gguf("whole")))["models"][0]
    assert line["measured"]
    assert line["verdict"] == "fits"


@pytest.mark.process
def test_a_header_read_by_ranges_says_what_the_file_says(server: Hub, tiny_gguf: Callable[..., Path]) -> None:
    line = run_json("fit", REPO, "--hub", "--device", "rtx-4090")["models"][0]
    local = shape.from_header(gguf.preflight(tiny_gguf("whole")))
    assert line["memory"]["weights"] == local.device_weights(separate=True)
    here = run_json("fit", REPO, "--hub")["models"][0]
    assert here["measured"]
    assert here["memory"] == run_json("fit", str(tiny_gguf("whole")))["models"][0]["memory"]
    assert not hubcache.files(REPO)
    fetched = [headers["range"] for path, headers in server.requests if "/cdn/" in path]
    assert fetched


def test_pull_verify_and_rm(server: Hub) -> None:
    planned = run_json("pull", REPO, "--dry-run")
    assert planned["missing_bytes"] == planned["bytes"] == len(server.repos[REPO]["tiny-Q8_0.gguf"])
    with pytest.raises(UsageError, match=f"`localrl models pull {REPO}`"):
        locate(REPO)
    pulled = run_json("pull", REPO)["files"]
    assert [set(file) for file in pulled] == [{"path", "bytes", "sha256", "resumed_bytes"}]
    local = locate(f"{REPO}:Q8_0")
    assert (str(local.path), local.quantisation) == (pulled[0]["path"], "Q8_0")
    assert run_json("verify", REPO)["files"][0]["ok"]
    with local.path.open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"\xff")
    with pytest.raises(LocalrlError, match="1 of 1 files are damaged"):
        run("verify")
    run("pull", REPO)
    assert run_json("verify")["files"][0]["ok"]
    assert run_json("rm", REPO, "--yes")["freed_bytes"] == planned["bytes"]
    with pytest.raises(UsageError, match="nothing of"):
        run("rm", REPO, "--yes")


def test_a_quantisation_of_a_card_is_found_in_the_cache(server: Hub, tiny_gguf: Callable[..., Path]) -> None:
    server.repos["Qwen/QwQ-32B-GGUF"] = {"qwq-32b-q4_k_m.gguf": tiny_gguf("whole").read_bytes()}
    with pytest.raises(UsageError, match="localrl models pull qwq-32b:Q4_K_M"):
        locate("qwq-32b")
    run("pull", "qwq-32b:q4_k_m")
    local = locate("qwq-32b")
    assert (local.name, local.quantisation) == ("qwq-32b", "Q4_K_M")
    assert local.card is not None
    assert local.card.thinking is not None


def test_an_mlx_folder_is_pulled_whole(server: Hub) -> None:
    server.repos["mlx-community/Tiny-4bit"] = {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b"{}",
        "model.safetensors": b"weights",
        "README.md": b"no",
    }
    assert len(run_json("pull", "mlx-community/Tiny-4bit")["files"]) == 3
    assert run_json("fit", "mlx-community/Tiny-4bit")["models"][0]["quantisation"] == "4bit"
    folder = locate("mlx-community/Tiny-4bit").path
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}


def test_an_mlx_model_is_here_only_with_all_its_parts(server: Hub) -> None:
    part = "model-0000{}-of-00002.safetensors"
    server.repos["mlx-community/Parts-4bit"] = {
        "config.json": json.dumps(CONFIG).encode(),
        **{part.format(number): b"weights %d" % number for number in (1, 2)},
    }
    run("pull", "mlx-community/Parts-4bit")
    folder = locate("mlx-community/Parts-4bit").path
    (folder / part.format(2)).unlink()
    with pytest.raises(UsageError, match="is not on this machine"):
        locate("mlx-community/Parts-4bit")


def test_a_card_is_removed_at_the_quantisation_that_is_here(
    server: Hub, tiny_gguf: Callable[..., Path]
) -> None:
    server.repos["Qwen/QwQ-32B-GGUF"] = {"qwq-32b-q6_k.gguf": tiny_gguf("whole").read_bytes()}
    run("pull", "qwq-32b:Q6_K")
    run("rm", "qwq-32b", "--yes")
    assert not hubcache.repos()


def test_unfinished_downloads_are_listed_until_they_are_removed(server: Hub) -> None:
    server.faults = ["drop", *["404"] * 10]
    with pytest.raises(LocalrlError):
        run("pull", REPO)
    listed = run_json("ls", "--here")
    assert listed["files"] == []
    assert [(part["repo"], part["path"]) for part in listed["unfinished"]] == [(REPO, "tiny-Q8_0.gguf")]
    assert "unfinished: tiny-Q8_0.gguf" in CliRunner().invoke(command, ["ls", "--here"]).stderr
    run("rm", REPO, "--yes")
    assert run_json("ls", "--here")["unfinished"] == []


def test_models_of_other_programs_are_listed(
    monkeypatch: pytest.MonkeyPatch, home: Path, tiny_gguf: Callable[..., Path]
) -> None:
    model = tiny_gguf("whole")
    studio = home / ".lmstudio" / "models" / "owner" / "repo"
    studio.mkdir(parents=True)
    shutil.copy(model, studio / "tiny-Q8_0.gguf")
    monkeypatch.setenv("LLAMA_CACHE", str(home / "llama"))
    (home / "llama").mkdir()
    shutil.copy(model, home / "llama" / "owner_tiny-Q4_0.gguf")
    ollama = home / ".ollama" / "models"
    manifest = ollama / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    manifest.parent.mkdir(parents=True)
    (ollama / "blobs").mkdir()
    shutil.copy(model, ollama / "blobs" / "sha256-abc")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    (manifest.parent / "broken").write_text("not json")
    listed = {model.program: model for model in inventory.everything()}
    assert set(listed) == {"LM Studio", "Ollama", "llama.cpp"}
    assert listed["Ollama"].name == "tiny:latest"
    assert locate("tiny:latest").path == locate("tiny").path == listed["Ollama"].path
    (ollama / "manifests" / "registry.ollama.ai" / "someone").mkdir()
    manifest.parent.rename(ollama / "manifests" / "registry.ollama.ai" / "someone" / "tiny")
    assert locate("someone/tiny:latest").path == listed["Ollama"].path
    assert gguf.preflight(listed["Ollama"].path).architecture == "llama"
    assert len(run_json("ls", "--here")["files"]) == len(listed)


def test_cards_of_another_package_are_listed_with_where_they_are_from_and_ours_hide_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, info = home / "more_models", home / "more_models-1.0.dist-info"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('only its folder is looked at')")
    text = 'name = "{}"\ntitle = "Another"\nparameters = 1000\n'
    (folder / "another-1b.toml").write_text(text.format("another-1b"))
    (folder / "qwq-32b.toml").write_text(text.format("qwq-32b"))
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[localrl.models]\nmore = more_models\n")
    monkeypatch.syspath_prepend(str(home))
    plugged.cache_clear()
    try:
        listed = {card["name"]: card for card in run_json("ls")["cards"]}
        assert run_json("show", "another-1b")["card"]["title"] == "Another"
    finally:
        plugged.cache_clear()
    assert listed["another-1b"]["from"] == "more-models"
    assert (listed["qwq-32b"]["from"], listed["qwq-32b"]["title"]) != ("more-models", "Another")


@pytest.mark.parametrize(("template", "said"), [(None, True), (TEMPLATE, False)])
def test_a_model_without_a_template_is_shown_as_such(
    tmp_path: Path, template: str | None, said: bool
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", template=template)
    assert ("no chat template" in run("show", str(path))) is said
