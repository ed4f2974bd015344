"""reasoning-gym's scorers, one generator at a time, never fooled and never made to run a program."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from localrl.errors import UsageError
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import gymload
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import gym

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = VerifierSpec(name="gym")


def target(generator: str, **params: Any) -> dict[str, Any]:
    entry = gymload.dataset(generator, params, seed=5)[0]
    return {"generator": generator, "params": params, "entry": gym.pack(entry)}


def judge(answer: str, goal: dict[str, Any], spec: VerifierSpec = WHOLE) -> Verdict:
    return gym.verify(Response(answer), goal, spec)


@pytest.mark.parametrize(
    "generator",
    [
        "chain_sum",
        "products",
        "gcd",
        "lcm",
        "letter_counting",
        "simple_equations",
        "base_conversion",
        "spell_backward",
        "maze",
        "number_sorting",
        "n_queens",
        "basic_arithmetic",
        "prime_factorization",
        "rectangle_count",
        "spiral_matrix",
    ],
)
def test_the_gold_answer_is_correct_and_junk_is_not(generator: str) -> None:
    goal = target(generator)
    assert judge(goal["entry"]["answer"], goal).correct
    for junk in ("junk", "0.5", "-99999", "[", "answer"):
        assert judge(junk, goal).outcome is Outcome.WRONG
    assert judge("  ", goal).outcome is Outcome.NO_ANSWER


def test_credit_for_form_is_a_reward_and_never_correct() -> None:
    goal = target("chain_sum")
    near = judge(goal["entry"]["answer"] + " apples", goal)
    assert near.outcome is Outcome.WRONG
    assert 0 < near.score < 1


def test_a_scorer_that_cannot_read_an_answer_says_so() -> None:
    assert "ValueError" in judge("junk", target("prime_factorization")).detail["scorer_raised"]


def test_a_scorer_that_cannot_read_its_own_gold_answer_is_no_wrong_answer() -> None:
    goal = target("prime_factorization")
    goal["entry"]["answer"] = "broken"
    with pytest.raises(ValueError, match="invalid literal"):
        judge("junk", goal)


@pytest.mark.parametrize("generator", sorted(gym._EVALUATING))
@pytest.mark.parametrize(
    "program",
    [
        "open('{}', 'w')",
        "__import__('pathlib').Path('{}').touch()",
        "[c for c in ().__class__.__base__.__subclasses__()]",
        "(lambda: open('{}', 'w'))()",
        "[open][0]('{}', 'w')",
        "f\"{{open('{}', 'w')}}\"",
        "exp(open('{}', 'w'))",
        "(open)('{}', 'w')",
    ],
)
def test_an_answer_is_never_run_as_a_program(generator: str, program: str, tmp_path: Path) -> None:
    verdict = judge(program.format(tmp_path / "made"), target(generator))
    assert not verdict.correct
    assert "refused" in verdict.detail
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("generator", sorted(gym._EVALUATING))
def test_an_honest_answer_is_not_refused(generator: str) -> None:
    goal = target(generator)
    if (gold := goal["entry"]["answer"]) is not None:
        assert judge(gold, goal).correct


def test_an_entry_survives_json_with_its_tuples_and_keys() -> None:
    value = {"a": (1, [2, (3,)]), "b": {1: "x", (2, 3): None}, "c": {"$": 1.5}}
    assert gym.unpack(gym.pack(value)) == value


@pytest.mark.process
def test_one_generator_imports_neither_sympy_nor_matplotlib() -> None:
    code = (
        "import sys\n"
        "from localrl.verify import gymload\n"
        "assert gymload.dataset('chain_sum', {}, size=2)[1]['answer']\n"
        "assert len(gymload.generators()) > 100\n"
        "assert not {'sympy', 'matplotlib', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_mistyped_generator_or_parameter_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'countdown'"):
        gymload.dataset("cuontdown", {})
    with pytest.raises(UsageError, match="did you mean 'min_terms'"):
        gymload.dataset("chain_sum", {"min_term": 2})
    with pytest.raises(UsageError, match="refuses its parameters"):
        gymload.dataset("chain_sum", {"min_terms": 5, "max_terms": 2})


@pytest.mark.parametrize(
    ("generator", "wrong"),
    [
        ("game_of_life_halting", "junk"),
        ("complex_arithmetic", "nan"),
        ("complex_arithmetic", "nan + nani"),
        ("puzzle24", "10 + 3 + 4 + 7"),
        ("coin_flip", "0"),
    ],
)
def test_answers_that_a_scorer_takes_for_any_are_wrong(generator: str, wrong: str) -> None:
    """Each of these gets 1.0 from reasoning-gym 0.1.25 on some problems."""
    made = gymload.dataset(generator, {}, seed=5, size=6)
    for index in range(6):
        entry = gym.pack(made[index])
        goal = {"generator": generator, "params": {}, "entry": entry}
        assert judge(str(entry["answer"]), goal).correct
        assert not judge(wrong, goal).correct
