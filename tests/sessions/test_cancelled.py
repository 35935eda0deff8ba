"""A run that somebody cancels first does what it has taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from temporalio.client import WorkflowExecutionStatus

from activities.commit import Commit, Committed
from perdure.events import Event
from perdure.working_set import WorkingSet
from tests.sessions.caller import Caller
from tests.support.eventually import eventually
from tests.support.own_store import OwnStore, worker_on
from tests.support.site import Site

TASK_TIMEOUT = timedelta(seconds=1)
"""Of a workflow task; while an activity holds one, what came meanwhile is seen within that time."""


class Held(OwnStore):
    """Stores nothing more before it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.free = asyncio.Event()

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        self.asked.set()
        await self.free.wait()
        return await super().commit(request, completed, working_sets)

    async def cancel_meanwhile(self, caller: Caller) -> None:
        """Cancel the run in the middle of a commit, and let that go on once the run knows."""
        await self.asked.wait()
        await caller.handle.cancel()
        await asyncio.sleep(2 * TASK_TIMEOUT.total_seconds())
        self.free.set()


async def until_cancelled(caller: Caller) -> None:
    """Wait until its run has ended so, which may come in a task after that of the last answer."""
    await eventually(partial(caller.run_is, WorkflowExecutionStatus.CANCELED))


async def test_signals_that_wait_are_stored_and_the_session_goes_on_in_another_run(alone: Site) -> None:
    caller = await Caller.start(alone, "talk")
    for number in range(20):  # nobody polls yet
        await caller.handle.signal("user_message", {"content": str(number), "message_id": f"m{number}"})
    await caller.handle.cancel()
    async with worker_on(alone):
        await until_cancelled(caller)
        await alone.client.session("talk").add_user_message("and on")
        seen = await caller.observed()
    assert [message.content for message in seen.messages] == [*map(str, range(20)), "and on"]


async def test_what_is_being_stored_is_answered(alone: Site) -> None:
    store = Held()
    caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT)
    async with worker_on(alone, store):
        message = asyncio.create_task(caller.update("add_message", {"role": "user", "content": "Hello"}))
        await store.cancel_meanwhile(caller)
        assert (await message)["message"]["content"] == "Hello"
        await until_cancelled(caller)


async def test_a_deleted_session_is_purged_all_the_same(alone: Site) -> None:
    store = Held()
    caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT)
    async with worker_on(alone, store):
        deletion = asyncio.create_task(caller.update("delete"))
        await store.cancel_meanwhile(caller)
        assert (await deletion)["session"]["status"] == "deleted"
        purge = alone.bare.get_workflow_handle(f"purge:{alone.settings.tenant}:talk")
        begun = await eventually(purge.describe)  # by a task that comes after the answer
        assert begun.workflow_type == "PurgeSession"


async def test_a_run_that_was_to_continue_as_new_ends_all_the_same(alone: Site) -> None:
    store = Held()
    config = {"run_budget": {"events": 20}}
    caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT, config=config)
    async with worker_on(alone, store):
        message = asyncio.create_task(caller.update("add_message", {"role": "user", "content": "Hello"}))
        await store.asked.wait()
        for number in range(11):  # which spend the run's budget
            await caller.handle.signal("user_message", {"content": str(number), "message_id": f"m{number}"})
        await store.cancel_meanwhile(caller)
        await message
        await until_cancelled(caller)
