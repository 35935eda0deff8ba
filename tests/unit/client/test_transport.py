"""How Temporal's failures are sorted, by a Temporal client with nobody to talk to."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from perdure.errors import HeadMoved, InvalidRequest, PerdureError, SessionRolling, TooMuchInFlight, Unavailable
from perdure.transport import Command, NotOpen, TemporalTransport, TryAgain

COMMAND = Command(workflow_id="session:default:s", name="suspend", body={}, key=None, revive={})


def refused(name: str) -> WorkflowUpdateFailedError:
    return WorkflowUpdateFailedError(ApplicationError("no", {"active_message_id": "m"}, type=name))


@pytest.fixture
async def transport() -> TemporalTransport:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return TemporalTransport(await Client.connect(f"127.0.0.1:{port}", lazy=True), "perdure")


@pytest.mark.parametrize(
    ("error", "sent", "ended"),
    [
        (TimeoutError(), True, False),
        (RPCError("gone", RPCStatusCode.UNAVAILABLE, b""), True, False),
        (RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b""), True, False),  # the SDK may have tried before
        (RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b""), True, False),
        (RPCError("busy", RPCStatusCode.RESOURCE_EXHAUSTED, b""), True, False),
        (RPCError("aborted", RPCStatusCode.ABORTED, b""), True, False),
        (refused(SessionRolling.__name__), True, True),
        (refused(TooMuchInFlight.__name__), True, True),
        (refused("AcceptedUpdateCompletedWorkflow"), True, True),
        (refused("UnprocessedUpdate"), True, True),
        (refused("Fenced"), False, True),
        (RuntimeError("Failed client connect: no"), False, False),
    ],
)
async def test_what_may_pass_is_tried_again(
    transport: TemporalTransport, error: Exception, sent: bool, ended: bool
) -> None:
    found = transport.sorted(error)
    assert isinstance(found, TryAgain)
    assert (found.sent, found.ended) == (sent, ended)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b""), NotOpen),
        (RPCError("Namespace x is not found.", RPCStatusCode.NOT_FOUND, b""), Unavailable),
        (RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), Unavailable),
        (RPCError("no", RPCStatusCode.UNAUTHENTICATED, b""), Unavailable),
        (RPCError("no", RPCStatusCode.INVALID_ARGUMENT, b""), InvalidRequest),
        (WorkflowQueryFailedError("no"), NotOpen),
        (refused("HeadMoved"), HeadMoved),
        (refused("Unheard"), PerdureError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
async def test_what_will_not_pass_has_a_name(
    transport: TemporalTransport, error: Exception, kind: type[Exception]
) -> None:
    assert type(transport.sorted(error)) is kind


@pytest.mark.parametrize(
    ("message", "crowded"),
    [
        ("limit on number of concurrent in-flight updates has been reached (10)", True),
        ("workflow update was aborted", True),
        ("workflow operation can not be applied because workflow is closing", False),
    ],
)
async def test_too_many_updates_at_once_are_told_from_a_run_that_ends(
    transport: TemporalTransport, message: str, crowded: bool
) -> None:
    found = transport.sorted(RPCError(message, RPCStatusCode.RESOURCE_EXHAUSTED, b""))
    assert isinstance(found, TryAgain)
    assert found.crowded == crowded


async def test_the_details_of_a_refusal_cross_the_wire(transport: TemporalTransport) -> None:
    found = transport.sorted(refused("HeadMoved"))
    assert isinstance(found, HeadMoved)
    assert found.details == {"active_message_id": "m"}


async def test_a_server_that_cannot_be_reached_was_sent_nothing(transport: TemporalTransport) -> None:
    with pytest.raises(TryAgain) as caught:
        await transport.update(COMMAND, "u", timedelta(seconds=2), start=False)
    assert not caught.value.sent


async def test_a_cancellation_stays_one() -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = await Client.connect(f"127.0.0.1:{silent.getsockname()[1]}", lazy=True)
        task = asyncio.create_task(
            TemporalTransport(client, "perdure").update(COMMAND, "u", timedelta(seconds=30), start=False)
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancellation_that_comes_with_the_answer_is_one(
    transport: TemporalTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handle:
        async def execute_update(self, *_: object, **__: object) -> dict[str, object]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            return {}

    monkeypatch.setattr(transport, "_handle", lambda _: Handle())
    task = asyncio.create_task(transport.update(COMMAND, "u", timedelta(seconds=2), start=False))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_in_the_cleanup_of_a_cancelled_task_is_no_cancellation(transport: TemporalTransport) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await transport.update(COMMAND, "u", timedelta(seconds=2), start=False)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(TryAgain):
        await task


async def test_a_cancellation_of_the_cleanup_is_one() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = await Client.connect(f"127.0.0.1:{silent.getsockname()[1]}", lazy=True)
        cleaning = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await TemporalTransport(client, "perdure").update(COMMAND, "u", timedelta(seconds=30), start=False)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await cleaning.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
