"""The activities of ingest: cut, embed, store, index, publish. Each may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from uuid import UUID

from temporalio import activity

from activities import tokens
from activities.chunking import chunker_of
from activities.cut import Piece, cut
from activities.ingest import (
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
from activities.ingest_batch import CutFile, StagedFile
from activities.ports import CorpusStore, Embedder, SpanIndex
from activities.spans import SETTLED_FOR, EmbedderRefused, Span, artifact_id, span_id
from perdure.errors import PerdureError, Unavailable
from perdure.wire import refusal

STEP_SPANS = 256
"""Spans after which a step ends: some seconds of embedding, so that progress is seen and little is done again."""
RETENTION = timedelta(days=7)
"""How long a version can be read after the next one is published, where the settings say nothing else."""
_FILES_AT_ONCE = 64
_AT_ONCE_CHARACTERS = 128 * 1024
"""Of files that are ingested side by side: about what a step makes, so that no core waits at each file's end."""
_TOGETHER_CHARACTERS = 16 * 1024
"""Of files that share requests to the embedder and a transaction, which cost more than a small file does."""
_INDEX_AT_ONCE = 256
_FIRST = str(UUID(int=0))


class CorpusActivities:
    """Ingest's way to Postgres, to the embedder and to the span index; none as index makes corpora without one."""

    def __init__(
        self,
        store: CorpusStore,
        index: SpanIndex | None,
        embedder: Embedder,
        *,
        embed_at_once: int = 2,
        retention: timedelta = RETENTION,
        texts_at_once: int = 8,
    ) -> None:
        self._store = store
        self._index = index
        self._embedder = embedder
        self._retention = retention
        self._embedding = asyncio.Semaphore(embed_at_once)
        self._texts_at_once = texts_at_once

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """What a worker registers."""
        return [
            self.begin_ingest,
            self.ingest_files,
            self.index_spans,
            self.publish_version,
            self.tidy_index,
            self.rebuild_index,
        ]

    @activity.defn(name=BEGIN)
    async def begin_ingest(self, upload: Upload) -> Begun:
        """Create the corpus if need be."""
        try:
            begun = await self._store.begin(
                upload.tenant, upload.corpus, upload.upload_id, self._embedder.id, upload.chunking
            )
            chunker_of(begun.chunking)
        except PerdureError as error:
            raise refusal(error) from None
        return begun

    @activity.defn(name=FILES)
    async def ingest_files(self, step: Step) -> Stepped:
        """Cut, embed and store files until `STEP_SPANS` are made or none is left."""
        upload, after = step.upload, step.after
        counts = {"create": 0, "update": 0, "skip": 0}
        made, done = 0, False
        while made < STEP_SPANS and not done:
            files = await self._store.staged(
                upload.tenant, upload.corpus, upload.upload_id, step.version, after, _FILES_AT_ONCE
            )
            done = not files
            for group in _runs(files, _AT_ONCE_CHARACTERS):
                lots = _runs([file for file in group if not file.stored], _TOGETHER_CHARACTERS)
                made += sum(await asyncio.gather(*(self._ingest(step, lot) for lot in lots)))
                for file in group:
                    counts[file.action] += 1
                after = group[-1].sequence
                if made >= STEP_SPANS:
                    break
        if done:
            activity.heartbeat()
            await self._store.analyze()
        return Stepped(
            after=after,
            done=done,
            created=counts["create"],
            updated=counts["update"],
            skipped=counts["skip"],
            spans=made,
        )

    @activity.defn(name=INDEX)
    async def index_spans(self, target: Target) -> bool:
        """Bring the index up to what is stored; whether there is an index at all."""
        if self._index is None:
            return False
        tenant, corpus = target.tenant, target.corpus
        index = await self._store.index_name(tenant, corpus, target.fresh)
        await self._index.prepare(index)
        while spans := await self._store.unindexed(tenant, corpus, _INDEX_AT_ONCE):
            await self._let_readers_finish(tenant, corpus)
            activity.heartbeat()
            await self._index.put(index, spans)
            await self._store.mark_indexed(tenant, corpus, [span.span_id for span in spans])
        await self._store.note_indexed(tenant, corpus)
        return True

    @activity.defn(name=PUBLISH)
    async def publish_version(self, publish: Publish) -> Published:
        """Let readers see what was stored, whole."""
        upload = publish.upload
        version, removed = await self._store.publish(
            upload.tenant, upload.corpus, publish.version, upload.upload_id, prune=publish.prune
        )
        return Published(version=version, removed=removed)

    @activity.defn(name=TIDY)
    async def tidy_index(self, target: Target) -> None:
        """Take what the newest version lacks out of its index, and out of Postgres what no version has that is kept."""
        tenant, corpus = target.tenant, target.corpus
        if self._index is not None:
            index = await self._store.index_name(tenant, corpus, target.fresh)
            while span_ids := await self._store.removed(tenant, corpus, _INDEX_AT_ONCE):
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
        """Make the index anew beside the old one, which serves until the switch."""
        tenant, corpus = target.tenant, target.corpus
        if self._index is None:
            raise ValueError("no span index is configured")
        try:
            old = await self._store.index_name(tenant, corpus, target.fresh)
        except PerdureError as error:
            raise refusal(error) from None
        details = activity.info().heartbeat_details
        after, put = (str(details[0]), int(details[1])) if details else (_FIRST, 0)
        await self._index.prepare(target.fresh)
        while spans := await self._store.live(tenant, corpus, after, _INDEX_AT_ONCE):
            await self._index.put(target.fresh, spans)
            after, put = spans[-1].span_id, put + len(spans)
            activity.heartbeat(after, put)
        await self._drop_indexes(tenant, corpus, None)  # made anew, too, when they are asked for
        version = await self._store.switch_index(tenant, corpus, target.fresh)
        await self._store.settle(tenant, corpus)
        if old != target.fresh:
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

    async def _ingest(self, step: Step, files: Sequence[StagedFile]) -> int:
        """Cut, embed and store files in one transaction; how many spans were made."""
        activity.heartbeat()
        upload, size = step.upload, self._texts_at_once
        cuts, texts = await asyncio.to_thread(_cut, step, files, self._embedder)
        held = await self._store.held(upload.tenant, upload.corpus, list(texts))
        fresh = [span_id for span_id in texts if span_id not in held]  # what is held has its vector already
        groups = [fresh[i : i + size] for i in range(0, len(fresh), size)]
        made = await asyncio.gather(*(self._embed([texts[span_id] for span_id in group]) for group in groups))
        vectors = dict(zip(fresh, chain.from_iterable(made), strict=True))
        whole = [
            replace(cut, spans=[replace(span, vector=vectors.get(span.span_id, b"")) for span in cut.spans])
            for cut in cuts
        ]
        await self._store.commit(upload.tenant, upload.corpus, step.version, whole)
        return len(texts)

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        async with self._embedding:
            activity.heartbeat()
            try:
                return await self._embedder.embed(texts)
            except (
                EmbedderRefused
            ) as error:  # for good, until an operator acts: an ingest that waited would say nothing
                raise refusal(Unavailable(f"{error} Then ingest again.")) from error


