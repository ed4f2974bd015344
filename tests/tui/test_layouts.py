"""Every screen looks as it did when somebody last looked at it: compared with the pictures in `layouts/`.

Nothing in them depends on this machine, the clock or the catalogue: what does is put there by `still`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from textual.widgets import ContentSwitcher, Footer, OptionList

from localrl import paths
from localrl.catalog import fit
from localrl.catalog.assess import Assessment
from localrl.catalog.locate import locate
from localrl.catalog.shape import Shape
from localrl.catalog.throughput import Throughput
from localrl.catalog.yields import KnownAccuracy, Yield
from localrl.engine.protocol import EngineSettings, Metrics
from localrl.evals import spec
from localrl.machine import hardware
from localrl.runs import plan
from localrl.sample import SampleRow
from localrl.sampling import Sampling
from localrl.store.chats import ChatMessage, Chats, ReplyMetrics
from localrl.store.runs import Store
from localrl.tui import app as tui_app
from localrl.tui.app import LocalrlApp, ModelSelection
from localrl.tui.screens.help import HelpScreen
from localrl.tui.symbols import RUNNING_CODE
from localrl.tui.widgets.bench.stream import StreamView
from localrl.tui.widgets.chat.message import ReplyView
from localrl.tui.widgets.chat.prompt import PromptInput
from localrl.tui.widgets.livetext import LiveText
from localrl.tui.widgets.models.details import Details
from localrl.tui.widgets.results.sample import SampleView
from localrl.tui.widgets.table import VirtualTable
from localrl.tui.widgets.train.figures import TrainFigures
from localrl.tui.work import models, plans
from localrl.tui.work.bench import BenchWork
from localrl.tui.work.models import ModelRow
from localrl.tui.work.run_state import EvalSnapshot, LiveSample, RunSnapshot
from tests.tui import picture
from tests.tui.made import stored_run
from tests.tui.pressing import press
from tests.tui.training import stored_training
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from textual.pilot import Pilot

    Check = Callable[[str], Awaitable[None]]

SIZES = {"small": (80, 24), "large": (120, 40)}
THEMES = {"small": "localrl-dark", "large": "localrl-light"}
ESSENTIAL: dict[str, tuple[str, ...]] = {
    "models": (
        "Graphics 24",
        "22.0 GiB for models",
        "✓ llama.cpp",
        "in use: demo:Q4_K_M on scripted",
        "fits",
    ),
    "chat": ("How much is 3 + 4?", "thinking 3 min 41 s", "112 tokens", "41.5 tok/s", "first after 0.31 s"),
    "form": ("■ sums", "demo:Q4_K_M", "max tokens", "about 1 h 12 m", "Start"),
    "bench": (
        "demo-14b:Q4_K_M",
        "running",
        "32/48",
        "62.5 %",
        " such",
        " these",
        "paper 79.5",
        "512 ▃ 25.0",
        "4k ▅ 50.0",
        "16k   –",
        "no limit ▆ 62.5",
        "TTFT 0.31 s",
        "20 correct",
        "6 wrong",
        "4 cut",
        "2 looped",
        "214 tok/s",
        "right/h",
        "ETA 12 min",
        "answering, after 3 min 41 s",
    ),
    "results": ("first", "second", "accuracy", "39.6 %", "95 %", "correct", "wrong", "cut", "looped"),
    "sample": ("sum-00000", "□ wrong", "extracted 1", "gold 1", "0 + 1?", "The answer is 1."),
    "comparison": ("12 shared problems", "decode tok/s", "first", "second"),
    "log": ("worker-1.log", "loading the model", "ready"),
    "train": (
        "demo-14b:Q4_K_M",
        "step 6/8",
        "20.0 % → 65.0 %",
        "−0.90 → 0.60",
        "no spread",
        "entropy",
        "mismatch",
        "tok/s",
        "! engine and trainer disagree",
        "--cache-type f16",
        "Samples of step 7",
        "+0.87",
    ),
    "help": ("log.follow", "app.help", "F1  ?"),
}
"""What must be on the picture whatever the size."""
MACHINE = hardware.Machine(
    "Graphics 24", 64 << 30, "Processor 8", 8, "Linux", "cuda", usable_bytes=22 << 30, bandwidth=1e12
)


def row(name: str, gigabytes: float, verdict: fit.Verdict, *, here: bool = False) -> ModelRow:
    """A line of the models screen."""
    size = int(gigabytes * 2**30)
    shape = Shape(name, "Q4_K_M", 48, 5120, 13824, 152064, 131072, (), size, 0, tied=False, active_bytes=size)
    memory = fit.MemoryUse(size, 3 << 30, 1 << 30)
    reason = "fits with 6 streams" if verdict == "fits" else "needs 41.2 GiB of 22.0 GiB"
    made = fit.Plan(verdict, reason, 196608, "q8_0", -1, 6, memory, 22 << 30, {}, measured=False)
    speed = Throughput(41.5, 214.0) if verdict == "fits" else None
    accuracy = KnownAccuracy(0.697, "aime24", measured=here)
    expected = Yield(accuracy, 13_107, tokens_measured=here, right_per_hour=41.0) if speed else None
    line = Assessment(f"{name}:Q4_K_M", shape, made, speed, None, None, expected)
    return ModelRow(name.title(), None, [line], {line.name} if here else set())


class Standing(BenchWork):
    """A run that stays as it is until it is stopped."""

    def __init__(self, made: plan.RunPlan) -> None:
        super().__init__(made, name="nightly")
        self.state = "running"
        self.over = threading.Event()

    def run(self) -> None:
        self.over.wait()

    def stop(self) -> None:
        self.state = "partial"
        self.over.set()


def standing(folder: Path) -> Standing:
    script = folder / "script.json"
    script.write_text(json.dumps({"texts": ["7"]}))
    made = plan.make(locate(str(script)), ["sums"], EngineSettings(backend="scripted"), samples=4, limit=12)
    work = Standing(made.model_copy(update={"model_name": "demo-14b", "quantisation": "Q4_K_M"}))
    counts = {"correct": 20, "wrong": 6, "truncated": 4, "looped": 2}
    outcomes = [name for name, count in counts.items() for _ in range(count)]
    places = [(0, f"sum-{i:02}", j) for i in range(9) for j in range(4)]
    run_state = work.run_state
    outcomes += ["engine_error"] * 4  # these are still to be done
    run_state.seed(
        SampleRow("sums", problem, sample, outcome, 0.0, 0, 0, 0, None, None, 0.0)
        for (_, problem, sample), outcome in zip(places, outcomes, strict=True)
    )
    run_state.rows[8].cells[:] = bytes([RUNNING_CODE] * 4)
    text = "The sum is found by adding the tens first.\n\n" + "Then the ones are added to it. " * 12
    for at, place in enumerate(places[32:]):
        fragments = [(True, "Let me see what is asked.\n"), (False, text)]
        run_state.streams[place] = LiveSample(
            place, time.monotonic(), fragments, tokens=8412 + at, thinking_s=221.0
        )
    run_state.rates = [float(abs(i % 30 - 15) * 20) for i in range(240)]
    run_state.published = ((0.795,),)
    budgets = {512: {(4, 1): 8}, 1024: {(4, 1): 4, (4, 2): 4}, 4096: {(4, 4): 4, (4, 0): 4}, 16384: {}}
    run_state.snapshot = RunSnapshot(
        evals=(EvalSnapshot("sums", 32, 48, counts, {(4, 4): 5, (4, 0): 3}, budgets),),
        metrics=Metrics(running=4, parallel=4, steps=1),
        tokens_per_s=214.4,
        eta_s=740.0,
        elapsed_s=600.0,
        correct_now=20,
        ttft_s=0.31,
    )
    return work


@pytest.fixture(autouse=True)
def still(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, a conversation, a log, models and a machine that are the same everywhere and at any time."""
    rows = [row("demo-14b", 8.4, "fits", here=True), row("demo-7b", 4.4, "fits"), row("demo-70b", 39.6, "no")]
    monkeypatch.setattr(models, "machine", lambda: MACHINE)
    monkeypatch.setattr(models, "rows", lambda _: rows)
    monkeypatch.setattr(models, "working_backends", lambda: {"llama.cpp": True, "mlx": False, "server": True})
    monkeypatch.setattr(models, "would_take", lambda _: "llama.cpp: a GGUF file on this machine")
    monkeypatch.setattr(hardware, "probe", lambda: MACHINE)
    monkeypatch.setattr(
        plans, "estimated", lambda *_: "900 samples, 1,843,200 tokens, about 1 h 12 m\n(a guess)"
    )
    monkeypatch.setattr(tui_app, "SETTLE_AFTER_S", 3600)  # what it tells comes at any moment
    files = SimpleNamespace(files=lambda: ["~/.config/localrl/config.toml"])
    monkeypatch.setattr("localrl.tui.screens.help.settings", files)
    folder = home / "config" / "evals"
    for name in ("primes", "words"):
        (folder / f"{name}.toml").write_text((folder / "sums.toml").read_text().replace("sums", name, 1))
    evals = {name: folder / f"{name}.toml" for name in ("primes", "sums", "words")}
    monkeypatch.setattr(spec, "available", lambda: evals)
    for i, (name, status) in enumerate(
        {"first": "complete", "second": "complete", "left": "partial"}.items()
    ):
        run = stored_run(tmp_path, name, shift=i, status=status, problems=12 - 4 * (i == 2))
        with Store() as store:
            told = (f"run00{i}", f"2026-01-0{i + 1}T12:00:00+00:00", run.key)
            store.connection.execute("UPDATE runs SET id = ?, created = ? WHERE key = ?", told)
            store.connection.commit()
    with Store() as store:
        chats = Chats(store.connection)
        chat = chats.create("demo:Q4_K_M", "Be brief.", Sampling(), "How much is 3 + 4?")
        chats.add(chat, "user", "How much is 3 + 4?")
        answer = "It is **7**:\n\n- three\n- and four\n\n```python\nprint(3 + 4)\n```\n\nThat is all."
        figures = ReplyMetrics(80, 32, thinking_s=221.0, ttft_s=0.31, tokens_per_s=41.53)
        chats.write(
            ChatMessage(chats.add(chat, "assistant"), "assistant", answer, "Let me add.", "stop", figures)
        )
    logs = paths.ensure(paths.home("state") / "logs")
    (logs / "worker-1.log").write_text("loading the model\nready\n")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_every_screen_looks_as_it_was_accepted_and_nothing_essential_is_cut_off(
    size: str, tmp_path: Path
) -> None:
    failures: list[str] = []

    async def scenario() -> None:
        app = LocalrlApp(ModelSelection("demo:Q4_K_M", "scripted"))
        app.theme = THEMES[size]
        async with app.run_test(size=SIZES[size]) as pilot:

            async def check(name: str) -> None:
                failures.append(await picture.looks_like(pilot, f"{name}-{size}"))
                failures.extend(missing(pilot, name))

            await models_and_chat(pilot, check)
            await bench(pilot, check, standing(tmp_path))
            await results(pilot, check)
            stored_training(tmp_path)  # after the results, which list what measured it
            await train(pilot, check)
            await log_and_help(pilot, check)

    asyncio.run(scenario())
    if told := "".join(failures):
        pytest.fail(told, pytrace=False)  # an assertion would be cut short


