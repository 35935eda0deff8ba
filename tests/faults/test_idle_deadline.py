"""A message that comes just as the session is to be suspended."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from perdure.events import MessageAdded
from perdure.session import SessionConfig
from tests.support.load import post
from tests.support.site import Site

IDLE = timedelta(milliseconds=400)
NEAR = timedelta(milliseconds=50)
SESSIONS = 20
TIMES = 200
MOST_ROUNDS = 60
AT_DEADLINE = "a message came within 50 ms of the deadline"
BEFORE = "it came before the session was suspended"
AFTER = "it came after the session was suspended"


async def test_a_message_at_the_idle_deadline_is_taken_two_hundred_times(site: Site) -> None:
    config = SessionConfig(idle_timeout=IDLE, archive_after=timedelta(minutes=10))
    async with site.worker_here():
        sessions = await site.sessions(SESSIONS, config)
        for number in range(MOST_ROUNDS):
            await asyncio.gather(*(_at_deadline(site, session_id, number) for session_id in sessions))
            if number % 5 == 4:
                await _count(site, sessions)
                if site.ledger.met[AT_DEADLINE] >= TIMES:
                    break
        await site.check(met={AT_DEADLINE: TIMES, BEFORE: 1, AFTER: 1})


async def _at_deadline(site: Site, session_id: str, number: int) -> None:
    handle = site.client.session(session_id)
    await post(site.ledger, handle, "w", f"early-{number}", "assistant", "I set the deadline")
    await asyncio.sleep(IDLE.total_seconds() + random.uniform(-1.2, 0.6) * NEAR.total_seconds())
    await post(site.ledger, handle, "w", f"late-{number}", "assistant", "I meet it")


async def _count(site: Site, sessions: list[str]) -> None:
    """Count by the workflow's own clock, which is the one that the deadline goes by."""
    for what in (AT_DEADLINE, BEFORE, AFTER):
        site.ledger.met[what] = 0
    for session_id in sessions:
        page = await site.reader.read_events(site.settings.tenant, session_id)
        previous = None
        resumed = False
        for event in page.events:
            if isinstance(event.data, MessageAdded):
                if previous is not None and abs(event.created_at - previous - IDLE) <= NEAR:
                    site.ledger.met[AT_DEADLINE] += 1
                    site.ledger.met[AFTER if resumed else BEFORE] += 1
                previous = event.created_at
            resumed = event.data.type == "session_resumed"
