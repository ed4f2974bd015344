"""A person's name for a model finds it on a server that calls it otherwise."""

from __future__ import annotations

import pytest

from localrl.engine.backends.server.discovery import choose
from localrl.engine.backends.server.responses import ServedModel
from localrl.errors import UsageError

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("served", "found"),
    [
        (["other", BASE], BASE),
        (["SmolLM2-135M-Instruct"], "SmolLM2-135M-Instruct"),
        (["smollm2-135m:Q4_1"], "smollm2-135m:Q4_1"),  # as localrl itself names it
        (["SmolLM2-135M-Instruct-Q4_K_M.gguf", "other"], "SmolLM2-135M-Instruct-Q4_K_M.gguf"),
    ],
)
def test_a_model_is_found_by_its_repo_its_card_or_a_part_of_its_name(served: list[str], found: str) -> None:
    assert choose([ServedModel(id=name) for name in served], BASE, "there").id == found


def test_another_model_of_localrl_s_is_not_taken_for_it() -> None:
    with pytest.raises(UsageError, match="serves no model"):
        choose([ServedModel(id="qwen3-0.6b:Q8_0")], BASE, "there")
