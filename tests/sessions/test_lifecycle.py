"""From active to suspended, archived and back; and what remains of a session that was deleted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.client import WorkflowExecutionStatus

from activities.stores.engine import Engine
from activities.stores.session_rows import is_session
from activities.stores.tables import events, messages, sessions, working_sets
from perdure import SessionDeleted
from perdure.attributes import STATUS, USER
from tests.sessions.caller import Caller, failure_of
from tests.support.eventually import eventually
from tests.support.rules import disagreements
from tests.support.runs import local_activities
from tests.support.site import Site
from workflows.core.state import fold
from workflows.life import RESTING_EVENTS

BRISK = {"idle_timeout": 0.4, "archive_after": 0.4}


async def _listed(caller: Caller, more: str = "") -> int:
    """How many runs visibility lists of the session, of those that `more` chooses."""
    return (await caller.site.bare.count_workflows(f"WorkflowId = '{caller.handle.id}'{more}")).count


async def _no_runs(caller: Caller) -> bool:
    return await _listed(caller) == 0


async def test_a_session_is_suspended_and_resumed_once_however_often_it_is_asked(caller: Caller) -> None:
    for command, status in (("suspend", "suspended"), ("resume", "active")):
        first = await caller.update(command)
        assert first["session"] == await caller.handle.query("get_session")
        again = await caller.update(command)
        assert (first["changed"], first["session"]["status"]) == (True, status)
        assert (again["changed"], again["session"]["status"]) == (False, status)
    assert await caller.event_types() == ["session_created", "session_suspended", "session_resumed"]


async def test_a_session_rests_in_a_run_of_its_own_and_wakes_as_it_was(caller: Caller) -> None:
    await caller.update("update_session", {"title": "A talk"})
    for number in range(10):
        await caller.says(f"message {number}")
    talked = (await caller.handle.describe()).raw_description.workflow_execution_info
    assert talked.history_length > RESTING_EVENTS
    await caller.update("suspend")

    async def rests() -> bool:
        info = (await caller.handle.describe()).raw_description.workflow_execution_info
        return info.execution.run_id != talked.execution.run_id and info.history_length < 10

    await eventually(rests)
    assert await (await caller.handle.describe()).memo_value("title") == "A talk"
    assert (await caller.session()).status == "suspended"
    await caller.says("I am back")
    observed = await caller.observed()
    assert [message.content for message in observed.messages] == [*(f"message {n}" for n in range(10)), "I am back"]
    assert disagreements(observed) == []


async def test_a_message_to_a_suspended_session_resumes_it_in_the_same_commit(caller: Caller) -> None:
    await caller.update("suspend")
    await caller.says("Hello")
    assert await caller.event_types() == ["session_created", "session_suspended", "session_resumed", "message_added"]
    assert (await caller.session()).status == "active"
    assert disagreements(await caller.observed()) == []


async def test_an_idle_session_is_suspended_then_archived_and_comes_back_as_it_was(site: Site) -> None:
    caller = await Caller.start(site, "talk", title="A talk")
    words = [{"role": ("user", "tool")[n % 2], "content": f"message {n}", "metadata": {"n": n}} for n in range(70)]
    await caller.update("add_messages", {"messages": words})
    await caller.update("update_session", {"config": BRISK})
    await eventually(partial(caller.run_is, WorkflowExecutionStatus.COMPLETED))
    shown = await local_activities(site.bare, caller.handle.id)
    assert shown[-2:] == ["suspend_session", "archive_session"]
    stored = await caller.observed()
    assert stored.state is None
    assert [e.data.type for e in stored.events[-2:]] == ["session_suspended", "session_archived"]
    folded = fold(None, stored.events)
    assert folded is not None
    assert (folded.session.status, folded.session.title) == ("archived", "A talk")

    await site.client.session("talk").update(config={"idle_timeout": 600})  # archived all the same
    await eventually(partial(caller.run_is, WorkflowExecutionStatus.COMPLETED))
    await site.client.session("talk").resume()
    back = await caller.observed()
    assert back.state is not None
    assert back.state.window == folded.window
    assert back.messages == stored.messages
    assert disagreements(back) == []


async def test_an_idle_session_is_archived_so_long_after_it_was_suspended(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"idle_timeout": 1.2, "archive_after": 2.5})
    await eventually(partial(caller.run_is, WorkflowExecutionStatus.COMPLETED))
    created, suspended, archived = (event.created_at for event in await caller.events())
    assert suspended - created >= timedelta(seconds=1.2)
    assert archived - suspended >= timedelta(seconds=2.5)  # so long that a timer may be a second late


async def test_the_status_of_a_session_can_be_found_in_visibility(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"idle_timeout": 0.3})

    async def shown(status: str) -> bool:
        return await _listed(caller, f" AND {STATUS.name} = '{status}'") == 1

    await eventually(partial(shown, "suspended"))
    await caller.update("update_session", {"config": {"idle_timeout": 600}})
    await caller.says("Hello")
    await eventually(partial(shown, "active"))


async def test_a_session_can_be_found_by_the_user_it_has_now(site: Site) -> None:
    caller = await Caller.start(site, "talk", user_id="ann")

    async def of(user: str) -> bool:
        return await _listed(caller, f" AND {USER.name} = '{user}'") == 1

    await eventually(partial(of, "ann"))
    await caller.update("update_session", {"user_id": "bob"})
    await eventually(partial(of, "bob"))
    await caller.update("update_session", {"user_id": None})

    async def of_nobody() -> bool:
        return not await of("bob")

    await eventually(of_nobody)


async def test_deleting_removes_all_rows_and_runs_and_leaves_a_tombstone(site: Site) -> None:
    caller = await Caller.start(site, "talk", title="secret", config={"run_budget": {"events": 20}})
    tenant = site.settings.tenant
    for number in range(20):
        await caller.says(f"secret {number}")

    async def several_runs() -> bool:
        return await _listed(caller) > 1

    await eventually(several_runs)
    answer = await caller.update("delete")
    assert answer["session"]["status"] == "deleted"

    await eventually(partial(_no_runs, caller), within=90)  # the server takes its time to delete a run
    page = await site.reader.read_events(tenant, "talk")
    assert [event.data.type for event in page.events] == ["session_deleted"]
    assert "secret" not in page.model_dump_json()
    for read in (site.reader.get_session(tenant, "talk"), site.client.session("talk").messages()):
        with pytest.raises(SessionDeleted):
            await read


async def test_of_a_deleted_session_only_its_row_and_its_last_event_are_kept(site: Site) -> None:
    told: dict[str, Any] = {"user_id": "ann", "title": "secret", "metadata": {"a": "secret"}, "corpus": "secret"}
    session = await site.client.start_session("talk", **told)
    assert (await session.add_user_message("secret")).working_set is not None
    await session.delete()
    engine = Engine(site.settings.require_database_url())
    async with engine.connect() as connection:
        kept = {}
        for table in (sessions, events, messages, working_sets):
            found = await connection.execute(select(table).where(is_session(table, site.settings.tenant, "talk")))
            kept[table.name] = [dict(row) for row in found.mappings()]
    await engine.dispose()
    assert {name: len(rows) for name, rows in kept.items()} == {
        "sessions": 1,
        "events": 1,
        "messages": 0,
        "working_sets": 0,
    }
    for word in ("secret", "ann"):
        assert word not in str(kept)


async def test_the_events_of_a_deleted_session_are_its_tombstone_and_none_after(site: Site) -> None:
    session = await site.client.start_session("talk")
    await session.add_message("user", "secret")
    await session.delete()
    (tombstone,) = (await site.reader.read_events(site.settings.tenant, "talk", after=1)).events
    assert tombstone.data.type == "session_deleted"
    rest = await site.reader.read_events(site.settings.tenant, "talk", after=tombstone.sequence)
    assert (rest.events, rest.complete) == ([], True)


async def test_what_a_deleted_session_refuses_leaves_no_run_either(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    await caller.update("delete")
    session, refused = site.client.session("talk"), set()

    async def refused_by_several_runs() -> bool:
        with pytest.raises(SessionDeleted):
            await session.add_user_message("secret")
        refused.add((await caller.handle.describe()).run_id)
        return len(refused) > 2

    await eventually(refused_by_several_runs)
    await eventually(partial(_no_runs, caller), within=90)  # the server takes its time to delete a run


async def test_a_tombstone_refuses_a_start_and_a_late_retry(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    await caller.says("Hello")
    await caller.update("delete")
    with pytest.raises(SessionDeleted):
        await site.client.session("talk").add_user_message("a late retry", message_id="late")
    with pytest.raises(SessionDeleted):
        await site.client.start_session("talk")

    again = await eventually(partial(Caller.start, site, "talk"))  # once the run that deleted it has ended
    assert await failure_of(again.handle) == "SessionDeleted"


async def test_a_repeated_deletion_is_answered_again(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    first = await caller.update("delete", {"request_id": "k"})
    assert await caller.update("delete", {"request_id": "k"}) == first  # by the run that has its purge started
    await eventually(partial(_no_runs, caller), within=90)
    await site.client.session("talk").delete(request_id="k")  # by a run that finds the tombstone
    with pytest.raises(SessionDeleted):
        await site.client.session("talk").delete(request_id="another")


async def test_a_deleted_session_refuses_what_was_sent_at_the_same_moment(caller: Caller) -> None:
    told = await asyncio.gather(
        caller.says("before"), caller.update("delete"), caller.says("after"), return_exceptions=True
    )
    assert not isinstance(told[1], BaseException)
    page = await caller.site.reader.read_events(caller.site.settings.tenant, caller.session_id)
    assert page.events[-1].data.type == "session_deleted"
