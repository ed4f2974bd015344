"""A member is one file of ours or an entry point; its contract is checked when it is loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from localrl import plugins
from localrl.definitions import folder
from localrl.errors import UsageError
from localrl.registry import Member, Registry, plugged

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

_CONTRACT = {"VERSION": "a string that changes with its verdicts"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[ModuleType]:
    """Members in a folder `kinds`, and others in a distribution `outside` that is installed beside it."""
    ours = tmp_path / "kinds"
    ours.mkdir()
    (ours / "__init__.py").touch()
    (ours / "_helper.py").touch()
    (ours / "exact_text.py").write_text('VERSION = "1"\n')
    (ours / "dotted.py").write_text('"""First."""\n\nNAME = "dot.ted"\nVERSION = "1"\n')
    (ours / "bare.py").write_text("X = 1\n")
    (tmp_path / "outside.py").write_text('VERSION = "7"\n')
    (tmp_path / "rude.py").write_text("1 / 0\n")
    dist = tmp_path / "outside-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        "[kinds.more]\nguest = outside\ndot.ted = outside\nlost = no_such_module\nrude = rude\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugged.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] in ("kinds", "outside", "rude")]:
        monkeypatch.delitem(sys.modules, name)
    return Registry("kind", "kinds", "kinds.more", _CONTRACT)


def test_names_come_from_a_constant_or_the_file_and_from_entry_points_without_an_import(
    registry: Registry[ModuleType],
) -> None:
    assert registry.names() == ["bare", "dot.ted", "exact-text", "guest", "lost", "rude"]
    assert not [name for name in sys.modules if name.startswith("kinds.")]


def test_a_member_from_another_package_is_loaded_and_says_where_it_is_from(
    registry: Registry[ModuleType],
) -> None:
    assert registry.get("guest").VERSION == "7"
    assert registry.members["guest"].package == "outside"


def test_a_member_of_ours_is_not_replaced_from_outside(registry: Registry[ModuleType]) -> None:
    assert registry.get("dot.ted").VERSION == "1"


def test_a_missing_part_of_the_contract_is_named_in_one_line(registry: Registry[ModuleType]) -> None:
    with pytest.raises(UsageError, match=r"kind 'bare' \(kinds.bare\) has no VERSION: a string that changes"):
        registry.get("bare")


def test_the_first_paragraph_of_a_docstring_says_what_a_member_does(registry: Registry[ModuleType]) -> None:
    assert registry.about("dot.ted") == "First."
    assert registry.about("exact-text") == ""


def test_an_unknown_name_gets_the_nearest(registry: Registry[ModuleType]) -> None:
    with pytest.raises(UsageError, match="no kind named 'exact-txt'; did you mean 'exact-text'"):
        registry.get("exact-txt")


def test_a_package_that_cannot_be_imported_is_named(registry: Registry[ModuleType]) -> None:
    with pytest.raises(UsageError, match=r"'lost' .*of outside.* cannot be imported"):
        registry.get("lost")


def test_a_package_that_raises_when_it_is_imported_is_named(registry: Registry[ModuleType]) -> None:
    with pytest.raises(UsageError, match=r"'rude' .*of outside.* cannot be imported: ZeroDivisionError"):
        registry.get("rude")


def test_every_plugged_member_says_what_is_wrong_with_it_in_one_line(
    registry: Registry[ModuleType],
) -> None:
    found = {member.name: registry.fault(member) for member in plugged(registry.group)}
    assert found.pop("guest") == ""
    assert "name of one that is there already" in found.pop("dot.ted")
    assert list(found) == ["lost", "rude"]
    assert all("cannot be imported" in fault for fault in found.values())


def test_the_folder_of_a_package_of_data_is_found_without_importing_it(
    registry: Registry[ModuleType], tmp_path: Path
) -> None:
    assert folder(Member("x", "kinds", "outside")) == tmp_path / "kinds"
    assert "kinds" not in sys.modules
    with pytest.raises(UsageError, match=r"'no_such', named by outside, is not there"):
        folder(Member("x", "no_such", "outside"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in plugins.registries() for name in kind.members],
    ids=lambda given: getattr(given, "kind", given),
)
def test_every_member_keeps_its_kinds_contract_and_says_what_it_is(
    kind: Registry[ModuleType], name: str
) -> None:
    assert kind.fault(kind.members[name]) == ""
    assert kind.about(name)
