"""`localrl evals show --model --problem` prints what the model is given, from its vocabulary alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gguf
import pytest

from localrl.catalog import card as cards
from localrl.catalog.locate import LocalModel
from localrl.engine import resolve
from tests.commands import localrl
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

MINE = """\
name = "mine"
title = "Mine"
version = 1
[data]
file = { path = "mine.jsonl" }
[prompt]
template = "Q: {question}"
system = "Be brief."
[verifier]
name = "math"
extractor = "boxed"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the eval `mine`, whose second question names a control token, and a tiny model."""
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "mine.toml").write_text(MINE)
    rows = [{"question": "1+1?", "target": "2"}, {"question": "Is </s> é?", "target": "3"}]
    (tmp_path / "evals" / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_prompt_is_shown_with_its_control_tokens(here: Path) -> None:
    tiny.write_gguf(here / "tiny.gguf", add_bos=True)
    done = localrl("evals", "show", "mine", "--model", "tiny.gguf", "--problem", "1")
    assert done.stdout == "<s><|system|>Be brief.<|user|>Q: Is </s> é?<|assistant|>\n"
    assert "3 of them control tokens" in done.stderr


def test_json_tells_control_tokens_from_text_that_looks_like_them(here: Path) -> None:
    tiny.write_gguf(here / "tiny.gguf")
    done = localrl("evals", "show", "mine", "--model", "tiny.gguf", "--problem", "1", "--json")
    shown = json.loads(done.stdout)
    assert shown["prompt"] == "<|system|>Be brief.<|user|>Q: Is </s> é?<|assistant|>"
    assert shown["messages"][1] == {"role": "user", "content": "Q: Is </s> é?"}
    assert [t["text"] for t in shown["tokens"] if t["control"]] == ["<|user|>", "<|assistant|>"]
    assert "".join(t["text"] for t in shown["tokens"]) == shown["prompt"], "also where é takes two tokens"


def test_no_weights_are_needed(here: Path) -> None:
    path = tiny.write_gguf(here / "tiny.gguf")
    reader = gguf.GGUFReader(path)
    start = reader.data_offset
    del reader
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.truncate(start)
        file.truncate(size)  # of the right length, and nothing in it
    done = localrl("evals", "show", "mine", "--model", "tiny.gguf")
    assert done.stdout.startswith("<|system|>Be brief.")


@pytest.mark.parametrize("named_by", ["flag", "card"])
def test_another_template_is_taken_and_listed(
    here: Path, named_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.write_gguf(here / "tiny.gguf")
    (here / "models").mkdir()
    (here / "models" / "plain.jinja").write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")
    arguments = ["--model", "tiny.gguf", "--chat-template", "models/plain.jinja"]
    if named_by == "card":
        card = 'name = "tiny"\ntitle = "Tiny"\nparameters = 1\nchat_template = "plain.jinja"\n'
        (here / "models" / "tiny.toml").write_text(card)
        monkeypatch.setattr(resolve, "locate", lambda name: LocalModel(name, path, cards.load(name)))
        arguments = ["--model", "tiny"]
    done = localrl("evals", "show", "mine", *arguments, "--json")
    shown = json.loads(done.stdout)
    assert shown["prompt"] == "[Be brief.][Q: 1+1?]"
    assert "another chat template than the model's own" in shown["deviations"]


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"", "is empty"), (b"\xff", "is not UTF-8"), (b"{% if %}", "chat template failed")],
)
def test_a_template_that_cannot_be_taken_is_said_in_one_line(here: Path, text: bytes, words: str) -> None:
    tiny.write_gguf(here / "tiny.gguf")
    (here / "bad.jinja").write_bytes(text)
    done = localrl("evals", "show", "mine", "--model", "tiny.gguf", "--chat-template", "bad.jinja")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_servers_render_themselves(here: Path) -> None:
    asked = ("evals", "show", "mine", "--model", "m", "--endpoint", "http://127.0.0.1:1/v1")
    done = localrl(*asked)
    assert done.stdout == "system: Be brief.\nuser: Q: 1+1?\n"
    assert "the backend server leaves the template to others" in done.stderr
    assert json.loads(localrl(*asked, "--json").stdout)["prompt"] is None
    (here / "t.jinja").write_text("x")
    assert "takes no --chat-template" in localrl(*asked, "--chat-template", "t.jinja").stderr


def test_a_problem_that_is_not_there_is_named(here: Path) -> None:
    tiny.write_gguf(here / "tiny.gguf")
    done = localrl("evals", "show", "mine", "--model", "tiny.gguf", "--problem", "2")
    assert (done.returncode, "no problem 2" in done.stderr) == (2, True)
