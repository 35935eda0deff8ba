"""The outbox from Postgres to the span index: what the index lacks, what it holds too much, and which one serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.spans import Span
from activities.stores.corpus_reader import SPAN_COLUMNS, span_of
from activities.stores.corpus_tables import corpora, corpus_versions, spans, visible_in
from activities.stores.corpus_tables import is_corpus as _is
from activities.stores.corpus_versions import PostgresCorpusVersions, is_back
from perdure.errors import CorpusNotFound

LIVE = spans.c.removed_in.is_(None)


class PostgresCorpusOutbox(PostgresCorpusVersions):
    """Part of `activities.ports.CorpusStore`: a span is `indexed` or waits to be, and so is its removal."""

    async def index_name(self, tenant: str, corpus: str, fresh: str) -> str:
        async with self._engine.begin() as connection:
            await connection.execute(
                update(corpora)
                .where(_is(corpora, tenant, corpus), corpora.c.index_name.is_(None))
                .values(index_name=fresh)
            )
            row = (await connection.execute(select(corpora).where(_is(corpora, tenant, corpus)))).one_or_none()
            if row is None:
                raise CorpusNotFound(f"Corpus not found: {corpus}", corpus=corpus)
            return str(row.index_name)

    async def unsettle(self, tenant: str, corpus: str) -> timedelta | None:
        since = corpora.c.index_unsettled_at
        async with self._engine.begin() as connection:
            return await connection.scalar(
                update(corpora)
                .where(_is(corpora, tenant, corpus), corpora.c.version > 0)
                .values(index_unsettled_at=func.coalesce(since, func.now()))
                .returning(func.now() - since)
            )

    async def settle(self, tenant: str, corpus: str) -> None:
        early = exists().where(_is(spans, tenant, corpus), spans.c.added_in > corpora.c.version, spans.c.indexed)
        late = exists().where(_is(spans, tenant, corpus), *_left_over(tenant, corpus))
        async with self._engine.begin() as connection:
            await connection.execute(
                update(corpora).where(_is(corpora, tenant, corpus), ~early, ~late).values(index_unsettled_at=None)
            )

    async def unindexed(self, tenant: str, corpus: str, limit: int) -> list[Span]:
        query = (
            select(*SPAN_COLUMNS, spans.c.terms).where(_is(spans, tenant, corpus), LIVE, ~spans.c.indexed).limit(limit)
        )
        async with self._engine.connect() as connection:
            return [span_of(row) for row in await connection.execute(query)]

    async def mark_indexed(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                update(spans)
                .where(_is(spans, tenant, corpus), LIVE, spans.c.span_id.in_(span_ids))
                .values(indexed=True)
            )

    async def note_indexed(self, tenant: str, corpus: str) -> None:
        async with self._engine.begin() as connection:
            await note_indexed(connection, tenant, corpus)

    async def switch_index(self, tenant: str, corpus: str, index: str) -> int:
        async with self._engine.begin() as connection:
            visible = visible_in(select(corpora.c.version).where(_is(corpora, tenant, corpus)).scalar_subquery())
            await connection.execute(
                update(spans).where(_is(spans, tenant, corpus), spans.c.indexed != visible).values(indexed=visible)
            )
            await connection.execute(update(corpora).where(_is(corpora, tenant, corpus)).values(index_name=index))
            await connection.execute(
                update(corpus_versions)
                .where(_is(corpus_versions, tenant, corpus))
                .values(index_name=None, indexed_at=None)
            )
            await note_indexed(connection, tenant, corpus)
            now = await connection.execute(select(corpora.c.version).where(_is(corpora, tenant, corpus)))
            return int(now.scalar_one())

    async def removed(self, tenant: str, corpus: str, limit: int) -> list[str]:
        query = (
            select(spans.c.span_id)
            .join(corpora, and_(corpora.c.tenant == spans.c.tenant, corpora.c.corpus == spans.c.corpus))
            .where(_is(spans, tenant, corpus), *_left_over(tenant, corpus))
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [str(span_id) for span_id in (await connection.execute(query)).scalars()]

    async def mark_removed(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                update(spans)
                .where(_is(spans, tenant, corpus), ~LIVE, spans.c.span_id.in_(span_ids))
                .values(indexed=False)
            )


def _left_over(tenant: str, corpus: str) -> list[ColumnElement[bool]]:
    """Whether the index holds a span that the version has no more."""
    return [spans.c.removed_in <= corpora.c.version, spans.c.indexed, ~is_back(tenant, corpus)]


async def note_indexed(connection: AsyncConnection, tenant: str, corpus: str) -> None:
    """Let the corpus say that its index holds its version, if nothing of it waits in the outbox."""
    waiting = exists().where(_is(spans, tenant, corpus), ~spans.c.indexed, visible_in(corpora.c.version))
    await connection.execute(
        update(corpora).where(_is(corpora, tenant, corpus), ~waiting).values(indexed_version=corpora.c.version)
    )
