"""The one checker of every fault test."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping

from perdure import Client
from perdure.ids import workflow_id
from perdure.reader import Reader
from tests.support.ledger import PROBE, Ledger
from tests.support.load import post
from tests.support.observed import Observed, observe
from tests.support.rules import violations
from tests.support.runs import unreplayable

RECOVERY_SECONDS = 30.0
"""After the last fault, a session may need this long to take messages again ..."""
ANSWER_SECONDS = 2.0
"""... and from then on takes each within this."""
LEAST_ACCEPTED = 0.7
SHOWN = 20


async def check(
    ledger: Ledger, prober: Client, client: Client, reader: Reader, *, met: Mapping[str, int]
) -> dict[str, Observed]:
    """Assert that every rule was kept, that every run replays, that the sessions recovered, and the fault was met.

    Args:
        ledger: of a load that has ended.
        prober: gives a call up after `ANSWER_SECONDS`.
        client: of the sessions' tenant.
        reader: of the database they are in.
        met: the least that `ledger.met` must count of each, so that a test that met no fault fails.

    Returns:
        The sessions as they were found.
    """
    sessions = ledger.sessions
    slow = await asyncio.gather(*(_recovers(ledger, prober, session_id) for session_id in sessions))
    seen = dict(zip(sessions, await asyncio.gather(*(observe(client, reader, s) for s in sessions)), strict=True))
    problems = violations(ledger, seen) + [problem for problem in slow if problem]
    for session_id in sessions:
        workflow = workflow_id(client.tenant, session_id)
        problems += [f"{session_id}: {problem}" for problem in await unreplayable(client.temporal, workflow)]
    share = ledger.share_accepted()
    if share < LEAST_ACCEPTED:
        problems.append(f"only {share:.0%} of the posts were accepted")
    unmet = {what: least for what, least in met.items() if ledger.met[what] < least}
    problems += [f"the fault was not met: {what}, {ledger.met[what]} of {least}" for what, least in unmet.items()]
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    assert not problems, f"{len(problems)} breaches:\n  " + "\n  ".join(problems[:SHOWN]) + more + f"\n{ledger.path}"
    posts = f"{len(ledger.calls)} calls, {share:.0%} accepted, {ledger.disturbed()} disturbed"
    print(f"{posts}, {len(ledger.reads)} reads, {dict(ledger.met)}")
    return seen


async def _recovers(ledger: Ledger, prober: Client, session_id: str) -> str | None:
    deadline = ledger.last_fault_at + RECOVERY_SECONDS
    while True:
        began = time.monotonic()
        outcome = await post(
            ledger, prober.session(session_id), PROBE, f"probe-{uuid.uuid4()}", "system", "Are you there?"
        )
        took = time.monotonic() - began
        if outcome == "accepted" and took <= ANSWER_SECONDS:
            return None
        if began > deadline:
            return f"{session_id}: {RECOVERY_SECONDS:g} s after the last fault a message took {took:.1f} s: {outcome}"
        await asyncio.sleep(0.1)
