"""The ingest workflow: staged files become a new version of a corpus, or the corpus's index is made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.corpora.ingest import (
    BEGIN,
    FILES,
    INDEX,
    PUBLISH,
    REBUILD,
    TIDY,
    Begun,
    Publish,
    Published,
    Rebuilt,
    Step,
    Stepped,
    Target,
    Upload,
)
from perdure.contract import INGEST_WORKFLOW
from perdure.corpus import GET_PROGRESS, Ingest, IngestReport

_LONG = timedelta(hours=6)
_SILENCE = timedelta(seconds=90)
"""How long an activity may be silent: Weaviate may take a minute to refuse a batch."""
_SILENCE_EMBEDDING = timedelta(seconds=30)
"""Each batch of texts is told of, and an embedder answers or gives up sooner; a killed worker is noticed after this."""
_UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(seconds=10))
_A_FEW_TIMES = RetryPolicy(maximum_attempts=3)


@workflow.defn(name=INGEST_WORKFLOW)
class IngestCorpus:
    """One at a time for a corpus, by its workflow id. Readers see the old version until the new one is whole."""

    @workflow.init
    def __init__(self, request: Ingest) -> None:
        self._request = request
        self._report = request.report

    @workflow.query(name=GET_PROGRESS, description="How far the ingest is.")
    def progress(self) -> IngestReport:
        return self._report

    @workflow.run
    async def run(self, request: Ingest) -> IngestReport:
        try:
            if request.upload_id is None:
                await self._rebuild()
            else:
                report = request.report
                upload = Upload(
                    tenant=request.tenant,
                    corpus=request.corpus,
                    upload_id=request.upload_id,
                    chunking=request.chunking,
                    rows=report.files if request.prune else report.files - report.failed,
                )
                await self._ingest(upload)
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError):
                raise error.cause from error
            raise
        self._note(phase="done")
        return self._report

    async def _ingest(self, upload: Upload) -> None:
        begun: Begun = await self._do(BEGIN, upload, Begun)
        if self._request.after < 0:
            self._note(phase="embedding", files=self._report.failed + begun.files)
        after, done = self._request.after, False
        while not done:
            step = Step(upload=upload, version=begun.version, chunking=begun.chunking, after=after)
            stepped: Stepped = await self._do(FILES, step, Stepped)
            after, done = stepped.after, stepped.done
            self._add(stepped)
            if not done and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(self._request.model_copy(update={"after": after, "report": self._report}))
        self._note(phase="indexing")
        try:
            indexed: bool = await self._do(INDEX, self._target(), bool, _A_FEW_TIMES)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("The span index is away; readers get full-text search until it is back")
            await self._publish(upload, begun.version)
            self._note(phase="index_behind", error=str(error.cause))
            indexed = await self._do(INDEX, self._target(), bool)
        else:
            await self._publish(upload, begun.version)
        self._note(indexed=indexed, error=None)
        await self._tidy()

    async def _tidy(self) -> None:
        """What waits for an index that is away since the version was published keeps nobody waiting."""
        try:
            await self._do(TIDY, self._target(), type(None), _A_FEW_TIMES)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._note(phase="index_behind", error=str(error.cause))
            await self._do(TIDY, self._target(), type(None))
            self._note(error=None)

    async def _publish(self, upload: Upload, version: int) -> None:
        publish = Publish(upload=upload, version=version, prune=self._request.prune)
        published: Published = await self._do(PUBLISH, publish, Published)
        self._note(version=published.version, removed=published.removed)

    async def _rebuild(self) -> None:
        self._note(phase="indexing")
        rebuilt: Rebuilt = await self._do(REBUILD, self._target(), Rebuilt)
        self._note(version=rebuilt.version, spans=rebuilt.spans, indexed=True)

    def _target(self) -> Target:
        fresh = workflow.info().first_execution_run_id  # another for each ingest, the same in all its runs
        return Target(tenant=self._request.tenant, corpus=self._request.corpus, fresh=fresh)

    def _add(self, stepped: Stepped) -> None:
        report = self._report
        self._note(
            created=report.created + stepped.created,
            updated=report.updated + stepped.updated,
            skipped=report.skipped + stepped.skipped,
            spans=report.spans + stepped.spans,
        )

    def _note(self, **changes: Any) -> None:
        self._report = self._report.model_copy(update=changes)

    async def _do(self, name: str, payload: object, result: type[Any], retry: RetryPolicy = _UNTIL_DONE) -> Any:
        return await workflow.execute_activity(
            name,
            payload,
            result_type=result,
            start_to_close_timeout=_LONG,
            heartbeat_timeout=_SILENCE_EMBEDDING if name == FILES else _SILENCE,
            retry_policy=retry,
            summary=self._request.corpus,
        )
