"""The worker process: builds everything from the settings, polls, and leaves in order on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import uvloop
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.purge import PurgeActivities
from activities.session import SessionActivities
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.migrate import current_and_head, is_newer
from activities.stores.session_reader import PostgresReader
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from activities.working_sets.recompile import RecompileActivities
from perdure.errors import PerdureError
from workers import telemetry
from workers.compiler_metrics import CompilerMetrics
from workers.retrieval import compiler_of, open_embedder, open_index, texts_at_once
from workers.runner import SessionRunner
from workers.settings import Settings, connect_temporal
from workers.temporal_errors import explained
from workflows.ingest import IngestCorpus
from workflows.purge import PurgeSession
from workflows.recompile import RecompileSession
from workflows.session import SessionWorkflow

logger = logging.getLogger(__name__)

LAST_STEPS = timedelta(seconds=5)
"""What a worker has after its `graceful_shutdown_timeout` to cancel what still runs, and to close."""


@asynccontextmanager
async def running_worker(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    """A worker that polls `settings.task_queue`, with its stores; all closed in order at the end."""
    async with AsyncExitStack() as resources:
        engine = await resources.enter_async_context(Engine(settings.require_database_url()))
        embedder = await resources.enter_async_context(open_embedder(settings))
        index = await resources.enter_async_context(open_index(settings, embedder))
        corpora = PostgresCorpusStore(engine)
        compiler = compiler_of(corpora, index, embedder, CompilerMetrics(telemetry.meter()))
        resources.push_async_callback(compiler.close)
        reader = PostgresReader(engine)
        sessions = SessionActivities(PostgresSessionStore(engine), reader, compiler, count)
        worker = Worker(
            client,
            task_queue=settings.task_queue,
            workflows=[SessionWorkflow, PurgeSession, IngestCorpus, RecompileSession],
            activities=[
                *sessions.all(),
                *CorpusActivities(corpora, embedder, texts_at_once=texts_at_once(settings)).all(),
                *IndexActivities(corpora, index, embedder.id, retention=settings.corpus_retention).all(),
                *RecompileActivities(reader, compiler).all(),
                PurgeActivities(client).purge_runs,
            ],
            workflow_runner=SessionRunner(),
            max_cached_workflows=settings.max_cached_workflows,
            max_concurrent_local_activities=settings.max_concurrent_local_activities,
            # A killed worker's sessions move to another one within this time, at the price of a replay.
            sticky_queue_schedule_to_start_timeout=settings.sticky_timeout,
            graceful_shutdown_timeout=settings.graceful_shutdown_timeout,
        )
        await resources.enter_async_context(worker)
        yield worker


async def run(settings: Settings) -> None:
    """Poll until SIGTERM or SIGINT; one JSON line on stdout says when the worker is ready."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    client = await connect_temporal(settings)
    await _require_namespace(client, settings)
    await _require_schema(settings.require_database_url())
    async with running_worker(settings, client):
        gc.collect()
        gc.freeze()  # what is loaded now stays: the collector need not look at it, and looks at sessions sooner
        print(json.dumps({"ready": True, "pid": os.getpid(), "task_queue": settings.task_queue}), flush=True)
        await stopped.wait()
        logger.info("stopping")
        leave = threading.Timer((settings.graceful_shutdown_timeout + LAST_STEPS).total_seconds(), _leave)
        leave.daemon = True
        leave.start()
    leave.cancel()


def _leave() -> None:
    # A commit that waits for a lock in PostgreSQL is not cancelled, and may wait for ever. It is as safe as SIGKILL.
    logger.error("the worker did not end in time: what it was doing is left to another one")
    os._exit(1)


async def _require_namespace(client: Client, settings: Settings) -> None:
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), retry=True
        )
    except RPCError as error:
        raise explained(error, settings) from error


async def _require_schema(database_url: str) -> None:
    try:
        current, head = await asyncio.to_thread(current_and_head, database_url)
    except SQLAlchemyError as error:  # sessions wait for it, as they do when it goes away later
        logger.warning("the schema was not looked at: %s", error)
        return
    if current != head and not is_newer(current):  # a newer one: while a newer program takes over
        raise PerdureError(f"The schema is at {current}, and this worker needs {head}. Run `perdure migrate`.")


def serve(settings: Settings) -> None:
    """Run a worker in this process until it is told to stop.

    Raises:
        Unavailable: Temporal does not answer or has no such namespace, or no database is set.
        PerdureError: the database's schema is older than this program's.
    """
    telemetry.log_to_stderr(settings.log_level, settings.log_format)
    telemetry.start("perdure-worker")
    try:
        uvloop.run(run(settings))
    finally:
        telemetry.stop()


def main() -> None:
    """`python -m workers.worker`, as the local stack starts it."""
    code = 0
    try:
        serve(Settings.load())
    except PerdureError as error:
        logger.error("the worker stopped: %s", error.message)
        code = 1
    except Exception:
        logger.exception("the worker stopped")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK's threads can abort the interpreter while it shuts down: https://github.com/temporalio/sdk-python/issues/300
    os._exit(code)


if __name__ == "__main__":
    main()
