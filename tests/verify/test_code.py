"""The code verifier: which text is the program, how tests are counted, whose fault an error is."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from localrl import sandbox
from localrl.errors import Unavailable
from localrl.sandbox import SandboxError
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import VerifierSpec
from localrl.verify.pool import VerifierPool
from localrl.verify.verifiers import code

pytestmark = pytest.mark.process

DOUBLE = {"kind": "stdin", "tests": [{"input": str(n), "output": str(2 * n)} for n in range(1, 6)]}
CALL = {"kind": "call", "function": "f", "tests": [{"args": [n], "output": n} for n in range(1, 6)]}
CHECK = {
    "kind": "check",
    "prompt": "from typing import List\n\ndef half(x):\n    return x / 2\n\ndef f(x) -> List[int]:\n    ''\n",
    "test": "def check(candidate):\n    for i in range(1, 6):\n        assert candidate(i) == [i]\n",
    "entry_point": "f",
}


def verify(text: str, target: Any, **params: Any) -> Verdict:
    return code.verify(Response(answer=text), target, VerifierSpec(name="code", params=params))


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


@pytest.mark.parametrize(
    "answer",
    [
        "First try:\n```python\nprint(0)\n```\nNo, better:\n```python\nprint(2 * int(input()))\n```\nDone.",
        "```\nprint(2 * int(input()))\n```",
        "~~~py\nprint(2 * int(input()))\n~~~",
        "1. Like this:\n\n```Python 3\nprint(2 * int(input()))\n```",
    ],
)
def test_the_last_fenced_block_is_the_program(answer: str) -> None:
    verdict = verify(answer, DOUBLE)
    assert verdict.outcome is Outcome.CORRECT
    assert verdict.score == 1.0
    assert verdict.extracted is not None
    assert verdict.extracted.strip() == "print(2 * int(input()))"


@pytest.mark.parametrize(
    "answer", ["", "print(2 * int(input()))", "I do not know.", "```\nprint(1)", "```\n```"]
)
def test_without_a_complete_block_there_is_no_answer(answer: str) -> None:
    assert verify(answer, DOUBLE).outcome is Outcome.NO_ANSWER


SUM = "a, b = map(int, input().split())\nprint(a + b)"
ADD = {"kind": "stdin", "tests": [{"input": "2 3\n", "output": "5\n"}, {"input": "10 5\n", "output": "15\n"}]}


@pytest.mark.parametrize(
    "after",
    [
        "Example run:\n```\n2 3\n5\n```",
        "Run it:\n```bash\necho 2 3 | python3 solution.py\n```",
        '```json\n{"a": 1}\n```',
        "```text\n5\n```",
        "Complexity:\n```\nO(1)\n```",
        "Usage:\n```python\nprint(2 + 3)\n```",
        "In C++:\n```cpp\nint main() { int a, b; cin >> a >> b; cout << a + b; } // reads stdin\n```",
    ],
)
def test_a_block_after_the_program_that_is_no_program_does_not_replace_it(after: str) -> None:
    assert verify(f"{fenced(SUM)}\n\n{after}\n", ADD).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{SUM}\n````",
        f"```python\n{SUM}\n```<|endoftext|>",
        f"```python\n{SUM}\n```</answer>",
        f"```python\n{SUM}\n``` This is linear.",
        f"**```python\n{SUM}\n```**",
        f"```python\n{SUM}\n",
        f"- ```python\n{textwrap.indent(SUM, '  ')}\n  ```\n- It is linear.",
        f"1. The program:\n\n   ```python\n{textwrap.indent(SUM, '   ')}\n   ```\n\n2. It is linear.",
        f"1. ```python\n{textwrap.indent(SUM, '   ')}\n   ```",
        f"First:\n```python\nprint(5)\n\nBetter:\n```python\n{SUM}\n```",
        f"````markdown\n```python\nprint(0)\n```\n````\n{fenced(SUM)}",
    ],
)
def test_a_program_is_found_however_its_fences_are_written(answer: str) -> None:
    verdict = verify(answer, ADD)
    assert verdict.outcome is Outcome.CORRECT, verdict.extracted


def test_a_call_needs_the_block_that_defines_its_function() -> None:
    program, usage = fenced("def f(n):\n    return n"), fenced("print(f(3))")
    assert verify(f"{program}\n{usage}", CALL).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "program",
    [
        "class Solution:\n    def f(self, n: Optional[int]) -> List[int]:\n"
        "        return [*accumulate([n])][0]",
        "def f(n):\n    d = defaultdict(int)\n    d[0] += math.floor(n)\n"
        "    heappush([], n)\n    return d[0]",
        "@lru_cache(None)\ndef f(n):\n"
        "    return Counter([n]).most_common()[0][0] if n < inf else bisect_left([], n)",
    ],
)
def test_programs_may_use_the_imports_that_leetcode_assumes(program: str) -> None:
    assert verify(fenced(program), CALL).outcome is Outcome.CORRECT
    assert verify(fenced(program), CALL, prelude=False).outcome is Outcome.WRONG
    assert verify(fenced(program), {**CALL, "prelude": False}).outcome is Outcome.WRONG
    wrong = {"kind": "call", "function": "f", "tests": [{"args": [6], "output": 7}]}
    assert verify(fenced(program), wrong).outcome is Outcome.WRONG


def test_a_float_may_be_off_by_the_tolerance_that_an_eval_gives() -> None:
    third = {"kind": "stdin", "tests": [{"input": "", "output": "0.333333333333 ok\n"}]}
    printed = fenced("print(1 / 3, 'ok')")
    assert verify(printed, third).outcome is Outcome.WRONG
    assert verify(printed, third, float_tolerance=1e-9).outcome is Outcome.CORRECT
    assert verify(printed, {**third, "float_tolerance": 1e-15}, float_tolerance=1e-9).outcome is Outcome.WRONG
    assert verify(fenced("print(1 / 3, 'no')"), third, float_tolerance=1e-9).outcome is Outcome.WRONG
    tenths = {"kind": "call", "function": "f", "tests": [{"args": [3], "output": {"x": [0.3, True, 3]}}]}
    tenfold = fenced("def f(n):\n    return {'x': [n * 0.1, True, 3]}")
    assert verify(tenfold, tenths).outcome is Outcome.WRONG
    assert verify(tenfold, tenths, float_tolerance=1e-9).outcome is Outcome.CORRECT
    other = fenced("def f(n):\n    return {'x': [n * 0.1, True, 4]}")
    assert verify(other, tenths, float_tolerance=1e-9).outcome is Outcome.WRONG, "integers are exact"


def test_a_package_that_this_machine_lacks_is_no_fault_of_the_program() -> None:
    verdict = verify(fenced("from no_such_package.sub import x\nprint(2 * int(input()))"), DOUBLE)
    assert verdict.outcome is Outcome.VERIFIER_ERROR
    assert "no_such_package" in verdict.detail["error"]
    for its_own_fault in ("import math.nothing", "raise ModuleNotFoundError(\"No module named 'numpi'\")"):
        assert verify(fenced(f"{its_own_fault}\nprint(input())"), DOUBLE).outcome is Outcome.WRONG
    guarded = "try:\n    import no_such_package\nexcept ImportError:\n    pass\nprint(2 * int(input()))"
    assert verify(fenced(guarded), DOUBLE).outcome is Outcome.CORRECT


def test_only_the_answer_is_read_never_the_thinking() -> None:
    right = fenced("print(2 * int(input()))")
    response = Response(answer="I give up.", thinking=right, raw=f"<think>{right}</think>I give up.")
    assert code.verify(response, DOUBLE, VerifierSpec(name="code")).outcome is Outcome.NO_ANSWER


def test_every_test_is_counted_by_how_it_ended_and_the_first_failing_one_is_shown() -> None:
    program = """
