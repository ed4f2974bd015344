"""Every key of the interface in one table: what it does, its name in the settings file, and where it works.

A new key is a row here and an `action_` method of the screen.

`[keys]` in the settings file gives another key to a name: `"bench.pause" = "ctrl+p"`.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType


class Key(NamedTuple):
    name: str
    """The part of the id after the group."""
    keys: str
    """Key names, separated by commas."""
    action: str
    label: str
    """What it does, in the footer, the help and the palette."""
    footer: bool = True
    priority: bool = False
    """Works although a field has the focus that could take the key."""
    more: str = ""
    """What else it does, in the help."""
    view: str = ""
    """The only view of the screen in which it works."""


GROUPS: dict[str, str] = {
    "app": "Everywhere",
    "models": "Models",
    "chat": "Chat",
    "bench": "Bench",
    "results": "Results",
    "log": "Log",
    "train": "Train",
}
"""Where keys work: all but the first are screens, in the order of their tabs."""

TABLE: dict[str, tuple[Key, ...]] = {
    "app": (
        Key("help", "f1,question_mark", "help", "Help"),
        Key("models", "f2,1", "show('models')", "Models", footer=False),
        Key("chat", "f3,2", "show('chat')", "Chat", footer=False),
        Key("bench", "f4,3", "show('bench')", "Bench", footer=False),
        Key("results", "f5,4", "show('results')", "Results", footer=False),
        Key("log", "f6,5", "show('log')", "Log", footer=False),
        Key("train", "f7,6", "show('train')", "Train", footer=False),
        Key("everything", "ctrl+p", "command_palette", "Everything", priority=True),
        Key("stop", "ctrl+c", "stop_work", "Stop the work under way", footer=False, priority=True),
        Key("theme", "ctrl+t", "toggle_theme", "Light or dark", footer=False, priority=True),
        Key("leave", "escape", "leave", "Leave a field, or go back", footer=False),
        Key("quit", "ctrl+q", "quit", "Quit", footer=False, priority=True),
    ),
    "models": (
        Key("use", "enter", "use", "Use"),
        Key("pull", "d", "pull", "Download"),
        Key("filter", "slash", "filter", "Filter"),
        Key("quantisation", "q", "quantisation", "Quantisation"),
        Key("backend", "b", "backend", "Backend"),
        Key("pause", "p", "pause", "Pause download", footer=False, more=", or resume it"),
        Key("cancel", "x", "cancel", "Cancel download", footer=False),
        Key("chat", "c", "chat", "Chat with it", footer=False),
        Key("serve", "s", "serve", "Serve it to other programs", footer=False, more=", or stop that"),
        Key("refresh", "u", "refresh", "Look again", footer=False),
    ),
    "chat": (
        Key("write", "i,enter", "write", "Write"),
        Key("new", "n", "new", "New"),
        Key("edit", "e", "edit", "Edit last", footer=False),
        Key("again", "r", "again", "Again", footer=False),
        Key("copy", "y", "copy", "Copy"),
        Key("copy_code", "c", "copy_code", "Copy code", footer=False),
        Key("thinking", "t", "thinking", "Thinking"),
        Key("stop", "s", "stop", "Stop", footer=False),
        Key("panel", "p", "panel", "Sampling"),
        Key("list", "l", "list", "Conversations", footer=False),
        Key("export", "x", "export", "Export to Markdown", footer=False),
        Key("remove", "delete", "remove", "Delete the conversation", footer=False),
    ),
    "bench": (
        Key("start", "n", "new", "New run"),
        Key("go_on", "g", "go_on", "Go on"),
        Key("pause", "p", "pause", "Pause", more=", or resume", view="at-work"),
        Key("stop", "s", "stop", "Stop", view="at-work"),
        Key("watch", "enter", "watch", "Watch", view="at-work"),
        Key("next_stream", "right_square_bracket", "stream(1)", "Next stream", view="at-work"),
        Key(
            "previous_stream",
            "left_square_bracket",
            "stream(-1)",
            "Previous stream",
            footer=False,
            view="at-work",
        ),
        Key("follow", "f", "follow", "Follow", footer=False, view="at-work"),
        Key("wide", "w", "wide", "Stream wide", footer=False, view="at-work"),
        Key("results", "r", "results", "Results", footer=False, view="at-work"),
    ),
    "log": (
        Key("other", "o", "other", "Another log"),
        Key("follow", "f", "follow", "Follow"),
        Key("copy", "y", "copy", "Copy"),
    ),
    "train": (Key("other", "o", "other", "Another training"),),
    "results": (
        Key("mark", "space", "mark", "Mark", view="runs"),
        Key("compare", "c", "compare", "Compare marked", view="runs"),
        Key("go_on", "g", "go_on", "Go on", view="runs"),
        Key("plots", "v", "plots", "Plots", view="runs"),
        Key("filter", "slash", "filter", "Filter", view="samples"),
        Key("outcome", "o", "outcome", "Outcome", view="samples"),
        Key("thinking", "t", "thinking", "Thinking", view="samples"),
        Key("next", "right_square_bracket", "step(1)", "Next sample", footer=False, view="samples"),
        Key("previous", "left_square_bracket", "step(-1)", "Previous sample", footer=False, view="samples"),
        Key("copy", "y", "copy", "Copy the sample", footer=False, view="samples"),
        Key("report", "h", "report", "Write an HTML report", footer=False),
        Key("remove", "delete", "remove", "Delete the run", footer=False, view="runs"),
    ),
}


def bindings(group: str) -> list[BindingType]:
    """The bindings of one group, as Textual takes them."""
    from textual.binding import Binding

    return [
        Binding(
            key.keys, key.action, key.label, show=key.footer, priority=key.priority, id=f"{group}.{key.name}"
        )
        for key in TABLE[group]
    ]


def works(group: str, action: str, view: str) -> bool:
    """Whether an action of a screen works in one of its views."""
    rows = [key for key in TABLE[group] if key.action.partition("(")[0] == action]
    return not rows or any(key.view in ("", view) for key in rows)


DISPLAYED = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "escape": "esc",
    "plus": "+",
    "minus": "-",
    "full_stop": ".",
}


def display(key: str) -> str:
    """A key's name as people write it."""
    shown = "+".join(DISPLAYED.get(part, part) for part in key.strip().split("+"))
    return shown.upper() if shown[0] == "f" and shown[1:].isdigit() else shown


