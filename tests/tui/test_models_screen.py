from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from textual.widgets import Input, Static

from localrl.tui.screens.models import ModelsScreen
from localrl.tui.widgets.models.details import Details
from localrl.tui.widgets.table import VirtualTable
from tests.catalog.conftest import write_tiny
from tests.catalog.hub_server import Hub, serve
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow

SERVER = {
    "endpoint": "http://127.0.0.1:9/v1",
    "headers": "X-A: 1; 2; X-B: 3;",
    "extra-body": '{"echo": true}',
    "ca-file": __file__,
}
CARD = """
name = "tiny"
title = "Tiny"
parameters = 1000
pitfalls = ["It knows nothing."]
published = [{ eval = "sums", value = 0.5, source = "a page" }]

[shape]
layers = 1
embedding = 32
feed_forward = 64
heads = 2
kv_heads = 2
head_size = 16
vocabulary = 320
context = 256
source = "made up"

[gguf]
repo = "someone/Tiny-GGUF"
default = "Q8_0"
quantisations = { Q8_0 = { files = "tiny-Q8_0.gguf" }, F16 = { files = "tiny-F16.gguf" } }
"""


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = home / "config" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(CARD)
    made = Hub()
    stop = serve(made)
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    made.repos["someone/Tiny-GGUF"] = {"tiny-Q8_0.gguf": bytes(range(256)) * 4096}
    yield made
    stop()


async def opened(app: LocalrlApp, pilot: Pilot[None]) -> ModelsScreen:
    await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
    screen = cast("ModelsScreen", app.screen)
    await wait_until(pilot, lambda: len(screen.query_one("#models", VirtualTable).rows) > 5, "the catalogue")
    return screen


async def at_tiny(screen: ModelsScreen, pilot: Pilot[None]) -> None:
    """Put the cursor on the tiny model."""
    await press(pilot, "models.filter")
    await pilot.press(*"tiny", "enter")
    await wait_until(
        pilot, lambda: [row.title for row in screen.query_one("#models", VirtualTable).rows] == ["Tiny"]
    )


