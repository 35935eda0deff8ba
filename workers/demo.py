"""The demo: a conversation over real documents that survives the death of its worker."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from activities.corpora.chunking import DEFAULT_CHUNKING
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from perdure import Client, WorkingSet
from perdure.cli.session_text import citations_text, turn_text
from perdure.corpus import IngestReport
from perdure.errors import PerdureError
from workers.commands.migrate import upgrade
from workers.demo_checks import Check, look, survived
from workers.demo_crash import Crash, abandoned_tasks, interrupt
from workers.demo_talk import Talk
from workers.ingest_folder import OnProgress, ingest_folder
from workers.settings import Settings, connect_temporal
from workers.stack.stack import Stack
from workers.stack.weaviate_binary import Progress
from workers.stack.worker_process import WorkerProcess

TOKEN_BUDGET = 2000
DEFAULT_QUESTIONS = (
    "How does a workflow continue as new, and what happens to its update handlers?",
    "How are activity retries configured?",
    "How can I query a workflow from a client?",
    "What keeps workflow code deterministic in the sandbox?",
)
OTHER_QUESTIONS = (
    "What is this about?",
    "How is it configured?",
    "What can go wrong, and what happens then?",
    "How is it tested?",
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How the demo went. `ok` only if every check held."""

    ok: bool = field(init=False)
    session_id: str
    documents: IngestReport
    turns: list[dict[str, Any]]
    crash: dict[str, Any]
    checks: list[Check]
    temporal_ui: str | None
    data_dir: Path
    seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ok", all(check.ok for check in self.checks))


