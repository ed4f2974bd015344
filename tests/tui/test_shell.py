"""What holds on every screen: keys, palette, themes, sizes, and leaving."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from textual.color import Color
from textual.command import CommandList, CommandPalette
from textual.widgets import Static

from localrl import paths
from localrl.errors import UsageError
from localrl.tui import keys, theme
from localrl.tui.app import LocalrlApp, main
from localrl.tui.commands import ActionCommands
from localrl.tui.screens.help import HelpScreen
from localrl.tui.screens.log import LogScreen
from localrl.tui.widgets.livetext import LiveText
from tests.tui.made import stored_run
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def is_shown(app: LocalrlApp, name: str) -> bool:
    return app.current_mode == name


SCREENS = [name for name in keys.GROUPS if name != "app"]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_every_screen_opens_by_its_key_in_both_themes_and_shows_its_name_and_keys(
    scripted: Callable[..., LocalrlApp], size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=size) as pilot:
            for number, name in enumerate(SCREENS, start=2):
                await pilot.press(f"f{number}")
                await wait_until(pilot, partial(is_shown, app, name))
                await pilot.pause()
                for _ in range(2):
                    before = app.theme
                    await press(pilot, "app.theme")
                    assert app.theme != before
                    words = re.sub(r"<[^>]+>|&#160;", " ", app.export_screenshot())
                    assert keys.GROUPS[name] in words
                    assert "Everything" in words, "the last key of the footer is not cut off"

    asyncio.run(scenario())


def test_every_screen_has_two_keys_and_a_tab(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:

            async def shown(name: str) -> None:
                await wait_until(pilot, lambda: app.current_mode == name)
                app.screen.set_focus(None)  # digits are keys outside fields only

            await shown("models")
            await press(pilot, "app.chat")
            await shown("chat")
            await press(pilot, "app.bench")
            await shown("bench")
            await press(pilot, "app.results")
            await shown("results")
            await press(pilot, "app.log")
            await shown("log")
            await press(pilot, "app.models")
            await shown("models")
            await press(pilot, "app.log", "5")
            await shown("log")
            await press(pilot, "app.results", "4")
            await shown("results")
            await press(pilot, "app.bench", "3")
            await shown("bench")
            await press(pilot, "app.chat", "2")
            await shown("chat")
            await press(pilot, "app.models", "1")
            await shown("models")
            for name in (*SCREENS[1:], SCREENS[0]):
                tabs = app.screen.query_one("#tabs", Static)
                await pilot.click(tabs, offset=(str(tabs.render()).index(keys.GROUPS[name]), 0))
                await shown(name)

    asyncio.run(scenario())


def test_a_screen_is_made_before_the_next_key_is_looked_at(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)):
            await app.run_action("show('results')")
            await app.screen.run_action("mark")
            await app.run_action("leave")

    asyncio.run(scenario())


def test_help_shows_the_keys_of_the_screen_and_closes_by_each_of_its_keys(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            await press(pilot, "app.log")
            await wait_until(pilot, lambda: app.current_mode == "log")
            for closing in ("f1", "question_mark", "escape", "q"):
                if closing == "f1":
                    await press(pilot, "app.help")
                else:
                    await press(pilot, "app.help", "question_mark")
                await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
                await wait_until(pilot, lambda: "log.follow" in app.export_screenshot())
                await pilot.press(closing)
                await wait_until(pilot, lambda: isinstance(app.screen, LogScreen))

    asyncio.run(scenario())


def test_the_palette_reaches_every_action(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            reached = [hit.text async for hit in ActionCommands(app.screen).discover()]
            assert len(reached) == sum(len(table) for table in keys.TABLE.values()) - 1
            await app.perform("log", "follow")
            assert app.current_mode == "log"
            await press(pilot, "app.everything")
            await wait_until(pilot, lambda: isinstance(app.screen, CommandPalette))
            await pilot.press(*"new run")
            found = app.screen.query_one(CommandList)
            await wait_until(pilot, lambda: found.option_count and found.highlighted is not None)
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.current_mode == "bench", "it is done on its screen")

    asyncio.run(scenario())


def test_a_key_of_the_settings_file_takes_the_place_of_the_default(
    scripted: Callable[..., LocalrlApp], home: Path
) -> None:
    (home / "config" / "config.toml").write_text('theme = "light"\n[keys]\n"app.log" = "f9"\n')

    async def scenario() -> None:
        app = scripted()
        async with app.run_test() as pilot:
            assert app.theme == theme.LIGHT.name
            await pilot.press("f9")
            await wait_until(pilot, lambda: app.current_mode == "log")

    asyncio.run(scenario())


def test_an_unknown_theme_is_refused_with_the_nearest(home: Path) -> None:
    (home / "config" / "config.toml").write_text('theme = "drak"\n')
    with pytest.raises(UsageError, match="did you mean 'dark'"):
        LocalrlApp()


def test_what_cannot_be_drawn_on_is_refused_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(UsageError, match="TERM=dumb"):
        main()
    monkeypatch.setenv("TERM", "xterm-256color")
    with pytest.raises(UsageError, match="stderr"):
        main()
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(latin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", latin)
    with pytest.raises(UsageError, match="needs UTF-8, and this locale writes latin-1"):
        main()


def test_an_error_that_is_on_the_screen_is_not_shown_again(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted()
        told: list[str] = []
        app.notify = lambda words, **_: told.append(words)  # type: ignore[method-assign]
        async with app.run_test():
            for words in ("disk full", "disk full", "no such run", "disk full"):
                app.tell_error(UsageError(words), "store")
        assert told == ["disk full", "no such run"]

    asyncio.run(scenario())


def test_an_action_of_the_palette_comes_first_on_its_screen_and_leaves_the_focus(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, name="one")

    async def scenario() -> None:
        app = scripted()
        async with app.run_test() as pilot:
            await press(pilot, "app.results")
            await wait_until(pilot, lambda: app.screen.query("#run-table"))
            screen: Any = app.screen
            await wait_until(pilot, lambda: screen.query_one("#run-table").rows)
            found = [hit async for hit in ActionCommands(app.screen).search("mark")]
            assert str(max(found, key=lambda hit: hit.score).text) == "Results: Mark"
            await app.perform("results", "mark")
            assert len(screen._marked) == 1
            assert app.focused is screen.query_one("#run-table")

    asyncio.run(scenario())


def test_hints_name_the_keys_of_the_settings_file(scripted: Callable[..., LocalrlApp], home: Path) -> None:
    (home / "config" / "config.toml").write_text('[keys]\n"app.bench" = "f9,b"\n"app.quit" = "ctrl+x"\n')
    app = scripted()
    assert (app.key("app.bench"), app.key("app.quit"), app.key("results.mark")) == ("F9", "ctrl+x", "space")


def test_titles_name_the_keys_of_the_settings_file(
    scripted: Callable[..., LocalrlApp], home: Path, tmp_path: Path
) -> None:
    chosen = {"models.use": "f7", "app.leave": "f8", "results.thinking": "f9"}
    table = "\n".join(f'"{name}" = "{key}"' for name, key in chosen.items())
    (home / "config" / "config.toml").write_text(f"[keys]\n{table}\n")
    for _ in range(2):
        stored_run(tmp_path, thinking="so " * 400)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(120, 40)) as pilot:

            async def reads(words: str) -> None:
                await wait_until(pilot, lambda: words in shown(app), words)

            await reads("models · F7 chooses")
            await pilot.press("f3")
            await reads("F8 for keys")
            await pilot.press("f5")
            await reads("outcomes")  # of the first run
            await pilot.press("space", "down", "space", "c")
            await reads("comparison · F8 goes back")
            await pilot.press("f8", "enter")
            await reads("· F8 goes back")
            await reads("F9 shows all")

    asyncio.run(scenario())


def shown(app: LocalrlApp) -> str:
    """The characters on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def test_a_log_that_is_removed_while_it_is_looked_at_is_left_out(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = paths.home("state") / "logs" / "worker-2.log"
    monkeypatch.setattr(LogScreen, "_logs", lambda _: [gone])

    async def scenario() -> None:
        app = scripted()
        async with app.run_test() as pilot:
            await pilot.press("f6")
            await wait_until(pilot, lambda: isinstance(app.screen, LogScreen))
            await press(pilot, "log.other")

    asyncio.run(scenario())


def test_an_unknown_name_of_a_key_is_refused_with_the_nearest(home: Path) -> None:
    (home / "config" / "config.toml").write_text('[keys]\n"bench.pawse" = "x"\n')
    with pytest.raises(UsageError, match=r"bench\.pause"):
        LocalrlApp()


@pytest.mark.parametrize("wrong", ["", " ", "ctrl+b,", "ctrl+", "nonsense"])
def test_a_key_that_cannot_be_pressed_is_refused(home: Path, wrong: str) -> None:
    (home / "config" / "config.toml").write_text(f'[keys]\n"bench.pause" = "{wrong}"\n')
    with pytest.raises(UsageError, match=r"bench\.pause.*there is no key"):
        LocalrlApp()


def test_every_key_of_the_table_can_be_given_to_another_action() -> None:
    named = {key for table in keys.TABLE.values() for row in table for key in row.keys.split(",")}
    assert all(keys.is_key(key) for key in {*named, "?", "+", "shift+tab", "ctrl+question_mark"})


def test_no_two_keys_of_one_screen_are_the_same() -> None:
    everywhere = [key for row in keys.TABLE["app"] for key in row.keys.split(",")]
    for group, table in keys.TABLE.items():
        own = [key for row in table for key in row.keys.split(",")]
        taken = own if group == "app" else own + everywhere
        assert len(taken) == len(set(taken)), group


def test_ctrl_c_with_nothing_to_stop_leaves_the_app_running_and_ctrl_q_quits(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test() as pilot:
            await press(pilot, "app.stop")
            assert app.is_running
            await press(pilot, "app.quit")
            await wait_until(pilot, lambda: app._exit)

    asyncio.run(scenario())


def test_the_log_screen_follows_what_a_worker_writes(scripted: Callable[..., LocalrlApp]) -> None:
    folder = paths.ensure(paths.home("state") / "logs")
    (folder / "worker-1.log").write_text("loading\n")

    async def scenario() -> None:
        app = scripted()
        async with app.run_test() as pilot:
            await pilot.press("f6")
            await wait_until(pilot, lambda: isinstance(app.screen, LogScreen))
            text = app.screen.query_one(LiveText)
            await wait_until(pilot, lambda: "loading" in text.text)
            with (folder / "worker-1.log").open("a") as file:
                file.write("it died\n")
            await wait_until(pilot, lambda: "it died" in text.text)
            (folder / "worker-0.log").write_text("an older one\n")
            await press(pilot, "log.other")
            await wait_until(pilot, lambda: text.text == "an older one\n")
            await press(pilot, "log.copy")
            assert app.clipboard == "an older one\n"
            with (folder / "worker-0.log").open("a") as file:
                file.writelines(f"line {i}\n" for i in range(200))
            await wait_until(pilot, lambda: text.is_vertical_scroll_end and text.max_scroll_y > 100)
            await pilot.press("home")
            await wait_until(pilot, lambda: text.scroll_y == 0)
            await press(pilot, "log.follow")
            await wait_until(pilot, lambda: text.is_vertical_scroll_end)

    asyncio.run(scenario())


def test_both_themes_are_readable() -> None:
    for one in (theme.DARK, theme.LIGHT):
        background = Color.parse(str(one.background))
        for name in ("foreground", "primary", "secondary", "success", "warning", "error", "accent"):
            contrast = _contrast(Color.parse(str(getattr(one, name))), background)
            assert contrast >= 4.5, f"{one.name}: {name} {contrast:.1f}"


def _contrast(a: Color, b: Color) -> float:
    """WCAG 2.1's contrast ratio."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    parts = [c / 255 for c in colour.rgb]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_without_a_terminal_there_is_help_and_no_textual(tmp_path: Path) -> None:
    code = (
        "import sys, localrl.cli as c\n"
        "try: c.main()\n"
        "except SystemExit as e: print(e.code, 'textual' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "LOCALRL_HOME": str(tmp_path)},
    )
    assert done.stdout.split() == ["2", "False"]
    assert "Usage" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_program_gives_the_terminal_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "localrl"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "LOCALRL_HOME": str(tmp_path), "TERM": "xterm-256color"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = b""
        while b"Models" not in said:
            said += os.read(ours, 1 << 16)
        process.send_signal(number)
        with contextlib.suppress(OSError):  # the last writer is gone
            while part := os.read(ours, 1 << 16):
                said += part
        assert process.wait(timeout=60) == 128 + number
    os.close(ours)
    for taken, given in ((b"[?1049h", b"[?1049l"), (b"[?1000h", b"[?1000l"), (b"[?25l", b"[?25h")):
        assert said.rindex(given) > said.rindex(taken), given
