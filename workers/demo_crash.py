"""Kills the worker in the middle of a turn, and starts another."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from dataclasses import dataclass

from perdure import PerdureError
from perdure.contract import MessageAnswer, ReadMessages
from perdure.reader import Reader
from workers.demo_talk import Talk
from workers.stack.part import Part

ATTEMPTS = 10


class NeverMet(PerdureError):
    """Each turn was answered before the worker was dead, so nothing was shown."""


@dataclass(frozen=True, kw_only=True)
class Crash:
    """A turn whose worker was killed. `stored`: the message was in PostgreSQL when the worker was dead."""

    key: str
    killed_after_ms: float
    stored: bool
    answered_after_s: float
    answer: MessageAnswer


async def interrupt(talk: Talk, question: str, worker: Part, reader: Reader) -> Crash:
    """Ask, kill the worker with SIGKILL at a random moment of the turn, start another, and wait for the answer.

    A turn that was answered before the worker was dead is an ordinary one, and another is tried.

    Raises:
        NeverMet: so were all of them.
    """
    span = statistics.median(talk.seconds)
    for _ in range(ATTEMPTS):
        key = str(uuid.uuid4())
        began = time.monotonic()
        call = asyncio.create_task(talk.send(question, key))
        await asyncio.sleep(random.uniform(0, span))
        killed_after = time.monotonic() - began
        await worker.kill()
        met = not call.done()
        stored = await _is_stored(talk, key, reader)
        await worker.start()
        answer = talk.note(await call)
        if met:
            return Crash(
                key=key,
                killed_after_ms=1000 * killed_after,
                stored=stored,
                answered_after_s=time.monotonic() - began,
                answer=answer,
            )
        await talk.reply("(The worker died just after this was answered.)")
        span /= 2
    raise NeverMet(f"{ATTEMPTS} turns were each answered before the worker was dead. Run the demo again.")


async def _is_stored(talk: Talk, key: str, reader: Reader) -> bool:
    page = await reader.read_messages(talk.session.tenant, talk.session.session_id, ReadMessages(limit=1))
    return any(message.message_id == key for message in page.messages)
