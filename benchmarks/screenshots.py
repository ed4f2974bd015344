"""Pictures of every screen in both themes and two sizes: `python benchmarks/screenshots.py [FOLDER] [MODEL]`.

It uses the runs, chats and models of LOCALRL_HOME as they are, and begins a run and a chat: scripted ones, or
with MODEL.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl.tui.app import LocalrlApp, ModelSelection
from localrl.tui.widgets.chat.prompt import PromptInput
from localrl.tui.widgets.results.sample import SampleView

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

SIZES = {"small": (80, 24), "large": (200, 60)}
THEMES = ("dark", "light")
TEXTS = (
    "<think>The numbers are small, so I add them one by one.\n\nFirst the tens, then the ones. "
    "Wait, let me check the carry again: it is one.</think>The answer is **7**.\n\n"
    "1. Add the tens.\n2. Add the ones.\n\n```python\nprint(3 + 4)\n```\n\nSo it is 7.",
    "I think it is 12.",
    "<think>This word has three of them.</think>3",
)
QUESTION = "What is 3 + 4, and how would you check it?"
PATIENCE_S = 60.0


async def picture(folder: Path, theme: str, size: str, talk: ModelSelection, run: ModelSelection) -> None:
    """All screens in one theme and size; `talk` answers the chat, `run` is measured."""
    app = LocalrlApp(talk)
    app.theme = f"localrl-{theme}"
    async with app.run_test(size=SIZES[size]) as pilot:

        def save(name: str) -> None:
            (folder / f"{name}-{size}-{theme}.svg").write_text(app.export_screenshot(), encoding="utf-8")

        await _until(pilot, lambda: app.screen.query_one("#models").rows)  # type: ignore[attr-defined]
        await pilot.pause(0.5)
        save("models")
        await pilot.press("f3")
        await _until(pilot, lambda: app.current_mode == "chat")
        app.screen.query_one(PromptInput).text = QUESTION
        await pilot.press("enter")
        await _until(pilot, lambda: app.chat_work and app.chat_work.reply and app.chat_work.reply.over)
        await pilot.pause(0.5)
        save("chat")
        app.selection = run
        await pilot.press("f4")
        await _until(pilot, lambda: app.current_mode == "bench")
        await pilot.pause(1.0)
        save("bench-form")
        app.screen.query_one("#samples").value = "8"  # type: ignore[attr-defined]
        app.screen.set_focus(None)
        await pilot.press("n")
        await _until(pilot, lambda: app.bench_work and app.bench_work.run_state.snapshot.done > 60)
        await pilot.pause(1.0)
        save("bench")
        await pilot.press("s")
        await _until(pilot, lambda: app.bench_work and app.bench_work.ended)
        await pilot.press("f5")
        await _until(pilot, lambda: app.current_mode == "results" and app.screen.query_one("#run-table").rows)  # type: ignore[attr-defined]
        await pilot.pause(0.5)
        save("results")
        await pilot.press("enter")
        await _until(pilot, lambda: app.screen.query_one("#sample-table").rows)  # type: ignore[attr-defined]
        await _until(pilot, lambda: app.screen.query_one(SampleView).detail)
        await pilot.pause(0.5)
        save("sample")
        await pilot.press("f6")
        await pilot.pause(0.5)
        save("log")
        await pilot.press("f1")
        await pilot.pause(0.3)
        save("help")


async def _until(pilot: Pilot[None], true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a screen did not become ready")
        await pilot.pause(0.05)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        scripts = Path(temporary)
        for name, texts in (("talk", TEXTS[:1]), ("demo", TEXTS)):
            script = json.dumps({"texts": texts, "real_s": 0.01})
            (scripts / f"{name}.json").write_text(script, encoding="utf-8")
        talk, run = (ModelSelection(str(scripts / f"{name}.json"), "scripted") for name in ("talk", "demo"))
        if len(sys.argv) > 2:
            talk = run = ModelSelection(sys.argv[2])
        for size in SIZES:
            for theme in THEMES:
                asyncio.run(picture(folder, theme, size, talk, run))
    print(f"{len(list(folder.glob('*.svg')))} pictures in {folder}")


if __name__ == "__main__":
    main()
