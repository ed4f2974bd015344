"""`localrl chat`: chat with a model in the plain terminal, or ask once in a script.

The answer goes to stdout, everything else to stderr: reasoning faint, notes, metrics.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrl import formats, jsontext, settings
from localrl.chat import ThinkingControl
from localrl.cli import arguments, chat_saved
from localrl.cli.flags import (
    adapter_flag,
    adapter_of,
    backend_flags,
    control_of,
    count,
    sampling_flags,
    sampling_of,
    server_of,
    thinking_flags,
)
from localrl.cli.output import as_json, document, note, speak
from localrl.conversation import ENDINGS, ChatSession
from localrl.engine.client import Restarted
from localrl.engine.protocol import Text
from localrl.errors import INTERRUPTED, UsageError
from localrl.store.chats import ChatMessage, Chats, title_of
from localrl.store.runs import Store
from localrl.thinking import check, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.store.chats import Chat


@click.command("chat")
@arguments.model(required=False)
@click.option("-p", "--prompt", help="Ask this once and end; '-' reads standard input.")
@click.option("--system", help="System prompt.")
@sampling_flags
@thinking_flags
@click.option("--seed", type=int, help="Same seed, same reply; another each time by default.")
@click.option("--ctx", type=count(64), help="Tokens of context.")
@backend_flags
@adapter_flag
@click.option("--hide-thinking", is_flag=True, help="Do not show the reasoning on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the list, or for each reply.")
@click.option(
    "--continue",
    "go_on",
    metavar="[CHAT]",
    is_flag=False,
    flag_value="last",
    help="Go on with a conversation: its number, or 'last' (the default).",
)
@click.option("--list", "lists", is_flag=True, help="List the conversations and end.")
@click.option("--export", "exports", metavar="CHAT", help="Print a conversation as Markdown and end.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File that --export writes."
)
@click.option("--remove", "removes", metavar="CHAT", help="Delete a conversation and end.")
@click.option("--yes", is_flag=True, help="Do not ask before --remove.")
def command(model: str | None, prompt: str | None, **options: Any) -> int:
    """Talk to MODEL; Ctrl-C stops a reply and keeps what it has, Ctrl-D ends.

    On a terminal `/again` has the last message answered again, `/edit TEXT` puts TEXT in its place, and
    `/thinking on`, `off` or a number of tokens says how long to think from here on.
    Without -p and with a pipe on standard input, each line is a message.

    Conversations are kept: they are those of the chat screen of `localrl`. One that is continued goes on with
    its model, system prompt, sampling and thinking, except what is given anew.
    """
    action = _on_stored(model, prompt, options)
    if prompt == "-":
        prompt = sys.stdin.read().strip()
    prompt, options["system"] = jsontext.whole([prompt, options["system"]])
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty")
    with Store() as store:
        chats = store.chats
        if action:
            action(chats)
            return 0
        chosen = settings.load().settings
        chat = chats.find(options["go_on"]) if options["go_on"] is not None else None
        named = model or (chat.model if chat else chosen.model)
        session = ChatSession.open(
            named,
            options["backend"],
            options["endpoint"],
            options["ctx"] or chosen.ctx,
            server=server_of(options),
            chat_template=options["chat_template"],
            adapter=adapter_of(store, options["adapter"]),
        )
        try:
            sampling = (chat.sampling if chat else session.sampling).model_copy(update=sampling_of(options))
            control = (chat.control if chat else ThinkingControl()).model_copy(update=control_of(options))
            check(control, session.tags, named)
            if chat:
                system = chat.system if options["system"] is None else options["system"]
                chat = chats.change(chat, model=named, system=system, sampling=sampling, control=control)

            def begin(question: str, control: ThinkingControl) -> Chat:
                system = options["system"] or ""
                return chats.create(named, system, sampling, title_of(question), control)

            return _Terminal(session, chats, chat, control, begin, options).run(prompt)
        finally:
            session.close()


def _on_stored(
    model: str | None, prompt: str | None, options: dict[str, Any]
) -> Callable[[Chats], None] | None:
    """The action on stored conversations that was asked for, if any."""
    asked: dict[str, Callable[[Chats], None]] = {}
    if options["lists"]:
        asked["--list"] = lambda chats: chat_saved.show(chats, as_json=options["as_json"])
    if options["exports"] is not None:
        asked["--export"] = lambda chats: chat_saved.export(chats, options["exports"], options["output"])
    if options["removes"] is not None:
        asked["--remove"] = lambda chats: chat_saved.remove(chats, options["removes"], yes=options["yes"])
    talks = {"--continue": options["go_on"], "-p": prompt, "MODEL": model}
    together = [*asked, *(name for name, given in talks.items() if given is not None)]
    if asked and len(together) > 1:
        raise UsageError(f"{together[0]} and {together[1]} do not go together")
    for name, needs in {"output": "--export", "yes": "--remove"}.items():
        if options[name] and needs not in asked:
            raise UsageError(f"{'-o' if name == 'output' else '--yes'} goes with {needs}")
    return next(iter(asked.values()), None)


class _Terminal:
    """One conversation in the plain terminal, stored from its first message on."""

    def __init__(
        self,
        session: ChatSession,
        chats: Chats,
        chat: Chat | None,
        control: ThinkingControl,
        begin: Callable[[str, ThinkingControl], Chat],
        options: dict[str, Any],
    ) -> None:
        self._session, self._chats, self._chat, self._begin = session, chats, chat, begin
        self._control = control
        self._json: bool = options["as_json"]
        self._shows_thinking = not options["hide_thinking"] and not self._json
        self._seed: int | None = options["seed"]
        self._interrupted = False

    def run(self, prompt: str | None) -> int:
        if self._chat:
            note(f"conversation {self._chat.key}, {self._chat.title!r}, with {self._chat.model}")
        if prompt is not None:
            self._ask(prompt, many=False)
            return INTERRUPTED if self._interrupted else 0
        while (line := self._read()) is not None:
            if not line.strip():
                continue
            if sys.stdin.isatty() and line.startswith("/"):
                self._order(line)
            else:
                self._ask(line, many=True)
        return 0

    def _order(self, line: str) -> None:
        """`/again` or `/edit TEXT`, in the place of what was said last, or `/thinking on|off|TOKENS`."""
        word, _, text = line.strip().partition(" ")
        if (word, bool(text)) not in (("/again", False), ("/edit", True), ("/thinking", True)):
            note("these are understood: /again, /edit TEXT, /thinking on|off|TOKENS")
            return
        if word == "/thinking":
            self._steer(text)
            return
        messages = self._chats.messages(self._chat) if self._chat else []
        if self._chat is None or not messages:
            note("nothing was said yet")
            return
        role = "user" if text else "assistant"
        last = next((one for one in reversed(messages) if one.role == role), None)
        # A message without a reply, because the program died, is only answered.
        if last and (text or last is messages[-1]):
            self._chats.replace_from(self._chat, last.key)
        self._ask(text, many=True)

    def _steer(self, text: str) -> None:
        """Say how long the model thinks from here on."""
        try:
            control = self._control.model_copy(update=parsed(text))
            check(control, self._session.tags, self._session.choice.model.name)
        except UsageError as error:
            note(str(error))
            return
        self._control = control
        if self._chat:
            self._chat = self._chats.change(self._chat, control=control)

    def _read(self) -> str | None:
        """The next message, or None at the end."""
        if not sys.stdin.isatty():
            return sys.stdin.readline() or None
        try:
            return str(click.prompt("", prompt_suffix="> ", err=True, default="", show_default=False))
        except click.Abort:
            note("")
            return None

    def _ask(self, text: str, *, many: bool) -> None:
        """Have a message answered; an empty one is the last again."""
        self._interrupted = False
        chat = self._chat = self._chat or self._begin(text, self._control)
        if text:
            self._chats.add(chat, "user", text.strip())
        before = signal.signal(signal.SIGINT, self._stop)
        faint = False
        reply = ChatMessage(0, "assistant", "")
        try:
            for event in self._session.reply(self._chats, chat, self._seed):
                if isinstance(event, ChatMessage):
                    reply = event
                elif isinstance(event, Restarted):
                    note("the engine died and was started again; the reply begins anew")
                elif isinstance(event, Text):
                    faint = self._show(event, faint)
        finally:
            signal.signal(signal.SIGINT, before)
            if faint and self._shows_thinking:
                click.echo("\n", err=True)
        self._end(chat, reply, many=many)

    def _stop(self, *_: object) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._session.stop()

    def _show(self, event: Text, faint: bool) -> bool:
        """Show a fragment; returns whether it was thinking."""
        if event.thinking:
            if self._shows_thinking:
                speak(event.text, err=True, faint=True)
        elif not self._json:
            if faint and self._shows_thinking:
                click.echo("\n", err=True)
            speak(event.text)
        return event.thinking

    def _end(self, chat: Chat, reply: ChatMessage, *, many: bool) -> None:
        metrics = reply.metrics
        if self._json:
            made = {
                "chat": chat.key,
                "model": chat.model,
                "answer": reply.text,
                "thinking": reply.thinking,
                "finish": reply.finish,
                "tokens": {"thinking": metrics.thinking_tokens, "answer": metrics.answer_tokens},
                "thinking_s": metrics.thinking_s,
                "ttft_s": metrics.ttft_s,
                "tokens_per_s": metrics.tokens_per_s,
            }
            if many:
                click.echo(as_json(made))
            else:
                document(made)
            return
        click.echo("")
        tokens = metrics.thinking_tokens + metrics.answer_tokens
        ending = "" if reply.finish == "stop" else f", {ENDINGS.get(reply.finish, reply.finish)}"
        note(
            f"[{tokens} tokens, {formats.number(metrics.tokens_per_s)} tokens/s, "
            f"first after {formats.duration(metrics.ttft_s)}{ending}]"
        )
