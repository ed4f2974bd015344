from __future__ import annotations

from pathlib import Path

from localrl.tui import keys

DOCUMENT = Path(__file__).parents[2] / "docs" / "interface.md"


def test_the_document_names_every_key() -> None:
    words = DOCUMENT.read_text(encoding="utf-8")
    for group, table in keys.TABLE.items():
        for key in table:
            assert f"`{group}.{key.name}`" in words
            assert f"`{keys.display(key.keys.split(',')[0])}`" in words
