"""The versions of a corpus in Postgres: which are kept, what each one shows, and which have an index of their own."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Uuid, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.spans import KeptVersion, Span
from activities.stores.corpus_reader import SPAN_COLUMNS, VISIBLE, PostgresCorpusReader, span_of
from activities.stores.corpus_tables import corpora, corpus_versions, spans, unused_indexes
from activities.stores.corpus_tables import is_corpus as _is

_ALL = select(*SPAN_COLUMNS, spans.c.terms).where(VISIBLE, spans.c.span_id > bindparam("after", type_=Uuid()))


class PostgresCorpusVersions(PostgresCorpusReader):
    """`activities.corpora.ports.CorpusVersions` on Postgres, with what ingest asks beyond it."""

    async def versions(self, tenant: str, corpus: str) -> list[KeptVersion]:
        kept = corpus_versions.c
        query = (
            select(kept.version, kept.index_name, kept.span_count)
            .where(_is(corpus_versions, tenant, corpus))
            .order_by(kept.version)
        )
        async with self._engine.connect() as connection:
            return [KeptVersion(*row) for row in await connection.execute(query)]

    async def visible(self, tenant: str, corpus: str, version: int, after: str, limit: int) -> list[Span]:
        values = {"tenant": tenant, "corpus": corpus, "version": version, "after": after}
        async with self._engine.connect() as connection:
            found = await connection.execute(_ALL.order_by(spans.c.span_id).limit(limit), values)
            return [span_of(row) for row in found]

    async def hold_index(self, tenant: str, corpus: str, version: int, index: str, at_most: int) -> list[str]:
        here, kept = _is(corpus_versions, tenant, corpus), corpus_versions.c
        async with self._engine.begin() as connection:
            await use_index(connection, tenant, corpus, index)
            held = await connection.execute(
                update(corpus_versions)
                .where(here, kept.version == version)
                .values(index_name=index, indexed_at=func.now())
            )
            if not held.rowcount:
                await leave_index(connection, tenant, corpus, index)
                return [index]
            indexed = select(kept.version).where(here, kept.index_name.is_not(None)).order_by(kept.indexed_at.desc())
            over = list(await connection.execute(indexed.add_columns(kept.index_name).offset(at_most)))
            await leave_own_indexes(connection, tenant, corpus, kept.version.in_([row.version for row in over]))
            return [row.index_name for row in over]

    async def unused_indexes(self, tenant: str, corpus: str) -> list[str]:
        query = select(unused_indexes.c.index_name).where(_is(unused_indexes, tenant, corpus))
        async with self._engine.connect() as connection:
            return [str(name) for name in (await connection.execute(query)).scalars()]

    async def reserve_index(self, tenant: str, corpus: str, index: str) -> None:
        async with self._engine.begin() as connection:
            await leave_index(connection, tenant, corpus, index)

    async def forget_index(self, tenant: str, corpus: str, index: str) -> None:
        async with self._engine.begin() as connection:
            await use_index(connection, tenant, corpus, index)

    async def oldest_kept(self, tenant: str, corpus: str, retention: timedelta) -> int:
        kept, later = corpus_versions.c, corpus_versions.alias()
        newest = select(corpora.c.version).where(_is(corpora, tenant, corpus)).scalar_subquery()
        # A version was read until the next one was published.
        read = exists().where(
            _is(later, tenant, corpus), later.c.version > kept.version, later.c.published_at < func.now() - retention
        )
        query = select(func.least(func.min(kept.version), newest - 1)).where(
            _is(corpus_versions, tenant, corpus), ~read
        )
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one() or 0)

    async def purge(self, tenant: str, corpus: str, oldest: int) -> None:
        over = corpus_versions.c.version < oldest
        async with self._engine.begin() as connection:
            await leave_own_indexes(connection, tenant, corpus, over)
            await connection.execute(delete(corpus_versions).where(_is(corpus_versions, tenant, corpus), over))
            await connection.execute(
                delete(spans).where(
                    _is(spans, tenant, corpus),
                    spans.c.removed_in <= oldest,
                    or_(~spans.c.indexed, is_back(tenant, corpus)),
                )
            )


async def leave_own_indexes(connection: AsyncConnection, tenant: str, corpus: str, those: ColumnElement[bool]) -> None:
    """Let `those` versions have no index of their own any more; what they had is to be dropped."""
    here, own = _is(corpus_versions, tenant, corpus), corpus_versions.c
    names = select(own.index_name).where(here, those, own.index_name.is_not(None))
    for name in (await connection.scalars(names)).all():
        await leave_index(connection, tenant, corpus, name)
    await connection.execute(update(corpus_versions).where(here, those).values(index_name=None, indexed_at=None))


async def leave_index(connection: AsyncConnection, tenant: str, corpus: str, index: str) -> None:
    """`index` is to be dropped, unless it is taken into use before."""
    row = {"tenant": tenant, "corpus": corpus, "index_name": index}
    await connection.execute(insert(unused_indexes).values(row).on_conflict_do_nothing())


async def use_index(connection: AsyncConnection, tenant: str, corpus: str, index: str) -> bool:
    """Take `index` from those that are to be dropped; whether it was among them."""
    here = _is(unused_indexes, tenant, corpus)
    taken = await connection.execute(delete(unused_indexes).where(here, unused_indexes.c.index_name == index))
    return taken.rowcount > 0


def is_back(tenant: str, corpus: str) -> ColumnElement[bool]:
    """Whether a removed span is in the corpus again, so that the index must keep it."""
    again = spans.alias()
    return exists().where(_is(again, tenant, corpus), again.c.span_id == spans.c.span_id, again.c.removed_in.is_(None))
