"""The activities of a corpus's span index: bring it up to date, tidy it, make it anew. Each may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from temporalio import activity

from activities.beating import beating
from activities.corpora.ingest import INDEX, REBUILD, TIDY, Rebuilt, Target
from activities.corpora.ports import CorpusStore
from activities.failures import refusing
from activities.ports import SpanIndex
from activities.spans import SETTLED_FOR, CorpusState, EmbedderId, IndexUnavailable, made_otherwise
from perdure.errors import CorpusNotFound, Unavailable
from perdure.wire import refusal

RETENTION = timedelta(days=7)
"""How long a version can be read after the next one is published, where the settings say nothing else."""
_REBUILD_ATTEMPTS = 3
_AT_ONCE = 256
_FIRST = str(UUID(int=0))
_POLL = timedelta(seconds=0.25)


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
        await self._index.prepare(await self._store.index_name(tenant, corpus, target.fresh))
        while await self._store.unindexed(tenant, corpus, 1):
            async with self._alone(target):
                index = await self._store.index_name(tenant, corpus, target.fresh)
                if spans := await self._store.unindexed(tenant, corpus, _AT_ONCE):
                    await self._index.put(index, spans)
                    await self._store.mark_indexed(tenant, corpus, [span.span_id for span in spans], target.fresh)
        await self._store.note_indexed(tenant, corpus)
        return True

    @activity.defn(name=TIDY)
    async def tidy_index(self, target: Target) -> None:
        """Take what the newest version lacks out of its index, and out of Postgres what no version has that is kept."""
        tenant, corpus = target.tenant, target.corpus
        if self._index is not None:
            while await self._store.removed(tenant, corpus, 1):
                async with self._alone(target):
                    index = await self._store.index_name(tenant, corpus, target.fresh)
                    if span_ids := await self._store.removed(tenant, corpus, _AT_ONCE):
                        await self._index.remove(index, span_ids)
                        await self._store.mark_removed(tenant, corpus, span_ids)
        async with beating():
            await self._store.settle(tenant, corpus, target.fresh)
            await self._store.purge(tenant, corpus, await self._store.oldest_kept(tenant, corpus, self._retention))
        await self._drop_unused(tenant, corpus)

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
            if state is None:
                raise CorpusNotFound(corpus=corpus)
            if state.embedder != self._embedder:
                raise made_otherwise(corpus, state.embedder, state.chunking, self._embedder, state.chunking)
        if state.index != target.fresh:  # else an attempt before this one made it
            await self._make(self._index, target, state)
        async with beating():
            await self._store.settle(tenant, corpus, target.fresh)
        await asyncio.sleep(SETTLED_FOR.total_seconds())  # whoever has the old one's name may be searching it
        with suppress(IndexUnavailable):  # the next ingest drops it
            await self._drop_unused(tenant, corpus)
        return Rebuilt(version=state.version, spans=state.span_count)

    async def _make(self, index: SpanIndex, target: Target, state: CorpusState) -> None:
        tenant, corpus, fresh = target.tenant, target.corpus, target.fresh
        details = activity.info().heartbeat_details
        after = str(details[0]) if details else _FIRST
        await self._store.reserve_index(tenant, corpus, fresh)
        await index.prepare(fresh)
        while spans := await self._store.visible(tenant, corpus, state.version, after, _AT_ONCE):
            await index.put(fresh, spans)
            after = spans[-1].span_id
            activity.heartbeat(after)
        async with self._alone(target, after), beating(after):
            with refusing():
                await self._store.switch_index(tenant, corpus, fresh, state.version, state.index)

    @asynccontextmanager
    async def _alone(self, target: Target, *details: str) -> AsyncIterator[None]:
        """Change the index while no other ingest does, and no reader counts on it: what is to be done is read inside.

        An ingest that was ended may run on, and its changes be made late: what it takes out, the next may have put
        back.
        """
        tenant, corpus, by = target.tenant, target.corpus, target.fresh
        while wait := await self._store.take_index(tenant, corpus, by):
            activity.heartbeat(*details)
            await asyncio.sleep(min(wait, _POLL).total_seconds())
        activity.heartbeat(*details)
        try:
            yield
        except Exception:
            await self._store.release_index(tenant, corpus, by)
            raise
        await self._store.release_index(tenant, corpus, by)  # a cancelled change may still be made

    async def _drop_unused(self, tenant: str, corpus: str) -> None:
        if self._index is not None:
            for index in await self._store.unused_indexes(tenant, corpus):
                activity.heartbeat()
                await self._index.drop(index)
                await self._store.forget_index(tenant, corpus, index)
