"""Deployments of a test's own, and clients of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionStatus

from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from perdure import Client
from tests.retrieval.conftest import write
from workers.ingest_folder import ingest_folder
from workers.settings import Settings
from workers.worker import running_worker

PATIENT = {"retrieval": {"retrieval_timeout": 15}}
"""A session's config for where no server is hurt: the machine may be slow."""


@dataclass
class Service:
    """A deployment of the test's own: settings, and how to reach it."""

    settings: Settings
    temporal: TemporalClient
    engine: Engine

    @property
    def reader(self) -> PostgresReader:
        """One that reads past the workflow."""
        return PostgresReader(self.engine)

    def client(self, **arguments: Any) -> Client:
        """A client without a reader, unless one is given."""
        return Client(self.temporal, tenant=self.settings.tenant, task_queue=self.settings.task_queue, **arguments)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """A worker that polls inside the block."""
        async with running_worker(self.settings, self.temporal):
            yield

    async def archived(self, workflow_id: str) -> bool:
        """Whether the session's newest run has ended."""
        described = await self.temporal.get_workflow_handle(workflow_id).describe()
        return described.status == WorkflowExecutionStatus.COMPLETED


@pytest.fixture
async def idle_service(settings: Settings, temporal_client: TemporalClient) -> AsyncIterator[Service]:
    """A deployment without a worker."""
    brisk = settings.model_copy(update={"graceful_shutdown_timeout": timedelta(seconds=1)})
    async with Engine(brisk.require_database_url()) as engine:
        yield Service(brisk, temporal_client, engine)


@pytest.fixture
async def service(shared_settings: Settings, temporal_client: TemporalClient, unique: str) -> AsyncIterator[Service]:
    """A tenant of the test's own, served by the shared worker."""
    settings = shared_settings.model_copy(update={"tenant": unique})
    async with Engine(settings.require_database_url()) as engine:
        yield Service(settings, temporal_client, engine)


@pytest.fixture
def client(service: Service) -> Client:
    """A client with nothing but Temporal."""
    return service.client()


class Ingest(Protocol):
    """Brings documents into a corpus of the test's tenant, and answers its version."""

    async def __call__(self, documents: dict[str, str], corpus: str = "docs") -> int: ...


@pytest.fixture
def ingest(service: Service, tmp_path: Path) -> Ingest:
    """Each corpus has a folder, which keeps what was brought before."""

    async def ingest(documents: dict[str, str], corpus: str = "docs") -> int:
        report = await ingest_folder(
            service.temporal,
            PostgresCorpusStore(service.engine),
            write(tmp_path / "corpora" / corpus, documents),
            corpus=corpus,
            tenant=service.settings.tenant,
            task_queue=service.settings.task_queue,
        )
        return report.version

    return ingest
