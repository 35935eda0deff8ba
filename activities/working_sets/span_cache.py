"""Spans kept in memory by the worker, so that a popular one is read from Postgres once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from activities.corpora.ports import CorpusReader
from activities.spans import Span


class SpanCache:
    """The latest `size` spans. What a version shows never changes, so nothing in here goes stale."""

    def __init__(self, corpora: CorpusReader, size: int) -> None:
        self._corpora = corpora
        self._size = size
        self._held: OrderedDict[tuple[str, str, int, str], Span] = OrderedDict()

    async def get(self, tenant: str, corpus: str, version: int, span_ids: Iterable[str]) -> dict[str, Span]:
        """Those of `span_ids` that the version has, by id."""
        found: dict[str, Span] = {}
        missing: list[str] = []
        for span_id in dict.fromkeys(span_ids):
            key = (tenant, corpus, version, span_id)
            span = self._held.get(key)
            if span is None:
                missing.append(span_id)
            else:
                self._held.move_to_end(key)
                found[span_id] = span
        if missing:
            for span in await self._corpora.spans(tenant, corpus, version, missing):
                found[span.span_id] = span
                self._held[tenant, corpus, version, span.span_id] = span
            while len(self._held) > self._size:
                self._held.popitem(last=False)
        return found
