"""`localrl verify` as the design says: one object a line in, one out, in order, thinking never judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from localrl.cli.verify import command
from localrl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, stdin: str | None = None) -> str:
    result = CliRunner().invoke(command, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def verdicts(verifier: str, rows: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    stdin = "".join(json.dumps(row) + "\n" for row in rows)
    return [
        json.loads(line)
        for line in run(verifier, "--jsonl", "-", "--json", *options, stdin=stdin).splitlines()
    ]


def one(verifier: str, response: str, target: Any, *options: str) -> str:
    return str(
        verdicts(verifier, [{"id": 1, "response": response, "target": target}], *options)[0]["verdict"]
    )


@pytest.mark.process
def test_lines_come_out_in_the_order_they_went_in_with_ids_and_fields() -> None:
    answers = [r"\boxed{\frac{2}{4}}", r"\boxed{0.5}", r"\boxed{2}", "dunno", r"\boxed{\sqrt{1/4}}"]
    rows = [{"id": f"row-{n}", "response": a, "target": r"\frac12"} for n, a in enumerate(answers)]
    found = verdicts("math", rows)
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert [row["verdict"] for row in found] == ["correct", "correct", "wrong", "no_answer", "correct"]
    assert set(found[0]) == {"id", "verdict", "score", "extracted", "detail"}
    assert found[0]["extracted"] == r"\frac{2}{4}"


def test_a_byte_order_mark_before_the_lines_is_not_a_part_of_them(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(r'{"response": "\\boxed{2}", "target": "2"}', encoding="utf-8-sig")
    assert run("math", "--jsonl", str(tmp_path / "rows.jsonl")) == "1\tcorrect\t2\n"


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (r"<think>\boxed{5}", "truncated"),
        (r"<think>\boxed{5}</think>", "no_answer"),
        (r"<think>\boxed{4}</think>\boxed{5}", "correct"),
        (r"\boxed{4}</think>\boxed{5}", "correct"),
        (r"\boxed{5}</think>I give up", "no_answer"),
        (r"Well. <think>\boxed{5}", "truncated"),
        (r"<think>a</think>So <think>\boxed{5}</think> I give up", "no_answer"),
        (r"<think>a</think>So <think>\boxed{5}", "truncated"),
        (r"\boxed{5}", "correct"),
        ("", "no_answer"),
        (None, "no_answer"),
    ],
)
def test_only_what_follows_the_thinking_is_judged(response: str, verdict: str) -> None:
    assert one("math", response, "5") == verdict


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("<THINK>maybe \\boxed{3}</THINK>\nThe sum is \\boxed{4}", "correct"),
        ("<thinking>maybe \\boxed{3}</thinking> So \\boxed{4}", "correct"),
        ("\n<Thinking>\\boxed{3}</thinking>\\boxed{4}", "correct"),
        ("[THINK]\\boxed{3}[/THINK]\\boxed{4}", "correct"),
        ("\u25c1think\u25b7\\boxed{3}\u25c1/think\u25b7\\boxed{4}", "correct"),
        ("<|begin_of_thought|>\\boxed{3}<|end_of_thought|>\\boxed{4}", "correct"),
        ("\\boxed{3}</thinking>\\boxed{4}", "correct"),
        ("<thinking>\\boxed{4}", "truncated"),
        ("<thinking>\\boxed{4}</thinking> I give up", "no_answer"),
        ("<think>The tag </thinking> is \\boxed{3}</think>\\boxed{4}", "correct"),
        ("The tag <thinking> is no thinking here: \\boxed{4}", "correct"),
    ],
)
def test_the_well_known_thinking_tags_are_recognised_in_any_case(response: str, verdict: str) -> None:
    assert one("math", response, "4") == verdict


def test_tags_that_are_given_are_the_only_ones() -> None:
    assert one("math", r"<thinking>\boxed{4}", "4", "--tags", "[T]", "[/T]") == "correct"


def test_a_prompt_that_opened_the_thinking_makes_an_unclosed_text_truncated() -> None:
    assert one("math", r"\boxed{5}", "5", "--starts-inside") == "truncated"
    assert one("math", r"[T]\boxed{5}", "5", "--tags", "[T]", "[/T]") == "truncated"


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("The answer is 5.", "correct"),
        ("**Answer:** $5$", "correct"),
        ("5", "correct"),
        ("maybe 5, maybe 6", "no_answer"),
    ],
)
def test_mathematics_without_a_box_is_read_where_it_is_called_the_answer(response: str, verdict: str) -> None:
    assert one("math", response, "5") == verdict
    assert one("math", response, "5", "--extractor", "boxed") == "no_answer"


@pytest.mark.process
def test_code_is_run_and_its_tests_counted() -> None:
    target = {
        "kind": "stdin",
        "tests": [{"input": "1\n", "output": "2\n"}, {"input": "2\n", "output": "3\n"}],
    }
    right, wrong = (f"```python\nprint({x})\n```" for x in ("int(input()) + 1", "2"))
    rows = [{"id": n, "response": text, "target": target} for n, text in enumerate((right, wrong))]
    found = verdicts("code", rows)
    assert [row["verdict"] for row in found] == ["correct", "wrong"]
    assert found[0]["detail"]["tests"]["passed"] == 2


@pytest.mark.process
def test_other_verifiers_take_their_targets_and_parameters() -> None:
    assert one("choice", "ANSWER: B", "B") == "correct"
    assert one("exact", "Yes", "yes") == "wrong"
    assert one("exact", "Yes", "yes", "--param", "ignore_case=true") == "correct"
    assert one("format", "<think>a</think><answer>b</answer>", None) == "correct"
    goal = {"instructions": ["startend:quotation"], "kwargs": [{}]}
    assert one("ifeval", 'Here:\n"a"', goal) == "wrong"
    assert one("ifeval", 'Here:\n"a"', goal, "--param", "mode=loose") == "correct"


def test_one_response_needs_no_file() -> None:
    assert run("math", "--response", r"\boxed{007}", "--target", "7").startswith("correct")
    assert (
        json.loads(run("math", "--response", "no idea", "--target", "7", "--json"))["verdict"] == "no_answer"
    )
    assert run("exact", "--response", "1.50", "--target", "1.50").startswith("correct")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mth", "--response", "1", "--target", "1"], "did you mean 'math'"),
        (["math", "--response", "1"], "give either"),
        (["math", "--response", "1", "--target", "1", "--extractor", "boxd"], "did you mean 'boxed'"),
        (["ifeval", "--response", "1", "--target", "1", "--param", "mod=loose"], "did you mean 'mode'"),
        (["math", "--jsonl", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.parametrize("line", ["not json", "[1]", '{"id": 1}', '{"response": 1, "target": 1}'])
def test_a_broken_line_is_named_after_the_ones_before_it_are_judged(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"response": "1", "target": "1"}\n' + line + "\n")
    with pytest.raises(UsageError, match=r"rows\.jsonl:2: "):
        CliRunner().invoke(command, ["exact", "--jsonl", str(path)], catch_exceptions=False)


@pytest.mark.process
@pytest.mark.parametrize("options", [["--json"], []])
def test_half_a_surrogate_pair_goes_through(options: list[str]) -> None:
    row = '{"id": "a\\udc00", "response": "\\\\boxed{\\ud800}", "target": "5"}'
    said = run("math", "--jsonl", "-", *options, stdin=row)
    assert "wrong" in said
    assert not options or json.loads(said)["extracted"] == "\ud800"


@pytest.mark.parametrize(
    ("verifier", "response"), [("math", r"\boxed{None}"), ("exact", "None"), ("choice", "C")]
)
@pytest.mark.parametrize("target", [None, "", [], {}, [None]])
def test_a_target_that_is_no_answer_makes_nothing_right_or_wrong(
    verifier: str, response: str, target: Any
) -> None:
    assert one(verifier, response, target) == "verifier_error"
