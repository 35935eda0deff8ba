"""What waits together is stored together, within bounds, and each as it was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from activities.commit import Answered, Commit, Committed, ReadAnswer
from activities.stores.session_store import PostgresSessionStore
from perdure.contract import AddMessage
from perdure.events import Event
from perdure.working_set import WorkingSet
from tests.sessions.caller import Caller
from tests.support.eventually import eventually
from tests.support.own_store import OwnStore, worker_on
from tests.support.rules import disagreements
from tests.support.site import Site
from workflows.committer import BATCH
from workflows.core.command import command_of

SIGNALS = 45


class Watched(OwnStore):
    """Notes what each commit holds, and counts what is read back."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.reads = 0

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        self.commits.append([event.data.type for event in completed])
        return await self.inner.commit(request, completed, working_sets)

    async def read_answer(self, request: ReadAnswer) -> Answered:
        self.reads += 1
        return await self.inner.read_answer(request)


async def _stored(caller: Caller, messages: int) -> bool:
    return (await caller.event_types()).count("message_added") >= messages


async def test_a_backlog_of_signals_is_stored_in_order_a_few_at_a_time(alone: Site) -> None:
    caller = await Caller.start(alone, "talk", config={"corpus": "none"})
    for number in range(SIGNALS):  # nobody polls yet
        await caller.handle.signal("user_message", {"content": f"message {number}", "message_id": f"m{number}"})
    store = Watched()
    async with worker_on(alone, store):
        await eventually(partial(_stored, caller, SIGNALS))
        seen = await caller.observed()
    assert [message.content for message in seen.messages] == [f"message {number}" for number in range(SIGNALS)]
    assert disagreements(seen) == []
    assert max(len(events) for events in store.commits) == BATCH


async def test_a_signal_that_comes_again_reads_nothing_back(alone: Site) -> None:
    caller = await Caller.start(alone, "talk")
    for _ in range(20):
        await caller.handle.signal("user_message", {"content": "Hello", "message_id": "same"})
    store = Watched()
    async with worker_on(alone, store):
        await caller.says("the end")
        assert [m.content for m in (await caller.observed()).messages] == ["Hello", "the end"]
    assert store.reads == 0


async def test_only_a_repetition_that_is_answered_is_read_back(site: Site, caller: Caller) -> None:
    body = {"role": "user", "content": "Hello", "message_id": "k"}
    await caller.update("add_message", body)
    digest = command_of("add_message", AddMessage.model_validate(body), "", datetime.now(UTC)).body_hash
    asked = ReadAnswer(tenant=site.settings.tenant, session_id="talk", key="k", body_hash=digest)
    store = PostgresSessionStore(site.engine)
    found = await store.read_answer(asked)
    assert (found.body_hash, len(found.events)) == (digest, 1)
    for other in ({"answered": False}, {"body_hash": "another"}):
        assert await store.read_answer(asked.model_copy(update=other)) == Answered(body_hash=digest)
    assert await store.read_answer(asked.model_copy(update={"key": "unknown"})) == Answered()


async def test_what_was_stored_together_with_a_deletion_is_gone_with_it(alone: Site) -> None:
    caller = await Caller.start(alone, "talk")
    sent = await _in_line(
        caller, *(("add_message", {"role": "user", "content": f"secret {n}"}) for n in range(3)), ("delete", {})
    )
    store = Watched()
    async with worker_on(alone, store):
        await asyncio.gather(*sent)
        assert await caller.event_types() == ["session_deleted"]
    assert store.commits == [["message_added"], ["message_added", "message_added", "session_deleted"]]


async def test_a_message_is_compiled_under_the_settings_that_it_came_under(alone: Site) -> None:
    caller = await Caller.start(alone, "talk", config={"corpus": "one"})
    sent = await _in_line(
        caller,
        ("add_message", {"role": "system", "content": "goes alone, and the others wait for it"}),
        ("add_user_message", {"content": "first"}),
        ("update_session", {"config": {"corpus": "two", "retrieval": {"token_budget": 500}}}),
        ("add_user_message", {"content": "second"}),
        ("update_session", {"config": {"corpus": None}}),
        ("add_user_message", {"content": "third"}),
    )
    store = Watched()
    async with worker_on(alone, store):
        _, first, _, second, _, third = await asyncio.gather(*sent)
    assert store.commits == [["message_added"], ["message_added", "session_updated"] * 2 + ["message_added"]]
    assert first["working_set"]["degraded_reason"] == "one, 8000 tokens"
    assert second["working_set"]["degraded_reason"] == "two, 500 tokens"
    assert third["working_set"] is None


async def _in_line(caller: Caller, *updates: tuple[str, object]) -> list[asyncio.Task[Any]]:
    """Send updates one after the other, while nobody polls: the server keeps them, and hands all over at once."""
    sent = []
    for name, body in updates:
        sent.append(asyncio.create_task(caller.update(name, body)))
        await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)
    return sent
