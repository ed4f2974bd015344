"""Requests go to the server with the least to do; one that fails rests and comes back."""

from __future__ import annotations

from localrl.engine.backends.server.load_balancing import LONGEST_REST_S, ROUNDS, LoadBalancer, Upstream
from localrl.engine.backends.server.responses import Failure, RequestFailed

DOWN = RequestFailed(Failure.DOWN, "gone")
BUSY = RequestFailed(Failure.BUSY, "429", retry_after=7)
BROKEN = RequestFailed(Failure.BROKEN, "cut off")


def upstreams(count: int = 2) -> tuple[list[Upstream[str]], LoadBalancer[str]]:
    made = [Upstream(f"server {i}") for i in range(count)]
    return made, LoadBalancer(made)


def test_the_server_with_the_least_outstanding_gets_the_next_request() -> None:
    (first, second), balancer = upstreams()
    first.outstanding = 3
    for expected in (1, 2, 3):
        chosen = balancer.choose(0.0)
        assert chosen is second
        chosen.outstanding += 1
        assert second.outstanding == expected
    assert {id(balancer.choose(0.0)), id(balancer.choose(0.0))} == {id(first), id(second)}


def test_a_server_that_is_down_rests_longer_each_time_and_is_then_tried_with_one_request() -> None:
    (first, second), balancer = upstreams()
    now, rests = 100.0, []
    for _ in range(8):
        first.failed(DOWN, now)
        rests.append(first.rests_until - now)
        assert balancer.choose(now) is second
        now = first.rests_until
    assert rests[0] < 1
    assert rests[1] > rests[0]
    assert max(rests) <= 1.25 * LONGEST_REST_S
    second.outstanding = 10
    assert balancer.choose(now) is first
    first.outstanding = 1
    assert balancer.choose(now) is second, "a second one only when the first went well"
    first.succeeded()
    assert balancer.choose(now) is first


def test_requests_that_fail_together_count_once() -> None:
    (first, _), _ = upstreams()
    for _ in range(50):
        first.failed(DOWN, 5.0)
    assert first.failures == 1


def test_a_busy_server_rests_as_long_as_it_asks_and_gets_fewer_at_once() -> None:
    (first, second), balancer = upstreams()
    first.outstanding = 8
    first.failed(BUSY, 10.0)
    assert first.rests_until == 17.0
    assert first.limit == 4
    assert balancer.choose(11.0) is second
    first.outstanding = 0
    for _ in range(4 * ROUNDS):
        first.succeeded()
    assert first.limit == 5


def test_one_that_cuts_texts_off_ends_with_one_at_a_time() -> None:
    (only,), balancer = upstreams(1)
    for outstanding in (8, 7, 6, 5, 4, 3, 2, 1):
        only.outstanding = outstanding
        only.failed(BROKEN, 0.0)
    assert only.limit == 1
    only.outstanding = 1
    assert balancer.choose(0.0) is None
    only.outstanding = 0
    assert balancer.choose(0.0) is only


def test_what_failed_is_tried_elsewhere_if_there_is_an_elsewhere() -> None:
    (first, second), balancer = upstreams()
    second.outstanding = 5
    assert balancer.choose(0.0, besides=first) is second
    second.failed(DOWN, 0.0)
    assert balancer.choose(0.0, besides=first) is first
