"""Waiting for what comes true by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], Awaitable[T]], *, within: float = 30.0) -> T:
    """What `check` answers once it neither raises nor answers something false; polled for `within` seconds.

    Raises:
        AssertionError: it never did; the last exception is its cause.
    """
    deadline = time.monotonic() + within
    while True:
        problem: Exception | None = None
        try:
            if value := await check():
                return value
        except Exception as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s") from problem
        await asyncio.sleep(0.05)
