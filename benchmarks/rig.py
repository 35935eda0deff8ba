"""The rig: a stack of its own, a session worker, a worker of the bare update, and calls on them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.envconfig import ClientConfigProfile

from activities.stores.migrate import upgrade
from benchmarks import stub
from perdure.contract import SESSION_WORKFLOW, TASK_QUEUE, Handlers
from perdure.ids import DEFAULT_TENANT, workflow_id
from workers.settings import Settings, connect_temporal
from workers.stack.stack import Stack
from workers.stack.weaviate_binary import Progress
from workers.stack.worker_process import WorkerProcess

Handle = WorkflowHandle[Any, Any]
_TASK_TIMEOUT = timedelta(seconds=2)
_TITLE = "Benchmark"


@dataclass
class Talk:
    """A session as a caller has it. Each call sends one update and waits for its answer."""

    handle: Handle

    @property
    def session_id(self) -> str:
        return self.handle.id.rpartition(":")[2]

    async def turn(self, question: str, *, returned: bool = True) -> dict[str, Any]:
        """A user message; `returned`: with its working set in the answer, if the session has a corpus."""
        return await self._update(Handlers.ADD_USER_MESSAGE, {"content": question, "return_working_set": returned})

    async def answer(self) -> dict[str, Any]:
        """An assistant message of some 300 characters."""
        return await self._update(Handlers.ADD_ASSISTANT_MESSAGE, {"content": ANSWER})

    async def pair(self, question: str) -> dict[str, Any]:
        """A user and an assistant message in one update, nothing compiled."""
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": ANSWER}]
        return await self._update(Handlers.ADD_MESSAGES, {"messages": messages})

    async def suspend(self) -> dict[str, Any]:
        """Let the session rest."""
        return await self._update(Handlers.SUSPEND, {})

    async def _update(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = await self.handle.execute_update(name, body)
        return found


ANSWER = (
    "It does, with one exception: what was accepted before the call is carried out to its end. The queue is left as it "
    "stands, so a later step may find entries older than itself; compare their numbers with the one in the header, and "
    "skip those that are smaller. Nothing else changes."
)
"""What the assistant always says; no sentence twice, since what is kept of it may be compressed."""


class Rig:
    """What the scenarios work with."""

    def __init__(self, stack: Stack, client: Client, worker: WorkerProcess, say: Progress) -> None:
        self.stack = stack
        self.client = client
        self.worker = worker
        self.say = say

    @property
    def dsn(self) -> str:
        """Postgres, as psycopg takes it."""
        return self.stack.addresses.postgres.replace("+psycopg", "")

    @property
    def pids(self) -> dict[str, int]:
        """Each server process by name."""
        return {part.name: part.pid for part in (*self.stack.parts, self.worker)}

    async def stub(self, update: str) -> Callable[[], Awaitable[object]]:
        """Calls `update` of a stub workflow of its own, with a message's body."""
        handle: Handle = await self.client.start_workflow(
            "Stub", id=f"stub-{update}", task_queue=stub.TASK_QUEUE, task_timeout=_TASK_TIMEOUT
        )
        return lambda: handle.execute_update(update, {"content": ANSWER})

    async def talk(self, *, corpus: str | None = None, queue: str = TASK_QUEUE) -> Talk:
        """A new session, started as `perdure.Client` starts one."""
        session_id = f"bench-{uuid.uuid4().hex[:12]}"
        handle: Handle = await self.client.start_workflow(
            SESSION_WORKFLOW,
            {"session_id": session_id, "title": _TITLE, "config": {"corpus": corpus}},
            id=workflow_id(DEFAULT_TENANT, session_id),
            task_queue=queue,
            task_timeout=_TASK_TIMEOUT,
            memo={"title": _TITLE},
        )
        return Talk(self.client.get_workflow_handle(handle.id))  # without a run: it follows continue-as-new

    async def another_worker(self, queue: str, **settings: object) -> WorkerProcess:
        """One more worker process, on a queue of its own. `settings` are fields of `Settings`."""
        own = {f"PERDURE_{name.upper()}": str(value) for name, value in settings.items()}
        worker = WorkerProcess(
            name=f"Worker {queue}",
            environment={**self.stack.addresses.environment(), "PERDURE_TASK_QUEUE": queue, **own},
            log=_log(self.stack, queue),
        )
        await self.stack.add(worker)
        return worker


@asynccontextmanager
async def open_rig(folder: Path, progress: Progress) -> AsyncIterator[Rig]:
    """A rig whose data is in `folder`. What Postgres and Weaviate hold survives, so that ingest is done once."""
    async with Stack(_settings(folder), progress=progress) as stack:
        upgrade(stack.addresses.postgres)
        environment = stack.addresses.environment()
        worker = WorkerProcess(environment=environment, log=_log(stack, "worker"))
        floor = WorkerProcess(
            name="Bare worker", module="benchmarks.stub", environment=environment, log=_log(stack, "stub")
        )
        await stack.add(worker)
        await stack.add(floor)
        client = await connect_temporal(stack.settings)
        yield Rig(stack, client, worker, progress)


def _settings(folder: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("temporal.db*"):
        old.unlink()
    return Settings(
        data_dir=folder,
        database_url=None,
        weaviate_url=None,
        temporal=ClientConfigProfile(),
        temporal_port=0,
        temporal_ui_port=0,
        postgres_port=0,
        weaviate_port=0,
    )


def _log(stack: Stack, name: str) -> Path:
    return stack.settings.data_dir / "logs" / f"{name}.log"
