"""Whatever a verifier does, the pool gives one verdict a response and goes on."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from localrl.errors import UsageError
from localrl.registry import Member
from localrl.verdict import Outcome, Response
from localrl.verify import registry
from localrl.verify.base import VerifierSpec
from localrl.verify.pool import VerifierPool
from tests.processes import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.verdict import Verdict

pytestmark = pytest.mark.process

HOSTILE = Path(__file__).parent / "hostile_worker.py"
SPEC = VerifierSpec(name="hostile")


@pytest.fixture(autouse=True)
def hostile_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = importlib.util.spec_from_file_location("hostile_worker", HOSTILE)
    assert loaded
    assert loaded.loader
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "hostile_worker", module)
    monkeypatch.setitem(registry.VERIFIERS.members, "hostile", Member("hostile", "hostile_worker"))


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(2, time_limit_s=1.0, command=(sys.executable, str(HOSTILE))) as made:
        yield made


def verdict(pool: VerifierPool, answer: str) -> Verdict:
    return pool.submit(SPEC, Response(answer), None).result(timeout=60)


@pytest.mark.parametrize("answer", ["hang", "spin"])
def test_a_verifier_over_its_time_is_a_timeout_and_the_next_response_is_judged(
    pool: VerifierPool, answer: str
) -> None:
    assert verdict(pool, answer).outcome is Outcome.VERIFIER_TIMEOUT
    assert verdict(pool, "next").extracted == "next"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("crash", "SIGSEGV"),
        ("exit", "exit code 0"),
        ("memory", "MemoryError"),
        ("raise", "LookupError: no such thing"),
        ("recurse", "RecursionError"),
        ("quick raise", "ValueError: quick"),
    ],
)
def test_a_verifier_that_fails_is_an_error_that_says_how(pool: VerifierPool, answer: str, words: str) -> None:
    failed = verdict(pool, answer)
    assert failed.outcome is Outcome.VERIFIER_ERROR
    assert words in failed.detail["error"]
    assert verdict(pool, "next").outcome is Outcome.WRONG


def test_what_a_verifier_prints_is_never_its_verdict(pool: VerifierPool) -> None:
    assert verdict(pool, "garbage").outcome is Outcome.WRONG


def test_a_worker_that_speaks_no_json_is_an_error_not_a_wrong_answer() -> None:
    with VerifierPool(1, command=(sys.executable, str(HOSTILE), "--garbage")) as pool:
        assert verdict(pool, "x").outcome is Outcome.VERIFIER_ERROR


def test_a_worker_that_cannot_start_is_an_error() -> None:
    with VerifierPool(1, command=(sys.executable, "-c", "raise SystemExit(7)")) as pool:
        assert "exit code 7" in verdict(pool, "x").detail["error"]


def test_hung_verifiers_do_not_hold_up_others() -> None:
    with VerifierPool(2, time_limit_s=12.0, command=(sys.executable, str(HOSTILE))) as pool:
        hung = [pool.submit(SPEC, Response("hang"), None) for _ in range(3)]
        others = [pool.submit(SPEC, Response(str(n)), None) for n in range(20)]
        assert [other.result(timeout=60).extracted for other in others] == [str(n) for n in range(20)]
        assert not any(future.done() for future in hung)
        assert {future.result().outcome for future in hung} == {Outcome.VERIFIER_TIMEOUT}


def test_a_worker_program_that_is_not_there_is_an_error() -> None:
    with VerifierPool(1, command=("/nonexistent/python",)) as pool:
        assert "cannot start" in verdict(pool, "x").detail["error"]


def test_a_certain_verdict_needs_no_process() -> None:
    with VerifierPool(1, command=("/nonexistent/python",)) as pool:
        assert pool.submit(SPEC, Response("certain"), None).result(timeout=0).outcome is Outcome.CORRECT
        exact = pool.submit(VerifierSpec(name="exact"), Response(" four\n"), "four")
        assert exact.result(timeout=0).correct


def test_closing_leaves_no_process_and_gives_every_verdict(tmp_path: Path) -> None:
    pool = VerifierPool(2, command=(sys.executable, str(HOSTILE), str(tmp_path)))
    futures = [pool.submit(SPEC, Response(str(n)), None) for n in range(10)]
    futures[0].result(timeout=60)
    own = children(str(tmp_path))
    assert own
    pool.close()
    assert all(future.done() for future in futures)
    assert not any(child.is_running() for child in own)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(SPEC, Response("x"), None)


def test_a_large_response_and_a_large_target_pass() -> None:
    big = "é" * 2_000_000
    with VerifierPool(1, time_limit_s=30.0, command=(sys.executable, str(HOSTILE))) as pool:
        assert pool.submit(SPEC, Response(big), [big]).result(timeout=60).extracted == big


def test_a_target_that_is_no_json_value_is_an_error(pool: VerifierPool) -> None:
    assert pool.submit(SPEC, Response("x"), {1, 2}).result(timeout=60).outcome is Outcome.VERIFIER_ERROR


def test_a_worker_sees_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    code = "import os, sys; sys.exit(3 if 'HF_TOKEN' in os.environ else 4)"
    with VerifierPool(1, command=(sys.executable, "-c", code)) as pool:
        assert "exit code 4" in verdict(pool, "x").detail["error"]


def test_an_unknown_verifier_names_the_nearest(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="did you mean 'exact'"):
        pool.submit(VerifierSpec(name="exat"), Response(""), None)


@pytest.mark.parametrize("answer", ["x", "hang"])
def test_a_worker_does_not_outlive_the_app(answer: str) -> None:
    """Its input ends with the app, and an alarm of its own ends a response that hangs."""
    app = (
        "import os, sys, psutil, importlib.util, time\n"
        "from localrl.verdict import Response\n"
        "from localrl.registry import Member\n"
        "from localrl.verify import registry\n"
        "from localrl.verify.base import VerifierSpec\n"
        "from localrl.verify.pool import VerifierPool\n"
        f"sys.path.insert(0, {str(HOSTILE.parent)!r})\n"
        "registry.VERIFIERS.members['hostile'] = Member('hostile', 'hostile_worker')\n"
        f"pool = VerifierPool(1, time_limit_s=1, command=(sys.executable, {str(HOSTILE)!r}))\n"
        "pool.submit(VerifierSpec(name='hostile'), Response('first'), None).result()\n"
        f"pool.submit(VerifierSpec(name='hostile'), Response({answer!r}), None)\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "time.sleep(0.2)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", app], check=True, capture_output=True, text=True)
    deadline = time.monotonic() + 30
    while runs(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(int(done.stdout))


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
