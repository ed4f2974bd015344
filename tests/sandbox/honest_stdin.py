"""Honest programs that read standard input: (program, input, expected output), by what each shows."""

from __future__ import annotations

LISTING = " ".join(map(str, range(1_200_000)))

STDIN: dict[str, tuple[str, str, str]] = {
    # what it shows: (program, input, expected output)
    "input": ("print(int(input()) + int(input()))", "20\n22\n", "42\n"),
    "largest_stack_as_contests_ask_for_it": (
        """
        import resource, sys, threading
        resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        sys.setrecursionlimit(10**6)
        def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
        print(deep(20000))
        """,
        "",
        "20000",
    ),
    "pool_of_threads": (
        """
        from multiprocessing.pool import ThreadPool
        with ThreadPool(4) as pool:
            print(sum(pool.map(int, input().split())))
        """,
        "1 2 3",
        "6",
    ),
    "locks_of_multiprocessing": (
        """
        import multiprocessing as m, threading
        lock, many, again = m.Lock(), m.Semaphore(2), m.RLock()
        total = 0
        def add():
            global total
            for _ in range(100):
                with lock, many, again, again:
                    total += 1
        threads = [threading.Thread(target=add) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(total, lock.acquire(False), lock.acquire(False), many.get_value())
        """,
        "",
        "400 True False 2",
    ),
    "lock_of_a_file": (
        "import fcntl, os\nwith open(os.__file__) as f:\n    fcntl.flock(f, fcntl.LOCK_EX)\nprint('ok')",
        "",
        "ok",
    ),
    "event_loop": (
        """
        import asyncio
        async def double(n):
            await asyncio.sleep(0)
            return 2 * n
        async def main():
            print(sum(await asyncio.gather(*map(double, range(4)))))
            print(await asyncio.to_thread(len, "abc"))
        asyncio.run(main())
        """,
        "",
        "12\n3",
    ),
    "input_without_newline_at_the_end": ("print(input()[::-1])", "abc", "cba"),
    "no_input_at_all": ("print('hello')", "", "hello\n"),
    "end_of_input": ("try:\n    input()\nexcept EOFError:\n    print('end')", "", "end"),
    "open_zero": ("print(sum(map(int, open(0).read().split())))", "1 2\n3\n", "6"),
    "open_dev_stdin": ("print(sum(map(int, open('/dev/stdin').read().split())))", "1 2\n3\n", "6"),
    "lines_of_stdin": (
        "import sys\nfor line in sys.stdin:\n    print(line.strip().upper())",
        "a\nb",
        "A\nB\n",
    ),
    "buffer_readline_twice": (
        "import sys\nr = sys.stdin.buffer.readline\nprint(int(r()) * int(r()))",
        "6\n7\n",
        "42",
    ),
    "os_read": ("import os\nprint(sum(map(int, os.read(0, 1 << 20).split())))", "1 2 3", "6"),
    "fast_reader_by_fstat": (
        """
        import os
        from io import BytesIO
        input = BytesIO(os.read(0, os.fstat(0).st_size)).readline
        n = int(input())
        print(sum(int(input()) for _ in range(n)))
        """,
        "3\n1\n2\n3\n",
        "6",
    ),
    "mmap_of_stdin": (
        "import mmap\nprint(len(mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].split()))",
        "a b c",
        "3",
    ),
    "stdin_of_8_megabytes": (
        "import sys\ndata = sys.stdin.buffer.read().split()\nprint(len(data), int(data[-1]))",
        LISTING,
        "1200000 1199999",
    ),
    "stdout_of_10_megabytes": (
        "import sys\nsys.stdout.write('\\n'.join('x' * 99 for _ in range(100_000)))",
        "",
        "\n".join(["x" * 99] * 100_000),
    ),
    "recursion_100000_deep": (
        """
        import sys
        sys.setrecursionlimit(10**6)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)
        print(depth(100_000))
        """,
        "",
        "100000",
    ),
    "thread_with_a_large_stack": (
        """
        import sys, threading
        sys.setrecursionlimit(10**6)
        threading.stack_size(1 << 27)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)
        def main():
            print(depth(int(input())))
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
        """,
        "50000",
        "50000",
    ),
    "cache_50000_deep": (
        """
        import sys
        from functools import cache
        sys.setrecursionlimit(10**6)
        @cache
        def f(n):
            return 0 if n == 0 else 1 + f(n - 1)
        print(f(50_000))
        """,
        "",
        "50000",
    ),
    "numpy": (
        "import numpy as np\na = np.array(input().split(), dtype=int)\nprint(int(a @ a), a.mean())",
        "1 2 3",
        "14 2.0",
    ),
    "numpy_linear_algebra": (
        "import numpy as np\nprint(round(float(np.linalg.det(np.eye(50) * 2)) / 2**50, 6))",
        "",
        "1.0",
    ),
    "exit_after_print": ("print(1)\nexit()", "", "1"),
    "quit_after_print": ("print(1)\nquit()", "", "1"),
    "sys_exit_after_print": ("import sys\nprint(1)\nsys.exit()", "", "1"),
    "system_exit_raised": ("print(1)\nraise SystemExit", "", "1"),
    "os_exit_after_flush": ("import os, sys\nprint(1)\nsys.stdout.flush()\nos._exit(0)", "", "1"),
    "crlf_and_trailing_blanks": ("print('1 2 \\r\\n3\\t\\r\\n\\r\\n', end='')", "", "1 2\n3\n"),
    "leading_blank_lines": ("print('\\n\\n  7')", "", "7"),
    "float_for_integer": ("print(6 / 2, '4.00')", "", "3 4"),
    "integer_for_float": ("print(3)", "", "3.0"),
    "exponent_for_float": ("print('1e-5')", "", "0.00001"),
    "main_guard": ("def main():\n    print(input())\nif __name__ == '__main__':\n    main()", "x", "x"),
    "asyncio": (
        """
        import asyncio
        async def double(x):
            await asyncio.sleep(0.01)
            return 2 * x
        async def main():
            print(*await asyncio.gather(*map(double, map(int, input().split()))))
        asyncio.run(main())
        """,
        "1 2 3",
        "2 4 6",
    ),
    "thread_pool": (
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor() as pool:
            print(sum(pool.map(int, input().split())))
        """,
        "1 2 3",
        "6",
    ),
    "twenty_threads": (
        """
        import threading
        total, lock = 0, threading.Lock()
        def add(x):
            global total
            with lock:
                total += x
        threads = [threading.Thread(target=add, args=(i,)) for i in range(20)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(total)
        """,
        "",
        "190",
    ),
    "integers_of_20000_digits": ("print(int(input()) + 1)", "9" * 20_000, "1" + "0" * 20_000),
    "global_counter": (
        "count = 0\ndef f():\n    global count\n    count += 1\nf()\nf()\nprint(count)",
        "",
        "2",
    ),
    "future_annotations": (
        "from __future__ import annotations\ndef f(x: Unknown) -> int:\n    return x\nprint(f(1))",
        "",
        "1",
    ),
    "dataclass_enum_typing_match": (
        """
        from dataclasses import dataclass
        from enum import Enum, auto
        from typing import Optional
        class Kind(Enum):
            A = auto()
        @dataclass(order=True)
        class Item:
            size: int
            kind: Optional[Kind] = None
        match sorted([Item(2), Item(1, Kind.A)])[0]:
            case Item(size=1, kind=kind):
                print(kind.name)
        """,
        "",
        "A",
    ),
    "unicode": ("print(input()[::-1], 'ß→🙂')", "åäö", "öäå ß→🙂"),
    "coding_cookie": ("# -*- coding: utf-8 -*-\nprint('é')", "", "é"),
    "debug_on_stderr": ("import sys\nprint('debug ' * 10_000, file=sys.stderr)\nprint(1)", "", "1"),
    "collections_heapq_bisect": (
        """
        from collections import Counter, defaultdict, deque
        from heapq import heappush, heappop
        from bisect import bisect_left
        heap = []
        for x in map(int, input().split()):
            heappush(heap, x)
        xs = [heappop(heap) for _ in range(len(heap))]
        print(xs[0], bisect_left(xs, 3), Counter(xs)[3], sum(deque(xs)), defaultdict(int)[0])
        """,
        "3 1 2 3",
        "1 2 2 9 0",
    ),
    "fractions_decimal_math": (
        """
        from fractions import Fraction
        from decimal import Decimal, getcontext
        from math import gcd, comb, isqrt
        getcontext().prec = 50
        print(Fraction(1, 3) + Fraction(1, 6), Decimal(2).sqrt(), gcd(12, 18), comb(50, 25), isqrt(10**40))
        """,
        "",
        "1/2 1.4142135623730950488016887242096980785696718753769 6 126410606437752 100000000000000000000",
    ),
    "print_with_sep_and_end": ("print(*[1, 2, 3], sep='\\n', end='')", "", "1\n2\n3\n"),
    "bytes_to_the_buffer": ("import sys\nsys.stdout.buffer.write(b'1 2\\n')", "", "1 2"),
    "output_by_atexit": ("import atexit\natexit.register(print, 'bye')", "", "bye"),
    "redirected_output": (
        "import io, sys\nold, sys.stdout = sys.stdout, io.StringIO()\nprint(1)\n"
        "text = sys.stdout.getvalue()\nsys.stdout = old\nprint(text * 2)",
        "",
        "1\n1\n",
    ),
    "alarm_handler": (
        "import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: print('rang'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\ntime.sleep(0.3)\nprint('done')",
        "",
        "rang\ndone",
    ),
    "seeded_random": ("import random\nrandom.seed(1)\nprint(random.random() < 1)", "", "True"),
    "sleep": ("import time\ntime.sleep(0.2)\nprint(1)", "", "1"),
    "half_a_gigabyte": (
        "a = bytearray(500 << 20)\na[::4096] = bytes(len(a[::4096]))\nprint(len(a))",
        "",
        "524288000",
    ),
    "garbage_collector_off": (
        "import gc\ngc.disable()\nprint(len([[] for _ in range(10**5)]))",
        "",
        "100000",
    ),
    "clocks_and_zones": (
        "import time, datetime\nt = time.perf_counter()\n"
        "print(datetime.datetime(2024, 2, 29).strftime('%A'), time.perf_counter() >= t)",
        "",
        "Thursday True",
    ),
    "regular_expressions_and_json": (
        "import json, re\nprint(json.dumps(json.loads(input())), re.sub(r'\\d', 'x', 'a1'))",
        '{"a": [1, null]}',
        '{"a": [1, null]} ax',
    ),
    "eval_and_exec": ("exec('x = 20')\nprint(eval('x + 22'))", "", "42"),
    "sqlite_in_memory": (
        "import sqlite3\nprint(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()[0])",
        "",
        "42",
    ),
    "subclass_of_int": (
        """
        class Mod(int):
            def __add__(self, other):
                return Mod(int(self) % 7 + int(other) % 7)
        print(Mod(8) + Mod(9))
        """,
        "",
        "3",
    ),
    "pickle_and_deepcopy": (
        """
        import copy, pickle
        class P:
            x = 1
        print(pickle.loads(pickle.dumps(P())).x, copy.deepcopy([[1]]))
        """,
        "",
        "1 [[1]]",
    ),
    "stack_deep_in_a_comparison": (
        """
        import sys
        sys.setrecursionlimit(10**5)
        a = []
        for _ in range(10_000):
            a = [a]
        print(len(str(a)))
        """,
        "",
        "20002",
    ),
    "nan_as_a_word": ("print('nan', float('nan'))", "", "nan nan"),
    "process_and_user_ids": (
        "import os\nprint(os.getpid() > 0, os.cpu_count() > 0, len(os.getcwd()) > 0)",
        "",
        "True True True",
    ),
}

FILES: dict[str, tuple[str, str, str]] = {
    "file_in_tmp": (
        "open('/tmp/a.txt', 'w').write(input())\nprint(open('/tmp/a.txt').read())",
        "kept",
        "kept",
    ),
    "tempfile": (
        """
        import tempfile
        with tempfile.TemporaryFile('w+') as f:
            f.write('x')
            f.seek(0)
            print(f.read())
        """,
        "",
        "x",
    ),
    "copied_and_renamed": (
        """
        import os, shutil
        os.mkdir('own')
        os.chdir('own')
        open('a', 'w').write('x')
        shutil.copy2('a', 'b')
        os.rename('b', 'c')
        os.remove('a')
        print(os.listdir('.'))
        """,
        "",
        "['c']",
    ),
}

PRELUDE: dict[str, tuple[str, str, str]] = {
    "starred_names": ("print(gcd(4, 6), Counter('aab')['a'], inf, heappop([1]))", "", "2 2 inf 1"),
    "modules": ("print(math.floor(2.5), sys.getrecursionlimit(), string.digits)", "", "2 50000 0123456789"),
    "typing": (
        """
        class Solution:
            def f(self, a: List[int]) -> Optional[int]:
                return a[0]
        print(Solution().f([3]))
        """,
        "",
        "3",
    ),
    "later_imports_win": (
        "print(pow(2, 5, 7), deepcopy([1]), open(0).read().strip())",
        "x",
        "4 [1] x",
    ),
    "own_names_win": (
        "def count(x):\n    return x\ndef gcd(a):\n    return a\nprint(count(1), gcd(5))",
        "",
        "1 5",
    ),
    "future_annotations_after_it": ("from __future__ import annotations\nprint(ceil(1.5))", "", "2"),
}
