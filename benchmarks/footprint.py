"""What a session costs at rest: memory of the worker that has it cached, bytes in Temporal's database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from benchmarks.measure import Figure, resident_bytes
from benchmarks.rig import Rig

CACHED_SESSION_KIB = 200_000 / 1024
_QUEUE = "footprint"
_WARM_UP = 50
_AT_ONCE = 8


async def footprint(rig: Rig, *, sessions: int, turns: int) -> list[Figure]:
    """Differences over `sessions` sessions of `turns` turns, after others that warmed everything up."""
    note = f"{sessions} sessions of {turns} turns (a user and an assistant message each)"
    database = _database_bytes(rig)
    in_use = await _memory_kib(rig, sessions, turns, suspended=False)
    in_database = (_database_bytes(rig) - database) / (sessions + _WARM_UP) / 1024
    suspended = await _memory_kib(rig, sessions, turns, suspended=True)
    return [
        Figure(
            name="worker memory per cached session",
            value=in_use,
            unit="KiB",
            at_most=CACHED_SESSION_KIB,
            note=note,
        ),
        Figure(name="the same, suspended", value=suspended, unit="KiB", note=note),
        Figure(name="Temporal's database per idle session", value=in_database, unit="KiB", note=note),
    ]


async def _memory_kib(rig: Rig, sessions: int, turns: int, *, suspended: bool) -> float:
    """What a worker of its own grows by for each session."""
    queue = f"{_QUEUE}-{'suspended' if suspended else 'active'}"
    worker = await rig.another_worker(queue)
    await _converse(rig, queue, _WARM_UP, turns, suspended)
    memory = resident_bytes(worker.pid)
    await _converse(rig, queue, sessions, turns, suspended)
    grown = resident_bytes(worker.pid) - memory
    await worker.stop()
    return grown / sessions / 1024


async def _converse(rig: Rig, queue: str, sessions: int, turns: int, suspended: bool) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with free:
            talk = await rig.talk(queue=queue)
            for number in range(turns):
                await talk.turn(f"What does step {number} of the procedure do when the one before it has failed?")
                await talk.answer()
            if suspended:
                await talk.suspend()

    await asyncio.gather(*(one() for _ in range(sessions)))


def _database_bytes(rig: Rig) -> int:
    """Pages in use in the development server's SQLite file, which holds history and visibility alike."""
    with closing(sqlite3.connect(f"file:{rig.stack.settings.data_dir / 'temporal.db'}?mode=ro", uri=True)) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
