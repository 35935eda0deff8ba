"""How commands reach Temporal, and read what is given to them as JSON or on standard input."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from perdure.cli.checkout import from_checkout
from perdure.errors import InvalidRequest
from perdure.ids import is_id, not_an_id

if TYPE_CHECKING:
    from perdure.client import Client
    from perdure.handle import SessionHandle

T = TypeVar("T")


def with_client(work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` answers, given a client."""

    async def run() -> T:
        async with _client() as client:
            return await work(client)

    return asyncio.run(run())


def with_session(session_id: str, work: Callable[[SessionHandle], Awaitable[T]]) -> T:
    """What `work` answers, given a handle on the session."""

    async def run(client: Client) -> T:
        return await work(client.session(session_id))

    return with_client(run)


@asynccontextmanager
async def _client() -> AsyncIterator[Client]:
    if found := from_checkout("workers.session_client"):
        async with found.open_client() as client:
            yield client
        return
    from perdure.client import Client
    from perdure.contract import TASK_QUEUE
    from perdure.ids import DEFAULT_TENANT

    yield await Client.connect(
        tenant=os.environ.get("PERDURE_TENANT") or DEFAULT_TENANT,
        task_queue=os.environ.get("PERDURE_TASK_QUEUE") or TASK_QUEUE,
    )


def has_corpus(name: str) -> bool:
    """False when it is certain that there is none: the package alone cannot ask."""
    found = from_checkout("workers.session_client")
    return found is None or asyncio.run(found.has_corpus(name))


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """The JSON object that `option` holds; a usage error when it holds anything else."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter('not a JSON object, such as {"a": 1}', param_hint=option)
    return value


def checked_key(key: str | None) -> str | None:
    """The key that `--key` gives.

    Raises:
        InvalidRequest: it is none.
    """
    if key is not None and not is_id(key):
        raise InvalidRequest(f"--key: {not_an_id(key)}")
    return key


def text_or_stdin(argument: str) -> str:
    """The argument; for `-`, standard input without its last line end."""
    return sys.stdin.read().removesuffix("\n") if argument == "-" else argument
