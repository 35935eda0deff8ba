"""Who polls a task queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

RECENT = timedelta(minutes=2)
"""A poll waits a minute at the server before it is made again."""


async def pollers(client: Client, task_queue: str, timeout: timedelta | None = None) -> set[str]:
    """Identities of the workers that polled `task_queue` lately; by default `pid@host`."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=timeout,
    )
    since = datetime.now(UTC) - RECENT
    return {p.identity for p in answer.pollers if p.last_access_time.ToDatetime(UTC) > since}
