"""Stored conversations for `localrl chat`: list them, export one, delete one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from localrl.cli.output import document, note, table
from localrl.conversation import export as write_markdown
from localrl.conversation import markdown
from localrl.formats import size

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.chats import Chats


def show(chats: Chats, *, as_json: bool) -> None:
    """List the conversations; the one that `last` means comes first."""
    lengths = chats.lengths()
    found = [
        {
            "chat": chat.key,
            "created": chat.created,
            "model": chat.model,
            "messages": lengths.get(chat.key, 0),
            "title": chat.title,
        }
        for chat in chats.all()
    ]
    if as_json:
        document(found)
    elif found:
        table(list(found[0]), [list(line.values()) for line in found], right=(0, 3))
    else:
        note("no conversations yet; start one with: localrl chat")


def export(chats: Chats, reference: str, output: Path | None) -> None:
    """Write a conversation as Markdown, to a file or to stdout."""
    chat = chats.find(reference)
    if output is None:
        click.echo(markdown(chat, chats.messages(chat)), nl=False)
        return
    write_markdown(chat, chats.messages(chat), output)
    note(f"wrote {output} ({size(output.stat().st_size)})")


def remove(chats: Chats, reference: str, *, yes: bool) -> None:
    """Delete a conversation with all that was said in it."""
    chat = chats.find(reference)
    if not yes:
        click.confirm(f"Delete conversation {chat.key}, {chat.title!r}?", abort=True, err=True)
    chats.remove(chat)
    note(f"deleted conversation {chat.key}")
