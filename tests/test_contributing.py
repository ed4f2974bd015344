"""CONTRIBUTING.md keeps up with the tree: its map names every room, its words are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from localrl import plugins

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    part = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_map_names_every_room_and_nothing_else() -> None:
    named = " ".join(row[1] for row in table("Where things live")).replace("`", "").split()
    there = {
        path.name + "/" * path.is_dir() for path in (ROOT / "localrl").iterdir() if path.suffix in ("", ".py")
    }
    assert sorted(named) == sorted(name for name in there if not name.startswith("__"))


def test_every_kind_of_member_is_among_the_things_to_add() -> None:
    said = " ".join(row[0] for row in table("Adding things"))
    assert not [kind.kind for kind in plugins.registries() if kind.kind not in said]


def test_files_that_are_to_be_read_are_there() -> None:
    for name in re.findall(r"`([\w/]+\.py)`", " ".join(row[2] for row in table("Adding things"))):
        assert (ROOT / "localrl" / name).exists() or list((ROOT / "localrl").rglob(name)), name


def test_the_glossary_has_at_most_40_words_and_the_code_uses_each() -> None:
    words = [row[0] for row in table("Words")]
    assert len(words) <= 40
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "localrl").rglob("*.py")).lower()
    assert not [word for word in words if not re.search(rf"\b{word}", code)]
