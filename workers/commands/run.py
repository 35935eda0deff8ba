"""How a command works with the settings of the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from workers.settings import Settings

T = TypeVar("T")


def run(work: Callable[[Settings], Awaitable[T]]) -> T:
    """What `work` answers, with the settings of the environment.

    Raises:
        PerdureError: PostgreSQL or Temporal does not answer, or not as it should; it says what to do.
    """
    from temporalio.service import RPCError

    from workers import temporal_errors
    from workers.settings import Settings

    async def loaded() -> T:
        settings = Settings.load()
        try:
            return await work(settings)
        except RPCError as error:
            raise temporal_errors.explained(error, settings) from error

    return asyncio.run(loaded())