def shown(name: str, chosen: Mapping[str, str]) -> list[str]:
    """The keys of an action as people write them.

    Args:
        chosen: the settings' `[keys]`.
    """
    group, _, own = name.partition(".")
    default = next(key.keys for key in TABLE[group] if key.name == own)
    return [display(key) for key in chosen.get(name, default).split(",")]


def remapped(chosen: Mapping[str, str]) -> dict[str, str]:
    """The keymap for Textual from the settings' `[keys]`.

    Raises:
        UsageError: there is no action of this name, which names the nearest, or no such key.
    """
    known = [f"{group}.{key.name}" for group, table in TABLE.items() for key in table]
    for name in chosen:
        if name not in known:
            raise UsageError(f"[keys] names no action {name!r}", hint=nearest(name, known))
    keymap = {name: [key.strip() for key in chosen[name].split(",")] for name in chosen}
    for name, keys in keymap.items():
        if wrong := [key for key in keys if not is_key(key)]:
            raise UsageError(
                f"[keys] {name} = {chosen[name]!r}: there is no key {wrong[0]!r}",
                hint="write 'f7', 'ctrl+b', 'slash' or 'x', several with commas between",
            )
    return {name: ",".join(keys) for name, keys in keymap.items()}


MODIFIERS = {"ctrl", "shift", "alt", "meta", "super", "hyper"}


def is_key(name: str) -> bool:
    """Whether a key of this name can be pressed."""
    from textual.keys import KEY_TO_UNICODE_NAME, REPLACED_KEYS, Keys

    *modifiers, last = [name] if len(name) == 1 else name.split("+")
    if not set(modifiers) <= MODIFIERS or not last.strip():
        return False
    if len(last) == 1 or last in {*KEY_TO_UNICODE_NAME, *REPLACED_KEYS, *(key.value for key in Keys)}:
        return True
    try:
        return bool(unicodedata.lookup(last.replace("_", " ")))
    except KeyError:
        return False
