"""Versions of a corpus before the newest: each gets an index of its own when it is first asked for.

One index for all versions would not do: BM25 scores depend on everything that an index holds, so that the same version
would give other working sets after each ingest, and spans of other versions would take the places of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid5

from activities.corpora.ports import CorpusVersions
from activities.ports import SpanIndex
from activities.spans import CorpusState, EmbedderId, IndexUnavailable, KeptVersion
from perdure.errors import CorpusVersionNotFound

VERSIONS_INDEXED = 8
"""Older versions of one corpus that have an index at a time; another one takes the place of the first made."""
_AT_ONCE = 256
_FIRST = str(UUID(int=0))
_NAMESPACE = UUID("0e6b7c5e-8d8a-5f57-9f63-3f0b6c6a52d4")

logger = logging.getLogger(__name__)


class PastVersions:
    """Finds older versions, and makes their indexes, each once at a time in this process."""

    def __init__(self, corpora: CorpusVersions, index: SpanIndex | None, embedder: EmbedderId) -> None:
        self._corpora = corpora
        self._index = index
        self._embedder = embedder
        self._making: dict[tuple[str, str, int], asyncio.Task[str]] = {}

    async def state(
        self, tenant: str, corpus: str, newest: CorpusState, version: int, patience: timedelta | None
    ) -> CorpusState:
        """The corpus as of `version`, waiting `patience` for its index, or as long as it takes with none.

        An index that is not there by then leaves the version to full-text search; the making goes on.

        Raises:
            CorpusVersionNotFound: the corpus does not keep it; `details` say what it keeps.
            IndexUnavailable: without `patience`, the index cannot be made.
        """
        if version == newest.version:
            return newest
        kept = await self._corpora.versions(tenant, corpus)
        found = next((item for item in kept if item.version == version), None)
        if found is None:
            raise _not_found(corpus, version, kept)
        index = found.index_name or await self._made(tenant, corpus, newest, version, patience)
        return replace(
            newest,
            version=version,
            index=index,
            indexed_version=version if index else 0,
            settled_for=timedelta.max,
            span_count=found.span_count,  # by which it is searched exactly, however large the corpus is now
        )

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    async def _made(
        self, tenant: str, corpus: str, newest: CorpusState, version: int, patience: timedelta | None
    ) -> str | None:
        if self._index is None or newest.embedder != self._embedder:
            return None
        key = (tenant, corpus, version)
        if (task := self._making.get(key)) is None:
            task = self._making[key] = asyncio.create_task(self._make(self._index, tenant, corpus, version))
            task.add_done_callback(self._finished(key))
        if patience is None:
            return await asyncio.shield(task)  # which others may wait for, too
        await asyncio.wait([task], timeout=patience.total_seconds())
        return task.result() if task.done() and task.exception() is None else None

    async def _make(self, index: SpanIndex, tenant: str, corpus: str, version: int) -> str:
        # A function of the version, so that two processes that make it at the same time make the same.
        name = str(uuid5(_NAMESPACE, json.dumps([tenant, corpus, version])))
        await index.prepare(name)
        after = _FIRST
        while spans := await self._corpora.visible(tenant, corpus, version, after, _AT_ONCE):
            await index.put(name, spans)
            after = spans[-1].span_id
        for unheld in await self._corpora.hold_index(tenant, corpus, version, name, VERSIONS_INDEXED):
            with suppress(IndexUnavailable):  # the next ingest drops it
                await index.drop(unheld)
                await self._corpora.forget_index(tenant, corpus, unheld)
        return name

    def _finished(self, key: tuple[str, str, int]) -> Callable[[asyncio.Task[str]], None]:
        def forget(task: asyncio.Task[str]) -> None:
            del self._making[key]
            if not task.cancelled() and (error := task.exception()) is not None:
                level = logging.WARNING if isinstance(error, IndexUnavailable) else logging.ERROR
                logger.log(level, "no index of version %d of corpus %s: %s", key[2], key[1], error)

        return forget


def _not_found(corpus: str, version: int, kept: list[KeptVersion]) -> CorpusVersionNotFound:
    held = f"It keeps {kept[0].version} to {kept[-1].version}" if kept else "It keeps none yet"
    return CorpusVersionNotFound(
        f"Corpus {corpus} has no version {version}, or keeps it no more. {held}; leave `as_of` out for the newest.",
        corpus=corpus,
        version=version,
        first=kept[0].version if kept else None,
        last=kept[-1].version if kept else None,
    )
