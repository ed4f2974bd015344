"""What the terminal interface costs, measured by hand: `python -m benchmarks.interface [NAME...]`.

paint   from the start of the process to the first whole picture, in a terminal of its own
chat    lag of the event loop and processor time while 12,000 tokens stream in at 200 tokens/s
bench   decode tokens/s of the starter model with the interface open, against headless, in turns
rows    lag of the event loop while a run of 100,000 samples is scrolled and filtered
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAINTS = 7
TOKENS = 12_000
ROUNDS = 6
SAMPLES = 100_000
PARAGRAPH = (
    "Consider the function on the interval and note that it is continuous there, so by the theorem it "
    "attains its **maximum** where `f'(x) = 0` or at an end. "
)
CODE = "\n\n```python\ndef f(x: float) -> float:\n    return 4 * x - x**2\n```\n\n"


class Lag:
    """How late the event loop wakes a sleeper, in milliseconds, and the processor time meanwhile."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._began = (time.monotonic(), time.process_time())
        self.core = 0.0

    async def watch(self, every_s: float = 0.005) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(every_s)
            self.late.append(1000 * (time.monotonic() - before - every_s))

    def end(self) -> None:
        self.core = (time.process_time() - self._began[1]) / (time.monotonic() - self._began[0])

    def __str__(self) -> str:
        ordered = sorted(self.late)
        p99 = ordered[int(0.99 * (len(ordered) - 1))]
        return f"lag p99 {p99:.0f} ms, most {ordered[-1]:.0f} ms, {100 * self.core:.0f} % of a core"


@contextlib.asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    found = Lag()
    task = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        found.end()
        task.cancel()


async def until(true: Any, every_s: float = 0.02, patience_s: float = 300) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        await asyncio.sleep(every_s)


def paint() -> None:
    """Seconds from the process's start to a picture with the footer in it."""
    taken, worked = [], []
    for _ in range(PAINTS):
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "localrl"], stdin=slave, stdout=slave, stderr=slave)
        seen = b""
        while b"Everything" not in seen:
            if select.select([master], [], [], 0.005)[0]:
                with contextlib.suppress(BlockingIOError):
                    seen += os.read(master, 1 << 16)
        taken.append(time.monotonic() - began)
        spent = psutil.Process(process.pid).cpu_times()
        worked.append(spent.user + spent.system)
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    print(
        f"paint: {1000 * min(taken):.0f} ms at best, {1000 * statistics.median(taken):.0f} ms median, "
        f"{1000 * statistics.median(worked):.0f} ms of processor time"
    )


def chat(folder: Path) -> None:
    from localrl.tui.app import LocalrlApp, ModelSelection
    from localrl.tui.widgets.chat.prompt import PromptInput

    # Numbers everywhere: a text that repeats itself would be stopped by the loop guard.
    thinking = "".join(f"Let me see whether case {i} is so. " for i in range(400))
    words, answer, i = len(thinking.split()), "", 0
    while words + len(answer.split()) < TOKENS:
        i += 1
        answer += "".join(PARAGRAPH.replace("interval", f"interval {i}.{j}") for j in range(4))
        answer += CODE.replace("4 * x", f"{i} * x")
    script = folder / "script.json"
    script.write_text(json.dumps({"texts": [f"<think>{thinking}</think>{answer}"], "real_s": 1 / 200}))

    async def scenario() -> None:
        app = LocalrlApp(ModelSelection(str(script), "scripted"))
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("f3")
            await until(lambda: app.current_mode == "chat" and app.focused is not None)
            screen: Any = app.screen
            await pilot.press("escape", "p")
            screen.query_one("#max_tokens").value = str(2 * TOKENS)
            screen.query_one(PromptInput).text = "Go on."
            screen.query_one(PromptInput).focus()
            await pilot.press("enter")
            work = app.chat_work
            await until(lambda: work and work.reply and work.reply.first)
            assert work
            assert work.reply
            reply, began = work.reply, time.monotonic()
            async with lag() as thought:
                await until(lambda: reply.answer or reply.over)
            print(f"chat, thinking: {thought}")
            async with lag() as found:
                await until(lambda: reply.over)
            rate = reply.tokens / (time.monotonic() - began)
            print(f"chat, answering: {found}, at {rate:.0f} tokens/s, {reply.tokens:,} tokens")

    asyncio.run(scenario())


