"""Workflows to be recorded that run beside sessions: ingest, purge, recompilation."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from perdure.contract import RECOMPILE_WORKFLOW
from perdure.corpus import ingest_workflow_id
from perdure.ids import DEFAULT_TENANT
from perdure.recompile import Recompile, recompile_workflow_id
from tests.replay.saved import save
from tests.replay.sessions import start
from workers.ingest_folder import ingest_folder, reindex
from workers.settings import Settings
from workers.worker import running_worker
from workflows.recompile import PAGE_TURNS

DOCUMENTS = {
    "fruit.txt": "There are 100 apples in the basket.\nPears are kept in the cellar.\n",
    "memory.md": "# Memory\n\nOwnership frees memory without a garbage collector.\n",
}
CORPUS = "few"
NO_INDEX = "http://127.0.0.1:9"
"""Where no span index is."""


async def _ingest(client: Client, settings: Settings, corpus: str) -> None:
    async with Engine(settings.require_database_url()) as engine:
        with tempfile.TemporaryDirectory() as name:
            folder, store = _write(Path(name)), PostgresCorpusStore(engine)
            await ingest_folder(client, store, folder, corpus=corpus, task_queue=settings.task_queue)


def _write(folder: Path) -> Path:
    for name, text in DOCUMENTS.items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    return folder


async def _ingested(client: Client, settings: Settings, name: str) -> None:
    """A small folder."""
    async with running_worker(settings, client):
        await _ingest(client, settings, name)
        await client.get_workflow_handle(ingest_workflow_id(DEFAULT_TENANT, name)).result()
    await save(client, name, ingest_workflow_id(DEFAULT_TENANT, name))


async def _reindexed(client: Client, settings: Settings, name: str) -> None:
    """The corpus's index is made anew."""
    async with running_worker(settings, client):
        await _ingest(client, settings, name)
        await client.get_workflow_handle(ingest_workflow_id(DEFAULT_TENANT, name)).result()
        await reindex(client, corpus=name, task_queue=settings.task_queue)
        await client.get_workflow_handle(ingest_workflow_id(DEFAULT_TENANT, name)).result()
    await save(client, name, ingest_workflow_id(DEFAULT_TENANT, name))


async def _published_without_index(client: Client, settings: Settings, name: str) -> None:
    """The index is away: the version is published all the same, and the index is waited for."""
    away = settings.model_copy(update={"weaviate_url": NO_INDEX})
    async with running_worker(away, client):
        await _ingest(client, away, name)
        await save(client, name, ingest_workflow_id(DEFAULT_TENANT, name))
        await client.get_workflow_handle(ingest_workflow_id(DEFAULT_TENANT, name)).terminate()


async def _purged(client: Client, settings: Settings, name: str) -> None:
    """A session is deleted, and its run removed."""
    async with running_worker(settings, client):
        session = await start(client, name, queue=settings.task_queue)
        await session.execute_update("add_user_message", {"content": "Hello"})
        await session.execute_update("delete")
        await session.result()
        purge = f"purge:{DEFAULT_TENANT}:{name}"
        await client.get_workflow_handle(purge).result()
    await save(client, name, purge)


async def _recompiled(client: Client, settings: Settings, name: str) -> None:
    """One turn more than a page holds."""
    request = Recompile(session_id=name)
    recompile = recompile_workflow_id(DEFAULT_TENANT, name, "again")
    async with running_worker(settings, client):
        await _ingest(client, settings, CORPUS)
        session = await start(client, name, queue=settings.task_queue, config={"corpus": CORPUS})
        for number in range(PAGE_TURNS + 1):
            await session.execute_update("add_user_message", {"content": "Where are the pears?"}, id=f"m{number}")
        body: Any = request.model_dump(mode="json")
        await client.execute_workflow(RECOMPILE_WORKFLOW, body, id=recompile, task_queue=settings.task_queue)
    await save(client, name, recompile)


BESIDE: Mapping[str, Callable[[Client, Settings, str], Awaitable[None]]] = {
    "ingested": _ingested,
    "published_without_index": _published_without_index,
    "reindexed": _reindexed,
    "purged": _purged,
    "recompiled": _recompiled,
}
