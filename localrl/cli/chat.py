"""`localrl chat`: talk in the plain terminal, or ask once in a script.

The answer goes to stdout, everything else to stderr: reasoning faint, notes, figures.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from localrl import settings
from localrl.cli.output import document, note, number, seconds
from localrl.engine.client import Restarted
from localrl.engine.protocol import Text
from localrl.errors import INTERRUPTED, UsageError
from localrl.store.chats import Chats, Said
from localrl.store.runs import Store
from localrl.talk import ENDINGS, Talk

if TYPE_CHECKING:
    from localrl.store.chats import Chat

SAMPLER = ("temperature", "top_p", "top_k", "min_p", "max_tokens")


@click.command("chat")
@click.argument("model", required=False)
@click.option("-p", "--prompt", help="Ask this once and end; '-' reads standard input.")
@click.option("--system", default="", help="System prompt.")
@click.option("--temperature", type=click.FloatRange(0, 10))
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True))
@click.option("--top-k", type=click.IntRange(min=0))
@click.option("--min-p", type=click.FloatRange(0, 1))
@click.option("--max-tokens", type=click.IntRange(min=1), help="Limit of one reply, thinking included.")
@click.option("--seed", type=int, help="Same seed, same reply; another each time by default.")
@click.option("--ctx", type=click.IntRange(min=64), help="Tokens of context.")
@click.option(
    "--backend", type=click.Choice(["auto", "llama.cpp", "mlx", "server", "scripted"]), default="auto"
)
@click.option("--endpoint", multiple=True, help="URL of an OpenAI-compatible server; may be repeated.")
@click.option("--hide-thinking", is_flag=True, help="Do not show the reasoning on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each reply.")
def command(model: str | None, prompt: str | None, **options: Any) -> int:
    """Talk to MODEL; Ctrl-C stops a reply and keeps what it has, Ctrl-D ends.

    Conversations are kept; the chat screen of `localrl` shows them. Without -p and with a pipe on standard
    input, each line is a message.
    """
    if prompt == "-":
        prompt = sys.stdin.read().strip()
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty")
    chosen = settings.load().settings
    named = model or chosen.model
    with Store() as store:
        talk = Talk.open(named, options["backend"], options["endpoint"], options["ctx"] or chosen.ctx)
        try:
            changes = {key: options[key] for key in SAMPLER if options[key] is not None}
            sampling = talk.sampling.model_copy(update=changes)
            chats = Chats(store.connection)
            chat = chats.create(named, options["system"], sampling, (prompt or "")[:60])
            return _Terminal(talk, chats, chat, options).run(prompt)
        finally:
            talk.close()


class _Terminal:
    """One conversation in the plain terminal."""

    def __init__(self, talk: Talk, chats: Chats, chat: Chat, options: dict[str, Any]) -> None:
        self._talk, self._chats, self._chat = talk, chats, chat
        self._json: bool = options["as_json"]
        self._shows_thinking = not options["hide_thinking"] and not self._json
        self._seed: int | None = options["seed"]
        self._interrupted = False

    def run(self, prompt: str | None) -> int:
        if prompt is not None:
            self._ask(prompt, many=False)
            return INTERRUPTED if self._interrupted else 0
        while (line := self._read()) is not None:
            if line.strip():
                self._ask(line, many=True)
        return 0

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
        self._interrupted = False
        self._chats.say(self._chat, "user", text.strip())
        before = signal.signal(signal.SIGINT, self._stop)
        faint = False
        reply = Said(0, "assistant", "")
        try:
            for event in self._talk.reply(self._chats, self._chat, self._seed):
                if isinstance(event, Said):
                    reply = event
                elif isinstance(event, Restarted):
                    note("the engine died and was started again; the reply begins anew")
                elif isinstance(event, Text):
                    faint = self._show(event, faint)
        finally:
            signal.signal(signal.SIGINT, before)
            if faint and self._shows_thinking:
                click.echo("\n", err=True)
        self._end(reply, many=many)

    def _stop(self, *_: object) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._talk.stop()

    def _show(self, event: Text, faint: bool) -> bool:
        """Show what came; returns whether the last of it was thinking."""
        if event.thinking:
            if self._shows_thinking:
                click.echo(click.style(event.text, dim=True), err=True, nl=False)
        elif not self._json:
            if faint and self._shows_thinking:
                click.echo("\n", err=True)
            click.echo(event.text, nl=False)
        return event.thinking

    def _end(self, reply: Said, *, many: bool) -> None:
        figures = reply.figures
        if self._json:
            made = {
                "chat": self._chat.key,
                "model": self._chat.model,
                "answer": reply.text,
                "thinking": reply.thinking,
                "finish": reply.finish,
                "tokens": {"thinking": figures.thinking_tokens, "answer": figures.answer_tokens},
                "thinking_s": figures.thinking_s,
                "ttft_s": figures.ttft_s,
                "tokens_per_s": figures.tokens_per_s,
            }
            if many:
                click.echo(json.dumps(made, ensure_ascii=False))
            else:
                document(made)
            return
        click.echo("")
        tokens = figures.thinking_tokens + figures.answer_tokens
        ending = "" if reply.finish == "stop" else f", {ENDINGS.get(reply.finish, reply.finish)}"
        note(
            f"[{tokens} tokens, {number(figures.tokens_per_s)} tokens/s, "
            f"first after {seconds(figures.ttft_s)}{ending}]"
        )
