"""What is particular to MLX: folders that it refuses, seeds in any batch, memory, and its own filters."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from localrl.catalog.locate import locate
from localrl.chat import Message
from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.backends.mlx import device
from localrl.engine.backends.mlx.device import MlxDevice, wired_limit_advice
from localrl.engine.backends.mlx.padded import PaddedScheduler
from localrl.engine.conformance import run
from localrl.engine.preview import preview
from localrl.engine.protocol import EngineSettings, FinishReason, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.errors import UsageError
from localrl.sampling import Sampling
from tests.engine.backends.mlx.mlx_folder import convert
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

GIB = 1 << 30


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mlx")
    gguf = write_gguf(folder / "tiny.gguf")
    return gguf, convert(gguf, folder / "tiny-mlx")


def groups(count: int, sampling: Sampling) -> list[GroupRequest]:
    return [
        GroupRequest(
            f"g{i}",
            (Message(role="user", content=f"how much is {i} + {i}, and why?"),),
            (SampleRequest(f"g{i}.0", 100 + i), SampleRequest(f"g{i}.1", 200 + i)),
            sampling,
        )
        for i in range(count)
    ]


def texts(backend: PaddedScheduler | Scheduler, work: list[GroupRequest]) -> dict[str, str]:
    try:
        return {name: outcome.text for name, outcome in run(backend, work).items()}
    finally:
        backend.close()


def test_the_same_weights_say_the_same_on_both_libraries(tiny: tuple[Path, Path]) -> None:
    """Greedy, so that only the arithmetic decides; a near tie may fall otherwise."""
    gguf, folder = tiny
    work = groups(6, Sampling(max_tokens=24))
    ours = texts(PaddedScheduler(MlxDevice(EngineSettings("mlx", str(folder), context=4096)), 4), work)
    settings = EngineSettings("llama.cpp", str(gguf), context=2048, cache_type="f16")
    theirs = texts(Scheduler(LlamaDevice(settings), 4), work)
    assert sum(ours[name] == theirs[name] for name in ours) >= 10


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, max_tokens=16),
        Sampling(temperature=0.8, top_k=5, max_tokens=16),
        Sampling(temperature=0.8, top_k=20, top_p=0.9, min_p=0.05, max_tokens=16),
        Sampling(temperature=1.2, top_p=0.7, max_tokens=16),
    ],
)
def test_a_seed_gives_the_same_text_in_any_batch(tiny: tuple[Path, Path], sampling: Sampling) -> None:
    settings = EngineSettings("mlx", str(tiny[1]), context=4096)
    wide = texts(PaddedScheduler(MlxDevice(settings), 8), groups(3, sampling))
    narrow = texts(PaddedScheduler(MlxDevice(settings), 1), groups(3, sampling))
    assert wide == narrow
    assert len(set(wide.values())) == 6


@pytest.mark.parametrize("content", ["how much is 2 + 2?", "is </s> or <|assistant|> the end?"])
def test_both_libraries_read_a_prompt_as_the_same_tokens(tiny: tuple[Path, Path], content: str) -> None:
    gguf, folder = tiny
    asked = GroupRequest("g", (Message(role="user", content=content),), (SampleRequest("g.0", 0),))
    made: list[LlamaDevice | MlxDevice] = [
        LlamaDevice(EngineSettings(model=str(gguf), context=512, threads=1)),
        MlxDevice(EngineSettings(model=str(folder), backend="mlx")),
    ]
    try:
        ours, theirs = (one.encode(asked)[0] for one in made)
    finally:
        for one in made:
            one.close()
    assert ours == theirs
    assert ours.count(2) == 0, "no end in the prompt"
    shown = [
        preview(one, asked) for one in (EngineSettings(model=str(gguf)), EngineSettings("mlx", str(folder)))
    ]
    assert shown[0] == shown[1]
    assert shown[0]
    assert [token.id for token in shown[0].tokens] == ours, "what is shown is what is asked"


def test_filters_keep_what_they_say() -> None:
    import mlx.core as mx

    chances = mx.log(mx.array([[0.5, 0.25, 0.15, 0.06, 0.04]]))

    def drawn(**filters: float) -> set[int]:
        sampling = Sampling(temperature=3.0, **filters)
        sample = device._sampler(mx, sampling, 7, 0)
        return {int(sample(chances).item()) for _ in range(300)}

    assert drawn() == {0, 1, 2, 3, 4}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_p=0.6) == {0, 1}
    assert drawn(min_p=0.2) == {0, 1, 2}
    assert drawn(top_k=4, top_p=0.99, min_p=0.2) == {0, 1, 2}


def test_memory_holds_new_streams_back_and_nothing_is_lost(tiny: tuple[Path, Path]) -> None:
    """Room for two padded rows only: the others wait or are preempted, and every text is complete."""
    settings = EngineSettings("mlx", str(tiny[1]), context=600)
    work = groups(4, Sampling(temperature=1.0, max_tokens=20))
    tight = run(backend := PaddedScheduler(MlxDevice(settings), 8), work)
    backend.close()
    assert {outcome.reason for outcome in tight.values()} == {FinishReason.LENGTH}
    roomy = texts(PaddedScheduler(MlxDevice(EngineSettings("mlx", str(tiny[1]), context=8192)), 8), work)
    assert {name: outcome.text for name, outcome in tight.items()} == roomy


@pytest.mark.parametrize(("file", "key"), [("config.json", "model_file"), ("config.json", "auto_map")])
def test_a_folder_that_brings_its_own_code_is_refused_unread(tmp_path: Path, file: str, key: str) -> None:
    (tmp_path / file).write_text(json.dumps({"model_type": "llama", key: "evil.py"}))
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    with pytest.raises(UsageError, match="own code"):
        MlxDevice(EngineSettings("mlx", str(tmp_path)))


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"config\.json"):
        MlxDevice(EngineSettings("mlx", str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="cannot load"):
        MlxDevice(EngineSettings("mlx", str(tmp_path)))


def test_code_named_in_a_part_of_the_config_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"model_file": "evil.py"}}))
    with pytest.raises(UsageError, match="own code"):
        MlxDevice(EngineSettings("mlx", str(tmp_path)))


@pytest.mark.parametrize(
    ("file", "broken"),
    [
        ("config.json", []),
        ("config.json", None),
        ("config.json", {"text_config": [1]}),
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"vocab_size": 10**12}),
        ("config.json", {"text_config": {"n_layers": 10**9}}),
        ("config.json", {"max_position_embeddings": "many"}),
        ("config.json", {"max_position_embeddings": -5}),
        ("tokenizer_config.json", [1]),
        ("tokenizer_config.json", {"tool_parser_type": "../../evil"}),
    ],
)
def test_a_folder_whose_files_make_no_sense_is_refused_in_words(
    tiny: tuple[Path, Path], tmp_path: Path, file: str, broken: Any
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny[1], folder)
    whole = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**whole, **broken} if isinstance(broken, dict) else broken))
    with pytest.raises(UsageError):
        MlxDevice(EngineSettings("mlx", str(folder)))


def test_more_layers_than_the_files_hold_are_refused_before_mlx_makes_them(
    tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_load", lambda folder: pytest.fail(f"mlx-lm was given {folder}"))
    folder = tmp_path / "deep"
    shutil.copytree(tiny[1], folder)
    whole = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**whole, "num_hidden_layers": 10_000_000}))
    with pytest.raises(
        UsageError, match=r"names 10,000,000 layers, but the files of .*/deep hold 21 tensors"
    ):
        MlxDevice(EngineSettings("mlx", str(folder)))


def test_a_quantised_cache_is_refused(tiny: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="--cache-type"):
        MlxDevice(EngineSettings("mlx", str(tiny[1]), cache_type="q8_0"))


def test_the_wired_limit_is_advised_only_where_it_helps() -> None:
    assert wired_limit_advice(12 * GIB, 16 * GIB, 24 * GIB) == ""
    assert wired_limit_advice(20 * GIB, 16 * GIB, 24 * GIB) == ""
    advised = wired_limit_advice(400 * GIB, 384 * GIB, 512 * GIB)
    assert advised.startswith("sudo sysctl iogpu.wired_limit_mb=")
    assert 400 * 1024 < int(advised.rpartition("=")[2]) <= 504 * 1024


@pytest.mark.slow
def test_the_starter_reads_a_prompt_and_answers_a_sum_the_same_on_both_libraries(tmp_path: Path) -> None:
    """Quantised weights on one side, the same dequantised on the other: other texts part at near ties."""
    starter = locate("smollm2-135m").path
    folder = convert(starter, tmp_path / "starter-mlx")
    prompt = (Message(role="user", content="What is 2 + 2?"),)
    work = GroupRequest("a", prompt, (SampleRequest("a.0", 1),), Sampling(max_tokens=8))
    rows = MlxDevice(EngineSettings("mlx", str(folder), context=1024))
    device = LlamaDevice(EngineSettings("llama.cpp", str(starter), context=1024, cache_type="f16"))
    assert rows.encode(work) == device.encode(work)
    assert texts(PaddedScheduler(rows, 1), [work]) == texts(Scheduler(device, 1), [work])


def test_penalties_count_what_was_said_and_repetition_the_prompt_too() -> None:
    import mlx.core as mx

    tokens, logits = mx.array([0, 1, 1, 3]), mx.array([[2.0, 2.0, 2.0, -2.0]])  # the first two are the prompt

    def penalised(**penalties: float) -> list[float]:
        (row,) = device._penalties(mx, Sampling(**penalties), 2)(tokens, logits).tolist()
        return [round(logit, 3) for logit in row]

    assert penalised(presence_penalty=0.5) == [2.0, 1.5, 2.0, -2.5]
    assert penalised(frequency_penalty=0.5) == [2.0, 1.5, 2.0, -2.5]
    assert penalised(repetition_penalty=2.0) == [1.0, 1.0, 2.0, -4.0]
