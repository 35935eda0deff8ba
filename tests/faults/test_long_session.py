"""A session of five hundred turns: it costs at the end what it cost at the start."""

from __future__ import annotations

from perdure.contract import NewMessage
from tests.support.load import times, write
from tests.support.observed import live_state
from tests.support.runs import histories, updates
from tests.support.site import Site

TURNS = 500
CARRIED_BYTES = 256 * 1024


async def test_history_per_turn_and_the_carried_state_stay_flat_over_five_hundred_turns(site: Site) -> None:
    async with site.worker_here():
        (session_id,) = await site.sessions(1)
        # Two messages a turn: a writer posts as user and as another role in turns.
        await write(site.ledger, site.client, [session_id], writers=1, pace=times(2 * TURNS))
        runs = await histories(site.client.temporal, site.workflow_id(session_id))
        # What a run is given and hands on, in its first and last event, is the carried state. The last run is not full.
        full = runs[:-1]
        turns = [updates(run) / 2 for run in full]
        size = [sum(event.ByteSize() for event in run.events[1:-1]) / n for run, n in zip(full, turns, strict=True)]
        events = [len(run.events) / n for run, n in zip(full, turns, strict=True)]
        print(f"a turn: {min(size):.0f} to {max(size):.0f} bytes, {min(events):.2f} to {max(events):.2f} events")
        carried = [run.events[-1].ByteSize() for run in full]
        assert len(runs) >= 5
        assert max(len(run.events) for run in runs) <= 350
        assert max(size) <= 1.1 * min(size)
        assert max(events) <= min(events) + 0.5  # a turn has twelve: one more is within a tenth
        assert max(carried) <= CARRIED_BYTES
        assert max(carried[-3:]) <= 1.05 * min(carried[-3:])
        site.ledger.met["runs"] = len(runs)
        seen = await site.check(met={"runs": 5})
        assert len(seen[session_id].messages) > 2 * TURNS


async def test_the_carried_state_stays_within_its_bound_whatever_the_messages_hold(site: Site) -> None:
    async with site.worker_here():
        (session_id,) = await site.sessions(1)
        handle = site.client.session(session_id)
        for size in (250_000, 1, 100_000, 100_000, 250_000):
            await handle.add_messages([NewMessage(role="tool", content="x" * size, metadata={"a": "b" * 15_000})])
            state = await live_state(site.client, session_id)
            assert state is not None
            # The newest message is always there, in whole: with its metadata it alone may have 272 KiB.
            assert len(state.model_dump_json()) <= CARRIED_BYTES + 32 * 1024
