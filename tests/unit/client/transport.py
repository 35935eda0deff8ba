"""A transport that plays a script: one outcome for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from perdure.transport import Command, Run

Outcome = dict[str, Any] | Exception | Callable[[], dict[str, Any]]


class Sent(NamedTuple):
    """An attempt at a command; `start` is the input of the run that it may start."""

    body: dict[str, Any]
    update_id: str
    start: dict[str, Any] | None = None


class Script:
    """Answers each attempt with the next outcome of the script, and the last one for ever; notes what was sent."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.updates: list[Sent] = []
        self.timeouts: list[timedelta] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.gate: asyncio.Event | None = None

    async def update(self, command: Command, update_id: str, timeout: timedelta, *, start: bool) -> Any:
        self.updates.append(Sent(command.body, update_id, command.revive if start else None))
        self.timeouts.append(timeout)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.gate is not None:
                await self.gate.wait()
            return self._next()
        finally:
            self.in_flight -= 1

    async def query(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> Any:
        self.timeouts.append(timeout)
        return self._next()

    async def signal(self, workflow_id: str, name: str, body: dict[str, Any], timeout: timedelta) -> None:
        self._next()

    async def run(self, run: Run, timeout: timedelta) -> Any:
        self.timeouts.append(timeout)
        return self._next()

    async def trouble(self) -> str:
        return "Nobody is there."

    def _next(self) -> dict[str, Any]:
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome if isinstance(outcome, dict) else outcome()