def _cut(step: Step, files: Sequence[StagedFile], embedder: Embedder) -> tuple[list[CutFile], dict[str, str]]:
    """The files with their spans, which have no vectors yet, and what is to be embedded of each span."""
    cuts: list[CutFile] = []
    texts: dict[str, str] = {}
    for file in files:
        pieces = cut(file.path, file.content, step.chunking, embedder)
        spans = [_span(step.upload, file.path, piece) for piece in pieces]
        texts |= {span.span_id: piece.indexed.embedded for span, piece in zip(spans, pieces, strict=True)}
        cuts.append(CutFile(file=file, spans=spans))
    return cuts, texts


def _span(upload: Upload, path: str, piece: Piece) -> Span:
    return Span(
        span_id=span_id(upload.corpus, path, piece.start_line, piece.end_line, piece.text),
        artifact_id=artifact_id(upload.tenant, upload.corpus, path),
        path=path,
        start_line=piece.start_line,
        end_line=piece.end_line,
        text=piece.text,
        token_count=tokens.count(piece.text),
        vector=b"",
        terms=piece.indexed.searched,
    )


def _runs(files: Sequence[StagedFile], characters: int) -> Iterator[Sequence[StagedFile]]:
    """The files in runs that end where `characters` are reached."""
    first, size = 0, 0
    for index, file in enumerate(files):
        size += len(file.content)
        if size >= characters or index == len(files) - 1:
            yield files[first : index + 1]
            first, size = index + 1, 0
