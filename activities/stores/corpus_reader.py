"""The read side of corpora in Postgres: what the compiler and the CLI ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Numeric, Row, Uuid, and_, any_, bindparam, cast, func, select

from activities.spans import SETTLED_FOR, CorpusState, EmbedderId, Hit, Span, artifact_id
from activities.stores.corpus_tables import artifacts, corpora, spans, visible_in
from activities.stores.engine import Engine
from perdure.corpus import Artifact, Corpus
from perdure.errors import CorpusNotFound, InvalidRequest
from perdure.ids import check_names

SPAN_COLUMNS = (
    spans.c.span_id,
    spans.c.artifact_id,
    spans.c.path,
    spans.c.start_line,
    spans.c.end_line,
    spans.c.text,
    spans.c.token_count,
    spans.c.vector,
)
VISIBLE = and_(
    spans.c.tenant == bindparam("tenant"),
    spans.c.corpus == bindparam("corpus"),
    visible_in(bindparam("version")),
)
_STATE = select(corpora).where(corpora.c.tenant == bindparam("tenant"), corpora.c.corpus == bindparam("corpus"))
_SPANS = select(*SPAN_COLUMNS).where(VISIBLE, spans.c.span_id == any_(bindparam("ids", type_=ARRAY(Uuid()))))
_QUERY = func.websearch_to_tsquery("simple", bindparam("words"))
_SCORE = func.round(cast(func.ts_rank(spans.c.search, _QUERY, 1), Numeric), 6)  # 1: divided by 1 + log(length)
_SEARCH = (
    select(spans.c.span_id, _SCORE)
    .where(VISIBLE, spans.c.search.bool_op("@@")(_QUERY))
    .order_by(_SCORE.desc(), spans.c.path.collate("C"), spans.c.start_line)  # as Python has it, in any database
    .limit(bindparam("limit"))
)


class PostgresCorpusReader:
    """`activities.corpora.ports.CorpusReader` on Postgres."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_STATE, {"tenant": tenant, "corpus": corpus})).one_or_none()
            return None if row is None else _state_of(row)

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        values = {"tenant": tenant, "corpus": corpus, "version": version, "ids": list(span_ids)}
        async with self._engine.connect() as connection:
            return [span_of(row) for row in await connection.execute(_SPANS, values)]

    async def search_text(self, tenant: str, corpus: str, version: int, terms: Sequence[str], limit: int) -> list[Hit]:
        # Quoted, as "or" itself may be a term; there is no quote in one, nor any other punctuation.
        words = " or ".join(f'"{term}"' for term in terms)
        values = {"tenant": tenant, "corpus": corpus, "version": version, "words": words, "limit": limit}
        async with self._engine.connect() as connection:
            return [Hit(str(span), float(score)) for span, score in await connection.execute(_SEARCH, values)]

    async def list_corpora(self, tenant: str) -> list[Corpus]:
        """The tenant's corpora by name."""
        query = select(corpora).where(corpora.c.tenant == tenant).order_by(corpora.c.corpus)
        async with self._engine.connect() as connection:
            return [_corpus_of(row) for row in await connection.execute(query)]

    async def get_corpus(self, tenant: str, corpus: str) -> Corpus:
        """One corpus.

        Raises:
            CorpusNotFound: the tenant has none of this name.
            InvalidRequest: no corpus can have this name.
        """
        check_names(InvalidRequest, tenant, corpus=corpus)
        async with self._engine.connect() as connection:
            row = (await connection.execute(_STATE, {"tenant": tenant, "corpus": corpus})).one_or_none()
        if row is None:
            raise CorpusNotFound(corpus=corpus)
        return _corpus_of(row)

    async def list_artifacts(self, tenant: str, corpus: str, after: str = "", limit: int = 1000) -> list[Artifact]:
        """Artifacts by path, of those after `after`; the last path asks for the next page."""
        query = (
            select(*(column for column in artifacts.c if column is not artifacts.c.content))
            .where(artifacts.c.tenant == tenant, artifacts.c.corpus == corpus, artifacts.c.path > after)
            .order_by(artifacts.c.path)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [
                Artifact(
                    artifact_id=artifact_id(tenant, corpus, row.path),
                    path=row.path,
                    content_hash=row.content_hash,
                    size_bytes=row.size_bytes,
                    spans=row.span_count,
                    created_in=row.created_in,
                    changed_in=row.changed_in,
                )
                for row in await connection.execute(query)
            ]


def span_of(row: Row[*tuple[Any, ...]]) -> Span:
    """The span in a row of `SPAN_COLUMNS`, and its terms if they follow."""
    span_id, of_artifact, path, start_line, end_line, text, token_count, vector, *terms = row
    return Span(
        span_id=str(span_id),
        artifact_id=str(of_artifact),
        path=path,
        start_line=start_line,
        end_line=end_line,
        text=text,
        token_count=token_count,
        vector=vector,
        terms=terms[0] if terms else "",
    )


def _state_of(row: Row[*tuple[Any, ...]]) -> CorpusState:
    return CorpusState(
        version=row.version,
        embedder=EmbedderId(**row.embedder),
        chunking=row.chunking,
        index=row.index_name,
        indexed_version=row.indexed_version,
        span_count=row.span_count,
        settled_for=SETTLED_FOR if row.index_unsettled_at is None else timedelta(),
    )


def _corpus_of(row: Row[*tuple[Any, ...]]) -> Corpus:
    return Corpus(
        tenant=row.tenant,
        corpus=row.corpus,
        version=row.version,
        artifacts=row.artifact_count,
        spans=row.span_count,
        embedder=str(EmbedderId(**row.embedder)),
        chunking=row.chunking,
        indexed=row.indexed_version == row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
