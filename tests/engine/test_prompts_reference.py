"""Prompts are, token by token, what Hugging Face's `apply_chat_template` makes of the same files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localrl.chat import Message
from localrl.engine.backends.mlx.vocabulary import HfVocabulary
from localrl.engine.prompts import PromptEncoder
from localrl.engine.protocol import GroupRequest
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process
transformers = pytest.importorskip("transformers")

CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
CONSTRUCTS = {
    "ChatML, with a system message of its own": """\
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{% for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}
{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}""",
    "thinking cut from history, and the prompt inside the tags": """\
{{ bos_token }}{% for m in messages %}{% set content = m.content %}
{% if m.role == 'assistant' and '</think>' in content %}
{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}
<|im_start|>{{ m.role | upper }}: {{ content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}
{% endfor %}<|im_start|>assistant
<think>
""",
    "a namespace, loop controls, and no tools": """\
{% set ns = namespace(last=-1) %}
{% for m in messages | reverse %}
  {% if m.role != 'user' %}{% continue %}{% endif %}
  {% set ns.last = loop.revindex0 %}
  {% break %}
{% endfor %}
{% if tools %}tools: {{ tools | tojson }}{% elif tools is none %}no tools{% endif %}
{% for m in messages %}
{{ '<|im_start|>' if loop.index0 == ns.last else '|' }}{{ m.content | trim }}{% endfor %}""",
    "JSON, indented and not": """\
{% for m in messages %}<|im_start|>{{ m | tojson }}
{{ {'said': m.content, 'by': m.role} | tojson(indent=2) }}{% endfor %}""",
    "marks for training": """\
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}
{% else %}<|im_start|>{{ m.content }}{% endif %}{% endfor %}""",
    "the day, and thinking that is switched on": """\
{{ strftime_now('%Y-%m-%d') }}
{% if enable_thinking is defined and enable_thinking %}<think>{% else %}</think>{% endif %}
{% for m in messages %}    {# indented #}
    {%- if m['content'] is string %}{{ m.content }}{% else %}{{ raise_exception('no text') }}{% endif %}
{% endfor %}""",
    "macros, slices and defaults": """\
{% macro turn(m, end='<|im_end|>') %}<|im_start|>{{ m.role }}
{{ m.content }}{{ end }}{% endmacro %}
{% for m in messages[:-1] %}{{ turn(m) }}{% endfor %}{{ turn(messages[-1], end='') }}
{{ messages | length }} {{ missing | default('none') }}
{{ messages | map(attribute='role') | join(', ') }}""",
    "content parts": """\
{% for m in messages %}<|im_start|>{{ m.role }}
{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
""",
    "a system message refused": """\
{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for m in messages %}
{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}
<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}
{{ m.content | trim }}<|im_end|>{% endfor %}""",
}
CONVERSATIONS: dict[str, list[tuple[Any, str]]] = {
    "a question": [("user", "What is 2+2?")],
    "a system message": [("system", "Be brief."), ("user", "  Straße 中 & <b>'\"\n\nend ")],
    "turns": [("user", "Hi"), ("assistant", "<think>\nhm\n</think>\n\nHello"), ("user", "Again?")],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One of bytes with some merges, read from files as a model's are."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokens = [*CONTROL, *tiny.byte_characters(), "th", "in", "er", "Ġa"]
    model = {
        "type": "BPE",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": ["t h", "i n", "e r", "Ġ a"],
    }
    added = [
        {"id": i, "content": token, "special": token[1] != "t" and token[2] != "t"}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for i, token in enumerate(CONTROL)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    described = {
        "version": "1.0",
        "added_tokens": added,
        "model": model,
        "pre_tokenizer": level,
        "decoder": level,
    }
    (folder / "tokenizer.json").write_text(json.dumps(described))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_tokens_are_those_of_the_reference(tokenizer: Any, construct: str, conversation: str) -> None:
    template = CONSTRUCTS[construct]
    messages = tuple(Message(role=role, content=text) for role, text in CONVERSATIONS[conversation])
    encoder = PromptEncoder(template, HfVocabulary(tokenizer))
    try:
        tokens, _ = encoder.encode(GroupRequest("g", messages, ()))
    finally:
        encoder.close()
    given: list[dict[str, Any]] = [message.model_dump() for message in messages]
    if construct == "content parts":
        given = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in given]
    if construct == "a system message refused" and given[0]["role"] == "system":
        given = [{"role": "user", "content": f"{given[0]['content']}\n\n{given[1]['content']}"}]
    expected = tokenizer.apply_chat_template(
        given, chat_template=template, add_generation_prompt=True, enable_thinking=True, return_dict=False
    )
    assert tokenizer.decode(tokens) == tokenizer.decode(expected)
    assert tokens == expected
