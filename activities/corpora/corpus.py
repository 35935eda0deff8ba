"""The activities of ingest: cut, embed, store, publish. Each may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from temporalio import activity

from activities import tokens
from activities.beating import beating
from activities.corpora.batch import CutFile, StagedFile
from activities.corpora.chunking import chunker_of
from activities.corpora.cut import Piece, cut
from activities.corpora.ingest import (
    BEGIN,
    FILES,
    PUBLISH,
    Begun,
    Publish,
    Published,
    Step,
    Stepped,
    Upload,
)
from activities.corpora.ports import CorpusStore
from activities.failures import refusing
from activities.ports import Embedder
from activities.spans import EmbedderRefused, Span, artifact_id, span_id
from perdure.errors import Unavailable
from perdure.wire import refusal

STEP_SPANS = 256
"""Spans after which a step ends: some seconds of embedding, so that progress is seen and little is done again."""
_FILES_AT_ONCE = 64
_AT_ONCE_CHARACTERS = 128 * 1024
"""How much is ingested side by side: about what a step makes, so that no core waits at each file's end."""
_TOGETHER_CHARACTERS = 16 * 1024
"""How much shares requests to the embedder and a transaction, which cost more than a small file does."""


T = TypeVar("T")


class CorpusActivities:
    """Ingest's way to Postgres and to the embedder."""

    def __init__(
        self,
        store: CorpusStore,
        embedder: Embedder,
        *,
        embed_at_once: int = 2,
        texts_at_once: int = 8,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._embedding = asyncio.Semaphore(embed_at_once)
        self._texts_at_once = texts_at_once

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """What a worker registers."""
        return [self.begin_ingest, self.ingest_files, self.publish_version]

    @activity.defn(name=BEGIN)
    async def begin_ingest(self, upload: Upload) -> Begun:
        """Create the corpus if need be."""
        with refusing():
            async with beating():
                begun = await self._store.begin(
                    upload.tenant, upload.corpus, upload.upload_id, self._embedder.id, upload.chunking, upload.rows
                )
            chunker_of(begun.chunking)
        return begun

    @activity.defn(name=FILES)
    async def ingest_files(self, step: Step) -> Stepped:
        """Cut, embed and store files until `STEP_SPANS` are made or none is left."""
        upload, after = step.upload, step.after
        counts = {"create": 0, "update": 0, "skip": 0}
        made, done = 0, False
        while made < STEP_SPANS and not done:
            files = await self._store.staged(upload.tenant, upload.corpus, upload.upload_id, after, _FILES_AT_ONCE)
            done = not files
            for group in _runs(files, _AT_ONCE_CHARACTERS):
                lots = _runs([file for file in group if not file.stored], _TOGETHER_CHARACTERS)
                made += sum(await _all(self._ingest(step, lot) for lot in lots))
                for file in group:
                    counts[file.action] += 1
                after = group[-1].sequence
                if made >= STEP_SPANS:
                    break
        if done:
            async with beating():
                with refusing():
                    await self._store.complete(upload.tenant, upload.corpus, step.version, upload.upload_id)
        return Stepped(
            after=after,
            done=done,
            created=counts["create"],
            updated=counts["update"],
            skipped=counts["skip"],
            spans=made,
        )

    @activity.defn(name=PUBLISH)
    async def publish_version(self, publish: Publish) -> Published:
        """Let readers see what was stored, whole."""
        upload = publish.upload
        async with beating():  # which takes time by the size of the corpus
            version, removed = await self._store.publish(
                upload.tenant, upload.corpus, publish.version, upload.upload_id, prune=publish.prune
            )
        return Published(version=version, removed=removed)

    async def _ingest(self, step: Step, files: Sequence[StagedFile]) -> int:
        """Cut, embed and store files in one transaction; how many spans were made."""
        upload, size = step.upload, self._texts_at_once
        async with beating():  # a file may be of any size
            cuts, texts = await asyncio.to_thread(_cut, step, files, self._embedder)
            held = await self._store.held(upload.tenant, upload.corpus, list(texts))
        fresh = [span_id for span_id in texts if span_id not in held]  # what is held has its vector already
        groups = [fresh[i : i + size] for i in range(0, len(fresh), size)]
        made = await _all(self._embed([texts[span_id] for span_id in group]) for group in groups)
        vectors = dict(zip(fresh, chain.from_iterable(made), strict=True))
        whole = [
            replace(cut, spans=[replace(span, vector=vectors.get(span.span_id, b"")) for span in cut.spans])
            for cut in cuts
        ]
        async with beating():
            with refusing():
                await self._store.commit(upload.tenant, upload.corpus, step.version, upload.upload_id, whole)
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


async def _all(those: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """What they answer; the first that fails ends the others, which would go on beside the next attempt."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in those]
    except ExceptionGroup as failed:
        raise failed.exceptions[0]  # noqa: B904 - its cause is its own, and may be one that is sent
    return [task.result() for task in tasks]


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
        span_id=span_id(upload.corpus, path, piece.start_line, piece.end_line, *piece.indexed),
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
