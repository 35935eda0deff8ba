"""Corpora on real servers: a worker for ingest, a store, an index, a compiler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.embedder import MiniLm
from activities.ports import Embedder
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.weaviate_index import WeaviateIndex
from activities.working_sets.compiler import WorkingSetCompiler
from perdure.corpus import IngestReport
from perdure.working_set import CompilerConfig, WorkingSet
from workers.ingest_folder import ingest_folder
from workers.stack.stack import Stack
from workflows.ingest import IngestCorpus

PATIENT = timedelta(seconds=15)
"""What a compilation waits for the index where no server is hurt: the machine may be slow."""


@dataclass(frozen=True)
class Corpora:
    """One tenant's corpora, with all that fills and reads them."""

    client: Client
    engine: Engine
    store: PostgresCorpusStore
    index: WeaviateIndex
    embedder: Embedder
    compiler: WorkingSetCompiler
    tenant: str
    task_queue: str

    async def ingest(
        self, folder: Path, corpus: str = "docs", *, chunking: str | None = None, prune: bool = False
    ) -> IngestReport:
        return await ingest_folder(
            self.client,
            self.store,
            folder,
            corpus=corpus,
            tenant=self.tenant,
            task_queue=self.task_queue,
            chunking=chunking,
            prune=prune,
        )

    async def compile(
        self, query: str, corpus: str = "docs", config: CompilerConfig | None = None, explain: bool = False
    ) -> WorkingSet:
        config = config or CompilerConfig()
        if "retrieval_timeout" not in config.model_fields_set:
            config = config.model_copy(update={"retrieval_timeout": PATIENT})
        return await self.compiler.compile(
            tenant=self.tenant, corpus=corpus, query=query, config=config, explain=explain
        )


@pytest.fixture(scope="session")
def embedder() -> MiniLm:
    return MiniLm()


@pytest.fixture
async def corpora(
    stack: Stack, database_url: str, temporal_client: Client, unique: str, embedder: Embedder
) -> AsyncIterator[Corpora]:
    """A worker on a task queue of its own, which is also the tenant's name."""
    async with corpora_with(embedder, stack, database_url, temporal_client, unique) as corpora:
        yield corpora


@asynccontextmanager
async def corpora_with(
    embedder: Embedder, stack: Stack, database_url: str, client: Client, tenant: str, task_queue: str | None = None
) -> AsyncIterator[Corpora]:
    """A worker that has `embedder`."""
    assert stack.addresses.weaviate is not None
    async with Engine(database_url, pool_size=8) as engine:
        store = PostgresCorpusStore(engine)
        index = WeaviateIndex(stack.addresses.weaviate, stack.addresses.weaviate_grpc_port, embedder.id)
        queue = task_queue or tenant
        activities = [*CorpusActivities(store, embedder).all(), *IndexActivities(store, index, embedder.id).all()]
        async with Worker(client, task_queue=queue, workflows=[IngestCorpus], activities=activities):
            compiler = WorkingSetCompiler(store, index, embedder)
            yield Corpora(client, engine, store, index, embedder, compiler, tenant, queue)
        await index.close()


DOCUMENTS = {
    "memory.md": "# Memory\n\nOwnership frees memory without a garbage collector.\n\n## Borrowing\n\nBorrows end.\n",
    "fruit.txt": "There are 100 apples in the basket.\nPears are kept in the cellar.\n",
    "src/stop.py": "def stop_worker(worker):\n    worker.shutdown()\n\n\ndef start_worker():\n    return Worker()\n",
    "windows.txt": "first line\r\nsecond line\r\nno line end at the end",
    "empty.txt": "",
    "emoji.txt": "👩‍👩‍👧 a family\n中文文本\nשלום\u200b\n",
}


def write(folder: Path, documents: dict[str, str]) -> Path:
    """`documents` as files of `folder`."""
    for path, content in documents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few small documents, unusual ones among them."""
    return write(tmp_path / "docs", DOCUMENTS)
