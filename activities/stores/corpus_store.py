"""The write side of corpora in Postgres: staging, and spans by version."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import case, delete, exists, func, literal, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.chunking import DEFAULT_CHUNKING
from activities.ingest import Begun
from activities.ingest_batch import Action, CutFile, StagedFile
from activities.spans import EmbedderId
from activities.stores.corpus_outbox import LIVE, PostgresCorpusOutbox, note_indexed
from activities.stores.corpus_rows import held_spans, prune_artifacts, replace_artifacts
from activities.stores.corpus_tables import artifacts, corpora, corpus_versions, spans, uploads
from activities.stores.corpus_tables import is_corpus as _is
from activities.stores.tables import tenants
from perdure.errors import InvalidRequest

_ABANDONED = timedelta(days=1)
"""Age of an upload that nobody will ingest any more."""


class PostgresCorpusStore(PostgresCorpusOutbox):
    """`activities.ports.CorpusStore` on Postgres. Each call is one transaction and may be repeated."""

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
        self, tenant: str, corpus: str, upload_id: str, embedder: EmbedderId, chunking: str | None
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
                raise InvalidRequest(
                    f"Corpus {corpus} was made with {used} and {row.chunking}; asked for are {embedder} and "
                    f"{chunking or row.chunking}. Ingest into a new corpus, or with what this one has.",
                    corpus=corpus,
                    embedder=str(used),
                    chunking=row.chunking,
                )
            staged = select(func.count()).where(
                _is(uploads, tenant, corpus), uploads.c.upload_id == upload_id, uploads.c.sequence >= 0
            )
            files = (await connection.execute(staged)).scalar_one()
            return Begun(version=row.version + 1, files=files, chunking=row.chunking)

    async def staged(
        self, tenant: str, corpus: str, upload_id: str, version: int, after: int, limit: int
    ) -> list[StagedFile]:
        # Lateral and limited, so that an artifact is looked up by its path. A join that is planned while the tables
        # fill and have no statistics reads all of the corpus for each file.
        known = (
            select(artifacts.c.content_hash, artifacts.c.created_in, artifacts.c.changed_in)
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
                known.c.created_in,
                known.c.changed_in,
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
                    action=_action(row.known, row.content_hash, row.created_in, row.changed_in, version),
                    stored=row.known == row.content_hash,
                )
                for row in await connection.execute(query)
            ]

    async def held(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> set[str]:
        query = held_spans(tenant, corpus, span_ids)
        async with self._growing() as connection:
            return {str(span_id) for span_id in (await connection.execute(query)).scalars()}

    async def commit(self, tenant: str, corpus: str, version: int, cuts: Sequence[CutFile]) -> None:
        async with self._growing() as connection:
            await replace_artifacts(connection, tenant, corpus, version, cuts)

    async def analyze(self) -> None:
        # Else plans are made for the tables as they were, until autovacuum looks at them, up to a minute later.
        async with self._autocommit.connect() as connection:
            for table in (uploads, artifacts, spans):
                await connection.execute(text(f"ANALYZE {table.name}"))

    async def publish(
        self, tenant: str, corpus: str, version: int, upload_id: str, *, prune: bool = False
    ) -> tuple[int, int]:
        async with self._engine.begin() as connection:
            pruned = await prune_artifacts(connection, tenant, corpus, version, upload_id) if prune else 0
            changed = exists().where(_is(artifacts, tenant, corpus), artifacts.c.changed_in == version)
            live = select(func.count()).where(_is(spans, tenant, corpus), LIVE).scalar_subquery()
            held = select(func.count()).where(_is(artifacts, tenant, corpus)).scalar_subquery()
            await connection.execute(
                update(corpora)
                .where(
                    _is(corpora, tenant, corpus), corpora.c.version == version - 1, or_(changed, literal(pruned > 0))
                )
                .values(
                    version=version,
                    span_count=live,
                    artifact_count=held,
                    updated_at=func.now(),
                    index_unsettled_at=func.coalesce(corpora.c.index_unsettled_at, func.now()),
                )
            )
            await connection.execute(
                insert(corpus_versions)
                .from_select(
                    ["tenant", "corpus", "version", "artifacts_removed", "span_count"],
                    select(
                        corpora.c.tenant, corpora.c.corpus, corpora.c.version, literal(pruned), corpora.c.span_count
                    ).where(_is(corpora, tenant, corpus), corpora.c.version > 0),
                )
                .on_conflict_do_nothing()
            )
            await note_indexed(connection, tenant, corpus)
            await connection.execute(
                delete(uploads).where(
                    _is(uploads, tenant, corpus),
                    or_(uploads.c.upload_id == upload_id, uploads.c.created_at < func.now() - _ABANDONED),
                )
            )
            now = (await connection.execute(select(corpora.c.version).where(_is(corpora, tenant, corpus)))).scalar_one()
            made = select(corpus_versions.c.artifacts_removed).where(
                _is(corpus_versions, tenant, corpus), corpus_versions.c.version == version
            )
            # Read back, since the attempt before this one may have pruned.
            return int(now), int((await connection.execute(made)).scalar_one_or_none() or 0)

    @asynccontextmanager
    async def _growing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, planned for tables as large as they are now: ingest fills them between two of its calls."""
        async with self._engine.begin() as connection:
            await connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
            yield connection


def _action(known: str | None, now: str, created_in: int | None, changed_in: int | None, version: int) -> Action:
    if known is None or created_in == version:
        return "create"
    return "skip" if known == now and changed_in != version else "update"
