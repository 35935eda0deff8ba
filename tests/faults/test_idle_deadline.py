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
SESSIONS = 10
TIMES = 200
MOST_ROUNDS = 400
AT_DEADLINE = "a message came within 50 ms of the deadline"
BEFORE = "it came before the session was suspended"
AFTER = "it came after the session was suspended"


async def test_a_message_at_the_idle_deadline_is_taken_two_hundred_times(site: Site) -> None:
    config = SessionConfig(idle_timeout=IDLE, archive_after=timedelta(minutes=10))
    async with site.worker_here():
        sessions = await site.sessions(SESSIONS, config)
        late = timedelta(0)
        for number in range(MOST_ROUNDS):
            aims = [_aim(index) for index in range(SESSIONS)]
            await asyncio.gather(
                *(_meet(site, s, number, IDLE + aim - late) for s, aim in zip(sessions, aims, strict=True))
            )
            missed = sorted([await _offset(site, s) - aim for s, aim in zip(sessions, aims, strict=True)])
            late += missed[len(missed) // 2] / 2  # a message takes a while to arrive: aim earlier by that much
            if site.ledger.met[AT_DEADLINE] >= TIMES and site.ledger.met[BEFORE] and site.ledger.met[AFTER]:
                break
        await site.check(met={AT_DEADLINE: TIMES, BEFORE: 1, AFTER: 1})


def _aim(index: int) -> timedelta:
    """When, from the deadline on, a message is to come: most within 50 ms, some when the server's timer may be late.

    That timer was set for this deadline: one that was set for an earlier one suspends nothing, however late it is.
    """
    return random.uniform(0, 30) * NEAR if index % 5 == 4 else random.uniform(-1, 1) * NEAR


async def _meet(site: Site, session_id: str, number: int, pause: timedelta) -> None:
    """Send a message, which sets the deadline, and another one about when it is due."""
    handle = site.client.session(session_id)
    await post(site.ledger, handle, "w", f"early-{number}", "assistant", "I set the deadline")
    await asyncio.sleep(pause.total_seconds())
    await post(site.ledger, handle, "w", f"late-{number}", "assistant", "I meet it")


async def _offset(site: Site, session_id: str) -> timedelta:
    """How long after the deadline the last message came, by the workflow's clock, which the deadline goes by."""
    tenant = site.settings.tenant
    last = (await site.reader.get_session(tenant, session_id)).event_sequence
    # At most: early, suspended, resumed, late, suspended again since then.
    events = (await site.reader.read_events(tenant, session_id, after=max(0, last - 5))).events
    early, late = [event for event in events if isinstance(event.data, MessageAdded)][-2:]
    offset = late.created_at - early.created_at - IDLE
    between = {event.data.type for event in events if early.sequence < event.sequence < late.sequence}
    site.ledger.met[AT_DEADLINE] += abs(offset) <= NEAR
    site.ledger.met[AFTER if "session_suspended" in between else BEFORE] += 1
    return offset
