"""The activities of a corpus's span index: bring it up to date, tidy it, make it anew. Each may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from temporalio import activity

from activities.ingest import INDEX, REBUILD, TIDY, Rebuilt, Target
from activities.ports import CorpusStore, SpanIndex
from activities.spans import SETTLED_FOR, EmbedderId, IndexUnavailable, made_otherwise
from perdure.errors import Unavailable
from perdure.wire import refusal, refusing

RETENTION = timedelta(days=7)
"""How long a version can be read after the next one is published, where the settings say nothing else."""
_REBUILD_ATTEMPTS = 3
_AT_ONCE = 256
_FIRST = str(UUID(int=0))


class IndexActivities:
    """The way from Postgres to the span index, which keeps vectors of `embedder`; none as index leaves corpora without
    one.
    """

    def __init__(
        self, store: CorpusStore, index: SpanIndex | None, embedder: EmbedderId, *, retention: timedelta = RETENTION
    ) -> None:
        self._store = store
        self._index = index
        self._embedder = embedder
        self._retention = retention

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """What a worker registers."""
        return [self.index_spans, self.tidy_index, self.rebuild_index]

    @activity.defn(name=INDEX)
    async def index_spans(self, target: Target) -> bool:
        """Bring the index up to what is stored; whether there is an index at all.

        Raises:
            IndexUnavailable: this worker has another embedder, and would put the vectors where its own belong.
        """
        if self._index is None:
            return False
        tenant, corpus = target.tenant, target.corpus
        state = await self._store.state(tenant, corpus)
        if state is not None and state.embedder != self._embedder:
            raise IndexUnavailable(f"The corpus was embedded with {state.embedder}; this worker has {self._embedder}.")
        index = await self._store.index_name(tenant, corpus, target.fresh)
        await self._index.prepare(index)
        while spans := await self._store.unindexed(tenant, corpus, _AT_ONCE):
            await self._let_readers_finish(tenant, corpus)
            activity.heartbeat()
            await self._index.put(index, spans)
            await self._store.mark_indexed(tenant, corpus, [span.span_id for span in spans])
        await self._store.note_indexed(tenant, corpus)
        return True

    @activity.defn(name=TIDY)
    async def tidy_index(self, target: Target) -> None:
        """Take what the newest version lacks out of its index, and out of Postgres what no version has that is kept."""
        tenant, corpus = target.tenant, target.corpus
        if self._index is not None:
            index = await self._store.index_name(tenant, corpus, target.fresh)
            while span_ids := await self._store.removed(tenant, corpus, _AT_ONCE):
                await self._let_readers_finish(tenant, corpus)
                activity.heartbeat()
                await self._index.remove(index, span_ids)
                await self._store.mark_removed(tenant, corpus, span_ids)
        await self._store.settle(tenant, corpus)
        oldest = await self._store.oldest_kept(tenant, corpus, self._retention)
        await self._drop_indexes(tenant, corpus, oldest)
        await self._store.purge(tenant, corpus, oldest)

    @activity.defn(name=REBUILD)
    async def rebuild_index(self, target: Target) -> Rebuilt:
        """Make the index anew beside the old one, which serves until the switch. A refusal changes nothing.

        When the index is away for longer than a few attempts, that is one: other ingests of the corpus wait for this.
        """
        try:
            return await self._rebuild(target)
        except IndexUnavailable as error:
            if activity.info().attempt < _REBUILD_ATTEMPTS:
                raise
            text = f"{error} The index there was is still the corpus's. Reindex once more when Weaviate is back."
            raise refusal(Unavailable(text)) from error

    async def _rebuild(self, target: Target) -> Rebuilt:
        tenant, corpus = target.tenant, target.corpus
        with refusing():
            if self._index is None:
                raise Unavailable(
                    "The workers have no Weaviate to make an index in; full text serves. Set PERDURE_WEAVIATE_URL for "
                    "them, start them again, and reindex once more."
                )
            state = await self._store.state(tenant, corpus)
            if state is not None and state.embedder != self._embedder:
                raise made_otherwise(corpus, state.embedder, state.chunking, self._embedder, state.chunking)
            old = await self._store.index_name(tenant, corpus, target.fresh)
        assert state is not None
        details = activity.info().heartbeat_details
        after, put = (str(details[0]), int(details[1])) if details else (_FIRST, 0)
        await self._index.prepare(target.fresh)
        while spans := await self._store.visible(tenant, corpus, state.version, after, _AT_ONCE):
            await self._index.put(target.fresh, spans)
            after, put = spans[-1].span_id, put + len(spans)
            activity.heartbeat(after, put)
        await self._drop_indexes(tenant, corpus, None)  # made anew, too, when they are asked for
        version = await self._store.switch_index(tenant, corpus, target.fresh)
        await self._store.settle(tenant, corpus)
        if old != target.fresh:
            await asyncio.sleep(SETTLED_FOR.total_seconds())  # whoever has its name may be searching it
            await self._index.drop(old)
        return Rebuilt(version=version, spans=put)

    async def _let_readers_finish(self, tenant: str, corpus: str) -> None:
        """Wait until none is left that saw a settled index and still counts on it."""
        said = await self._store.unsettle(tenant, corpus)
        if said is not None and said < SETTLED_FOR:
            await asyncio.sleep((SETTLED_FOR - said).total_seconds())

    async def _drop_indexes(self, tenant: str, corpus: str, before: int | None) -> None:
        """Drop the indexes that versions before `before` have of their own."""
        if self._index is not None:
            for index in await self._store.version_indexes(tenant, corpus, before):
                activity.heartbeat()
                await self._index.drop(index)