def bench() -> None:
    """The same run in turns, without and with the interface watching it."""
    ratios = []
    for i in range(ROUNDS):
        speeds = {}
        for mode in ("headless", "open") if i % 2 else ("open", "headless"):
            command = [sys.executable, "-m", "benchmarks.interface", f"one-{mode}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            speeds[mode] = float(done.stdout.split()[-1])
        ratios.append(speeds["open"] / speeds["headless"])
        print(f"bench: headless {speeds['headless']:.1f}, open {speeds['open']:.1f} tokens/s")
    print(f"bench: open / headless {statistics.median(ratios):.3f} (median of {ROUNDS})")


def one_run(*, watched: bool) -> None:
    """Decode tokens/s of one run of the starter model."""
    from localrl.engine import resolve
    from localrl.engine.protocol import EngineSettings
    from localrl.report import report
    from localrl.runs import plan, session
    from localrl.store.runs import Store

    found = resolve.resolve("smollm2-135m")
    engine = EngineSettings(backend=found.backend, parallel=8, context=4096)
    made = plan.make(found.model, ["starter"], engine, sampling={"max_tokens": 128})
    if watched:
        asyncio.run(_watched(made))
    with Store() as store:
        if not watched:
            with session.start(store, made) as opened:
                for _ in opened.runner.events():
                    pass
        speed = report.make(store, store.find("last"))["speed"]
    print(speed["decode_tokens_per_s"])


async def _watched(made: Any) -> None:
    from localrl.tui.app import LocalrlApp
    from localrl.tui.work.bench import BenchWork

    app = LocalrlApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await until(lambda: app.current_mode == "bench")
        await asyncio.sleep(3)  # what the start goes on doing, while a person fills in the form
        work = BenchWork(made)
        app.begin_run(work)
        await until(lambda: work.ended, every_s=0.2)


def rows(folder: Path) -> None:
    from localrl.tui.app import LocalrlApp
    from localrl.tui.widgets.table import VirtualTable
    from tests.tui.conftest import SUMS
    from tests.tui.made import stored_run

    evals = Path(os.environ["LOCALRL_HOME"]) / "config" / "evals"
    evals.mkdir(parents=True, exist_ok=True)
    (evals / "sums.toml").write_text(SUMS)
    (evals / "sums.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    stored_run(folder, "large", problems=SAMPLES // 10, k=10)

    async def scenario() -> None:
        app = LocalrlApp()
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("f5")
            await until(lambda: app.current_mode == "results")
            screen: Any = app.screen
            await until(lambda: screen.query_one("#run-table", VirtualTable).rows)
            await asyncio.sleep(3)  # what the start goes on doing
            table = screen.query_one("#sample-table", VirtualTable)
            async with lag() as opening:
                await pilot.press("enter")
                await until(lambda: len(table.rows) == SAMPLES)
            print(f"rows, opening: {opening}")
            async with lag() as scrolling:
                for _ in range(100):
                    await pilot.press("pagedown")
                await pilot.press("end", "home", "end")
            print(f"rows, scrolling: {scrolling}")
            async with lag() as filtering:
                for _ in range(3):
                    before = table.rows
                    await pilot.press("o")
                    await until(lambda before=before: table.rows is not before)
                await pilot.press("slash", *"0777")
                await until(lambda: 0 < len(table.rows) < 500)
            print(f"rows, filtering: {filtering}")

    asyncio.run(scenario())


def main() -> None:
    names = sys.argv[1:] or ["paint", "chat", "rows", "bench"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LOCALRL_HOME", folder)
        for name in names:
            if name == "paint":
                paint()
            elif name == "chat":
                chat(Path(folder))
            elif name == "rows":
                rows(Path(folder))
            elif name == "bench":
                bench()
            else:
                one_run(watched=name == "one-open")


if __name__ == "__main__":
    main()
