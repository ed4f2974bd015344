"""A model's chat template is found in its files, or known to be missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localrl.catalog import template
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (tiny.TEMPLATE, tiny.TEMPLATE),
        (None, ""),
        ({"default": tiny.TEMPLATE, "rag": "x"}, tiny.TEMPLATE),
        ({"rag": "x"}, ""),
    ],
)
def test_a_gguf_file_names_its_template(tmp_path: Path, written: Any, found: str) -> None:
    assert template.of_files(tiny.write_gguf(tmp_path / "tiny.gguf", template=written)) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("{{ x }}", "{{ x }}"),
        (None, ""),
        ([{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}], "d"),
        ([{"name": "rag", "template": "r"}], ""),
    ],
)
def test_a_folder_names_its_template_in_the_tokenizer_s_settings(
    tmp_path: Path, given: Any, found: str
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": given}))
    assert template.of_files(tmp_path) == found


def test_a_template_s_own_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    (tmp_path / "chat_template.jinja").write_text("new")
    assert template.of_files(tmp_path) == "new"


def test_what_cannot_be_read_is_not_said_to_have_no_template(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    (tmp_path / "broken.gguf").write_text("GG")
    for path in (tmp_path, tmp_path / "broken.gguf", tmp_path / "absent"):
        assert template.of_files(path) is None
