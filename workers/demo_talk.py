"""A conversation of the demo: what was sent, and what was acknowledged."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from perdure import Message, OutcomeUnknown, SessionHandle, Unavailable, WorkingSet
from perdure.contract import MessageAnswer

T = TypeVar("T")
ATTEMPTS = 5


@dataclass
class Talk:
    """One session, with all that it acknowledged, in order."""

    session: SessionHandle
    messages: list[Message] = field(default_factory=list)
    working_sets: dict[str, WorkingSet] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    """How long each question took that nothing interrupted."""

    async def ask(self, question: str) -> MessageAnswer:
        """Ask; note the answer and its time."""
        key = str(uuid.uuid4())
        began = time.monotonic()
        answer = await self.send(question, key)
        self.seconds.append(time.monotonic() - began)
        return self.note(answer)

    async def send(self, question: str, key: str) -> MessageAnswer:
        """Send a question until its outcome is known: always the same one, under the same key."""
        return await persistently(lambda: self.session.add_user_message(question, message_id=key))

    async def reply(self, text: str) -> None:
        """Record an assistant message."""
        key = str(uuid.uuid4())
        self.messages.append(await persistently(lambda: self.session.add_assistant_message(text, message_id=key)))

    def note(self, answer: MessageAnswer) -> MessageAnswer:
        """Keep what an acknowledged question brought."""
        self.messages.append(answer.message)
        if answer.working_set:
            self.working_sets[answer.message.message_id] = answer.working_set
        return answer


async def persistently(call: Callable[[], Awaitable[T]]) -> T:
    """The call's result, made again, with the key it carries, while nobody can tell what became of it."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await call()
        except (OutcomeUnknown, Unavailable):
            continue
    return await call()
