"""Heartbeats of an activity while it has no occasion to send them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

_SECONDS = 5


@asynccontextmanager
async def beating(*details: str) -> AsyncIterator[None]:
    """Heartbeats while the block goes on, which may take minutes and leaves the event loop to others. `details` are how
    far the activity has come: each heartbeat takes the place of what the one before told of it."""

    async def beat() -> None:
        while True:
            activity.heartbeat(*details)
            await asyncio.sleep(_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
