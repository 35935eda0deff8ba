"""How many updates a client keeps in flight on one session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from perdure.contract import MAX_IN_FLIGHT
from perdure.transport import TryAgain

STEP = 0.1
"""Places that an answer adds: slowly, since each abort delays all that were in flight."""


class NoPlace(Exception):
    """All places were taken for as long as the call could wait."""


class Gate:
    """Places in flight on one session, given in the order in which they were asked for.

    Temporal takes ten updates at once on a workflow, over all callers, and one more aborts them all. No client knows of
    the others. So there are eight places, half as many after each such abort, and again more with each answer, as TCP
    shares a line.
    """

    def __init__(self) -> None:
        self.users = 0
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._places = MAX_IN_FLIGHT
        self._wanted = float(MAX_IN_FLIGHT)
        self._narrowed = 0

    @property
    def places(self) -> int:
        """Updates that may be in flight now."""
        return int(self._wanted)

    @asynccontextmanager
    async def place(self, seconds: float) -> AsyncIterator[None]:
        """A place, for one attempt.

        Raises:
            NoPlace: there was none within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError:
            raise NoPlace("other updates took all places in flight") from None
        narrowed = self._narrowed
        try:
            yield
        except TryAgain as error:
            if error.crowded and narrowed == self._narrowed:  # once for all that were in flight
                self._narrowed += 1
                self._wanted = max(1.0, self._wanted / 2)
            raise
        else:
            self._wanted = min(self._wanted + STEP, MAX_IN_FLIGHT)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._places -= 1
        while self._places < self.places:
            self._places += 1
            self._free.release()