def missing(pilot: Pilot[None], name: str) -> list[str]:
    """What is essential, or a key of the footer, and is not on the screen as a whole."""
    lines = picture.words_of(picture.picture(pilot))
    lacks = [words for words in ESSENTIAL[name] if not any(words in line for line in lines)]
    bindings = pilot.app.screen.active_bindings.values()
    keys = [active.binding for active in bindings if active.binding.show and active.enabled]
    if pilot.app.screen.query(Footer):
        lacks += [key.description for key in keys if f" {key.description} " not in f"{lines[-1]} "]
    return [f"{name} does not show {words!r}\n" for words in lacks]


async def models_and_chat(pilot: Pilot[None], check: Check) -> None:
    app = cast("LocalrlApp", pilot.app)
    await wait_until(pilot, lambda: len(app.screen.query_one("#models", VirtualTable).rows) == 3)
    details = app.screen.query_one(Details)
    await wait_until(pilot, lambda: "runs on" in str(details.render()))
    await check("models")
    await press(pilot, "app.chat")
    await wait_until(pilot, lambda: app.current_mode == "chat")
    listed = app.screen.query_one("#chats", OptionList)
    await wait_until(pilot, lambda: listed.option_count)
    await press(pilot, "app.leave")
    await press(pilot, "chat.list")
    await wait_until(pilot, lambda: app.focused is listed)
    await pilot.press("home", "enter")
    await wait_until(pilot, lambda: app.screen.query(ReplyView) and isinstance(app.focused, PromptInput))
    await press(pilot, "app.leave")
    await press(pilot, "chat.panel" if app.size.width > 100 else "chat.list")
    await check("chat")


