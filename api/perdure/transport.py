"""One bounded attempt of each call to a session's workflow, with Temporal's many failures sorted into a few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from perdure import wire
from perdure.contract import SESSION_WORKFLOW
from perdure.errors import InvalidRequest, SessionRolling, TooMuchInFlight, Unavailable
from perdure.pollers import pollers

TASK_TIMEOUT = timedelta(seconds=2)
"""How long a session's workflow task may take, and so how long a worker that died in the middle of one holds it up."""
TROUBLE = timedelta(seconds=1)
"""How long to ask why there is no answer."""

T = TypeVar("T")


class NotOpen(Exception):
    """No open run can take the call: the session is archived, deleted or unknown, or a query failed."""


class TryAgain(Exception):
    """The same call may succeed later.

    `sent`: it may have had its effect already. `ended`: the update of that id is over, so send it under a new one.
    `crowded`: more updates were in flight on the session than Temporal allows.
    """

    def __init__(self, reason: str, *, sent: bool, ended: bool = False, crowded: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.ended = ended
        self.crowded = crowded


@dataclass(frozen=True, kw_only=True)
class Command:
    """An update to send. `key` makes it happen once; none for a read. `revive` is the input of the run that
    restores the session, or makes it; with `at_once`, the first attempt already starts that run.
    """

    workflow_id: str
    name: str
    body: dict[str, Any]
    key: str | None
    revive: dict[str, Any]
    at_once: bool = False


@dataclass(frozen=True, kw_only=True)
class Run:
    """A workflow that is run for its result, once: under the same id it is joined, or its result read again."""

    workflow: str
    workflow_id: str
    request: dict[str, Any]
    longest: timedelta


class Transport(Protocol):
    """Makes one attempt. Raises `NotOpen`, `TryAgain`, or the named error of a refusal."""

    async def update(self, command: Command, update_id: str, timeout: timedelta, *, start: bool) -> Any:
        """The command's answer, as JSON. With `start`, its run is started if none is open."""
        ...

    async def query(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> Any:
        """An open run's answer to a query, as JSON."""
        ...

    async def signal(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> None:
        """Send a signal."""
        ...

    async def run(self, run: Run, timeout: timedelta) -> Any:
        """The workflow's result, as JSON."""
        ...

    async def trouble(self) -> str:
        """Why there may be no answers, as a sentence; known within a second."""
        ...


class TemporalTransport:
    """`Transport` through a Temporal client, to the newest run of a workflow: run ids are never pinned."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def update(self, command: Command, update_id: str, timeout: timedelta, *, start: bool) -> Any:
        call = self._update_with_start if start else self._update
        return await self._bounded(call(command, update_id, timeout), timeout)

    async def query(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> Any:
        call = self._handle(workflow_id).query(
            name, body, reject_condition=QueryRejectCondition.NOT_OPEN, rpc_timeout=timeout
        )
        return await self._bounded(call, timeout)

    async def signal(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> None:
        await self._bounded(self._handle(workflow_id).signal(name, body, rpc_timeout=timeout), timeout)

    async def run(self, run: Run, timeout: timedelta) -> Any:
        return await self._bounded(self._run(run, timeout), timeout)

    async def trouble(self) -> str:
        try:
            found = await self._bounded(pollers(self._client, self._task_queue, TROUBLE), TROUBLE)
        except Exception:  # which says no more than that of the call
            return "Check that Temporal is reachable and that a worker runs."
        if found:
            return "Check that the workers and PostgreSQL are well."
        return f"No worker polls the task queue {self._task_queue!r}: start one with `perdure worker`."

    async def _run(self, run: Run, timeout: timedelta) -> Any:
        try:
            handle: WorkflowHandle[Any, Any] = await self._client.start_workflow(
                run.workflow,
                run.request,
                id=run.workflow_id,
                task_queue=self._task_queue,
                execution_timeout=run.longest,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=timeout,
            )
        except WorkflowAlreadyStartedError:
            handle = self._handle(run.workflow_id)
        return await handle.result(rpc_timeout=timeout)

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id)

    async def _update(self, command: Command, update_id: str, timeout: timedelta) -> Any:
        return await self._handle(command.workflow_id).execute_update(
            command.name, command.body, id=update_id, rpc_timeout=timeout
        )

    async def _update_with_start(self, command: Command, update_id: str, timeout: timedelta) -> Any:
        title = command.revive.get("title")
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            SESSION_WORKFLOW,
            command.revive,
            id=command.workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=TASK_TIMEOUT,
            memo={"title": title} if title else None,  # else the run itself adds it, by one event more
        )
        try:
            return await self._client.execute_update_with_start_workflow(
                command.name, command.body, start_workflow_operation=start, id=update_id, rpc_timeout=timeout
            )
        finally:
            # The operation keeps an error for itself too, and asyncio reports one that nobody looked at.
            with suppress(Exception, asyncio.CancelledError):
                async with asyncio.timeout(0):
                    await start.workflow_handle()

    async def _bounded(self, call: Awaitable[T], timeout: timedelta) -> T:
        """The call's result. The SDK's own timeout leaves out its retries, and its wait for an accepted update."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0  # in the cleanup of a cancelled task it is 1 or more
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                result = await call
        except Exception as error:
            if task is not None and task.cancelling() > before:  # which the SDK turns into a timeout
                raise asyncio.CancelledError from error
            raise self.sorted(error) from error
        if task is not None and task.cancelling() > before:  # it came with the result
            raise asyncio.CancelledError
        return result

    def sorted(self, error: Exception) -> Exception:
        """What a failure of the SDK means for the call."""
        match error:
            case WorkflowUpdateFailedError(cause=ApplicationError() as cause):
                return _refused(cause)
            case WorkflowFailureError(cause=ApplicationError() as cause):
                return wire.named(cause)
            case WorkflowFailureError():
                return Unavailable(f"It was not carried through: {error.cause}. Ask again, with another `request_id`.")
            case WorkflowUpdateFailedError() | RPCTimeoutOrCancelledError() | TimeoutError():
                return TryAgain(str(error.__cause__ or error) or "no answer in time", sent=True)
            case WorkflowQueryFailedError() | WorkflowQueryRejectedError():
                return NotOpen(str(error))
            case RPCError():
                return self._rpc(error)
            case RuntimeError() if "client connect" in str(error):  # a lazy client's first call
                return TryAgain(str(error), sent=False)
            case _:
                return error

    def _rpc(self, error: RPCError) -> Exception:
        match error.status:
            case RPCStatusCode.NOT_FOUND if not error.message.startswith("Namespace"):
                return NotOpen(error.message)
            case RPCStatusCode.INVALID_ARGUMENT:
                return InvalidRequest(f"Temporal refused the request: {error.message}")
            case RPCStatusCode.PERMISSION_DENIED | RPCStatusCode.UNAUTHENTICATED | RPCStatusCode.NOT_FOUND:
                return Unavailable(f"Temporal refused: {error.message} Check the namespace, API key and certificates.")
            case RPCStatusCode.UNAVAILABLE if "connect error" in error.message and self._tries_once:
                return TryAgain(error.message, sent=False)
            case _:
                # The update that is one too many is refused, and the server aborts all that are in flight.
                crowded = "in-flight updates" in error.message or "update was aborted" in error.message
                return TryAgain(error.message, sent=True, crowded=crowded)

    @property
    def _tries_once(self) -> bool:
        """Whether the SDK doesn't retry by itself, so that its error is that of the only attempt."""
        retry = self._client.service_client.config.retry_config
        return retry is not None and retry.max_retries == 1


def _refused(cause: ApplicationError) -> Exception:
    match cause.type:
        case SessionRolling.__name__ | TooMuchInFlight.__name__:
            return TryAgain(cause.message, sent=True, ended=True)
        case "AcceptedUpdateCompletedWorkflow":  # the run ended with the update in it: the next one knows the key
            return TryAgain(cause.message, sent=True, ended=True)
        case "UnprocessedUpdate":  # a worker that was cut off from the server has passed over it, or has carried it out
            return TryAgain(cause.message, sent=True, ended=True)
        case wire.FENCED:  # a run that had lost its session took it
            return TryAgain(cause.message, sent=False, ended=True)
        case _:
            return wire.named(cause)
