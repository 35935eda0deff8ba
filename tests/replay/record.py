"""Records the histories that `test_saved_histories` replays: `python -m tests.replay.record [SCENE ...]`.

Run it when the workflow has changed on purpose and no session of the old kind is open anywhere; a change that open
sessions must survive is patched instead (`workflow.patched`), and then the old histories stay.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.commit import Commit, Committed
from activities.session import SessionActivities
from activities.stores.engine import Engine
from activities.stores.migrate import upgrade
from activities.stores.session_reader import PostgresReader
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.contract import SESSION_WORKFLOW
from perdure.events import Event, MessageAdded
from perdure.message import ROLES
from perdure.working_set import WorkingSet
from tests.support.own_store import ToldCompiler
from tests.support.runs import histories
from tests.support.stack import data_dir, stack_settings
from workers.runner import SessionRunner
from workers.settings import Settings
from workers.stack.stack import Stack
from workers.worker import running_worker
from workflows.session import SessionWorkflow

FOLDER = Path(__file__).parent / "histories"
IDENTITY = "recorder"
"""In place of the process and machine that the SDK would name."""
SETTLED = "Nothing comes after what was recorded."


async def _every_role(handle: WorkflowHandle[Any, Any]) -> None:
    for role in ROLES:
        await handle.execute_update("add_message", {"role": role, "content": f"from the {role}"})
    await handle.execute_update("add_user_message", {"content": "Hello"}, id="user")
    parts = [{"type": "thought", "text": "hm"}, {"type": "tool_call", "tool_call_id": "c", "name": "search"}]
    await handle.execute_update("add_assistant_message", {"content": parts}, id="assistant")


async def _several_at_once(handle: WorkflowHandle[Any, Any]) -> None:
    await asyncio.gather(
        *(handle.execute_update("add_message", {"role": "user", "content": f"{n}"}, id=f"u{n}") for n in range(8))
    )
    batch = {"messages": [{"role": role, "content": role} for role in ROLES], "request_id": "batch"}
    await handle.execute_update("add_messages", batch)
    await handle.execute_update("add_messages", batch)


async def _changed(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.execute_update("update_session", {"title": "A talk", "metadata": {"a": 1}, "user_id": "ann"})
    await handle.execute_update("update_session", {"title": None, "config": {"max_content_bytes": 100}})
    await handle.execute_update("read_messages", {"limit": 1})


async def _suspended_and_resumed(handle: WorkflowHandle[Any, Any]) -> None:
    for name in ("suspend", "suspend", "resume", "resume", "suspend"):
        await handle.execute_update(name)
    await handle.execute_update("add_user_message", {"content": "I am back"})


async def _rested(handle: WorkflowHandle[Any, Any]) -> None:
    for number in range(8):
        await handle.execute_update("add_message", {"role": "user", "content": f"{number}"})
    await handle.execute_update("suspend")
    await handle.execute_update("add_user_message", {"content": "I am back"})


async def _signalled(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.signal("user_message", {"content": "by signal", "message_id": "s"})
    await handle.signal("assistant_message", {"content": "by signal too"})
    await handle.signal("touch")
    await handle.signal("user_message", {"text": "another field"})
    await handle.execute_update("add_message", {"role": "system", "content": SETTLED})


async def _idle(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await handle.result()


async def _rolled(handle: WorkflowHandle[Any, Any]) -> None:
    for number in range(15):
        await handle.execute_update("add_message", {"role": "tool", "content": f"{number}"})
    await handle.query("get_session")  # the last run has begun: a replay of one that has not would wait for it


async def _deleted(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.execute_update("add_user_message", {"content": "Hello"})
    await handle.execute_update("delete")


async def _compiled(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.execute_update("add_user_message", {"content": "Where are the pears?"})
    await handle.execute_update("add_assistant_message", {"content": "In the cellar."})
    for body in ({"query": "and the apples?"}, {"query": ""}, {"query": "and the plums?", "explain": True}):
        with suppress(WorkflowUpdateFailedError):  # there is no corpus: the activity fails, and the session goes on
            await handle.execute_update("compile", body)
    await handle.execute_update("suspend")
    with suppress(WorkflowUpdateFailedError):
        await handle.execute_update("compile", {"query": "and the quinces?"})
    await handle.execute_update("add_user_message", {"content": "And the rest?"})


SHORT = {"idle_timeout": 0.3, "archive_after": 0.3}
SCENES: Mapping[str, tuple[Callable[[WorkflowHandle[Any, Any]], Awaitable[None]], Mapping[str, Any]]] = {
    "every_role": (_every_role, {}),
    "several_at_once": (_several_at_once, {}),
    "changed": (_changed, {}),
    "suspended_and_resumed": (_suspended_and_resumed, {}),
    "rested": (_rested, {}),
    "signalled": (_signalled, {}),
    "idle": (_idle, SHORT),
    "rolled": (_rolled, {"run_budget": {"events": 20}}),
    "deleted": (_deleted, {}),
    "compiled": (_compiled, {"corpus": "none", "retrieval": {"query_from": "thread"}}),
}

REFUSED = ("unknown", "purged_alone")
"""The first was recorded when such a run was purged with all runs of its workflow id."""


async def _refused(client: Client, task_queue: str, name: str) -> None:
    """A start that asks to restore a session which nobody knows."""
    start = {"session_id": name, "restore_only": True}
    handle = await client.start_workflow(SESSION_WORKFLOW, start, id=f"session:default:{name}", task_queue=task_queue)
    with suppress(WorkflowFailureError):
        await handle.result()
    await _save(client, name)


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


async def _caught_up(client: Client, settings: Settings) -> None:
    """A commit that is repeated finds itself stored."""
    handle = await _start(client, "caught_up", queue="caught_up")
    async with _worker(client, settings, "caught_up", Forgetful):
        await _every_role(handle)
    await _save(client, "caught_up")


async def _backlog(client: Client, settings: Settings) -> None:
    """Many signals wait for a worker, each sent twice."""
    handle = await _start(client, "backlog", queue="backlog")
    for number in range(40):
        await handle.signal("user_message", {"content": f"{number // 2}", "message_id": f"m{number // 2}"})
    async with _worker(client, settings, "backlog", PostgresSessionStore):
        await handle.execute_update("add_message", {"role": "system", "content": SETTLED})
    await _save(client, "backlog")


class Slow(PostgresSessionStore):
    """Takes its time over messages."""

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        if any(isinstance(event.data, MessageAdded) for event in completed):
            await asyncio.sleep(5)
        return await super().commit(request, completed, working_sets)


async def _deleted_late(client: Client, settings: Settings) -> None:
    """An error waits to be recorded while the session is deleted."""
    handle = await _start(client, "deleted_late", queue="deleted_late")
    async with _worker(client, settings, "deleted_late", Slow), asyncio.TaskGroup() as group:
        group.create_task(handle.execute_update("add_message", {"role": "user", "content": "Hello"}))
        await asyncio.sleep(0.5)
        group.create_task(handle.execute_update("delete"))
        await asyncio.sleep(2.2)
        await handle.signal("user_message", {"text": "another field"})
    await _save(client, "deleted_late")


@asynccontextmanager
async def _worker(
    client: Client, settings: Settings, queue: str, store: Callable[[Engine], PostgresSessionStore]
) -> AsyncIterator[None]:
    engine = Engine(settings.require_database_url())
    activities = SessionActivities(store(engine), PostgresReader(engine), ToldCompiler(), count)
    async with Worker(
        client,
        task_queue=queue,
        workflows=[SessionWorkflow],
        activities=activities.all(),
        workflow_runner=SessionRunner(),
    ):
        yield
    await engine.dispose()


async def _start(
    client: Client, name: str, *, queue: str, config: Mapping[str, Any] | None = None
) -> WorkflowHandle[Any, Any]:
    start = {"session_id": name, "config": config or {}}
    handle = await client.start_workflow(SESSION_WORKFLOW, start, id=f"session:default:{name}", task_queue=queue)
    return client.get_workflow_handle(handle.id)  # without a run: it follows continue-as-new


OWN_WORKER = {"caught_up": _caught_up, "backlog": _backlog, "deleted_late": _deleted_late}


async def _save(client: Client, name: str) -> None:
    for number, history in enumerate(await histories(client, f"session:default:{name}")):
        text = json.dumps(_without_traces(json.loads(history.to_json())), indent=1, ensure_ascii=False)
        FOLDER.joinpath(f"{name}-{number}.json").write_text(text + "\n", encoding="utf-8")


def _without_traces(value: Any) -> Any:
    """Stack traces name the folders of the machine; nothing depends on them."""
    match value:
        case dict():
            return {name: _without_traces(item) for name, item in value.items() if name != "stackTrace"}
        case list():
            return [_without_traces(item) for item in value]
        case _:
            return value


async def main(names: Sequence[str]) -> None:
    """Record those scenes anew, or all of them, on a stack of its own."""
    for old in FOLDER.glob("*.json"):
        if not names or old.stem.rpartition("-")[0] in names:
            old.unlink()
    with data_dir() as folder:
        settings = stack_settings(folder).model_copy(update={"weaviate_url": "http://127.0.0.1:9"})
        async with Stack(settings) as stack:
            await asyncio.to_thread(upgrade, stack.postgres.url())
            client = await Client.connect(
                stack.addresses.temporal, data_converter=pydantic_data_converter, identity=IDENTITY
            )
            async with running_worker(stack.settings, client):
                for name, (scene, config) in SCENES.items():
                    if names and name not in names:
                        continue
                    await scene(await _start(client, name, queue=settings.task_queue, config=config))
                    await _save(client, name)
                for name in REFUSED:
                    if not names or name in names:
                        await _refused(client, settings.task_queue, name)
            for name, record in OWN_WORKER.items():
                if not names or name in names:
                    await record(client, stack.settings)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
