"""Sessions to be recorded, on the worker that they all share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError

from perdure.contract import SESSION_WORKFLOW
from perdure.ids import DEFAULT_TENANT, workflow_id
from perdure.message import ROLES
from tests.replay.saved import save
from tests.support.eventually import eventually

Session: TypeAlias = WorkflowHandle[Any, Any]
SETTLED = "Nothing comes after what was recorded."


async def every_role(handle: Session) -> None:
    for role in ROLES:
        await handle.execute_update("add_message", {"role": role, "content": f"from the {role}"})
    await handle.execute_update("add_user_message", {"content": "Hello"}, id="user")
    parts = [{"type": "thought", "text": "hm"}, {"type": "tool_call", "tool_call_id": "c", "name": "search"}]
    await handle.execute_update("add_assistant_message", {"content": parts}, id="assistant")


async def _several_at_once(handle: Session) -> None:
    await asyncio.gather(
        *(handle.execute_update("add_message", {"role": "user", "content": f"{n}"}, id=f"u{n}") for n in range(8))
    )
    batch = {"messages": [{"role": role, "content": role} for role in ROLES], "request_id": "batch"}
    await handle.execute_update("add_messages", batch)
    await handle.execute_update("add_messages", batch)


async def _changed(handle: Session) -> None:
    await handle.execute_update("update_session", {"title": "A talk", "metadata": {"a": 1}, "user_id": "ann"})
    await handle.execute_update("update_session", {"title": None, "config": {"max_content_bytes": 100}})
    await handle.execute_update("read_messages", {"limit": 1})


async def _suspended_and_resumed(handle: Session) -> None:
    for name in ("suspend", "suspend", "resume", "resume", "suspend"):
        await handle.execute_update(name)
    await handle.execute_update("add_user_message", {"content": "I am back"})


async def _rested(handle: Session) -> None:
    for number in range(8):
        await handle.execute_update("add_message", {"role": "user", "content": f"{number}"})
    await handle.execute_update("suspend")
    await handle.execute_update("add_user_message", {"content": "I am back"})


async def _signalled(handle: Session) -> None:
    await handle.signal("user_message", {"content": "by signal", "message_id": "s"})
    await handle.signal("assistant_message", {"content": "by signal too"})
    await handle.signal("touch")
    await handle.signal("user_message", {"text": "another field"})
    await handle.execute_update("add_message", {"role": "system", "content": SETTLED})


async def _not_kept_awake(handle: Session) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await asyncio.sleep(1)
    await handle.signal("user_message", {"text": "another field"})  # by which the session would stay for 2 s more

    async def suspended() -> bool:
        return bool((await handle.query("get_session"))["status"] == "suspended")

    await eventually(suspended)


async def _idle(handle: Session) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await handle.result()


async def _idle_later(handle: Session) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await asyncio.sleep(0.1)
    await handle.execute_update("add_user_message", {"content": "Are you there?"})  # the timer that is set is too early
    await handle.result()


async def _rolled(handle: Session) -> None:
    for number in range(15):
        await handle.execute_update("add_message", {"role": "tool", "content": f"{number}"})
    await handle.query("get_session")  # the last run has begun: a replay of one that has not would wait for it


async def _deleted(handle: Session) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await handle.execute_update("delete")


async def _compiled(handle: Session) -> None:
    await handle.execute_update("add_user_message", {"content": "Where are the pears?"})
    await handle.execute_update("add_assistant_message", {"content": "In the cellar."})
    for body in ({"query": "and the apples?"}, {"query": ""}, {"query": "and the plums?", "explain": True}):
        with suppress(WorkflowUpdateFailedError):  # there is no corpus: the activity fails, and the session goes on
            await handle.execute_update("compile", body)
    await handle.execute_update("suspend")
    with suppress(WorkflowUpdateFailedError):
        await handle.execute_update("compile", {"query": "and the quinces?"})
    await handle.execute_update("add_user_message", {"content": "And the rest?"})


async def _another_user(handle: Session) -> None:
    await handle.execute_update("update_session", {"user_id": "ann"})
    await handle.execute_update("update_session", {"user_id": "bob", "title": "A talk"})


async def _read(handle: Session) -> None:
    for question in ("Where are the pears?", "And the apples?"):
        await handle.execute_update("add_user_message", {"content": question})
        await handle.execute_update("add_assistant_message", {"content": "In the cellar."})
    await handle.execute_update("read_replay")
    await handle.execute_update("read_replay", {"before": 2, "limit": 1})
    await handle.execute_update("read_messages", {"after": 1})


SHORT = {"idle_timeout": 0.3, "archive_after": 0.3}
SESSIONS: Mapping[str, tuple[Callable[[Session], Awaitable[None]], Mapping[str, Any]]] = {
    "every_role": (every_role, {}),
    "several_at_once": (_several_at_once, {}),
    "changed": (_changed, {}),
    "suspended_and_resumed": (_suspended_and_resumed, {}),
    "rested": (_rested, {}),
    "signalled": (_signalled, {}),
    "idle": (_idle, SHORT),
    "rolled": (_rolled, {"run_budget": {"events": 20}}),
    "deleted": (_deleted, {}),
    "compiled": (_compiled, {"corpus": "none", "retrieval": {"query_from": "thread"}}),
    "another_user": (_another_user, {}),
    "archived": (_idle, SHORT),
    "archived_in_time": (_idle_later, SHORT),
    "not_kept_awake": (_not_kept_awake, {"idle_timeout": 2}),
    "read": (_read, {"corpus": "none"}),
}
"""What is done, and the session's settings. `archived` is `idle` since archiving has its name."""

REFUSED = ("unknown", "purged_alone")
"""The first was recorded when such a run was purged with all runs of its workflow id."""


async def refused(client: Client, task_queue: str, name: str) -> None:
    """A start that asks to restore a session which nobody knows."""
    handle = await start(client, name, queue=task_queue, restore_only=True)
    with suppress(WorkflowFailureError):
        await handle.result()
    await save(client, name)


async def start(client: Client, name: str, *, queue: str, **more: Any) -> Session:
    """A session's workflow; `more` goes into its input."""
    handle = await client.start_workflow(
        SESSION_WORKFLOW,
        {"session_id": name, **more},
        id=workflow_id(DEFAULT_TENANT, name),
        task_queue=queue,
    )
    return client.get_workflow_handle(handle.id)  # without a run: it follows continue-as-new
