"""How the places in flight follow what other clients leave."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from perdure.contract import MAX_IN_FLIGHT
from perdure.gate import STEP, Gate, NoPlace
from perdure.transport import TryAgain

CROWDED = TryAgain("one too many", sent=True, crowded=True)


async def _abort(gate: Gate, count: int) -> None:
    """`count` updates in flight that are all aborted at once."""
    inside = asyncio.Barrier(count)

    async def attempt() -> None:
        async with gate.place(1):
            await inside.wait()
            raise CROWDED

    await asyncio.gather(*(attempt() for _ in range(count)), return_exceptions=True)


async def _answers(gate: Gate, count: int) -> None:
    for _ in range(count):
        async with gate.place(1):
            pass


async def _free(gate: Gate) -> int:
    """Places that can be had at once."""
    async with AsyncExitStack() as held:
        for taken in range(MAX_IN_FLIGHT + 1):
            try:
                await held.enter_async_context(gate.place(0.01))
            except NoPlace:
                return taken
    raise AssertionError("there is no limit")


async def test_an_abort_of_all_halves_the_places_once_and_one_is_always_left() -> None:
    gate = Gate()
    assert await _free(gate) == MAX_IN_FLIGHT
    for left in (4, 2, 1, 1):
        await _abort(gate, gate.places)
        assert gate.places == left
        assert await _free(gate) == left


async def test_answers_bring_the_places_back_up_to_eight() -> None:
    gate = Gate()
    await _abort(gate, MAX_IN_FLIGHT)
    await _answers(gate, round(2 / STEP) + 1)
    assert await _free(gate) == 6
    await _answers(gate, round(9 / STEP))
    assert await _free(gate) == MAX_IN_FLIGHT


async def test_another_failure_leaves_the_places_as_they_are() -> None:
    gate = Gate()
    with pytest.raises(TryAgain):
        async with gate.place(1):
            raise TryAgain("no answer", sent=True)
    assert await _free(gate) == MAX_IN_FLIGHT


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    gate = Gate()
    await _abort(gate, 8)
    await _abort(gate, 4)
    await _abort(gate, 2)
    order: list[int] = []

    async def wait(number: int) -> None:
        for _ in range(3):
            async with gate.place(1):
                order.append(number)
                await asyncio.sleep(0)

    await asyncio.gather(*map(wait, range(4)))
    assert order == [0, 1, 2, 3] * 3
