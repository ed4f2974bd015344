"""Honest programs of which `solve` is called: (program, calls as (arguments, result)), by what each shows."""

from __future__ import annotations

from typing import Any

CALLS: dict[str, tuple[str, list[tuple[list[Any], Any]]]] = {
    # what it shows: (program, [(arguments, expected value)]); the function is `solve`
    "function": (
        "def solve(a, b):\n    return a + b",
        [([1, 2], 3), (["a", "b"], "ab"), ([[1], [2]], [1, 2])],
    ),
    "lambda": ("solve = lambda x: x * 2", [([21], 42)]),
    "solution_class": (
        """
        from typing import List, Optional
        class Solution:
            def solve(self, nums: List[int]) -> Optional[int]:
                print("debug", nums)
                return max(nums) if nums else None
        """,
        [([[3, 1]], 3), ([[]], None)],
    ),
    "state_of_the_module": (
        "seen = []\ndef solve(x):\n    seen.append(x)\n    return list(seen)",
        [(["a"], ["a"]), (["b"], ["a", "b"])],
    ),
    "state_of_the_object": (
        "class Solution:\n    def __init__(self):\n        self.memo = {}\n"
        "    def solve(self, n):\n        self.memo[n] = n\n        return len(self.memo)",
        [([1], 1), ([2], 2)],
    ),
    "main_guard_is_not_run": (
        "def solve(x):\n    return x\nif __name__ == '__main__':\n    print(solve(int(input())))",
        [([1], 1)],
    ),
    "reads_stdin_at_its_end": (
        "import sys\nrest = sys.stdin.read()\ndef solve():\n    return rest",
        [([], "")],
    ),
    "tuple_for_list": ("def solve():\n    return (1, 2)", [([], [1, 2])]),
    "float_for_integer": ("def solve():\n    return 3.0", [([], 3)]),
    "integer_for_float": ("def solve():\n    return 3", [([], 3.0)]),
    "floats_to_the_last_bit": ("def solve(x):\n    return x / 3", [([1], 1 / 3), ([1e300], 1e300 / 3)]),
    "integers_of_20000_digits": ("def solve(n):\n    return n + 1", [([10**20_000], 10**20_000 + 1)]),
    "nested_list_of_200000": (
        "def solve(n):\n    return [[i, i + 1] for i in range(n)]",
        [([100_000], [[i, i + 1] for i in range(100_000)])],
    ),
    "large_argument": ("def solve(a):\n    return sum(a)", [([list(range(300_000))], 44999850000)]),
    "dictionary": (
        "def solve():\n    return {'a': [1, None], 'b': {'c': True}}",
        [([], {"b": {"c": True}, "a": [1, None]})],
    ),
    "defaultdict_and_counter": (
        "from collections import Counter\ndef solve(s):\n    return Counter(s)",
        [(["aab"], {"a": 2, "b": 1})],
    ),
    "unicode_and_empty": (
        "def solve(s):\n    return [s, '', []]",
        [(["ß🙂\n\u2028"], ["ß🙂\n\u2028", "", []])],
    ),
    "changes_its_argument": ("def solve(a):\n    a.sort()\n    return a", [([[2, 1]], [1, 2])]),
    "numpy_scalars": (
        "import numpy as np\ndef solve(a):\n    return [np.sum(a), np.mean(a), np.all(a)]",
        [([[1, 2, 3]], [6, 2.0, True])],
    ),
    "deep_recursion": (
        """
        import sys
        sys.setrecursionlimit(10**6)
        def solve(n):
            return 0 if n == 0 else 1 + solve(n - 1)
        """,
        [([50_000], 50_000)],
    ),
    "much_printed": (
        "def solve(n):\n    for i in range(n):\n        print('x' * 100)\n    return n",
        [([100_000], 100_000)],
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\ndef solve(a):\n"
        "    with ThreadPoolExecutor(8) as pool:\n        return list(pool.map(abs, a))",
        [([[-1, 2]], [1, 2])],
    ),
    "an_exception_inside_is_its_own": (
        """
        def solve(x):
            try:
                return 1 // x
            except ZeroDivisionError:
                return 'zero'
        """,
        [([0], "zero"), ([1], 1)],
    ),
    "own_json_module_name": ("json = os = sys = None\ndef solve(x):\n    return x", [([[1]], [1])]),
    "helper_beside_solution": (
        "def solve(x):\n    return -1\nclass Solution:\n    def solve(self, x):\n        return x",
        [([4], 4)],
    ),
}
