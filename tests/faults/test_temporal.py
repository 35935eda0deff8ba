"""Temporal's server dies under load and comes back."""

from __future__ import annotations

from tests.support.load import accepted_more, under_load
from tests.support.site import DISTURBED, OUTLIVED, Site

KILLED = "Temporal was killed"
BACK = "Temporal was back"


async def test_nothing_is_lost_doubled_or_reordered_when_temporal_is_killed_three_times(fragile_site: Site) -> None:
    site = fragile_site
    await site.start_worker()
    sessions = await site.sessions(4)
    async with under_load(site.ledger, site.client, sessions):
        for _ in range(3):
            await accepted_more(site.ledger, 40)
            site.ledger.fault(KILLED)
            await site.stack.temporal.kill()
            await site.stack.temporal.start()
            site.ledger.fault(BACK)
        await accepted_more(site.ledger, 40)
    await site.check(met={KILLED: 3, DISTURBED: 3, OUTLIVED: 1})