n = int(input())
if n == 2: print(5)
elif n == 3: 1 / 0
elif n == 4: print('x' * (8 << 20))
elif n == 5:
    while True: pass
else: print(2)
"""
    tests = verify(fenced(program), DOUBLE, time_limit_s=2.0).detail["tests"]
    counts = {key: tests[key] for key in ("passed", "failed", "timeout", "runtime_error", "output_limit")}
    assert counts == {"passed": 1, "failed": 1, "timeout": 1, "runtime_error": 1, "output_limit": 1}
    assert tests["first_failing"]["index"] == 1
    assert tests["first_failing"]["outcome"] == "failed"
    assert tests["first_failing"]["expected"] == "4"
    assert tests["first_failing"]["output"] == "5\n"


def test_calls_are_counted_the_same_way() -> None:
    program = """
import os
def f(n):
    if n == 2: return 5
    if n == 3: 1 / 0
    if n == 4: os._exit(1)
    if n == 5: return 'x' * (8 << 20)
    return n
"""
    verdict = verify(fenced(program), CALL)
    tests = verdict.detail["tests"]
    counts = {key: tests[key] for key in ("passed", "failed", "timeout", "runtime_error", "output_limit")}
    assert counts == {"passed": 1, "failed": 1, "timeout": 0, "runtime_error": 2, "output_limit": 1}
    assert tests["first_failing"] == {
        "index": 1,
        "outcome": "failed",
        "input": "[2]",
        "expected": "2",
        "output": "5",
    }
    assert verdict.outcome is Outcome.WRONG


def test_after_three_timeouts_the_rest_is_not_run() -> None:
    tests = verify(fenced("while True: pass"), DOUBLE, time_limit_s=0.2).detail["tests"]
    assert (tests["timeout"], tests["not_run"], tests["total"]) == (3, 2, 5)


def test_the_pool_judges_code_in_its_threads() -> None:
    with VerifierPool(4) as pool:
        right = Response(answer=fenced("print(2 * int(input()))"))
        wrong = Response(answer=fenced("print(int(input()))"))
        spec = VerifierSpec(name="code")
        futures = [pool.submit(spec, response, DOUBLE) for response in (right, wrong) * 4]
        outcomes = [future.result().outcome for future in futures]
    assert outcomes == [Outcome.CORRECT, Outcome.WRONG] * 4


def test_a_target_may_set_its_own_limits() -> None:
    slow = fenced("import time\ntime.sleep(0.5)\nprint(2 * int(input()))")
    assert verify(slow, {**DOUBLE, "time_limit_s": 0.2}).detail["tests"]["timeout"] == 3
    large = fenced("a = bytearray(300 << 20)\nprint(2 * int(input()))")
    assert verify(large, DOUBLE).outcome is Outcome.CORRECT
    assert verify(large, {**DOUBLE, "memory_bytes": 256 << 20}).detail["tests"]["runtime_error"] == 5


def test_processor_time_is_allowed_for_every_call_of_a_process() -> None:
    program = "import resource\ndef f(n):\n    return resource.getrlimit(resource.RLIMIT_CPU)[0]"
    target = {**CALL, "tests": [{"args": [n], "output": 3 * 10 + 2} for n in range(3)], "time_limit_s": 10.0}
    assert verify(fenced(program), target).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        fenced("def f(x):\n    return [x]"),
        fenced("def f(x) -> List[int]:\n    return [int(half(2 * x))]"),
        fenced("from __future__ import annotations\ndef f(x: Unknown):\n    return [x]"),
        fenced("    return [x]"),
        "    return [x]\n",
        "def f(x):\n    return [x]\n",
        "def f(x):\n    return [x]\n```",
        "    return [x]\n```\nThis wraps x.",
        "    return [x]\n```\n\n```python\nprint(f(3))\n```",
        fenced("class Solution:\n    def f(self, x):\n        return [x]"),
    ],
)
def test_a_check_accepts_a_function_or_the_rest_of_the_prompt(answer: str) -> None:
    verdict = verify(answer, CHECK)
    assert verdict.outcome is Outcome.CORRECT, verdict.detail
    assert verdict.detail["tests"]["passed"] == 5


@pytest.mark.parametrize(
    ("test", "program"),
    [
        (
            "def check(candidate):\n    assert candidate(x=3, by=[2]) == 6\n"
            "    assert candidate(2, by=[1]) == 2",
            "def f(x, by=None):\n    return x * by[0]",
        ),
        (
            "def check(candidate):\n    a, d = [3, 1, [2]], {1: 2}\n    assert candidate(a, d=d) is None\n"
            "    assert a == [[2, 9], 1, 3] and d == {5: 6}",
            "def f(a, d):\n    a.reverse()\n    a[0].append(9)\n    d.clear()\n    d[5] = 6",
        ),
        (
            "def check(candidate):\n    try:\n        candidate(-1)\n    except ValueError as error:\n"
            "        assert 'negative' in str(error)\n    else:\n        assert False\n"
            "    assert candidate(4) == 2",
            "class Mine(ValueError):\n    pass\ndef f(x):\n    if x < 0:\n        raise Mine('negative')\n"
            "    return int(x ** 0.5)",
        ),
    ],
    ids=["named arguments", "arguments changed in place", "expected exceptions"],
)
def test_a_check_sees_the_calls_as_if_the_program_were_in_its_process(test: str, program: str) -> None:
    verdict = verify(fenced(program), {"kind": "check", "prompt": "", "test": test, "entry_point": "f"})
    assert verdict.outcome is Outcome.CORRECT, verdict.detail


def test_an_exception_that_the_check_does_not_expect_is_the_programs_error() -> None:
    tests = verify(
        fenced("def f(x):\n    if x > 2:\n        raise KeyError(x)\n    return [x]"), CHECK
    ).detail["tests"]
    assert (tests["passed"], tests["runtime_error"]) == (2, 1)
    assert tests["first_failing"]["message"] == "KeyError: 3"


@pytest.mark.parametrize("kind", ["eval", "exit", "SystemExit", "UnicodeDecodeError", "no_such_name"])
def test_the_name_of_an_exception_is_never_more_than_an_exception_in_the_check(kind: str) -> None:
    forged = f"""
    import os, sys
    def f(x):
        for fd in range(3, 32):
            try: os.write(fd, b'["' + NUMBER + b'", "raised", "print(7)", "{kind}"]\\n')
            except OSError: pass
        os._exit(0)
    class Frame: pass
    frame = sys._getframe()
    while frame and "number" not in frame.f_locals: frame = frame.f_back
    NUMBER = frame.f_locals["number"].encode()
    """
    verdict = verify(fenced(textwrap.dedent(forged)), CHECK)
    assert verdict.outcome is Outcome.WRONG
    assert verdict.detail["tests"]["runtime_error"] == 1
    assert verdict.detail["tests"]["first_failing"]["message"] == "print(7)", "the forgery arrived"


def test_a_failed_check_names_the_call_that_it_did_not_like() -> None:
    tests = verify(fenced("def f(x):\n    return [x] if x < 3 else x"), CHECK).detail["tests"]
    assert (tests["passed"], tests["failed"]) == (2, 1)
    assert tests["first_failing"]["input"] == "[3]"
    assert tests["first_failing"]["output"] == "3"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test": "def check(candidate):\n    pass"}, "calls nothing"),
        ({"test": "def other(candidate):\n    pass"}, "check"),
        ({"test": "def check("}, "SyntaxError"),
        ({"test": "def check(candidate):\n    import os\n    os._exit(0)"}, "ended"),
        ({"test": "def check(candidate):\n    candidate(object())"}, "object"),
        ({"test": "def check(candidate):\n    1 / 0"}, "ZeroDivisionError"),
    ],
)
def test_a_check_that_is_at_fault_is_not_the_programs_error(change: dict[str, str], words: str) -> None:
    verdict = verify(fenced("def f(x):\n    return [x]"), {**CHECK, **change})
    assert verdict.outcome is Outcome.VERIFIER_ERROR
    assert words in verdict.detail["error"]


@pytest.mark.parametrize(
    "target",
    [
        None,
        "text",
        {},
        {"kind": "other", "tests": []},
        {"kind": "stdin", "tests": []},
        {"kind": "stdin", "tests": [{"input": "1"}]},
        {"kind": "call", "tests": [{"args": [], "output": 1}]},
        {"kind": "stdin", "tests": [{"input": "1", "output": "1"}], "time_limit": 3},
        {"kind": "stdin", "tests": [{"input": "1", "output": "1"}], "time_limit_s": 0},
    ],
)
def test_a_malformed_target_is_never_correct(target: Any) -> None:
    verdict = verify(fenced("print(1)"), target)
    assert verdict.outcome is Outcome.VERIFIER_ERROR
    assert "malformed target" in verdict.detail["error"]


def test_a_sandbox_that_fails_is_never_the_programs_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SandboxError("out of memory")

    monkeypatch.setattr(sandbox.Sandbox, "run", fail)
    verdict = verify(fenced("print(1)"), DOUBLE)
    assert verdict.outcome is Outcome.VERIFIER_ERROR
    assert verdict.detail["error"] == "out of memory"


def test_without_a_sandbox_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_acquired", None)
    monkeypatch.setattr(sandbox, "mechanisms", list)
    with pytest.raises(Unavailable):
        code.prepare()
    with pytest.raises(Unavailable):
        verify(fenced("print(1)"), DOUBLE)
