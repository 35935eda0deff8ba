"""The write side of corpora in Postgres: staging, and spans by version."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import case, delete, func, literal, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.corpora.batch import Action, CutFile, StagedFile
from activities.corpora.chunking import DEFAULT_CHUNKING
from activities.corpora.ingest import Begun
from activities.ports import Fenced
from activities.spans import EmbedderId, made_otherwise
from activities.stores.corpus_outbox import LIVE, PostgresCorpusOutbox, note_indexed
from activities.stores.corpus_rows import drop_strangers, held_spans, prune_artifacts, put_artifacts, replace_spans
from activities.stores.corpus_tables import artifacts, corpora, corpus_versions, spans, uploads
from activities.stores.corpus_tables import is_corpus as _is
from activities.stores.tables import tenants
from perdure.errors import UploadExpired

_ABANDONED = timedelta(days=1)
"""Age of an upload that nobody will ingest any more."""


class PostgresCorpusStore(PostgresCorpusOutbox):
    """`activities.corpora.ports.CorpusStore` on Postgres. Each call is one transaction and may be repeated."""

    async def stage(
        self, tenant: str, corpus: str, upload_id: str, first: int, files: Sequence[tuple[str, str]]
    ) -> None:
        rows = [
            {
                "tenant": tenant,
                "corpus": corpus,
                "upload_id": upload_id,
                "sequence": sequence,
                "path": path,
                "content": content,
                "content_hash": hashlib.sha256(content.encode()).hexdigest(),
            }
            for sequence, (path, content) in enumerate(files, first)
        ]
        async with self._engine.begin() as connection:
            await connection.execute(insert(uploads).on_conflict_do_nothing(), rows)

    async def stage_left_out(self, tenant: str, corpus: str, upload_id: str, first: int, paths: Sequence[str]) -> None:
        rows = [
            {
                "tenant": tenant,
                "corpus": corpus,
                "upload_id": upload_id,
                "path": path,
                "sequence": -2 - number,  # below all that is ingested
                "content": "",
                "content_hash": "",
            }
            for number, path in enumerate(paths, first)
        ]
        async with self._engine.begin() as connection:
            await connection.execute(insert(uploads).on_conflict_do_nothing(), rows)

    async def begin(
        self, tenant: str, corpus: str, upload_id: str, embedder: EmbedderId, chunking: str | None, rows: int = 0
    ) -> Begun:
        async with self._engine.begin() as connection:
            await connection.execute(insert(tenants).values(tenant=tenant).on_conflict_do_nothing())
            await connection.execute(
                insert(corpora)
                .values(
                    tenant=tenant,
                    corpus=corpus,
                    version=0,
                    embedder=asdict(embedder),
                    chunking=chunking or DEFAULT_CHUNKING,
                    indexed_version=0,
                    artifact_count=0,
                    span_count=0,
                )
                .on_conflict_do_nothing()
            )
            row = (await connection.execute(select(corpora).where(_is(corpora, tenant, corpus)))).one()
            used = EmbedderId(**row.embedder)
            if used != embedder or chunking not in (None, row.chunking):
                raise made_otherwise(corpus, used, row.chunking, embedder, chunking or row.chunking)
            await connection.execute(update(corpora).where(_is(corpora, tenant, corpus)).values(upload_id=upload_id))
            here = _is(uploads, tenant, corpus), uploads.c.upload_id == upload_id
            counted = select(func.count().filter(uploads.c.sequence >= 0), func.count()).where(*here)
            files, held = (await connection.execute(counted)).one()
            if not files or held < rows:  # to prune would take what is gone for documents that are to go
                raise UploadExpired(
                    f"Of the files that were sent to be ingested into {corpus}, {held} are left: they are kept for a "
                    f"day. Ingest again, which sends them again; {corpus} is as it was.",
                    corpus=corpus,
                    upload_id=upload_id,
                    left=held,
                )
            return Begun(version=row.version + 1, files=files, chunking=row.chunking)

    async def staged(self, tenant: str, corpus: str, upload_id: str, after: int, limit: int) -> list[StagedFile]:
        # Lateral and limited, so that an artifact is looked up by its path. A join that is planned while the tables
        # fill and have no statistics reads all of the corpus for each file.
        known = (
            select(artifacts.c.content_hash)
            .where(_is(artifacts, tenant, corpus), artifacts.c.path == uploads.c.path)
            .limit(1)
            .lateral("known")
        )
        query = (
            select(
                uploads.c.sequence,
                uploads.c.path,
                uploads.c.content_hash,
                case((known.c.content_hash == uploads.c.content_hash, ""), else_=uploads.c.content).label("content"),
                known.c.content_hash.label("known"),
            )
            .select_from(uploads)
            .outerjoin(known, true())
            .where(_is(uploads, tenant, corpus), uploads.c.upload_id == upload_id, uploads.c.sequence > after)
            .order_by(uploads.c.sequence)
            .limit(limit)
        )
        async with self._growing() as connection:
            return [
                StagedFile(
                    sequence=row.sequence,
                    path=row.path,
                    content=row.content,
                    content_hash=row.content_hash,
                    action=_action(row.known, row.content_hash),
                    stored=row.known == row.content_hash,
                )
                for row in await connection.execute(query)
            ]

    async def held(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> set[str]:
        query = held_spans(tenant, corpus, span_ids)
        async with self._growing() as connection:
            return {str(span_id) for span_id in (await connection.execute(query)).scalars()}

    async def commit(self, tenant: str, corpus: str, version: int, upload_id: str, cuts: Sequence[CutFile]) -> None:
        async with self._growing() as connection:
            await _check_upload(connection, tenant, corpus, version, upload_id)
            await replace_spans(connection, tenant, corpus, version, cuts)

    async def complete(self, tenant: str, corpus: str, version: int, upload_id: str) -> None:
        # Else plans are made for the tables as they were, until autovacuum looks at them, up to a minute later.
        async with self._engine.connect() as connection:
            for table in (uploads, artifacts, spans):
                await connection.execute(text(f"ANALYZE {table.name}"))
        async with self._growing() as connection:
            await _check_upload(connection, tenant, corpus, version, upload_id)
            await drop_strangers(connection, tenant, corpus, version, upload_id)

    async def publish(
        self, tenant: str, corpus: str, version: int, upload_id: str, *, prune: bool = False
    ) -> tuple[int, int]:
        here = _is(corpora, tenant, corpus)
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(corpora).where(here).with_for_update())).one()
            if (row.version, row.upload_id) == (version - 1, upload_id):  # else an attempt before this one did it
                await _publish(connection, tenant, corpus, version, upload_id, prune=prune)
            now = await connection.execute(select(corpora.c.version).where(here))
            pruned = select(corpus_versions.c.artifacts_removed).where(
                _is(corpus_versions, tenant, corpus), corpus_versions.c.version == version
            )
            return int(now.scalar_one()), int(await connection.scalar(pruned) or 0)

    @asynccontextmanager
    async def _growing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, planned for tables as large as they are now: ingest fills them between two of its calls."""
        async with self._engine.begin() as connection:
            await connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
            yield connection


