"""What `perdure doctor` checks: each thing that a session depends on, by a real call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import TypeVar

import httpx
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from activities.stores.migrate import current_and_head, is_newer
from activities.stores.weaviate_index import COLLECTION
from perdure import attributes
from perdure.errors import PerdureError
from perdure.pollers import pollers
from workers import search_attributes
from workers.retrieval import open_embedder
from workers.settings import Settings, connect_temporal
from workers.temporal_errors import next_step

T = TypeVar("T")

TIMEOUT = timedelta(seconds=15)
_SETTINGS = {
    "postgres": "PERDURE_DATABASE_URL",
    "weaviate": "PERDURE_WEAVIATE_URL",
    "embedder": "PERDURE_EMBEDDER_URL",
}
"""Where the address of a check's server comes from, where that is not Temporal."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found. `next_step` says what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    next_step: str | None = None


class Problem(Exception):
    """A check failed, and this is what to do."""

    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__(detail)
        self.next_step = next_step


async def check_all(settings: Settings) -> list[Finding]:
    """Run every check at once, each for 15 s at most."""
    checks = {
        "temporal": _temporal,
        "search attributes": _search_attributes,
        "postgres": _postgres,
        "weaviate": _weaviate,
        "embedder": _embedder,
        "worker": _worker,
    }
    return await asyncio.gather(*(_find(name, check, settings) for name, check in checks.items()))


async def _find(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            return Finding(name=name, ok=True, detail=await check(settings))
    except Problem as problem:
        return Finding(name=name, ok=False, detail=str(problem), next_step=problem.next_step)
    except RPCError as error:  # Temporal answers, but refuses
        return Finding(name=name, ok=False, detail=error.message, next_step=next_step(error, settings))
    except PerdureError as error:  # says itself what to do
        return Finding(name=name, ok=False, detail="unavailable", next_step=error.message)
    except TimeoutError:
        seconds = f"{TIMEOUT.total_seconds():g}"
        return Finding(name=name, ok=False, detail=f"no answer within {seconds} s", next_step="Look at its log.")
    except Exception as error:  # whatever the answer of a server that is none of ours leads to
        detail = " ".join(f"unexpected answer: {type(error).__name__}: {error}".split())
        setting = _SETTINGS.get(name, "TEMPORAL_ADDRESS")
        advice = f"Check that {setting} leads to it and not to another server, and look at its log."
        return Finding(name=name, ok=False, detail=detail, next_step=advice)


async def _temporal(settings: Settings) -> str:
    client = await connect_temporal(settings)
    await client.count_workflows()
    return f"{settings.temporal_address}, namespace {settings.namespace}"


async def _search_attributes(settings: Settings) -> str:
    missing = await search_attributes.missing(await connect_temporal(settings))
    if missing:
        raise Problem(f"missing: {', '.join(missing)}", "Run `perdure migrate`.")
    return f"all {len(attributes.ALL)} registered"


async def _postgres(settings: Settings) -> str:
    try:
        current, head = await _aside(current_and_head, settings.require_database_url())
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise Problem(cause, "Check PERDURE_DATABASE_URL, or start a local stack with `perdure dev`.") from error
    if is_newer(current):
        raise Problem(f"schema at {current}, made by a newer Perdure", "Update this program.")
    if current != head:
        raise Problem(f"schema at {current}, this program needs {head}", "Run `perdure migrate`.")
    return f"schema at {current}"


async def _aside(work: Callable[[str], T], argument: str) -> T:
    """What `work` answers. Unlike a thread of asyncio's own, one that hangs keeps nothing from ending."""
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()

    def run() -> None:
        try:
            answer.set_result(work(argument))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(answer)


async def _weaviate(settings: Settings) -> str:
    url = settings.weaviate_url
    if not url:
        raise Problem("none: working sets are degraded", "Set PERDURE_WEAVIATE_URL, or start a local stack.")
    key = settings.weaviate_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=None, follow_redirects=True) as client:
            answer = await client.get(f"{url}/v1/schema/{COLLECTION}", headers=headers)
    except httpx.NetworkError as error:
        raise Problem(f"{url}: {error}", "Check PERDURE_WEAVIATE_URL, or start a local stack.") from error
    if answer.status_code == 404:
        return f"{url}, collection {COLLECTION} not made yet; the first `perdure corpus ingest` makes it"
    if answer.is_error:
        raise Problem(
            f"{url}: HTTP {answer.status_code} {answer.reason_phrase}",
            "Check PERDURE_WEAVIATE_API_KEY and the server's log.",
        )
    return f"{url}, collection {COLLECTION} with vectors {', '.join(answer.json().get('vectorConfig', {}))}"


async def _embedder(settings: Settings) -> str:
    local = settings.embedder_url is None
    try:
        async with open_embedder(settings) as embedder:
            await embedder.embed(["a text"])
            return f"{embedder.id}, dimension {embedder.id.dimension}" + (" (local)" if local else "")
    except Exception as error:  # whatever a model's runtime raises
        raise Problem(
            str(error), "Install `perdure[server]` again." if local else "Check PERDURE_EMBEDDER_*."
        ) from error


async def _worker(settings: Settings) -> str:
    found = await pollers(await connect_temporal(settings), settings.task_queue)
    if not found:
        raise Problem(f"nobody polls the task queue {settings.task_queue}", "Start one with `perdure worker`.")
    return f"{len(found)} on the task queue {settings.task_queue}"
