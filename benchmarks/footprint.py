"""What a session costs at rest: memory of the worker that has it cached, bytes in Temporal's database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from benchmarks.measure import Figure, resident_bytes
from benchmarks.rig import Rig

CACHED_SESSION_KIB = 200
_QUEUE = "footprint"
_WARM_UP = 50
_AT_ONCE = 8


async def footprint(rig: Rig, *, sessions: int, turns: int) -> list[Figure]:
    """Differences over `sessions` sessions of `turns` turns, after as many others that warmed everything up."""
    worker = await rig.another_worker(_QUEUE)
    await _converse(rig, _WARM_UP, turns)
    memory, database = resident_bytes(worker.pid), _database_bytes(rig)
    await _converse(rig, sessions, turns)
    per_session = (resident_bytes(worker.pid) - memory) / sessions / 1024
    in_database = (_database_bytes(rig) - database) / sessions / 1024
    await worker.stop()
    note = f"{sessions} sessions of {turns} turns (a user and an assistant message each)"
    return [
        Figure(
            name="worker memory per cached session",
            value=per_session,
            unit="KiB",
            at_most=CACHED_SESSION_KIB,
            note=note,
        ),
        Figure(name="Temporal's database per idle session", value=in_database, unit="KiB", note=note),
    ]


async def _converse(rig: Rig, sessions: int, turns: int) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with free:
            talk = await rig.talk(queue=_QUEUE)
            for number in range(turns):
                await talk.turn(f"What does step {number} of the procedure do when the one before it has failed?")
                await talk.answer()

    await asyncio.gather(*(one() for _ in range(sessions)))


def _database_bytes(rig: Rig) -> int:
    """Pages in use in the development server's SQLite file, which holds history and visibility alike."""
    with closing(sqlite3.connect(f"file:{rig.stack.settings.data_dir / 'temporal.db'}?mode=ro", uri=True)) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
