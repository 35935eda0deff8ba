"""The load: writers that post to sessions, one message after another, and who reads meanwhile; all in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

from perdure import Client, OutcomeUnknown, PerdureError, SessionHandle
from tests.support.eventually import eventually
from tests.support.ledger import Ledger, Outcome

ROLES = ("user", "assistant", "user", "tool")
TEXTS = (
    "The quick brown fox",
    "two\r\nlines, and a tab\t ",
    "日本語と emoji 🧭, and a zero width\u200b space",
    'quotes " and \\u0000 that is no NUL',
)

READ_PAUSE = 0.1
"""Between two questions of a reader, in seconds."""

Pace = Callable[[int], Awaitable[bool]]
"""Waits until a writer may post its message of that number, from 0; false when it is to stop."""


async def post(ledger: Ledger, handle: SessionHandle, writer: str, key: str, role: str, content: str) -> Outcome:
    """Send one message and enter in the ledger what came of it."""
    call = ledger.invoked(handle.session_id, writer, key, role, content)
    try:
        if role == "user":
            message = (await handle.add_user_message(content, message_id=key)).message
        else:
            message = await handle.add_message(role, content, message_id=key)
    except OutcomeUnknown as error:
        ledger.told(call, "unknown", error=error.code)
    except PerdureError as error:  # of all others the client says that nothing happened
        ledger.told(call, "refused", error=f"{error.code}: {error.message}")
    else:
        assert message.message_id == key
        ledger.told(call, "accepted", sequence_number=message.sequence_number)
    return ledger.outcome(ledger.calls[call])


async def write(
    ledger: Ledger, client: Client, sessions: Sequence[str], *, writers: int, pace: Pace, name: str = "w"
) -> None:
    """Let `writers` writers post to each session, each as `pace` says, until all have stopped; one reader looks on."""

    async def one(session_id: str, writer: str) -> None:
        handle = client.session(session_id)
        for number in count():
            if not await pace(number):
                return
            role, text = ROLES[number % len(ROLES)], TEXTS[number % len(TEXTS)]
            await post(ledger, handle, writer, f"{writer}-{number}", role, f"{writer} says {number}: {text}")

    async def all_of(session_id: str) -> None:
        async with _read(ledger, client.session(session_id)), asyncio.TaskGroup() as group:
            for index in range(writers):
                group.create_task(one(session_id, f"{name}{index}"))

    async with asyncio.TaskGroup() as group:
        for session_id in sessions:
            group.create_task(all_of(session_id))


@asynccontextmanager
async def _read(ledger: Ledger, handle: SessionHandle) -> AsyncIterator[None]:
    """Ask for the session again and again inside the block: while it stores, too."""
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            asked_at = time.monotonic()
            with suppress(PerdureError):  # neither the run nor PostgreSQL could be asked
                ledger.read(handle.session_id, (await handle.get()).message_count, asked_at=asked_at)
            await asyncio.sleep(READ_PAUSE)

    reader = asyncio.create_task(read())
    try:
        yield
    finally:
        done.set()
        await reader


def steadily(stop: asyncio.Event, *, pause: float) -> Pace:
    """Post with a pause after each message, until `stop` is set."""

    async def pace(number: int) -> bool:
        if number:
            await asyncio.sleep(pause)
        return not stop.is_set()

    return pace


def times(messages: int) -> Pace:
    """Post `messages` messages, one right after the other."""

    async def pace(number: int) -> bool:
        return number < messages

    return pace


@asynccontextmanager
async def under_load(
    ledger: Ledger, client: Client, sessions: Sequence[str], *, writers: int = 2, pause: float = 0.05
) -> AsyncIterator[None]:
    """Steady load inside the block; after it, every post has been told something."""
    stop = asyncio.Event()
    load = asyncio.create_task(write(ledger, client, sessions, writers=writers, pace=steadily(stop, pause=pause)))
    try:
        yield
    finally:
        stop.set()
        await load


async def accepted_more(ledger: Ledger, number: int) -> None:
    """Wait until `number` more posts have been accepted."""
    goal = ledger.accepted + number

    async def reached() -> bool:
        return ledger.accepted >= goal

    await eventually(reached, within=60)