class Demo:
    """Runs the whole story once, in a stack of its own.

    Args:
        settings: Name the data folder of the demo's stack; what they leave out of addresses is started.
        docs: The folder to talk about, without what matches a pattern of `exclude`.
        questions: Four: the worker dies during the last.
        console: Where the story is told.
    """

    def __init__(
        self, settings: Settings, docs: Path, exclude: Sequence[str], questions: Sequence[str], console: Console
    ) -> None:
        if settings.temporal.address:  # others may poll there, and would take the turn that the demo's worker dies in
            settings = settings.model_copy(update={"task_queue": f"{settings.task_queue}-demo"})
        self._settings = settings
        self._docs, self._exclude = docs, exclude
        self._questions = questions
        self._console = console
        self._turns: list[dict[str, Any]] = []

    async def run(self, progress: Progress, on_ingest: OnProgress) -> Result:
        """Everything from the start of the servers to the last check. The servers are stopped in any case."""
        began = time.monotonic()
        async with Stack(self._settings, progress=progress) as stack:
            await asyncio.to_thread(upgrade, stack.addresses.postgres)
            worker = _worker(stack)
            await stack.add(worker)
            settings = stack.settings
            async with Engine(settings.require_database_url(), pool_size=4) as engine:
                temporal = await connect_temporal(settings)
                corpus = f"demo-{hashlib.sha256(f'{DEFAULT_CHUNKING} {self._docs}'.encode()).hexdigest()[:8]}"
                documents = await ingest_folder(
                    temporal,
                    PostgresCorpusStore(engine),
                    self._docs,
                    corpus=corpus,
                    tenant=settings.tenant,
                    task_queue=settings.task_queue,
                    exclude=self._exclude,
                    on_progress=on_ingest,
                )
                self._tell_documents(documents)
                reader = PostgresReader(engine)
                client = Client(temporal, tenant=settings.tenant, task_queue=settings.task_queue, reader=reader)
                talk, crash, checks = await self._talk(client, corpus, worker, reader)
            ui = stack.addresses.temporal_ui
            link = f"{ui}/namespaces/{settings.namespace}/workflows/{talk.session.workflow_id}" if ui else None
        return Result(
            session_id=talk.session.session_id,
            documents=documents,
            turns=self._turns,
            crash={k: getattr(crash, k) for k in ("key", "killed_after_ms", "met", "stored", "answered_after_s")},
            checks=checks,
            temporal_ui=link,
            data_dir=self._settings.data_dir,
            seconds=round(time.monotonic() - began, 1),
        )

    async def _talk(
        self, client: Client, corpus: str, worker: WorkerProcess, reader: PostgresReader
    ) -> tuple[Talk, Crash, list[Check]]:
        session = await client.start_session(
            f"demo-{uuid.uuid4().hex[:8]}",
            title=f"A talk about {self._docs.name}",
            corpus=corpus,
            config={"retrieval": {"token_budget": TOKEN_BUDGET}},
        )
        talk = Talk(session)
        self._head(f"Session {session.session_id}: three questions")
        for question in self._questions[:3]:
            answer = await talk.ask(question)
            await self._tell_turn(talk, question, answer.working_set)

        self._head("A fourth, and kill -9 for the worker in the middle of it")
        question = self._questions[3]
        abandoned = partial(abandoned_tasks, client.temporal, session.workflow_id)
        crash = await interrupt(talk, question, worker, reader, abandoned)
        await self._tell_turn(talk, question, crash.answer.working_set)
        again = await talk.send(question, crash.key)

        self._head("Suspended, and resumed by a message")
        suspended = (await session.suspend()).status
        answer = await talk.ask(self._questions[0])
        await self._tell_turn(talk, self._questions[0], answer.working_set)
        resumed = (await session.get()).status

        await self._tell_all(talk)
        checks = [
            *survived(crash, question, again),
            Check(
                "the session was suspended, and a message resumed it", (suspended, resumed) == ("suspended", "active")
            ),
            *await look(talk, reader),
        ]
        self._head("Checks")
        for check in checks:
            mark = ("✓ ", "green") if check.ok else ("✗ ", "bold red")
            self._say(Text.assemble(mark, check.what))
        return talk, crash, checks

    async def _tell_turn(self, talk: Talk, question: str, working_set: WorkingSet | None) -> None:
        """Print the question and its citations, and record an assistant message that names the best one."""
        self._say(Text.assemble(("User: ", "bold"), question))
        best = min(working_set.citations, key=lambda c: c.rank, default=None) if working_set else None
        if working_set:
            used = f"  {working_set.tokens_used} of {TOKEN_BUDGET} tokens, {len(working_set.spans)} spans"
            self._say(Text(f"{used}, {working_set.compilation_time_ms:.0f} ms"))
            if working_set.degraded:
                self._say(Text(f"  degraded: {working_set.degraded_reason}", style="yellow"))
            self._say(citations_text(working_set, top=len(working_set.citations)))
            cited = [c.model_dump(include={"path", "start_line", "end_line", "score"}) for c in working_set.citations]
            self._turns.append(
                {
                    "question": question,
                    "tokens_used": working_set.tokens_used,
                    "token_budget": TOKEN_BUDGET,
                    "context_hash": working_set.context_hash,
                    "degraded": working_set.degraded,
                    "citations": cited,
                }
            )
        found = f"See {best.path}, lines {best.start_line} to {best.end_line}." if best else "I found nothing on that."
        await talk.reply(found)
        self._say(Text.assemble(("Assistant: ", "bold"), found))
        self._say("")

    async def _tell_all(self, talk: Talk) -> None:
        self._head("History")
        self._say(Text((await talk.session.history()).text))
        self._head("Replay, each hash checked")
        async for turn in talk.session.turns(verify=False):
            self._say(turn_text(turn))

    def _tell_documents(self, report: IngestReport) -> None:
        if report.phase not in ("done", "index_behind"):
            raise PerdureError(f"The ingest of {self._docs} ended as {report.phase}: {report.error}")
        made = f"{report.created} new, {report.updated} changed, {report.skipped} unchanged, {report.failed} left out"
        self._say(Text(f"{self._docs}: {report.files} files, {made}"))

    def _head(self, text: str) -> None:
        self._say("")
        self._console.rule(Text(text, style="bold"), align="left", characters="-")

    def _say(self, what: RenderableType) -> None:
        self._console.print(what, highlight=False, soft_wrap=True)


def _worker(stack: Stack) -> WorkerProcess:
    folder = stack.settings.data_dir
    # The folder too: else the worker would take what the addresses lack from the stack of `perdure dev`.
    own = {"PERDURE_DATA_DIR": str(folder), "PERDURE_TASK_QUEUE": stack.settings.task_queue}
    return WorkerProcess(
        environment={**stack.addresses.environment(), **own},
        log=folder / "logs" / "worker.log",
    )
