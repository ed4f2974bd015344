"""Chat templates render as their authors meant, and a hostile one costs seconds, not the machine."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from localrl.chat import Message
from localrl.engine import chat_template
from localrl.engine.chat_template import Renderer
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

ASK = (Message(role="user", content="2+2?"),)


@contextmanager
def renderer(text: str) -> Iterator[Renderer]:
    made = Renderer(text, bos="<s>", eos="</s>")
    try:
        yield made
    finally:
        made.close()


def test_a_template_sees_messages_tokens_and_the_generation_prompt() -> None:
    text = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% if enable_thinking %}<think>\n{% endif %}{% endif %}"
    )
    with renderer(text) as made:
        for _ in range(3):
            assert made.render(ASK) == "<s>[user]2+2?</s>[assistant]<think>\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ 'x' * 9000000 }}", "9,000,000 characters"),
        ("{{ 'x' * 3000000000 }}", "MemoryError"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_broken_or_greedy_template_is_refused_in_words(text: str, words: str) -> None:
    with renderer(text) as made, pytest.raises(UsageError, match=words):
        made.render(ASK)


def test_a_template_that_never_ends_is_ended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 1.0)
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with renderer(endless) as made:
        with pytest.raises(UsageError, match="more than 1 s"):
            made.render(ASK)
        began = time.monotonic()
        for _ in range(49):
            with pytest.raises(UsageError, match="more than 1 s"):
                made.render(ASK)
    assert time.monotonic() - began < 25, "later prompts do not wait for the limit again"
