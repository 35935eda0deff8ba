"""Whether a worker on this host polls its task queue: `python -m workers.health`, for the image's HEALTHCHECK."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from workers.settings import Settings, connect_temporal

RECENT = timedelta(minutes=2)
"""A poll waits a minute at the server before it is made again."""


async def pollers(client: Client, task_queue: str) -> set[str]:
    """Identities of the workers that polled `task_queue` lately; by default `pid@host`."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    since = datetime.now(UTC) - RECENT
    return {p.identity for p in answer.pollers if p.last_access_time.ToDatetime(UTC) > since}


async def polls_from_here(settings: Settings) -> bool:
    """Whether a worker on this host does."""
    found = await pollers(await connect_temporal(settings), settings.task_queue)
    return any(identity.endswith(f"@{socket.gethostname()}") for identity in found)


if __name__ == "__main__":
    code = 0 if asyncio.run(polls_from_here(Settings.load())) else 1
    sys.stderr.flush()
    os._exit(code)  # the SDK can abort the interpreter while it shuts down
