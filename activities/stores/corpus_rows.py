"""The rows of artifacts and of their spans, as of a version that is being made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    TableValuedAlias,
    delete,
    exists,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.corpora.batch import CutFile
from activities.stores.corpus_outbox import LIVE
from activities.stores.corpus_tables import among, artifacts, spans, uploads
from activities.stores.corpus_tables import is_corpus as _is


def held_spans(tenant: str, corpus: str, span_ids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Those of `span_ids` that the corpus has and that are not removed."""
    wanted = _rows(span_ids, spans.c.span_id)
    # `LIVE` is asked outside: inside it would let another index be read, of all that is live.
    found = (
        select(spans.c.span_id, spans.c.removed_in)
        .where(_is(spans, tenant, corpus), spans.c.span_id == wanted.c.value)
        .offset(0)
        .lateral("found")
    )
    return select(found.c.span_id).select_from(wanted).join(found, true()).where(found.c.removed_in.is_(None))


def _spans_of(tenant: str, corpus: str, paths: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """The ids of spans of the paths that are not removed."""
    wanted = _rows(paths, spans.c.path)
    found = (
        select(spans.c.span_id)
        .where(_is(spans, tenant, corpus), spans.c.path == wanted.c.value, LIVE)
        .offset(0)
        .lateral("found")
    )
    return select(found.c.span_id).select_from(wanted).join(found, true())


def _rows(values: Sequence[str], column: ColumnElement[Any]) -> TableValuedAlias:
    """`values` as a table, to each row of which a lateral query answers; that query's offset keeps it from being joined
    otherwise. Planned while tables fill and have no statistics, a join reads all of the corpus.
    """
    return func.unnest(literal(list(values), ARRAY(column.type))).table_valued("value").render_derived(name="wanted")


async def replace_spans(
    connection: AsyncConnection, tenant: str, corpus: str, version: int, cuts: Sequence[CutFile]
) -> None:
    """Make those of `cuts` the spans of their paths as of `version`; spans that stay keep their rows."""
    key = {"tenant": tenant, "corpus": corpus}
    ids = [span.span_id for cut in cuts for span in cut.spans]
    # An ingest that was given up may have removed in this version what is back now.
    await connection.execute(
        update(spans)
        .where(_is(spans, tenant, corpus), spans.c.removed_in == version, among(spans.c.span_id, ids))
        .values(removed_in=None)
    )
    of_files = _spans_of(tenant, corpus, [cut.file.path for cut in cuts])
    held = {str(span_id) for span_id in (await connection.execute(of_files)).scalars()}
    if gone := held.difference(ids):
        await connection.execute(
            update(spans)
            .where(_is(spans, tenant, corpus), LIVE, among(spans.c.span_id, list(gone)))
            .values(removed_in=version)
        )
    fresh = [
        {
            **key,
            "span_id": span.span_id,
            "added_in": version,
            "artifact_id": span.artifact_id,
            "path": span.path,
            "start_line": span.start_line,
            "end_line": span.end_line,
            "text": span.text,
            "token_count": span.token_count,
            "vector": span.vector,
            "terms": span.terms,
        }
        for cut in cuts
        for span in cut.spans
        if span.span_id not in held
    ]
    if fresh:
        await connection.execute(insert(spans), fresh)


async def drop_strangers(connection: AsyncConnection, tenant: str, corpus: str, version: int, upload_id: str) -> None:
    """Take out of `version` what an ingest that was given up had put in it, and this upload has not."""
    here, made = _is(spans, tenant, corpus), _changed(tenant, corpus, upload_id).where(uploads.c.path == spans.c.path)
    stranger = ~made.exists()
    await connection.execute(
        update(spans).where(here, spans.c.added_in == version, LIVE, stranger).values(removed_in=version)
    )
    await connection.execute(
        update(spans)
        .where(here, spans.c.removed_in == version, spans.c.added_in < version, stranger)
        .values(removed_in=None)
    )


async def put_artifacts(connection: AsyncConnection, tenant: str, corpus: str, version: int, upload_id: str) -> int:
    """Make the upload's new and changed files artifacts of `version`; how many."""
    counted = select(spans.c.path, func.count().label("spans")).where(_is(spans, tenant, corpus), LIVE)
    held = counted.group_by(spans.c.path).subquery("held")
    rows = (
        _changed(tenant, corpus, upload_id)
        .outerjoin(held, held.c.path == uploads.c.path)
        .with_only_columns(
            uploads.c.tenant,
            uploads.c.corpus,
            uploads.c.path,
            uploads.c.content,
            uploads.c.content_hash,
            func.octet_length(uploads.c.content),
            func.coalesce(held.c.spans, 0),
            literal(version),
            literal(version),
        )
    )
    upsert = insert(artifacts)
    changing = ("content", "content_hash", "size_bytes", "span_count", "changed_in")
    keys = ("tenant", "corpus", "path")
    put = await connection.execute(
        upsert.from_select([*keys, *changing[:4], "created_in", "changed_in"], rows).on_conflict_do_update(
            index_elements=keys, set_={name: upsert.excluded[name] for name in changing}
        ),
        execution_options={"preserve_rowcount": True},
    )
    return put.rowcount


def _changed(tenant: str, corpus: str, upload_id: str) -> Select[*tuple[Any, ...]]:
    """The upload's files that are not artifacts with the same content."""
    same = exists().where(
        _is(artifacts, tenant, corpus),
        artifacts.c.path == uploads.c.path,
        artifacts.c.content_hash == uploads.c.content_hash,
    )
    return select(uploads.c.path).where(
        _is(uploads, tenant, corpus), uploads.c.upload_id == upload_id, uploads.c.sequence >= 0, ~same
    )


async def prune_artifacts(connection: AsyncConnection, tenant: str, corpus: str, version: int, upload_id: str) -> int:
    """Remove, as of `version`, the artifacts that the upload does not name and that are below nothing it left out; how
    many.
    """
    here, of_upload = _is(artifacts, tenant, corpus), (_is(uploads, tenant, corpus), uploads.c.upload_id == upload_id)
    named = exists().where(*of_upload, uploads.c.path == artifacts.c.path)
    unnamed = await connection.scalars(select(artifacts.c.path).where(here, ~named))
    left_out = set(await connection.scalars(select(uploads.c.path).where(*of_upload, uploads.c.sequence < 0)))
    # A folder that could not be listed holds what it held, for all that is known. Not in SQL, which would compare each
    # artifact with each path that was left out.
    gone = [path for path in unnamed if left_out.isdisjoint(map(str, PurePosixPath(path).parents))]
    if gone:
        await connection.execute(delete(artifacts).where(here, among(artifacts.c.path, gone)))
        stays = exists().where(_is(artifacts, tenant, corpus), artifacts.c.path == spans.c.path)
        await connection.execute(
            update(spans).where(_is(spans, tenant, corpus), LIVE, ~stays).values(removed_in=version)
        )
    return len(gone)
