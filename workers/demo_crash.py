"""Kills the worker in the middle of a turn, and starts another."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.api.enums.v1 import TimeoutType
from temporalio.client import Client as TemporalClient

from perdure.contract import MessageAnswer, ReadMessages
from perdure.reader import Reader
from workers.demo_talk import Talk
from workers.stack.part import Part

ATTEMPTS = 10

Count = Callable[[], Awaitable[int]]


@dataclass(frozen=True, kw_only=True)
class Crash:
    """A turn, and the death of its worker.

    `met`: the worker died in the middle of it, after it had taken the turn and before it answered. `stored`: the
    message was in PostgreSQL when the worker was dead.
    """

    key: str
    killed_after_ms: float
    met: bool
    stored: bool
    answered_after_s: float
    answer: MessageAnswer


async def interrupt(talk: Talk, question: str, worker: Part, reader: Reader, abandoned: Count) -> Crash:
    """Ask, kill the worker with SIGKILL at a random moment of the turn, start another, and wait for the answer.

    A turn that the worker had not taken yet, or had answered, when it died is an ordinary one, and another is tried,
    up to ten in all; whether the last one is another, its `met` says. `abandoned` counts as `abandoned_tasks` does.
    """
    span = statistics.median(talk.seconds)
    for _ in range(ATTEMPTS):
        key = str(uuid.uuid4())
        before = await abandoned()
        began = time.monotonic()
        call = asyncio.create_task(talk.send(question, key))
        await asyncio.sleep(random.uniform(0, span))
        killed_after = time.monotonic() - began
        await worker.kill()
        late = call.done()
        stored = await _is_stored(talk, key, reader)
        await worker.start()
        answer = talk.note(await call)
        answered_after = time.monotonic() - began
        crash = Crash(
            key=key,
            killed_after_ms=1000 * killed_after,
            met=not late and await abandoned() > before,
            stored=stored,
            answered_after_s=answered_after,
            answer=answer,
        )
        if crash.met:
            break
        await talk.reply("(The worker died, but not in the middle of this turn.)")
        if late:
            span /= 2
    return crash


async def abandoned_tasks(client: TemporalClient, workflow_id: str) -> int:
    """How many workflow tasks of the session's run a worker took and never answered, by Temporal's own record."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return sum(
        event.workflow_task_timed_out_event_attributes.timeout_type == TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
        for event in history.events
    )


async def _is_stored(talk: Talk, key: str, reader: Reader) -> bool:
    page = await reader.read_messages(talk.session.tenant, talk.session.session_id, ReadMessages(limit=1))
    return any(message.message_id == key for message in page.messages)