def test_the_catalogue_shows_fit_details_and_the_machine(
    scripted: Callable[..., LocalrlApp], hub: Hub
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            assert "for models" in str(screen.query_one("#machine", Static).render())
            await at_tiny(screen, pilot)
            await wait_until(pilot, lambda: "knows nothing" in str(screen.query_one(Details).render()))
            assert "50.0 %" in str(screen.query_one(Details).render())
            await press(pilot, "models.quantisation")
            assert screen._row
            first = screen._row.name
            await press(pilot, "models.quantisation")
            assert {first, screen._row.name} == {"tiny:Q8_0", "tiny:F16"}
            await press(pilot, "app.leave")
            await wait_until(pilot, lambda: len(screen.query_one("#models", VirtualTable).rows) > 5)

    asyncio.run(scenario())


def test_a_chosen_model_and_backend_are_what_chats_and_runs_take(
    scripted: Callable[..., LocalrlApp], hub: Hub
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await at_tiny(screen, pilot)
            await press(pilot, "models.use")
            await wait_until(pilot, lambda: app.selection.model.startswith("tiny:"))
            chosen = []
            for _ in range(4):
                await press(pilot, "models.backend")
                chosen.append(app.selection.backend)
            assert sorted(chosen) == ["auto", "llama.cpp", "mlx", "server"]
            while app.selection.backend != "server":
                await press(pilot, "models.backend")
            for name, text in SERVER.items():
                screen.query_one(f"#{name}", Input).value = text
            screen.query_one("#headers").focus()
            await pilot.press("enter")
            assert app.selection.endpoints == ("http://127.0.0.1:9/v1",)
            assert app.selection.server
            assert app.selection.server.headers == (("X-A", "1; 2"), ("X-B", "3"))
            assert app.selection.server.extra_body == {"echo": True}
            assert app.selection.server.ca_file == str(Path(__file__))
            screen.query_one("#extra-body", Input).value = '{"model": 1}'
            screen.query_one("#extra-body").focus()
            await pilot.press("enter")
            await wait_until(pilot, lambda: any("'model' is set" in n.message for n in app._notifications))
            assert app.selection.server.extra_body == {"echo": True}
            screen.query_one("#models").focus()
            await pilot.pause()
            app.selection = replace(app.selection, model="another")
            await press(pilot, "models.chat")
            await wait_until(pilot, lambda: app.current_mode == "chat")
            assert app.selection.model.startswith("tiny:")

    asyncio.run(scenario())


def test_a_download_is_paused_resumed_survives_other_screens_and_is_cancelled(
    scripted: Callable[..., LocalrlApp], hub: Hub
) -> None:
    hub.bytes_per_s = 300_000

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await at_tiny(screen, pilot)
            while screen._row and not screen._row.name.endswith("Q8_0"):
                await press(pilot, "models.quantisation")
            await press(pilot, "models.pull")
            assert app.downloads
            download = app.downloads.queue[0]
            await wait_until(pilot, lambda: download.progress and download.progress.got > 0, "bytes")
            await press(pilot, "models.pause")
            assert str(download.state) == "paused"
            await wait_until(pilot, lambda: app.downloads and not app.downloads.working)
            await press(pilot, "models.pause")
            await wait_until(pilot, lambda: str(download.state) == "running")
            await pilot.press("f6")
            await wait_until(pilot, lambda: app.current_mode == "log")
            got = download.progress.got if download.progress else 0
            await wait_until(pilot, lambda: download.progress and download.progress.got > got)
            await pilot.press("f2")
            await wait_until(pilot, lambda: app.screen is screen)
            await press(pilot, "models.cancel")
            assert not app.downloads.queue

    asyncio.run(scenario())


def test_leaving_waits_for_no_download_and_keeps_what_came(
    scripted: Callable[..., LocalrlApp], hub: Hub, home: Path
) -> None:
    hub.bytes_per_s = 20_000  # the whole would take a minute

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await at_tiny(screen, pilot)
            while screen._row and not screen._row.name.endswith("Q8_0"):
                await press(pilot, "models.quantisation")
            await press(pilot, "models.pull")
            assert app.downloads
            download = app.downloads.queue[0]
            await wait_until(pilot, lambda: download.progress and download.progress.got > 0, "bytes")
            await press(pilot, "app.quit")

    began = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - began < 30
    assert list((home / "hub").rglob("*.localrl-part"))


def test_cancelling_a_download_keeps_what_came_of_another_from_the_same_repo(
    scripted: Callable[..., LocalrlApp], hub: Hub, home: Path
) -> None:
    hub.bytes_per_s = 50_000
    hub.repos["someone/Tiny-GGUF"]["tiny-F16.gguf"] = bytes(range(255)) * 4096

    def parts() -> int:
        return len(list((home / "hub").rglob("*.localrl-part")))

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await at_tiny(screen, pilot)
            await press(pilot, "models.pull")
            assert app.downloads
            first = app.downloads.queue[0]
            await wait_until(pilot, lambda: first.progress and first.progress.got > 0, "bytes")
            await press(pilot, "models.pause")
            await press(pilot, "models.quantisation")
            await press(pilot, "models.pull")
            second = app.downloads.queue[1]
            await wait_until(pilot, lambda: second.progress and second.progress.got > 0, "bytes")
            assert parts() == 2
            await press(pilot, "models.cancel")
            await wait_until(pilot, lambda: parts() == 1)
            assert [str(download.state) for download in app.downloads.queue] == ["paused"]
            await press(pilot, "app.quit")

    asyncio.run(scenario())
    assert parts() == 1


def test_keys_reach_the_download_under_way_from_any_row_and_a_finished_one_leaves_the_queue(
    scripted: Callable[..., LocalrlApp], hub: Hub, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    hub.repos["someone/Tiny-GGUF"]["tiny-Q8_0.gguf"] = (tmp_path / "tiny.gguf").read_bytes()

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await at_tiny(screen, pilot)
            while screen._row and not screen._row.name.endswith("Q8_0"):
                await press(pilot, "models.quantisation")
            hub.bytes_per_s = 20_000
            await press(pilot, "models.pull")
            assert app.downloads
            download = app.downloads.queue[0]
            await wait_until(pilot, lambda: str(download.state) == "running")
            await press(pilot, "app.leave")
            await wait_until(pilot, lambda: screen._row and screen._row.name != download.name)
            await press(pilot, "models.pause")
            assert str(download.state) == "paused"
            hub.bytes_per_s = 0
            await press(pilot, "models.pause")
            await press(pilot, "app.log")
            await wait_until(pilot, lambda: app.downloads and not app.downloads.queue)

    asyncio.run(scenario())


def test_a_model_that_somebody_put_here_meanwhile_is_seen_on_looking_again(
    scripted: Callable[..., LocalrlApp], hub: Hub, home: Path
) -> None:
    def titles(screen: ModelsScreen) -> list[str]:
        return [row.title for row in screen.query_one("#models", VirtualTable).rows]

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            assert "Newcomer" not in titles(screen)
            card = CARD.replace('"tiny"', '"newcomer"').replace('"Tiny"', '"Newcomer"')
            (home / "config" / "models" / "newcomer.toml").write_text(card)
            await press(pilot, "models.refresh")
            await wait_until(pilot, lambda: "Newcomer" in titles(screen))

    asyncio.run(scenario())


def test_a_card_that_cannot_be_read_is_named_with_its_error_and_hides_no_other(
    scripted: Callable[..., LocalrlApp], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "config" / "models"
    folder.mkdir(parents=True)
    (folder / "broken.toml").write_text('nmae = "x"')
    monkeypatch.chdir(home)

    async def scenario() -> None:
        app = scripted()
        app.selection = replace(app.selection, model="broken")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await press(pilot, "models.filter")
            await pilot.press(*"broken", "enter")
            await wait_until(pilot, lambda: "broken.toml" in str(screen.query_one(Details).render()))
            await press(pilot, "app.chat")
            await wait_until(pilot, lambda: app.current_mode == "chat")
            await wait_until(
                pilot, lambda: "broken.toml" in str(app.screen.query_one("#source", Static).render())
            )

    asyncio.run(scenario())


def test_a_click_moves_to_a_model_and_a_second_one_uses_it(
    scripted: Callable[..., LocalrlApp], hub: Hub
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            table = screen.query_one("#models", VirtualTable)
            await pilot.click(table, offset=(5, 3))
            await wait_until(pilot, lambda: table.cursor == 2)
            wanted = table.rows[2].name
            assert app.selection.model != wanted
            await pilot.click(table, offset=(5, 3))
            await wait_until(pilot, lambda: app.selection.model == wanted)

    asyncio.run(scenario())


def machine(screen: ModelsScreen) -> str:
    return str(screen.query_one("#machine", Static).render())


def test_the_chosen_model_is_served_and_stopped_by_a_key(
    scripted: Callable[..., LocalrlApp], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localrl.tui.work.serve.PORT", 0)

    async def scenario() -> None:
        app = scripted("one two three")
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await press(pilot, "models.serve")
            await wait_until(pilot, lambda: "serving at http://127.0.0.1:" in machine(screen))
            address = machine(screen).partition("serving at ")[2].split()[0]
            body = json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()
            asked = urllib.request.Request(
                f"{address}/chat/completions", body, {"Content-Type": "application/json"}
            )
            answer = await asyncio.to_thread(lambda: urllib.request.urlopen(asked, timeout=30).read())
            assert json.loads(answer)["choices"][0]["message"]["content"] == "one two three"
            await press(pilot, "models.serve")
            await wait_until(pilot, lambda: app.serve_work is None and "server:" not in machine(screen))

    asyncio.run(scenario())
