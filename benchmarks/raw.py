"""The parts of a turn done raw: its retrieval by Weaviate's own client, its rows by psycopg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from urllib.parse import urlsplit

import numpy as np
import psycopg
import weaviate
from psycopg import sql
from psycopg.types.string import TextLoader
from weaviate.collections import CollectionAsync

from activities.embedder import MiniLm
from activities.ports import Embedder
from activities.stores.weaviate_index import COLLECTION, SEARCHED
from activities.terms import terms_of
from perdure.working_set import CompilerConfig
from workers.stack.addresses import Addresses

_CANDIDATES_BEYOND = 10
"""The compiler asks for so many more than its k."""


class RawRetrieval:
    """What the compiler asks of the embedder and of Weaviate, and nothing else: no text is fetched, fused or packed."""

    def __init__(self, spans: CollectionAsync[Any, None], vector_name: str, embedder: Embedder) -> None:
        self._spans = spans
        self._vector_name = vector_name
        self._embedder = embedder

    async def find(self, query: str) -> None:
        """Embed the query while BM25 runs, then search by the vector; ids and scores come back, as in the compiler."""
        config = CompilerConfig()
        lexical = asyncio.create_task(
            self._spans.query.bm25(
                " ".join(terms_of(query)),
                query_properties=[SEARCHED],
                limit=config.lexical_k + _CANDIDATES_BEYOND,
                return_metadata=["score"],
                return_properties=[],
            )
        )
        (vector,) = await self._embedder.embed([query])
        await self._spans.query.near_vector(
            np.frombuffer(vector, dtype="<f4").tolist(),
            target_vector=self._vector_name,
            limit=config.semantic_k + _CANDIDATES_BEYOND,
            return_metadata=["distance"],
            return_properties=[],
        )
        await lexical

    async def hybrid(self, query: str) -> None:
        """Weaviate's own hybrid query of 50 spans, with their words, and their vectors for diversity."""
        (vector,) = await self._embedder.embed([query])
        await self._spans.query.hybrid(
            " ".join(terms_of(query)),
            query_properties=[SEARCHED],
            vector=np.frombuffer(vector, dtype="<f4").tolist(),
            target_vector=self._vector_name,
            limit=CompilerConfig().semantic_k,
            include_vector=[self._vector_name],
            return_metadata=["score"],
        )


@asynccontextmanager
async def open_raw_retrieval(
    addresses: Addresses, index: str, embedder: Embedder | None = None, *, exact: bool = True
) -> AsyncIterator[RawRetrieval]:
    """`index` is the corpus's Weaviate tenant; by default the embedder is the local one, loaded."""
    if embedder is None:
        embedder = MiniLm()
        embedder.load()
    url = urlsplit(addresses.weaviate or "")
    async with weaviate.use_async_with_local(
        host=url.hostname or "", port=url.port or 0, grpc_port=addresses.weaviate_grpc_port, skip_init_checks=True
    ) as client:
        collection = client.collections.use(COLLECTION)
        names = sorted((await collection.config.get()).vector_config or {})  # the exact one, then the graph
        yield RawRetrieval(collection.with_tenant(index), names[0 if exact else 1], embedder)


class RawCommit:
    """Writes the rows of a real turn again and again, for a session of its own: one transaction, plain statements."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], session_id: str) -> None:
        self._connection = connection
        self._session_id = session_id
        self._sequence = 1
        self._rows: dict[str, dict[str, Any]] = {}
        self._inserts: dict[str, sql.Composed] = {}

    async def learn(self, model: str) -> None:
        """Take the rows of the newest user message of session `model`, and its session, as the pattern."""
        for name in ("json", "jsonb"):  # as text: reading and writing JSON is no part of a raw commit
            self._connection.adapters.register_loader(name, TextLoader)
        for table, query in _NEWEST.items():
            found = await self._connection.execute(query, [model])
            row = await found.fetchone()
            if row is not None:
                names = [column.name for column in found.description or ()]
                self._rows[table] = {**dict(zip(names, row, strict=True)), "session_id": self._session_id}
                self._inserts[table] = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.SQL(", ").join(sql.Placeholder() * len(names)),
                )
        await self._insert("sessions")

    async def commit(self) -> None:
        """What a turn stores: the session moved on, an event, a message, a working set."""
        self._sequence += 1
        number, message_id = self._sequence, f"raw-{self._sequence}"
        async with self._connection.transaction():
            await self._connection.execute(
                "UPDATE sessions SET event_sequence = %s, message_count = %s, active_message_id = %s, "
                "last_message_at = now(), updated_at = now() WHERE tenant = %s AND session_id = %s AND owner = %s",
                [number, number, message_id, *(self._rows["sessions"][c] for c in ("tenant", "session_id", "owner"))],
            )
            await self._insert("events", sequence=number, key=message_id)
            await self._insert("messages", sequence_number=number, message_id=message_id)
            if "working_sets" in self._rows:
                await self._insert("working_sets", message_id=message_id)

    async def _insert(self, table: str, **changes: object) -> None:
        row = {**self._rows[table], **changes}
        await self._connection.execute(self._inserts[table], list(row.values()))


_NEWEST: dict[str, LiteralString] = {
    "sessions": "SELECT * FROM sessions WHERE session_id = %s",
    "messages": (
        "SELECT * FROM messages WHERE role = 'user' AND session_id = %s ORDER BY sequence_number DESC LIMIT 1"
    ),
    "events": (
        "SELECT e.* FROM events e JOIN messages m USING (tenant, session_id) "
        "WHERE e.key = m.message_id AND m.role = 'user' AND session_id = %s ORDER BY sequence DESC LIMIT 1"
    ),
    "working_sets": (
        "SELECT w.* FROM working_sets w JOIN messages m USING (tenant, session_id, message_id) "
        "WHERE session_id = %s ORDER BY sequence_number DESC LIMIT 1"
    ),
}
"""The pattern's rows; `%s` is its session."""