async def bench(pilot: Pilot[None], check: Check, work: Standing) -> None:
    app = cast("LocalrlApp", pilot.app)
    await press(pilot, "app.bench")
    await wait_until(pilot, lambda: app.current_mode == "bench")
    unfinished = app.screen.query_one("#unfinished", OptionList)
    await wait_until(pilot, lambda: unfinished.option_count)
    await check("form")
    app.begin_run(work)
    try:
        await wait_until(pilot, lambda: app.screen.query_one(StreamView).stream)
        await check("bench")
    finally:
        work.stop()


async def results(pilot: Pilot[None], check: Check) -> None:
    app = cast("LocalrlApp", pilot.app)
    await press(pilot, "app.results")
    await wait_until(pilot, lambda: app.current_mode == "results")
    runs = app.screen.query_one("#run-table", VirtualTable)
    await wait_until(pilot, lambda: len(runs.rows) == 3)
    await pilot.press("end")
    await press(pilot, "results.mark")
    await pilot.press("up")
    await press(pilot, "results.mark")
    await check("results")
    await press(pilot, "results.compare")
    shown = app.screen.query_one(ContentSwitcher)
    await wait_until(pilot, lambda: shown.current == "compare")
    await check("comparison")
    await press(pilot, "app.leave")
    await wait_until(pilot, lambda: shown.current == "runs" and app.focused is runs)
    await pilot.press("enter")
    await wait_until(pilot, lambda: app.screen.query_one(SampleView).detail)
    await check("sample")


async def train(pilot: Pilot[None], check: Check) -> None:
    app = pilot.app
    await press(pilot, "app.train")
    await wait_until(pilot, lambda: app.current_mode == "train")
    await wait_until(pilot, lambda: "held out" in str(app.screen.query_one(TrainFigures).render()))
    await check("train")


async def log_and_help(pilot: Pilot[None], check: Check) -> None:
    app = pilot.app
    await press(pilot, "app.log")
    await wait_until(pilot, lambda: app.current_mode == "log")
    await wait_until(pilot, lambda: "ready" in app.screen.query_one(LiveText).text)
    await check("log")
    await press(pilot, "app.help")
    await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
    await check("help")


def test_no_picture_is_left_of_a_screen_that_is_gone() -> None:
    wanted = {f"{name}-{size}.txt" for name in ESSENTIAL for size in SIZES}
    assert {path.name for path in picture.FOLDER.iterdir()} == wanted
