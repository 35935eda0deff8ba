"""Sessions to be recorded whose commits are lost or slow, or whose requests wait for a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.worker import Worker

from activities.commit import Commit, Committed
from activities.session import SessionActivities
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.events import Event, MessageAdded
from perdure.working_set import WorkingSet
from tests.replay.saved import save
from tests.replay.sessions import SETTLED, every_role, start
from tests.support.own_store import ToldCompiler
from workers.runner import SessionRunner
from workers.settings import Settings
from workflows.core.state import RECEIPTS, WINDOW_BYTES
from workflows.session import SessionWorkflow


class Forgetful(PostgresSessionStore):
    """Stores its first commit, and loses the answer."""

    forgot = False

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        result = await super().commit(request, completed, working_sets)
        if not self.forgot:
            self.forgot = True
            raise ConnectionError("the connection broke")
        return result


class Slow(PostgresSessionStore):
    """Takes its time over messages."""

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        if any(isinstance(event.data, MessageAdded) for event in completed):
            await asyncio.sleep(5)
        return await super().commit(request, completed, working_sets)


async def _caught_up(client: Client, settings: Settings, name: str) -> None:
    """A commit that is repeated finds itself stored."""
    handle = await start(client, name, queue=name)
    async with _worker(client, settings, name, Forgetful):
        await every_role(handle)
    await save(client, name)


async def _backlog(client: Client, settings: Settings, name: str, *, messages: int = 20) -> None:
    """Many signals wait for a worker, each sent twice."""
    handle = await start(client, name, queue=name)
    for number in range(2 * messages):
        await handle.signal("user_message", {"content": f"{number // 2}", "message_id": f"m{number // 2}"})
    async with _worker(client, settings, name):
        await handle.execute_update("add_message", {"role": "system", "content": SETTLED})
    await save(client, name)


async def _bounded(client: Client, settings: Settings, name: str) -> None:
    """More signals than one commit takes wait behind the first."""
    await _backlog(client, settings, name, messages=8)


async def _expired_once(client: Client, settings: Settings, name: str) -> None:
    """A suspension that is repeated finds itself stored, and is no reason to archive."""
    handle = await start(client, name, queue=name, config={"idle_timeout": 0.5})
    async with _worker(client, settings, name, Forgetful):
        await asyncio.sleep(3)
        await handle.execute_update("add_message", {"role": "user", "content": "I am back"})
    await save(client, name)


async def _heavy(client: Client, settings: Settings, name: str) -> None:
    """A run that is due to end has a heavy state."""
    handle = await start(client, name, queue=name, config={"run_budget": {"events": 20}})
    async with _worker(client, settings, name):
        await handle.execute_update("add_message", {"role": "user", "content": "Hello"})
        await handle.execute_update("add_message", {"role": "tool", "content": "x" * WINDOW_BYTES})
        await handle.execute_update("suspend")
        await handle.execute_update("resume")
        await asyncio.sleep(3)
        await handle.execute_update("suspend")
    await save(client, name)


async def _deleted_late(client: Client, settings: Settings, name: str) -> None:
    """An error waits to be recorded while the session is deleted."""
    handle = await start(client, name, queue=name)
    async with _worker(client, settings, name, Slow), asyncio.TaskGroup() as group:
        group.create_task(handle.execute_update("add_message", {"role": "user", "content": "Hello"}))
        await asyncio.sleep(0.5)
        group.create_task(handle.execute_update("delete"))
        await asyncio.sleep(2.2)
        await handle.signal("user_message", {"text": "another field"})
    await save(client, name)


async def _suspended_twice(client: Client, settings: Settings, name: str) -> None:
    """Behind a signal, two suspensions wait: the second has nothing to do, and is answered after the commit."""
    handle = await start(client, name, queue=name)
    await handle.signal("user_message", {"content": "Hello"})
    sent = [asyncio.create_task(handle.execute_update("suspend")) for _ in range(2)]
    await asyncio.sleep(0.5)
    async with _worker(client, settings, name):
        await asyncio.gather(*sent)
        await handle.execute_update("add_message", {"role": "system", "content": SETTLED})
    await save(client, name)


async def _deleted_before(client: Client, settings: Settings, name: str) -> None:
    """A deleted session is started again while its purge goes on, which leaves this run out: it has its own."""
    async with _worker(client, settings, name):  # it runs no purge: that one goes on for ever
        handle = await start(client, name, queue=name)
        await handle.execute_update("delete")
        await handle.result()
        handle = await start(client, name, queue=name, restore_only=True)
        with suppress(WorkflowFailureError):
            await handle.result()
    await save(client, name)


async def _refused_in_turn(client: Client, settings: Settings, name: str) -> None:
    """Behind a first signal, two wait that use one key for two messages: the second is refused after the commit."""
    handle = await start(client, name, queue=name)
    for content, message_id in (("Hello", "m0"), ("and", "m1"), ("or", "m1")):
        await handle.signal("user_message", {"content": content, "message_id": message_id})
    async with _worker(client, settings, name):
        await handle.execute_update("add_message", {"role": "system", "content": SETTLED})
    await save(client, name)


async def _repeated_late(client: Client, settings: Settings, name: str) -> None:
    """Commands whose keys the run has forgotten come again, by signal behind another message, and by update.

    The last run alone is saved: the one before it only fills the memory.
    """
    late = {"content": "Are you there?", "message_id": "late", "expected_head": "first"}
    first = {"content": "Hello", "message_id": "first"}
    handle = await _forgetful(client, settings, name, ("add_user_message", first), ("add_user_message", late))
    for body in ({"content": "I am back"}, {"content": "Hello again"}, late):
        await handle.signal("user_message", body)
    async with _worker(client, settings, name):
        await handle.execute_update("add_user_message", late)
        with suppress(WorkflowUpdateFailedError):  # the key was used with another body
            await handle.execute_update("add_user_message", {**late, "content": "Is anybody there?"})
    await save(client, name)


async def _repeated_for_nothing(client: Client, settings: Settings, name: str) -> None:
    """A resumption whose key the run has forgotten comes again: there is nothing to do, and the answer is the first.

    The last run alone is saved.
    """
    resumption = {"request_id": "again"}
    handle = await _forgetful(client, settings, name, ("suspend", {}), ("resume", resumption))
    await handle.signal("user_message", {"content": "I am back", "message_id": "back"})
    async with _worker(client, settings, name):
        await handle.execute_update("resume", resumption)
        with suppress(WorkflowUpdateFailedError):  # the key was used with another body
            await handle.execute_update("update_session", resumption)
    await save(client, name)


async def _forgetful(
    client: Client, settings: Settings, name: str, *first: tuple[str, Mapping[str, object]]
) -> WorkflowHandle[Any, Any]:
    """A session that took these commands, then so many that it forgot their keys; archived, and started again."""
    handle = await start(client, name, queue=name, config={"run_budget": {"events": 10_000}})
    async with _worker(client, settings, name):
        for update, body in first:
            await handle.execute_update(update, body)
        for number in range(RECEIPTS):
            await handle.execute_update("update_session", {"metadata": {"n": number}}, id=f"{number}")
        await handle.execute_update("update_session", {"metadata": None, "config": {"archive_after": 0.3}}, id="short")
        await handle.execute_update("suspend", id="suspend")
        await handle.result()
    return await start(client, name, queue=name, restore_only=True)


@asynccontextmanager
async def _worker(
    client: Client,
    settings: Settings,
    queue: str,
    store: Callable[[Engine], PostgresSessionStore] = PostgresSessionStore,
) -> AsyncIterator[None]:
    async with Engine(settings.require_database_url()) as engine:
        activities = SessionActivities(store(engine), PostgresReader(engine), ToldCompiler(), count)
        async with Worker(
            client,
            task_queue=queue,
            workflows=[SessionWorkflow],
            activities=activities.all(),
            workflow_runner=SessionRunner(),
        ):
            yield


RACES: Mapping[str, Callable[[Client, Settings, str], Awaitable[None]]] = {
    "caught_up": _caught_up,
    "backlog": _backlog,
    "deleted_late": _deleted_late,
    "behind": _caught_up,
    "bounded": _bounded,
    "deleted_before": _deleted_before,
    "error_forgotten": _deleted_late,
    "expired_once": _expired_once,
    "heavy": _heavy,
    "refused_in_turn": _refused_in_turn,
    "repeated_for_nothing": _repeated_for_nothing,
    "repeated_late": _repeated_late,
    "suspended_twice": _suspended_twice,
}
"""The first three, recorded by older programs, went as `behind`, `bounded` and `error_forgotten` do now."""
