"""`auto` chooses a backend by what the model is and where it runs, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.catalog import hubcache, locate, reference
from localrl.engine import backends, resolve
from localrl.errors import Unavailable, UsageError
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "tiny-mlx"
    found.mkdir()
    (found / "config.json").write_text("{}")
    return found


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "apple_silicon", lambda: True)


def test_a_gguf_file_runs_on_llama_cpp_and_a_folder_on_mlx(gguf: Path, folder: Path) -> None:
    assert resolve.resolve(str(gguf)).backend == "llama.cpp"
    choice = resolve.resolve(str(folder))
    assert (choice.backend, choice.why) == ("mlx", "the model is an MLX folder")


def test_endpoints_mean_servers_whatever_the_model_is_called() -> None:
    choice = resolve.resolve("whatever/they-serve", endpoints=["http://host:8000", "https://other/v1/"])
    assert (choice.backend, str(choice.model.path)) == ("server", "whatever/they-serve")
    assert choice.endpoints == ("http://host:8000/v1", "https://other/v1")


def test_a_card_is_found_by_its_name_and_by_its_name_on_the_server() -> None:
    for name in ("qwq-32b", "Qwen/QwQ-32B", "qwen/qwq-32b"):
        model = resolve.resolve(name, endpoints=["http://host:8000/v1"]).model
        assert model.name == "qwq-32b"
        assert model.card is not None
        assert str(model.path).casefold() == "qwen/qwq-32b"


@pytest.mark.usefixtures("apple")
def test_an_apple_machine_takes_the_mlx_build_if_it_is_here(
    monkeypatch: pytest.MonkeyPatch, gguf: Path, folder: Path
) -> None:
    here = {"mlx": folder, None: gguf}

    def find(name: str, weights: str | None = None) -> locate.LocalModel:
        if weights not in here:
            raise UsageError("not here")
        return locate.LocalModel(name, here[weights])

    monkeypatch.setattr(resolve, "locate", find)
    choice = resolve.resolve("qwq-32b")
    assert choice.backend == "mlx"
    assert "Apple" in choice.why
    del here["mlx"]
    assert resolve.resolve("qwq-32b").backend == "llama.cpp"


def test_a_card_of_a_package_has_one_quantisation() -> None:
    named, bare = resolve.resolve("smollm2-135m:q4_1"), resolve.resolve("smollm2-135m")
    assert named == bare
    assert named.model.quantisation == "Q4_1"
    with pytest.raises(UsageError, match="has no quantisation 'Q8_0'; it has Q4_1"):
        resolve.resolve("smollm2-135m:Q8_0")


def test_a_backend_asked_for_takes_whichever_of_its_builds_of_a_card_is_here(
    monkeypatch: pytest.MonkeyPatch, gguf: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UsageError, match=r"qwq-32b:Q4_K_M is not on this machine; `localrl models pull"):
        resolve.resolve("qwq-32b", "llama.cpp")
    with pytest.raises(UsageError, match="qwq-32b:4bit is not on this machine"):
        resolve.resolve("qwq-32b", "mlx")
    wanted = reference.parse("qwq-32b:Q8_0")
    assert wanted
    here = hubcache.folder(wanted.repo) / "snapshots" / ("0" * 40) / wanted.pattern
    here.parent.mkdir(parents=True)
    gguf.rename(here)
    for backend in ("llama.cpp", "auto"):
        found = resolve.resolve("qwq-32b", backend).model
        assert (found.path, found.quantisation) == (here, "Q8_0")
    with pytest.raises(UsageError, match="qwq-32b:4bit is not on this machine"):
        resolve.resolve("qwq-32b", "mlx")


def test_a_backend_that_cannot_run_the_model_says_so(gguf: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="MLX"):
        resolve.resolve(str(gguf), "mlx")
    with pytest.raises(UsageError, match="gguf"):
        resolve.resolve(str(folder), "llama.cpp")
    with pytest.raises(UsageError, match="--endpoint"):
        resolve.resolve("x", "server")
    with pytest.raises(UsageError, match="--endpoint"):
        resolve.resolve(str(gguf), "llama.cpp", ["http://host:8000/v1"])


def test_a_backend_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(backends.BACKENDS.get("mlx"), "REQUIRES", ("no_such_module",))
    with pytest.raises(Unavailable, match=r"not installed; .*pip install .*mlx"):
        resolve.resolve(str(folder))
