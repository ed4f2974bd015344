"""A backend is one module: ours fulfil the contract, and one of another package runs like ours."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl import isolated
from localrl.engine import backends, resolve
from localrl.engine.backends import BACKENDS, BackendModule, llama_cpp, mlx, scripted, server
from localrl.engine.client import EngineClient
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, SampleRequest
from localrl.errors import UsageError
from localrl.registry import plugged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS: list[BackendModule] = [llama_cpp, mlx, server, scripted]
"""Held against the contract by mypy."""
PARROT = '''
"""Says the prompt again."""

from localrl.engine.backends import Form
from localrl.engine.protocol import Finished, FinishReason, Metrics, ModelInfo, Started, Text

SUMMARY = "repeats the prompt"
FORM = Form.ANY
REQUIRES = ()
INSTALL = ""
CANNOT = ("think",)


def load(settings):
    return Parrot()


class Parrot:
    info = ModelInfo("parrot", "1", context=100)

    def __init__(self):
        self.groups = []

    @property
    def busy(self):
        return bool(self.groups)

    def submit(self, group):
        self.groups.append(group)

    def cancel(self, name):
        pass

    def step(self):
        group, events = self.groups.pop(), [Metrics()]
        for sample in group.samples:
            events += [Started(sample.id, False), Text(sample.id, group.prompt, False)]
            events.append(Finished(sample.id, FinishReason.STOP, group.prompt))
        return events

    def close(self):
        pass
'''


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution that brings the backend `parrot`, and one that breaks the contract."""
    (tmp_path / "parrot_backend.py").write_text(PARROT)
    (tmp_path / "lame_backend.py").write_text(PARROT.replace("Form.ANY", '"tape"'))
    info = tmp_path / "parrot_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-backend\nVersion: 1.0\n")
    points = "[localrl.backends]\nparrot = parrot_backend\nlame = lame_backend\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # and let the worker see it, as it sees what is installed
    monkeypatch.setattr(isolated, "_FLAGS", ())
    monkeypatch.setattr(isolated, "_NAMES", {*isolated._NAMES, "PYTHONPATH"})
    for name in ("parrot_backend", "lame_backend"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    forget_members()
    yield
    monkeypatch.undo()
    forget_members()


def forget_members() -> None:
    plugged.cache_clear()
    BACKENDS.__dict__.pop("members", None)


def test_every_backend_of_ours_is_found_and_fulfils_the_contract() -> None:
    assert BACKENDS.names()[:4] == ["llama.cpp", "mlx", "scripted", "server"]
    assert [BACKENDS.get(name) for name in ("llama.cpp", "mlx", "server", "scripted")] == OURS


@pytest.mark.process
def test_looking_at_backends_imports_no_library_that_computes() -> None:
    code = "import sys; from localrl.engine import backends; backends.offered(); backends.available('mlx'); "
    code += "print([name for name in ('llama_cpp', 'mlx.core', 'mlx_lm', 'aiohttp') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.process
@pytest.mark.usefixtures("parrot")
def test_a_backend_of_another_package_is_offered_chosen_and_run_in_the_worker(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.touch()
    assert "parrot" in backends.offered()
    choice = resolve.resolve(str(model), "parrot")
    assert (choice.backend, choice.model.path) == ("parrot", model)
    settings = EngineSettings(choice.backend, str(choice.model.path))
    with EngineClient(settings, tmp_path / "log") as engine:
        engine.submit(GroupRequest("g", "a cracker", (SampleRequest("g.0", 1),)))
        events = engine.events(timeout=30)
    assert engine.info.backend == "parrot"
    assert [event.text for event in events if isinstance(event, Finished)] == ["a cracker"]


@pytest.mark.usefixtures("parrot")
def test_a_backend_that_breaks_the_contract_is_not_offered_and_says_what_is_wrong(tmp_path: Path) -> None:
    assert "lame" not in backends.offered()
    with pytest.raises(UsageError, match=r"'lame' \(lame_backend, of parrot-backend\) has the FORM 'tape'"):
        resolve.resolve(str(tmp_path), "lame")


@pytest.mark.process
def test_an_unknown_backend_is_refused_by_the_choice_and_by_the_worker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no backend named 'llama\.cp'; did you mean 'llama\.cpp'"):
        resolve.resolve(str(tmp_path), "llama.cp")
    with pytest.raises(UsageError, match=r"no backend named 'llama\.cp'"):
        EngineClient(EngineSettings("llama.cp", "x"), tmp_path / "log")
