"""The outbox from Postgres to the span index: what the index lacks, what it holds too much, and which one serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, false, func, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ports import Fenced
from activities.spans import CHANGED_WITHIN, SETTLED_FOR, IndexUnavailable, Span
from activities.stores.corpus_reader import SPAN_COLUMNS, span_of
from activities.stores.corpus_tables import corpora, spans, visible_in
from activities.stores.corpus_tables import is_corpus as _is
from activities.stores.corpus_versions import (
    PostgresCorpusVersions,
    is_back,
    leave_index,
    leave_own_indexes,
    use_index,
)
from perdure.errors import CorpusNotFound

LIVE = spans.c.removed_in.is_(None)


class PostgresCorpusOutbox(PostgresCorpusVersions):
    """Part of `activities.corpora.ports.CorpusStore`: a span is `indexed` or waits to be, and so is its removal."""

    async def index_name(self, tenant: str, corpus: str, fresh: str) -> str:
        async with self._engine.begin() as connection:
            await connection.execute(
                update(corpora)
                .where(_is(corpora, tenant, corpus), corpora.c.index_name.is_(None))
                .values(index_name=fresh)
            )
            row = (await connection.execute(select(corpora).where(_is(corpora, tenant, corpus)))).one_or_none()
            if row is None:
                raise CorpusNotFound(corpus=corpus)
            return str(row.index_name)

    async def take_index(self, tenant: str, corpus: str, by: str) -> timedelta:
        here = _is(corpora, tenant, corpus)
        since = func.coalesce(corpora.c.index_unsettled_at, func.now())
        readers = case((corpora.c.version > 0, since - func.now() + SETTLED_FOR), else_=timedelta())
        other = case((_taken_from(by), corpora.c.index_changing_until - func.now()), else_=timedelta())
        async with self._engine.begin() as connection:
            query = select(readers, other).where(here).with_for_update()
            wait: timedelta = max(*(await connection.execute(query)).one(), timedelta())
            changes: dict[str, object] = {"index_unsettled_at": case((corpora.c.version > 0, since))}
            if not wait:
                changes |= {"index_changer": by, "index_changing_until": func.now() + CHANGED_WITHIN}
            await connection.execute(update(corpora).where(here).values(changes))
            return wait

    async def release_index(self, tenant: str, corpus: str, by: str) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                update(corpora)
                .where(_is(corpora, tenant, corpus), corpora.c.index_changer == by)
                .values(index_changing_until=None)
            )

    async def settle(self, tenant: str, corpus: str, by: str) -> None:
        early = exists().where(_is(spans, tenant, corpus), spans.c.added_in > corpora.c.version, spans.c.indexed)
        late = exists().where(_is(spans, tenant, corpus), *_left_over(tenant, corpus))
        async with self._engine.begin() as connection:
            await connection.execute(
                update(corpora)
                .where(_is(corpora, tenant, corpus), ~early, ~late, ~func.coalesce(_taken_from(by), false()))
                .values(index_unsettled_at=None)
            )

    async def unindexed(self, tenant: str, corpus: str, limit: int) -> list[Span]:
        query = (
            select(*SPAN_COLUMNS, spans.c.terms).where(_is(spans, tenant, corpus), LIVE, ~spans.c.indexed).limit(limit)
        )
        async with self._engine.connect() as connection:
            return [span_of(row) for row in await connection.execute(query)]

    async def mark_indexed(self, tenant: str, corpus: str, span_ids: Sequence[str], by: str) -> None:
        changer = select(corpora.c.index_changer).where(_is(corpora, tenant, corpus))
        async with self._engine.begin() as connection:
            if await connection.scalar(changer.with_for_update(read=True)) != by:
                raise IndexUnavailable(f"Another ingest has changed the index of {corpus} since.")
            await connection.execute(
                update(spans)
                .where(_is(spans, tenant, corpus), spans.c.span_id.in_(span_ids))  # if removed meanwhile, too
                .values(indexed=True)
            )

    async def note_indexed(self, tenant: str, corpus: str) -> None:
        async with self._engine.begin() as connection:
            await note_indexed(connection, tenant, corpus)

    async def switch_index(self, tenant: str, corpus: str, index: str, version: int, old: str | None) -> None:
        async with self._engine.begin() as connection:
            now = select(corpora.c.version, corpora.c.index_name).where(_is(corpora, tenant, corpus))
            held = (await connection.execute(now.with_for_update())).one_or_none()
            if held != (version, old) or not await use_index(connection, tenant, corpus, index):
                raise Fenced(f"Another ingest of {corpus} took over. Reindex again.")
            await connection.execute(update(corpora).where(_is(corpora, tenant, corpus)).values(index_name=index))
            if old is not None:
                await leave_index(connection, tenant, corpus, old)
            await leave_own_indexes(connection, tenant, corpus, true())
            visible = visible_in(literal(version))
            await connection.execute(
                update(spans).where(_is(spans, tenant, corpus), spans.c.indexed != visible).values(indexed=visible)
            )
            await note_indexed(connection, tenant, corpus)

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
        gone = _is(spans, tenant, corpus), spans.c.span_id.in_(span_ids)
        async with self._engine.begin() as connection:
            await connection.execute(update(spans).where(*gone).values(indexed=False))
            # Only where this comes too late: from a process that was frozen while another ingest had its turn.
            await connection.execute(
                update(corpora)
                .where(_is(corpora, tenant, corpus), exists().where(*gone, visible_in(corpora.c.version)))
                .values(indexed_version=func.least(corpora.c.indexed_version, corpora.c.version - 1))
            )


def _taken_from(by: str) -> ColumnElement[bool]:
    """Whether another than `by` may be changing the index."""
    return and_(corpora.c.index_changer != by, corpora.c.index_changing_until > func.now())


def _left_over(tenant: str, corpus: str) -> list[ColumnElement[bool]]:
    """Whether the index holds a span that the version has no more."""
    return [spans.c.removed_in <= corpora.c.version, spans.c.indexed, ~is_back(tenant, corpus)]


async def note_indexed(connection: AsyncConnection, tenant: str, corpus: str) -> None:
    """Let the corpus say that its index holds its version, if nothing of it waits in the outbox."""
    waiting = exists().where(_is(spans, tenant, corpus), ~spans.c.indexed, visible_in(corpora.c.version))
    await connection.execute(
        update(corpora).where(_is(corpora, tenant, corpus), ~waiting).values(indexed_version=corpora.c.version)
    )
