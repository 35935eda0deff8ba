"""Messages per second that one session and sixteen take, with as many in flight as a client allows."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import Figure
from benchmarks.rig import Rig, Talk
from perdure.contract import MAX_IN_FLIGHT

_WARM_UP = 3.0


async def throughput(rig: Rig, *, sessions: int, seconds: float) -> list[Figure]:
    """Assistant messages, `MAX_IN_FLIGHT` in flight on each session."""
    talks = [await rig.talk() for _ in range(sessions)]
    await _messages_per_second(talks, _WARM_UP)
    rate = await _messages_per_second(talks, seconds)
    name = f"messages with {sessions} session{'s' if sessions > 1 else ''}, {MAX_IN_FLIGHT} in flight each"
    return [Figure(name=name, value=rate, unit="1/s", note=f"over {seconds:g} s")]


async def _messages_per_second(talks: list[Talk], seconds: float) -> float:
    begun = time.perf_counter()
    counts = await asyncio.gather(*(_send(talk, begun + seconds) for talk in talks for _ in range(MAX_IN_FLIGHT)))
    return sum(counts) / (time.perf_counter() - begun)


async def _send(talk: Talk, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await talk.answer()
        count += 1
    return count
