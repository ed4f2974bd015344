"""The tables of members in `docs/` say what the registries do; LOCALRL_ACCEPT_TABLES=1 writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localrl.verify.registry import EXTRACTORS, VERIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localrl.registry import Member

DOCS = Path(__file__).parent.parent / "docs"


def _extractors() -> list[list[str]]:
    return [["name", "finds"], *([f"`{name}`", EXTRACTORS.about(name)] for name in _ours(EXTRACTORS.members))]


def _verifiers() -> list[list[str]]:
    rows = [
        [f"`{name}`", VERIFIERS.about(name), getattr(VERIFIERS.get(name), "TARGET", "")]
        for name in _ours(VERIFIERS.members)
    ]
    return [["name", "correct when", "target"], *rows]


def _ours(members: Mapping[str, Member]) -> list[str]:
    return [name for name, member in members.items() if not member.package]


@pytest.mark.parametrize(
    ("page", "mark", "rows"),
    [("evals.md", "extractors", _extractors), ("evals.md", "verifiers", _verifiers)],
)
def test_a_table_in_the_docs_is_what_the_registry_says(
    page: str, mark: str, rows: Callable[[], list[list[str]]]
) -> None:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows()]
    table = "\n".join([head, re.sub(r"[^|]+", "---", head), *body])
    path = DOCS / page
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(f"<!-- {mark} -->\n")
    written, _, after = rest.partition("<!-- end -->")
    if os.environ.get("LOCALRL_ACCEPT_TABLES"):
        path.write_text(f"{before}<!-- {mark} -->\n{table}\n<!-- end -->{after}", encoding="utf-8")
        return
    assert written.rstrip("\n") == table, (
        f"docs/{page} is behind; LOCALRL_ACCEPT_TABLES=1 pytest tests/test_doc_tables.py writes it"
    )
