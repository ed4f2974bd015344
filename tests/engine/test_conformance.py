"""Our backends keep what every backend promises, and so does one from outside; one that lies is caught."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localrl.engine.backends import Ability
from localrl.engine.conformance import BackendConformance, Subject
from localrl.engine.protocol import EngineSettings
from tests.engine.backends.mlx.mlx_folder import convert
from tests.engine.subjects import llama_server, localrl_server, mlx_server, write_script
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

LOCAL = ["scripted", "llama.cpp", "mlx"]
SERVED = ["server-llama-cpp-python", "server-mlx-lm", "server-localrl"]
DOCS = Path(__file__).parents[2] / "docs" / "backends.md"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One tiny model as a GGUF file and as an MLX folder; it ends no text by itself."""
    folder = tmp_path_factory.mktemp("models")
    gguf = write_gguf(folder / "tiny.gguf")
    return gguf, convert(gguf, folder / "tiny-mlx")


@pytest.fixture(
    scope="module", params=[*LOCAL, *(pytest.param(name, marks=pytest.mark.slow) for name in SERVED)]
)
def subject(
    request: pytest.FixtureRequest, models: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    gguf, mlx = models
    folder = tmp_path_factory.mktemp("subject")
    if request.param == "scripted":
        yield Subject(EngineSettings("scripted", str(write_script(folder / "script.json"))))
    elif request.param == "llama.cpp":
        yield Subject(EngineSettings("llama.cpp", str(gguf), context=2048))
    elif request.param == "mlx":
        yield Subject(EngineSettings("mlx", str(mlx), context=8192))
    else:
        start, model = {
            "server-llama-cpp-python": (llama_server, gguf),
            "server-mlx-lm": (mlx_server, mlx),
            "server-localrl": (localrl_server, gguf),
        }[request.param]
        server = start(model, folder / "log")
        try:
            server.wait()
            settings = EngineSettings("server", server.model, endpoints=(server.url,))
            cannot = {Ability.BUDGET, Ability.THOUGHT}
            cannot |= {Ability.SEED, Ability.REFUSE} if request.param == "server-mlx-lm" else set()
            yield Subject(settings, frozenset(cannot))
        finally:
            server.kill()


class TestOurBackends(BackendConformance):
    pass


OUTSIDE = """
import pytest

from localrl.engine.conformance import BackendConformance, Subject
from localrl.engine.protocol import EngineSettings


class TestBabble(BackendConformance):
    @pytest.fixture
    def subject(self):
        return Subject(EngineSettings("babble", "any"))
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package that docs/backends.md shows, installed beside ours, with its test; where its module is."""
    module = tmp_path / "babble.py"
    module.write_text(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0])
    (tmp_path / "test_babble.py").write_text(OUTSIDE)
    info = tmp_path / "babble-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: babble\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[localrl.backends]\nbabble = babble\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return module


def verdicts(folder: Path) -> tuple[int, set[str]]:
    """How many properties hold or are declared not to, and which do not."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "test_babble.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    kept = re.findall(r"(\d+) (?:passed|skipped)", ran.stdout)
    return sum(map(int, kept)), set(re.findall(r"^FAILED \S+::(\w+)", ran.stdout, re.MULTILINE))


def test_the_backend_that_the_docs_show_keeps_every_promise_from_outside(outside: Path) -> None:
    properties = [name for name in dir(BackendConformance) if name.startswith("test_")]
    assert verdicts(outside.parent) == (len(properties), set())


@pytest.mark.parametrize(
    ("right", "wrong", "caught"),
    [
        ("self._metrics.generated += 1", "pass", "test_metrics_are_the_sums_of_the_samples"),
        ("events.append(stream.started())", "pass", "test_every_sample_starts_and_ends_once_and_its"),
        ("stream.sample.seed", "random.random()", "test_a_seed_repeats_its_text_whatever_runs_beside"),
        ("[: self._parallel.limit]", "", "test_no_more_streams_run_than_were_asked_for"),
    ],
)
def test_a_broken_promise_is_caught(outside: Path, right: str, wrong: str, caught: str) -> None:
    source = outside.read_text()
    assert right in source
    outside.write_text(source.replace(right, wrong))
    assert any(name.startswith(caught) for name in verdicts(outside.parent)[1])
