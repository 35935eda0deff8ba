"""Who may write a session: the run that took it and started last. Any other is told so, and stores nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.commit import Commit, Open, Owner
from activities.ports import Fenced
from activities.stores.session_rows import is_session
from activities.stores.session_store import PostgresSessionStore
from activities.stores.tables import events, messages, sessions
from perdure.contract import AddMessage, Handlers, StartSession
from perdure.wire import FENCED
from tests.sessions.caller import Caller, failure_of
from tests.support.site import Site
from workflows.carry import restored
from workflows.commit_parts import changed, numbered
from workflows.core.command import command_of
from workflows.core.decide import decide
from workflows.core.state import RECEIPTS, WINDOW_BYTES, WINDOW_MESSAGES, SessionState, fold

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLY = Owner(run_id="early", started_at=NOON)
LATE = Owner(run_id="late", started_at=NOON + timedelta(seconds=1))
SESSION = "talk"


@pytest.fixture
def store(site: Site) -> PostgresSessionStore:
    """The store that workers have."""
    return PostgresSessionStore(site.engine)


async def _open(store: PostgresSessionStore, site: Site, owner: Owner) -> SessionState:
    start = StartSession(tenant=site.settings.tenant, session_id=SESSION)
    bounds = {"window_messages": WINDOW_MESSAGES, "window_bytes": WINDOW_BYTES, "receipts": RECEIPTS}
    return restored(await store.open(Open(start=start, owner=owner, at=NOON, **bounds)))


async def _say(store: PostgresSessionStore, state: SessionState, owner: Owner, content: str) -> str:
    """Commit a message as the run of `owner` would that knows `state`; the outcome."""
    command = command_of(Handlers.ADD_MESSAGE, AddMessage(role="tool", content=content), content, NOON)
    made = numbered(command, decide(state, command), state.event_sequence)
    after = fold(state, made)
    assert after is not None
    request = Commit(
        tenant=state.session.tenant,
        session_id=SESSION,
        owner=owner,
        base_sequence=state.event_sequence,
        events=made,
        changed=changed(state.session, after.session),
    )
    return (await store.commit(request, made, {})).outcome


async def _stored(site: Site) -> list[str]:
    """The messages, after a look at row and events: of what was refused nothing is left."""
    observed = await site.reader.read_events(site.settings.tenant, SESSION)
    session = await site.reader.get_session(site.settings.tenant, SESSION)
    messages = (await site.client.session(SESSION).messages()).messages
    assert session.event_sequence == len(observed.events) == 1 + len(messages)
    assert session.message_count == len(messages)
    return [str(message.content) for message in messages]


async def test_a_commit_of_a_run_that_a_later_one_displaced_is_refused_and_stores_nothing(
    site: Site, store: PostgresSessionStore
) -> None:
    known = await _open(store, site, EARLY)
    assert await _open(store, site, LATE) == known  # it wrote nothing: only the owner tells the two apart
    with pytest.raises(Fenced):
        await _say(store, known, EARLY, "too late")
    assert await _stored(site) == []
    assert await _say(store, known, LATE, "mine now") == "committed"
    with pytest.raises(Fenced):  # it is not told what the later one wrote
        await _say(store, known, EARLY, "too late again")
    assert await _stored(site) == ["mine now"]


async def test_a_run_takes_no_session_from_one_that_started_later(site: Site, store: PostgresSessionStore) -> None:
    known = await _open(store, site, LATE)
    with pytest.raises(Fenced):
        await _open(store, site, EARLY)
    assert await _say(store, known, LATE, "still mine") == "committed"
    assert await _stored(site) == ["still mine"]


async def test_a_displaced_run_cannot_take_its_session_back(site: Site, store: PostgresSessionStore) -> None:
    for owner in (EARLY, EARLY, LATE, LATE):  # an attempt whose answer was lost is made again
        known = await _open(store, site, owner)
    with pytest.raises(Fenced):
        await _open(store, site, EARLY)
    assert await _say(store, known, LATE, "still mine") == "committed"


async def test_a_running_session_that_another_run_has_taken_refuses_its_next_message_and_ends(caller: Caller) -> None:
    await caller.says("Hello")
    async with caller.site.engine.begin() as connection:
        row = update(sessions).where(is_session(sessions, caller.site.settings.tenant, SESSION))
        await connection.execute(row.values(owner="another", owner_started_at=datetime.now(UTC) + timedelta(seconds=1)))
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await caller.says("Is anybody there?")
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == FENCED
    assert await failure_of(caller.handle) == FENCED
    assert await _stored(caller.site) == ["Hello"]


async def test_a_session_whose_newest_message_postgres_lost_goes_on_from_what_is_there(site: Site) -> None:
    session = await site.client.start_session(SESSION)
    first = (await session.add_user_message("Hello")).message
    tenant = site.settings.tenant
    async with site.engine.begin() as connection:  # as a failover leaves it to a standby that lagged behind
        before = (await connection.execute(select(sessions).where(is_session(sessions, tenant, SESSION)))).one()
    await session.add_user_message("Lost", message_id="lost")
    async with site.engine.begin() as connection:
        newer = events.c.sequence > before.event_sequence
        await connection.execute(delete(events).where(is_session(events, tenant, SESSION), newer))
        await connection.execute(
            delete(messages).where(is_session(messages, tenant, SESSION), messages.c.message_id == "lost")
        )
        row = update(sessions).where(is_session(sessions, tenant, SESSION))
        await connection.execute(
            row.values(
                event_sequence=before.event_sequence,
                message_count=before.message_count,
                active_message_id=before.active_message_id,
            )
        )
    added = (await session.add_user_message("And now?")).message
    assert (added.sequence_number, added.parent_message_id) == (1, first.message_id)
    assert (await session.add_user_message("Lost", message_id="lost")).message.sequence_number == 2
    assert await _stored(site) == ["Hello", "And now?", "Lost"]


async def test_a_run_whose_clock_is_behind_its_predecessors_is_waited_for(site: Site) -> None:
    session = await site.client.start_session(SESSION)
    await session.add_user_message("Hello")
    await site.bare.get_workflow_handle(session.workflow_id).terminate()
    async with site.engine.begin() as connection:
        row = update(sessions).where(is_session(sessions, site.settings.tenant, SESSION))
        await connection.execute(row.values(owner_started_at=datetime.now(UTC) + timedelta(seconds=2)))
    assert (await session.add_user_message("Still here?")).message.sequence_number == 1
