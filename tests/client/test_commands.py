"""The client's commands against real servers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from perdure import (
    Client,
    HeadMoved,
    IdempotencyConflict,
    InvalidMessage,
    InvalidRole,
    InvalidSessionId,
    OutcomeUnknown,
    PayloadTooLarge,
    SessionDeleted,
    SessionFilter,
    SessionNotFound,
    SessionSummary,
    Unavailable,
)
from perdure.contract import MAX_IN_FLIGHT, ReadMessages
from tests.client.conftest import Service
from tests.support.eventually import eventually

SHORT_LIFE = {"idle_timeout": 0.3, "archive_after": 0.3}


async def test_a_conversation_goes_through_one_handle(client: Client, unique: str) -> None:
    session = await client.start_session(unique, user_id="ada", title="Greetings", metadata={"a": 1})
    question = await session.add_user_message("Hello")
    answer = await session.add_assistant_message([{"type": "text", "text": "Hi"}], metadata={"model": "m"})  # type: ignore[list-item]  # a mapping is taken as well
    system = await session.add_message("system", "Be brief.", expected_head=answer.message_id)
    assert [question.message.sequence_number, answer.sequence_number, system.sequence_number] == [0, 1, 2]
    assert question.working_set is None
    found = await session.get()
    assert (found.title, found.user_id, found.metadata, found.message_count) == ("Greetings", "ada", {"a": 1}, 3)
    assert found.active_message_id == system.message_id


async def test_several_messages_go_in_one_commit(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    before = (await session.get()).event_sequence
    added = await session.add_messages([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])
    assert [m.sequence_number for m in added] == [0, 1]
    assert (await session.get()).event_sequence == before + 2


async def test_starting_a_session_that_exists_opens_it_as_it_is(client: Client, unique: str) -> None:
    await (await client.start_session(unique, title="First")).add_user_message("Hello")
    again = await client.start_session(unique, title="Second")
    found = await again.get()
    assert (found.title, found.message_count) == ("First", 1)


async def test_sessions_started_at_once_are_one(client: Client, unique: str) -> None:
    handles = await asyncio.gather(*(client.start_session(unique) for _ in range(5)))
    await asyncio.gather(*(handle.add_user_message("Hello") for handle in handles))
    assert (await handles[0].get()).message_count == 5


async def test_a_session_started_without_an_id_gets_one(client: Client) -> None:
    one, other = await asyncio.gather(client.start_session(), client.start_session())
    assert one.session_id != other.session_id


async def test_the_same_key_three_times_at_once_is_one_message(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    answers = await asyncio.gather(*(session.add_user_message("Hello", message_id="k") for _ in range(3)))
    assert len({answer.message.model_dump_json() for answer in answers}) == 1
    assert (await session.get()).message_count == 1


async def test_a_key_used_with_another_body_is_a_conflict(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    await session.add_user_message("Hello", message_id="k")
    with pytest.raises(IdempotencyConflict) as caught:
        await session.add_user_message("Goodbye", message_id="k")
    assert caught.value.details == {"key": "k"}
    assert (await session.get()).message_count == 1


async def test_an_unknown_session_is_not_found_and_not_made(client: Client, service: Service, unique: str) -> None:
    session = client.session(unique)
    with pytest.raises(SessionNotFound, match=f"Session not found: {unique}"):
        await session.add_user_message("Hello")
    with pytest.raises(SessionNotFound):
        await session.get()
    with pytest.raises(SessionNotFound):
        await client.session(f"{unique}-other").touch()
    with pytest.raises(SessionNotFound):
        await service.reader.get_session(client.tenant, unique)


async def test_a_deleted_session_stays_deleted(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    await session.add_user_message("Hello")
    await session.delete()
    with pytest.raises(SessionDeleted):  # at once, while the run that deleted it still takes signals
        await session.touch()
    with pytest.raises(SessionDeleted):
        await session.add_user_message("Hello")
    with pytest.raises(SessionDeleted):
        await client.start_session(unique)
    with pytest.raises(SessionDeleted):
        await session.history()


async def test_an_archived_session_comes_back_with_a_message(client: Client, service: Service, unique: str) -> None:
    session = await client.start_session(unique, config=SHORT_LIFE)
    first = await session.add_user_message("Hello", message_id="k")
    await eventually(lambda: service.archived(session.workflow_id))
    await session.update(config={"idle_timeout": 60})  # archived all the same, and active for longer afterwards
    await eventually(lambda: service.archived(session.workflow_id))
    assert (await session.add_user_message("Hello", message_id="k")).message == first.message
    added = await session.add_assistant_message("Hi")
    assert added.sequence_number == 1
    assert (await session.get()).status == "active"


async def test_an_archived_session_can_be_read_without_coming_back(service: Service, unique: str) -> None:
    session = await service.client().start_session(unique, config=SHORT_LIFE)
    await session.add_user_message("Hello")
    await eventually(lambda: service.archived(session.workflow_id))
    with_reader = service.client(reader=service.reader).session(unique)
    assert (await with_reader.get()).status == "archived"
    assert (await with_reader.history()).text == "User: Hello"
    assert await service.archived(session.workflow_id)
    assert (await session.history()).text == "User: Hello"
    assert (await session.get()).status == "archived"


async def test_a_session_is_suspended_and_resumed(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    assert (await session.suspend()).status == "suspended"
    assert (await session.suspend()).status == "suspended"
    assert (await session.resume()).status == "active"
    await session.suspend()
    await session.add_user_message("Hello")
    assert (await session.get()).status == "active"


async def test_an_update_changes_what_it_names_and_none_clears(client: Client, unique: str) -> None:
    session = await client.start_session(unique, title="First", user_id="ada", metadata={"a": 1})
    changed = await session.update(title=None, config={"idle_timeout": 60})
    assert (changed.title, changed.user_id, changed.metadata) == (None, "ada", {"a": 1})
    assert changed.config.idle_timeout == timedelta(minutes=1)


async def test_a_touch_puts_the_suspension_off(client: Client, unique: str) -> None:
    idle, clock = 1.0, asyncio.get_running_loop().time
    began = touched = clock()
    session = await client.start_session(unique, config={"idle_timeout": idle})
    async with asyncio.timeout(60):
        while touched < began + 2 * idle:
            before, touched = touched, clock()
            await session.touch()
            status = (await session.get()).status
            if clock() < before + idle:
                assert status == "active"
            else:  # too slow to tell: from the start
                began = touched = clock()
                await session.resume()
    await eventually(lambda: _has_status(client, unique, "suspended"))


async def _has_status(client: Client, session_id: str, status: str) -> bool:
    return (await client.session(session_id).get()).status == status


async def test_commands_outlive_the_runs_of_a_session(client: Client, unique: str) -> None:
    session = await client.start_session(unique, config={"run_budget": {"events": 20}})
    runs = set()
    for i in range(30):
        added = await session.add_assistant_message(f"m{i}", message_id=f"k{i}")
        assert added.sequence_number == i
        runs.add((await client.temporal.get_workflow_handle(session.workflow_id).describe()).run_id)
    assert len(runs) > 2
    assert (await session.add_assistant_message("m0", message_id="k0")).sequence_number == 0


async def test_more_updates_than_a_workflow_takes_at_once_all_arrive(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    added = await asyncio.gather(*(session.add_assistant_message(f"m{i}") for i in range(40)))
    assert sorted(m.sequence_number for m in added) == list(range(40))


async def test_refusals_have_names_and_details_and_change_nothing(client: Client, unique: str) -> None:
    session = await client.start_session(unique, config={"max_content_bytes": 100})
    kept = await session.add_user_message("Hello")
    with pytest.raises(InvalidMessage):
        await session.add_user_message(" \n")
    with pytest.raises(InvalidMessage):
        await session.add_user_message("a\x00b")
    with pytest.raises(InvalidMessage):
        await session.add_user_message("a\ud800b")
    with pytest.raises(InvalidRole, match=r"Invalid role: clown\. Must be one of: user, assistant, system, tool"):
        await session.add_message("clown", "Hello")
    with pytest.raises(PayloadTooLarge) as too_large:
        await session.add_user_message("x" * 101)
    assert too_large.value.details["limit_bytes"] == 100
    with pytest.raises(PayloadTooLarge):
        await session.add_user_message("Hello", metadata={"a": "x" * 20_000})
    with pytest.raises(HeadMoved) as moved:
        await session.add_user_message("Hello", expected_head="elsewhere")
    assert moved.value.details["active_message_id"] == kept.message.message_id
    with pytest.raises(InvalidSessionId):
        await client.start_session("a/b")
    assert (await session.get()).message_count == 1


async def test_without_a_worker_a_command_ends_as_outcome_unknown_and_its_key_makes_it_happen_once(
    idle_service: Service, unique: str
) -> None:
    hasty = idle_service.client(rpc_timeout=timedelta(seconds=0.5), timeout=timedelta(seconds=1.5))
    async with idle_service.worker():
        await idle_service.client().start_session(unique)
    session = hasty.session(unique)
    with pytest.raises(OutcomeUnknown) as caught:
        await session.add_user_message("Hello")
    with pytest.raises(Unavailable):
        await session.get()
    elsewhere = Client(idle_service.temporal, task_queue="nobody", timeout=timedelta(seconds=1))
    with pytest.raises(OutcomeUnknown, match="No worker polls the task queue 'nobody': start one"):
        await elsewhere.start_session(unique)
    assert (await idle_service.client(reader=idle_service.reader).session(unique).get()).message_count == 0
    async with idle_service.worker():
        patient = idle_service.client().session(unique)
        answer = await patient.add_user_message("Hello", message_id=caught.value.details["key"])
        assert answer.message.sequence_number == 0
        assert (await patient.get()).message_count == 1


async def test_sessions_are_listed_by_the_reader_and_by_visibility(service: Service) -> None:
    with_reader, without = service.client(reader=service.reader), service.client()
    for name in ("a", "b", "c"):
        await without.start_session(name, user_id="ada" if name != "c" else "bob", title=f"Session {name}")
    await without.session("b").suspend()

    async def listed(client: Client, where: SessionFilter) -> list[str]:
        return sorted(session.session_id for session in (await client.list_sessions(where)).sessions)

    async def visible(where: SessionFilter, expected: list[str]) -> bool:
        return await listed(without, where) == expected

    for where, expected in [
        (SessionFilter(), ["a", "b", "c"]),
        (SessionFilter(user_id="ada"), ["a", "b"]),
        (SessionFilter(status="suspended"), ["b"]),
        (SessionFilter(user_id="ada", status="active"), ["a"]),
    ]:
        assert await listed(with_reader, where) == expected
        await eventually(partial(visible, where, expected))
    page = await with_reader.list_sessions(SessionFilter(limit=2))
    rest = await with_reader.list_sessions(SessionFilter(limit=2, cursor=page.cursor))
    assert sorted(s.session_id for s in (*page.sessions, *rest.sessions)) == ["a", "b", "c"]
    assert rest.cursor is None
    assert {s.title for s in page.sessions} < {"Session a", "Session b", "Session c"}


async def test_a_session_that_came_back_is_listed_once_by_visibility_as_it_is_now(
    service: Service, unique: str
) -> None:
    client = service.client()
    session = await client.start_session(unique, config=SHORT_LIFE)
    await eventually(lambda: service.archived(session.workflow_id))
    await session.update(config={"idle_timeout": 60})
    await eventually(lambda: service.archived(session.workflow_id))
    await session.resume()

    async def listed_once() -> bool:
        runs = await service.temporal.count_workflows(f"WorkflowId = '{session.workflow_id}'")
        page = await client.list_sessions()
        return runs.count > 1 and [item.status for item in page.sessions] == ["active"]

    await eventually(listed_once)


async def test_visibility_lists_sessions_by_the_time_of_their_last_activity(service: Service, unique: str) -> None:
    client = service.client()
    await client.start_session(unique)
    shown = (await eventually(lambda: _listed(client, SessionFilter())))[0].updated_at
    moment = timedelta(milliseconds=2)  # visibility compares rounded times
    for where, listed in [
        (SessionFilter(updated_after=shown - moment), 1),
        (SessionFilter(updated_after=shown + moment), 0),
        (SessionFilter(updated_before=shown - moment), 0),
        (SessionFilter(updated_before=shown + moment), 1),
    ]:
        assert len(await _listed(client, where)) == listed, where


async def _listed(client: Client, where: SessionFilter) -> list[SessionSummary]:
    return (await client.list_sessions(where)).sessions


async def test_two_clients_share_what_temporal_takes_of_one_session(service: Service, unique: str) -> None:
    settings = service.settings
    clients = [
        await Client.connect(
            settings.temporal_address,
            tenant=settings.tenant,
            task_queue=settings.task_queue,
            timeout=timedelta(seconds=10),
        )
        for _ in range(2)
    ]
    await clients[0].start_session(unique)

    async def write(client: Client, writer: int) -> None:
        for number in range(10):
            await client.session(unique).add_assistant_message("Hello", message_id=f"{writer}-{number}")

    await asyncio.gather(*(write(clients[n % 2], n) for n in range(2 * MAX_IN_FLIGHT)))
    page = await service.reader.read_messages(settings.tenant, unique, ReadMessages(limit=1000))
    assert sorted(m.message_id for m in page.messages) == sorted(f"{w}-{n}" for w in range(16) for n in range(10))
