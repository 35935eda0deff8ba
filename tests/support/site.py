"""Where a fault test takes place: a stack, worker processes, clients, and a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client as TemporalClient

from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from perdure import Client, SessionConfig
from perdure.ids import workflow_id
from tests.support.check import ANSWER_SECONDS, check
from tests.support.ledger import Ledger
from tests.support.observed import Observed
from tests.support.runs import RETRIED, TIMED_OUT, troubles
from tests.support.stack import database
from workers.database_errors import explained
from workers.ingest_folder import ingest_folder
from workers.settings import Settings, connect_temporal
from workers.stack.stack import Stack
from workers.stack.worker_process import WorkerProcess
from workers.worker import running_worker

STALLED = "a worker was waited for in vain"
REPEATED = "an activity was repeated"
DISTURBED = "a post was in flight"
AMONG = "a fault fell among posts in flight"
OUTLIVED = "a post in flight was accepted all the same"


class Site:
    """One test's tenant, database and task queue on a stack, with the workers it starts.

    `client` is Perdure's; `bare` is Temporal's own, with the retries that it makes by itself. `engine` is the test's
    own, and no worker's.
    """

    def __init__(
        self,
        stack: Stack,
        settings: Settings,
        client: Client,
        bare: TemporalClient,
        engine: Engine,
        folder: Path,
    ) -> None:
        self.stack = stack
        self.settings = settings
        self.client = client
        self.bare = bare
        self.engine = engine
        self.reader = PostgresReader(engine)
        self.folder = folder
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.workers: list[WorkerProcess] = []

    async def start_worker(self, *, module: str = "workers.worker", **settings: str) -> WorkerProcess:
        """Start another worker process, with `settings` (`max_cached_workflows="1"`) of its own."""
        worker = WorkerProcess(
            environment={
                **self.stack.addresses.environment(),
                "PERDURE_DATABASE_URL": self.settings.require_database_url(),
                "PERDURE_TASK_QUEUE": self.settings.task_queue,
                "PERDURE_DATA_DIR": str(self.folder),
                **{f"PERDURE_{name.upper()}": value for name, value in settings.items()},
            },
            log=self.folder / f"worker-{len(self.workers)}.log",
            module=module,
        )
        self.workers.append(worker)
        await worker.start()
        return worker

    @asynccontextmanager
    async def worker_here(self, **settings: object) -> AsyncIterator[None]:
        """A worker in this process, for tests in which none dies."""
        brisk = self.settings.model_copy(update={"graceful_shutdown_timeout": timedelta(seconds=1), **settings})
        async with running_worker(brisk, self.bare):
            yield

    async def sessions(self, number: int, config: SessionConfig | None = None) -> list[str]:
        """Open sessions with that config; their ids."""
        names = [f"s{index}" for index in range(number)]
        await asyncio.gather(*(self.client.start_session(name, config=config) for name in names))
        return names

    def workflow_id(self, session_id: str) -> str:
        """The workflow id of a session of this site."""
        return workflow_id(self.settings.tenant, session_id)

    def patient(self, *, timeout: float, rpc_timeout: float = 5) -> Client:
        """A client that gives a call up after `timeout` seconds."""
        return Client(
            self.client.temporal,
            tenant=self.settings.tenant,
            task_queue=self.settings.task_queue,
            reader=self.reader,
            timeout=timedelta(seconds=timeout),
            rpc_timeout=timedelta(seconds=rpc_timeout),
        )

    async def check(self, met: Mapping[str, int]) -> dict[str, Observed]:
        """Count what shows that the faults were met, and check the ledger."""
        counts: Counter[str] = Counter()
        for session_id in self.ledger.sessions:
            counts += await troubles(self.client.temporal, self.workflow_id(session_id))
        self.ledger.met[STALLED] = counts[TIMED_OUT]
        self.ledger.met[REPEATED] = counts[RETRIED]
        self.ledger.met[DISTURBED] = self.ledger.disturbed()
        self.ledger.met[AMONG] = self.ledger.among_posts()
        self.ledger.met[OUTLIVED] = self.ledger.disturbed(accepted=True)
        return await check(self.ledger, self.patient(timeout=ANSWER_SECONDS), self.client, self.reader, met=met)

    async def ingest(self, folder: Path, corpus: str) -> None:
        """Fill a corpus of the tenant; a worker must run."""
        await ingest_folder(
            self.bare,
            PostgresCorpusStore(self.engine),
            folder,
            corpus=corpus,
            tenant=self.settings.tenant,
            task_queue=self.settings.task_queue,
        )

    def logs(self) -> Sequence[Path]:
        """What the workers wrote."""
        return [worker.log for worker in self.workers]


@asynccontextmanager
async def site_on(stack: Stack, settings: Settings, folder: Path) -> AsyncIterator[Site]:
    """A site without workers; at the end those that were started are gone."""
    async with Engine(settings.require_database_url(), explain=explained) as engine:
        client = await Client.connect(
            stack.addresses.temporal,
            namespace=stack.addresses.namespace,
            tenant=settings.tenant,
            task_queue=settings.task_queue,
            reader=PostgresReader(engine),
        )
        site = Site(stack, settings, client, await connect_temporal(stack.settings), engine, folder)
        try:
            yield site
        finally:
            await asyncio.gather(*(worker.kill() for worker in site.workers))
            site.ledger.close()


@asynccontextmanager
async def shared_worker(stack: Stack, template_database: str) -> AsyncIterator[Settings]:
    """Settings of a worker in this process that many tests share; each test has a tenant of its own there."""
    name = "shared"
    async with database(stack, template_database) as url:
        settings = stack.settings.model_copy(update={"database_url": url, "task_queue": name})
        folder = stack.settings.data_dir / name
        folder.mkdir()
        async with site_on(stack, settings, folder) as site, site.worker_here():
            yield settings
