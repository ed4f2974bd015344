"""Kept conversations at the command line: gone on with, listed, exported, deleted."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from localrl.sampling import Sampling
from localrl.store.chats import Chats
from localrl.store.runs import Store
from tests.commands import Done, command, localrl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own, with the script of a model that says one, two, three."""
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    (tmp_path / "script.json").write_text(json.dumps({"texts": ["<think>hm</think>one", "two", "three"]}))
    return tmp_path


def chat(*arguments: str, stdin: str = "") -> Done:
    """`localrl chat` with the scripted backend."""
    return localrl("chat", "--backend", "scripted", *arguments, stdin=stdin)


def said() -> list[list[tuple[str, str]]]:
    """What was said in every conversation, the last one first."""
    with Store() as store:
        chats = Chats(store.connection)
        return [[(one.role, one.text) for one in chats.messages(c)] for c in chats.all()]


def test_a_conversation_goes_on_with_its_model_system_prompt_and_sampling(home: Path) -> None:
    script = str(home / "script.json")
    first = json.loads(
        chat(script, "-p", "How\nmuch?", "--system", "Be brief.", "--max-tokens", "9", "--json").stdout
    )
    chat(script, "-p", "Another talk")
    second = chat("--continue", str(first["chat"]), "-p", "And now?", "--temperature", "0", "--json")
    assert json.loads(second.stdout)["chat"] == first["chat"]
    assert f"conversation {first['chat']}, 'How much?'" in second.stderr
    assert [role for role, _ in said()[0]] == ["user", "assistant"] * 2, "it is the last one now"
    with Store() as store:
        found = Chats(store.connection).find("last")
    assert (found.key, found.model, found.system) == (first["chat"], script, "Be brief.")
    assert (found.sampling.max_tokens, found.sampling.temperature) == (9, 0)


def test_continue_without_a_number_takes_the_last_and_reads_lines_of_a_pipe(home: Path) -> None:
    chat(str(home / "script.json"), "-p", "First")
    done = chat("--continue", stdin="Second\n/again\n")
    assert done.returncode == 0, done.stderr
    assert [text for role, text in said()[0] if role == "user"] == ["First", "Second", "/again"]


def test_a_terminal_understands_again_and_edit(home: Path) -> None:
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, b"/again\nFirst\n/again\n/edit\n/edit Better\n/what\n\x04")
        done = subprocess.run(
            command("chat", "--backend", "scripted", str(home / "script.json")),
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing was said yet") == 1
    assert done.stderr.count("these are understood: /again, /edit TEXT") == 2
    [kept] = said()
    assert [role for role, _ in kept] == ["user", "assistant"]
    assert kept[0][1] == "Better"
    with Store() as store:
        assert store.connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (5,)


def test_a_talk_in_which_nothing_is_said_is_not_kept(home: Path) -> None:
    assert chat(str(home / "script.json"), stdin="\n").returncode == 0
    assert said() == []


def test_the_list_is_one_document_with_the_last_conversation_first(home: Path) -> None:
    empty = chat("--list")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "no conversations yet" in empty.stderr
    script = str(home / "script.json")
    chat(script, "-p", "First talk")
    chat(script, "-p", "Second talk")
    chat("--continue", "1", "-p", "More")
    listed = json.loads(chat("--list", "--json").stdout)
    assert [(one["chat"], one["title"], one["messages"]) for one in listed] == [
        (1, "First talk", 4),
        (2, "Second talk", 2),
    ]
    table = chat("--list").stdout
    assert table.index("First talk") < table.index("Second talk")


def test_a_conversation_is_exported_as_markdown_to_stdout_or_a_file(home: Path) -> None:
    made = json.loads(chat(str(home / "script.json"), "-p", "How much?", "--json").stdout)
    printed = chat("--export", "last")
    assert printed.stdout.startswith("# How much?\n")
    assert "## You\n\nHow much?\n" in printed.stdout
    assert printed.stdout.endswith(f"{made['answer']}\n")
    path = home / "talk.md"
    written = chat("--export", str(made["chat"]), "-o", str(path))
    assert (written.returncode, written.stdout) == (0, "")
    assert path.read_text() == printed.stdout
    nowhere = chat("--export", "last", "-o", str(home / "no" / "folder.md"))
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("localrl: cannot write")


def test_a_conversation_is_deleted_after_a_yes(home: Path) -> None:
    script = str(home / "script.json")
    chat(script, "-p", "First")
    chat(script, "-p", "Second")
    assert chat("--remove", "1", stdin="n\n").returncode != 0
    assert len(said()) == 2
    assert chat("--remove", "1", stdin="y\n").returncode == 0
    assert chat("--remove", "last", "--yes").returncode == 0
    assert said() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--export", "last"], "there are no conversations yet"),
        (["--continue", "", "-p", "x"], "no conversation ''"),
        (["--list", "--remove", "1"], "--list and --remove do not go together"),
        (["some-model", "--export", "1"], "--export and MODEL do not go together"),
        (["--continue", "1", "--list"], "--list and --continue do not go together"),
        (["-p", "x", "-o", "talk.md"], "-o goes with --export"),
        (["-p", "x", "--yes"], "--yes goes with --remove"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(home: Path, arguments: list[str], words: str) -> None:
    done = chat(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("wrong", "near"), [("9", "3"), ("0", "1"), ("first", "last")])
def test_a_number_that_is_none_names_the_nearest(home: Path, wrong: str, near: str) -> None:
    with Store() as store:
        chats = Chats(store.connection)
        for _ in range(3):
            chats.create("m", "", Sampling())
    done = chat(f"--continue={wrong}", "-p", "x")
    assert done.returncode == 2
    assert f"no conversation {wrong!r}; did you mean {near}?" in done.stderr
