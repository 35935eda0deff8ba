"""Calls to a session's workflow: bounded in time and in number, and sent again with the same body until answered."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from pydantic_core import to_json

from perdure.contract import check_request_size
from perdure.errors import InvalidRequest, OutcomeUnknown, PerdureError, SessionNotFound, Unavailable
from perdure.fields import check_durations
from perdure.gate import Gate, NoPlace
from perdure.transport import Command, NotOpen, Run, Transport, TryAgain

FIRST_PAUSE = timedelta(milliseconds=50)
LONGEST_PAUSE = timedelta(seconds=2)
LONG_POLL = timedelta(seconds=20)
"""How long one attempt to get a workflow's result waits."""

T = TypeVar("T")


class Calls:
    """Sends commands and queries, and sends them again while that can help.

    At most eight updates are in flight on one session, and fewer while other clients use it too. An attempt that got no
    answer is repeated under the same update id, so that it joins the first one where that still waits.
    """

    def __init__(self, transport: Transport, *, rpc_timeout: timedelta, timeout: timedelta) -> None:
        check_durations(rpc_timeout=rpc_timeout, timeout=timeout)
        self._transport = transport
        self.rpc_timeout = rpc_timeout
        self.timeout = timeout
        self._gates: dict[str, Gate] = {}

    @property
    def waiting(self) -> int:
        """Updates in flight or waiting for their turn, over all sessions."""
        return sum(gate.users for gate in self._gates.values())

    async def update(self, command: Command) -> Any:
        """The command's answer, as JSON.

        Raises:
            Refused: by its name; nothing happened.
            Busy: refused for now; nothing happened.
            OutcomeUnknown: no answer within the timeout, though it may have been sent.
            Unavailable: it was never sent, or it is a read.
        """
        _check_size(command.body)
        with self._gate(command.workflow_id) as gate:
            return await self._send(command, gate)

    async def _send(self, command: Command, gate: Gate) -> Any:
        clock = _Clock(self.timeout)
        update_id, start, sent = str(uuid.uuid4()), command.at_once, False
        reason: Exception
        while True:
            try:
                async with gate.place(clock.left):
                    return await self._transport.update(
                        command, update_id, clock.attempt(self.rpc_timeout), start=start
                    )
            except NoPlace as error:
                reason = error
                if not sent:
                    raise Unavailable(
                        f"{gate.places} updates of this client have waited for {command.workflow_id} for "
                        f"{self.timeout.total_seconds():g} s. This one was not sent. Send it later.",
                        workflow_id=command.workflow_id,
                    ) from None
            except NotOpen as error:
                reason = error
                fresh = not start
                update_id, start = str(uuid.uuid4()), True
                if fresh and clock.left:
                    continue
            except TryAgain as error:
                reason = error
                sent = sent or error.sent
                if error.ended:
                    update_id = str(uuid.uuid4())
            except SessionNotFound as error:
                if not command.at_once:
                    raise
                reason = error  # of a run that was to restore the session, and that this start joined as it ended
                update_id = str(uuid.uuid4())
            except Unavailable as error:  # an attempt before it may have had its effect
                if not sent:
                    raise
                raise await self._gave_up(command, sent, error) from error
            if not await clock.pause():
                raise await self._gave_up(command, sent, reason) from reason

    async def query(self, workflow_id: str, name: str, body: dict[str, Any], *, patient: bool) -> Any:
        """An open run's answer, as JSON; one attempt only, unless `patient`.

        Raises:
            NotOpen: no open run can answer.
            Unavailable: no answer in time.
        """
        clock = _Clock(self.timeout if patient else self.rpc_timeout)
        return await self._again(
            workflow_id, clock, lambda: self._transport.query(workflow_id, name, body, clock.attempt(self.rpc_timeout))
        )

    async def signal(self, workflow_id: str, name: str, body: dict[str, Any]) -> None:
        """Send a signal; it may arrive twice.

        Raises:
            NotOpen: no open run can take it.
            Unavailable: Temporal did not take it in time.
        """
        clock = _Clock(self.timeout)
        return await self._again(
            workflow_id, clock, lambda: self._transport.signal(workflow_id, name, body, clock.attempt(self.rpc_timeout))
        )

    async def run(self, run: Run) -> Any:
        """The result of a workflow that changes nothing, as JSON, waited for as long as it may take.

        Raises:
            Unavailable: no result by then.
        """
        clock = _Clock(run.longest)
        return await self._again(run.workflow_id, clock, lambda: self._transport.run(run, clock.attempt(LONG_POLL)))

    async def read(self, answer: Awaitable[T]) -> T:
        """What a reader answers.

        Raises:
            Unavailable: no answer within the timeout.
        """
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                return await answer
        except TimeoutError as error:
            raise Unavailable(
                f"The reader gave no answer within {self.timeout.total_seconds():g} s. Check that PostgreSQL answers, "
                "and try again."
            ) from error

    async def _again(self, workflow_id: str, clock: _Clock, attempt: Callable[[], Awaitable[T]]) -> T:
        """The first attempt's answer that there is."""
        while True:
            try:
                return await attempt()
            except TryAgain as error:
                if not await clock.pause():
                    raise await self._no_answer(workflow_id, clock.total, error) from error

    async def _gave_up(self, command: Command, sent: bool, reason: Exception) -> PerdureError:
        if not sent or command.key is None:
            return await self._no_answer(command.workflow_id, self.timeout, reason)
        return OutcomeUnknown(
            f"No answer to {command.name} within {self.timeout.total_seconds():g} s ({reason}). "
            f"{await self._transport.trouble()} It may have been carried out, or be so later: send it again with the "
            f"same key, {command.key!r}.",
            key=command.key,
            command=command.name,
            reason=str(reason),
        )

    async def _no_answer(self, workflow_id: str, waited: timedelta, reason: Exception) -> Unavailable:
        return Unavailable(
            f"No answer from {workflow_id} within {waited.total_seconds():g} s ({reason}). "
            f"{await self._transport.trouble()} Try again.",
            workflow_id=workflow_id,
            reason=str(reason),
        )

    @contextmanager
    def _gate(self, workflow_id: str) -> Iterator[Gate]:
        gate = self._gates.setdefault(workflow_id, Gate())
        gate.users += 1
        try:
            yield gate
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[workflow_id]


class _Clock:
    """The time that a call has, and its pauses: each longer than the last, and none like another's."""

    def __init__(self, total: timedelta) -> None:
        self.total = total
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + total.total_seconds()
        self._pause = FIRST_PAUSE.total_seconds()

    @property
    def left(self) -> float:
        """Seconds, 0 at the least."""
        return max(0.0, self._deadline - self._loop.time())

    def attempt(self, longest: timedelta) -> timedelta:
        """The time that the next attempt has."""
        return max(min(longest, timedelta(seconds=self.left)), timedelta(milliseconds=10))

    async def pause(self) -> bool:
        """Wait before the next attempt; false, at once, when there is no time for one."""
        seconds = self._pause * random.uniform(0.5, 1)
        self._pause = min(2 * self._pause, LONGEST_PAUSE.total_seconds())
        if seconds >= self.left:
            return False
        await asyncio.sleep(seconds)
        return True


def _check_size(body: dict[str, Any]) -> None:
    try:
        size = len(to_json(body))
    except ValueError as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}") from None
    check_request_size(size)
