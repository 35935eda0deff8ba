"""PostgreSQL crashes under load, and stays away."""

from __future__ import annotations

import asyncio

from tests.support.load import accepted_more, under_load
from tests.support.site import DISTURBED, OUTLIVED, REPEATED, Site

CRASHED = "PostgreSQL crashed"
BACK = "PostgreSQL was back"
AWAY_SECONDS = 60


async def test_nothing_is_lost_doubled_or_reordered_when_postgres_crashes_under_load(fragile_site: Site) -> None:
    site = fragile_site
    await site.start_worker()
    sessions = await site.sessions(4)
    async with under_load(site.ledger, site.client, sessions):
        for _ in range(3):
            await accepted_more(site.ledger, 40)
            site.ledger.fault(CRASHED)
            await site.stack.postgres.crash()
            await site.stack.postgres.start()
            site.ledger.fault(BACK)
        await accepted_more(site.ledger, 40)
    await site.check(met={CRASHED: 3, DISTURBED: 3, OUTLIVED: 1, REPEATED: 1})


async def test_posts_wait_while_postgres_is_away_for_a_minute(fragile_site: Site) -> None:
    site = fragile_site
    await site.start_worker()
    sessions = await site.sessions(3)
    async with under_load(site.ledger, site.patient(timeout=AWAY_SECONDS + 30), sessions):
        await accepted_more(site.ledger, 60)
        site.ledger.fault(CRASHED)
        await site.stack.postgres.crash()
        await asyncio.sleep(AWAY_SECONDS)  # the fault itself, not a wait for something
        site.ledger.fault(BACK)
        await site.stack.postgres.start()
        await accepted_more(site.ledger, 40)
    await site.check(met={CRASHED: 1, DISTURBED: 1, OUTLIVED: 1, REPEATED: 1})
