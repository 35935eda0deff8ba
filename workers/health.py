"""Whether a worker on this host polls its task queue: `python -m workers.health`, for the image's HEALTHCHECK."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from perdure.pollers import pollers
from workers.settings import Settings, connect_temporal


async def polls_from_here(settings: Settings) -> bool:
    """Whether a worker on this host does."""
    found = await pollers(await connect_temporal(settings), settings.task_queue)
    return any(identity.endswith(f"@{socket.gethostname()}") for identity in found)


if __name__ == "__main__":
    code = 0 if asyncio.run(polls_from_here(Settings.load())) else 1
    sys.stderr.flush()
    os._exit(code)  # the SDK can abort the interpreter while it shuts down
