"""Sessions that answer queries while they store."""

from __future__ import annotations

import asyncio

from tests.support.runs import unreplayable
from tests.support.site import Site

SESSIONS, WRITERS, READERS, MESSAGES = 3, 4, 3, 25


async def _busy(site: Site, session_id: str) -> list[int]:
    """Messages from several writers, and readers who ask all the while; what those were told."""
    session = await site.client.start_session(session_id)
    counts: list[int] = []
    done = asyncio.Event()

    async def write() -> None:
        for number in range(MESSAGES):
            await session.add_message("user", str(number))

    async def read() -> None:
        handle = site.bare.get_workflow_handle(session.workflow_id)
        while not done.is_set():
            counts.append((await handle.query("get_session"))["message_count"])

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    await asyncio.gather(*(write() for _ in range(WRITERS)))
    done.set()
    await asyncio.gather(*readers)
    return counts


async def test_what_is_asked_while_it_stores_can_be_replayed(site: Site) -> None:
    names = [f"talk-{number}" for number in range(SESSIONS)]
    for counts in await asyncio.gather(*(_busy(site, name) for name in names)):
        assert len(set(counts)) > 5  # they were asked all the while
    for name in names:
        assert await unreplayable(site.bare, site.workflow_id(name)) == []
