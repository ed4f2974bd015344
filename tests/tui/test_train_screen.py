"""The train screen shows what the store holds of a training, while it grows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from localrl.store.runs import Store
from localrl.tui.screens import train as screen
from tests.tui import picture
from tests.tui.pressing import press
from tests.tui.training import STEPS, stored_training
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow


def words(pilot: Pilot[None]) -> str:
    return "\n".join(picture.words_of(picture.picture(pilot)))


def test_a_training_is_shown_with_figures_warnings_and_samples_and_followed(
    tmp_path: Path, scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_training(tmp_path, "older")
    training = stored_training(tmp_path)
    monkeypatch.setattr(screen, "LOOK_EVERY_S", 0.05)

    async def scenario() -> None:
        async with scripted().run_test(size=(80, 24)) as pilot:
            await press(pilot, "app.train", "f7")
            await wait_until(pilot, lambda: f"step {STEPS}/8" in words(pilot))
            shown = words(pilot)
            for said in ("nightly", "20.0 % → 65.0 %", "+45.0", "−0.90 → 0.60", "no spread", "mismatch"):
                assert said in shown, shown
            assert "! engine and trainer disagree" in shown
            assert "Samples of step 7" in shown
            assert "it is 5 or perhaps" in shown
            with Store() as store:
                store.trainings.add_step(
                    training, STEPS, {**store.trainings.steps(training)[-1], "step": STEPS}
                )
            await wait_until(pilot, lambda: f"step {STEPS + 1}/8" in words(pilot))
            await press(pilot, "train.other")
            await wait_until(pilot, lambda: "older" in words(pilot))
            await press(pilot, "app.models")
            await press(pilot, "app.train", "6")
            await wait_until(pilot, lambda: pilot.app.current_mode == "train")

    asyncio.run(scenario())


def test_without_a_training_the_screen_says_how_to_begin_one(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        async with scripted().run_test(size=(80, 24)) as pilot:
            await press(pilot, "app.train")
            await wait_until(pilot, lambda: "localrl train smollm2-135m sums" in words(pilot))

    asyncio.run(scenario())
