"""Verifiers and extractors: an addition is one file or entry point, and what it lacks is named."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from localrl.cli.verify import command
from localrl.errors import UsageError
from localrl.registry import Member
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import registry
from localrl.verify.base import NoParams, VerifierSpec


def _verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    return Verdict(Outcome.CORRECT)


WHOLE = {"VERSION": "1", "RUNS": "inline", "Params": NoParams, "verify": _verify}


def add(monkeypatch: pytest.MonkeyPatch, members: dict[str, Member], offered: dict[str, Any]) -> None:
    module = ModuleType("guest_member")
    vars(module).update(offered)
    monkeypatch.setitem(sys.modules, "guest_member", module)
    monkeypatch.setitem(members, "guest", Member("guest", "guest_member", "guests"))


def test_a_verifier_from_another_package_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, registry.VERIFIERS.members, WHOLE)
    done = CliRunner().invoke(command, ["guest", "--response", "x", "--target", "y"])
    assert done.output.startswith("correct")


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (WHOLE | {"VERSION": None}, "has no VERSION"),
        (WHOLE | {"VERSION": 3}, "VERSION that is no text"),
        (WHOLE | {"RUNS": None}, "has no RUNS"),
        (WHOLE | {"RUNS": "anywhere"}, "has RUNS 'anywhere': inline, thread, process"),
        (WHOLE | {"RUNS": "process"}, "has no function prepare"),
        (WHOLE | {"RUNS": "process", "prepare": print}, "has no function quick"),
        (WHOLE | {"Params": None}, "has no Params"),
        (WHOLE | {"Params": dict}, "Params that are no subclass"),
        (WHOLE | {"verify": None}, "has no verify"),
        (WHOLE | {"verify": "yes"}, "verify that is no function"),
    ],
)
def test_a_verifier_that_lacks_a_part_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, offered: dict[str, Any], message: str
) -> None:
    add(monkeypatch, registry.VERIFIERS.members, offered)
    with pytest.raises(UsageError, match=f"^verifier 'guest' \\(guest_member, of guests\\) .*{message}.*$"):
        registry.check(VerifierSpec(name="guest"))


@pytest.mark.parametrize("offered", [{}, {"extract": "all"}])
def test_an_extractor_that_extracts_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, offered: dict[str, Any]
) -> None:
    add(monkeypatch, registry.EXTRACTORS.members, offered)
    with pytest.raises(UsageError, match=r"extractor 'guest' .*extract"):
        registry.check(VerifierSpec(name="exact", extractor="boxed|guest"))


def test_an_extractor_from_another_package_is_tried_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, registry.EXTRACTORS.members, {"extract": str.upper})
    assert registry.extract("boxed|guest", "a") == "A"


@pytest.mark.parametrize("name", registry.VERIFIERS.names())
def test_every_verifier_keeps_the_contract_and_says_what_it_judges(name: str) -> None:
    assert registry.VERIFIERS.about(name)


@pytest.mark.parametrize("name", registry.EXTRACTORS.names())
def test_every_extractor_finds_what_its_form_says(name: str) -> None:
    form = str(getattr(registry.EXTRACTORS.get(name), "FORM", "{}"))
    answer = "C" if name == "letter" else "17"
    assert (registry.extract(name, form.format(answer)) or "").strip() == answer
