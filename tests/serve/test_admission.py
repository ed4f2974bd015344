"""Clients take turns, nobody is forgotten, and too many are turned away."""

from __future__ import annotations

import asyncio

import pytest

from localrl.serve.admission import Admission
from localrl.serve.problems import TooBusy


def test_who_asks_once_does_not_wait_behind_all_requests_of_another() -> None:
    order: list[str] = []

    async def ask(admission: Admission, client: str) -> None:
        async with admission.turn(client, 1):
            order.append(client)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        admission = Admission(lambda: 1, most_waiting=100)
        tasks = [asyncio.create_task(ask(admission, "many")) for _ in range(10)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask(admission, "one")))
        await asyncio.gather(*tasks)
        assert (admission.inside, admission.waiting) == (0, 0)

    asyncio.run(all_of_them())
    assert order.index("one") <= 3
    assert order.count("many") == 10


def test_beyond_the_bound_a_request_is_told_when_to_come_back_and_the_gone_free_their_place() -> None:
    async def crowd() -> None:
        admission = Admission(lambda: 1, most_waiting=2)

        async def ask() -> None:
            async with admission.turn("x", 1):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert (admission.inside, admission.waiting) == (1, 2)
        with pytest.raises(TooBusy) as refused:
            async with admission.turn("y", 1):
                pass
        assert int(refused.value.headers["Retry-After"]) >= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (admission.inside, admission.waiting) == (0, 0)
        async with admission.turn("y", 1):
            assert admission.inside == 1

    asyncio.run(crowd())