async def _check_upload(connection: AsyncConnection, tenant: str, corpus: str, version: int, upload_id: str) -> None:
    """That `version` is to be made, and of this upload; it stays so until the transaction ends.

    An activity that was given up may still run, and must not write into what came after it.
    """
    row = select(corpora.c.upload_id).where(_is(corpora, tenant, corpus), corpora.c.version == version - 1)
    if await connection.scalar(row.with_for_update(read=True)) != upload_id:
        raise Fenced(f"Another ingest of {corpus} took over. Ingest again.")


async def _publish(
    connection: AsyncConnection, tenant: str, corpus: str, version: int, upload_id: str, *, prune: bool
) -> None:
    put = await put_artifacts(connection, tenant, corpus, version, upload_id)
    pruned = await prune_artifacts(connection, tenant, corpus, version, upload_id) if prune else 0
    here = _is(corpora, tenant, corpus)
    await connection.execute(update(corpora).where(here).values(upload_id=None))
    if put or pruned:
        live = select(func.count()).where(_is(spans, tenant, corpus), LIVE).scalar_subquery()
        held = select(func.count()).where(_is(artifacts, tenant, corpus)).scalar_subquery()
        await connection.execute(
            update(corpora)
            .where(here)
            .values(
                version=version,
                span_count=live,
                artifact_count=held,
                updated_at=func.now(),
                index_unsettled_at=func.coalesce(corpora.c.index_unsettled_at, func.now()),
            )
        )
        await connection.execute(
            insert(corpus_versions).from_select(
                ["tenant", "corpus", "version", "artifacts_removed", "span_count"],
                select(
                    corpora.c.tenant, corpora.c.corpus, corpora.c.version, literal(pruned), corpora.c.span_count
                ).where(here),
            )
        )
    await note_indexed(connection, tenant, corpus)
    await connection.execute(
        delete(uploads).where(
            _is(uploads, tenant, corpus),
            or_(uploads.c.upload_id == upload_id, uploads.c.created_at < func.now() - _ABANDONED),
        )
    )


def _action(known: str | None, now: str) -> Action:
    if known is None:
        return "create"
    return "skip" if known == now else "update"
