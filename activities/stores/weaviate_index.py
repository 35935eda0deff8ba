"""The span index on Weaviate: one collection, a Weaviate tenant per corpus, our own vectors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import weaviate
from weaviate.auth import Auth
from weaviate.classes.config import (
    Configure,
    DataType,
    Property,
    StopwordsPreset,
    Tokenization,
    VectorDistances,
)
from weaviate.classes.data import DataObject
from weaviate.classes.init import AdditionalConfig, Timeout
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.classes.tenants import Tenant
from weaviate.collections import CollectionAsync
from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateBaseError

from activities.spans import EmbedderId, Hit, IndexUnavailable, Span
from activities.terms import TERMS

COLLECTION = "PerdureSpans"
SEARCHED = "terms"
GRAPH = "_graph"
"""Suffix of the second vector's name: the same vector, found by a graph that grows slowly with the corpus."""
HNSW: dict[str, int] = {"ef": 128, "ef_construction": 128, "max_connections": 32}
_TIMEOUT = Timeout(init=5, query=20, insert=60)
"""Seconds. What a caller waits for a query is the caller's own, shorter limit."""


class WeaviateIndex:
    """`activities.ports.SpanIndex` on Weaviate. Connects at the first call, and again after a failure to connect.

    Vectors are searched exactly (a flat index), so that the same spans give the same answer in any order of insertion;
    or, where that takes too long, along a graph (HNSW), which may miss some.
    Answers carry ids and scores alone: decoding more costs the client as much as the search costs the server.
    """

    def __init__(self, url: str, grpc_port: int, embedder: EmbedderId, *, api_key: str | None = None) -> None:
        self._url = urlsplit(url)
        self._grpc_port = grpc_port
        self._api_key = api_key
        self._vector = re.sub(r"\W", "_", f"{embedder.name}_{embedder.version}")
        self._connecting = asyncio.Lock()
        self._client: weaviate.WeaviateAsyncClient | None = None

    def parameters(self, *, exact: bool) -> dict[str, object]:
        how = {"kind": "flat"} if exact else {"kind": "hnsw", **HNSW}
        return {
            "engine": "weaviate",
            **how,
            "distance": "cosine",
            "lexical": "bm25",
            "terms": TERMS,
        }

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        async with self._collection() as collection:
            found = await collection.with_tenant(index).query.near_vector(
                np.frombuffer(vector, dtype="<f4").tolist(),
                target_vector=self._vector if exact else self._vector + GRAPH,
                limit=limit,
                return_metadata=MetadataQuery(distance=True),
                return_properties=[],
            )
        return [Hit(str(o.uuid), 1.0 - (o.metadata.distance or 0.0)) for o in found.objects]

    async def search_text(self, index: str, terms: Sequence[str], limit: int) -> list[Hit]:
        async with self._collection() as collection:
            found = await collection.with_tenant(index).query.bm25(
                " ".join(terms),
                query_properties=[SEARCHED],
                limit=limit,
                return_metadata=MetadataQuery(score=True),
                return_properties=[],
            )
        return [Hit(str(o.uuid), o.metadata.score or 0.0) for o in found.objects]

    async def prepare(self, index: str) -> None:
        async with self._collection() as collection:
            if not await collection.exists():
                await self._create()
            elif self._vector not in ((await collection.config.get()).vector_config or {}):
                await collection.config.add_vector(vector_config=self._vector_configs())
            if not await collection.tenants.exists(index):
                await collection.tenants.create([Tenant(name=index)])

    async def put(self, index: str, spans: Sequence[Span]) -> None:
        objects = [
            DataObject(
                uuid=span.span_id,
                properties={SEARCHED: span.terms},
                vector=dict.fromkeys(
                    (self._vector, self._vector + GRAPH), np.frombuffer(span.vector, dtype="<f4").tolist()
                ),
            )
            for span in spans
        ]
        async with self._collection() as collection:
            result = await collection.with_tenant(index).data.insert_many(objects)
            if result.errors:  # it reports, it does not raise
                first = next(iter(result.errors.values()))
                raise IndexUnavailable(f"Weaviate refused {len(result.errors)} of {len(spans)} spans: {first.message}")

    async def remove(self, index: str, span_ids: Sequence[str]) -> None:
        async with self._collection() as collection:
            await collection.with_tenant(index).data.delete_many(where=Filter.by_id().contains_any(list(span_ids)))

    async def drop(self, index: str) -> None:
        async with self._collection() as collection:
            if await collection.exists() and await collection.tenants.exists(index):
                await collection.tenants.remove([index])

    async def close(self) -> None:
        """Close the connection; the next call opens one again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _collection(self) -> AsyncIterator[CollectionAsync[Any, None]]:
        try:
            yield (await self._connected()).collections.use(COLLECTION)
        except (WeaviateBaseError, httpx.HTTPError, OSError) as error:
            raise IndexUnavailable(f"Weaviate at {self._url.netloc}: {error}") from error

    async def _connected(self) -> weaviate.WeaviateAsyncClient:
        async with self._connecting:
            if self._client is None:
                client = weaviate.use_async_with_custom(
                    http_host=self._url.hostname or "localhost",
                    http_port=self._url.port or (443 if self._url.scheme == "https" else 80),
                    http_secure=self._url.scheme == "https",
                    grpc_host=self._url.hostname or "localhost",
                    grpc_port=self._grpc_port,
                    grpc_secure=self._url.scheme == "https",
                    auth_credentials=Auth.api_key(self._api_key) if self._api_key else None,
                    additional_config=AdditionalConfig(timeout=_TIMEOUT, trust_env=False),
                    skip_init_checks=True,
                )
                try:
                    await client.connect()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client

    async def _create(self) -> None:
        client = await self._connected()
        try:
            await client.collections.create(
                COLLECTION,
                multi_tenancy_config=Configure.multi_tenancy(enabled=True),
                # Terms are split and stemmed already, and a query's stop words are gone: taken as they are.
                properties=[
                    Property(
                        name=SEARCHED,
                        data_type=DataType.TEXT,
                        tokenization=Tokenization.WHITESPACE,
                        index_filterable=False,
                    )
                ],
                inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
                vector_config=self._vector_configs(),
            )
        except UnexpectedStatusCodeError:
            if not await client.collections.exists(COLLECTION):  # else another worker was first
                raise

    def _vector_configs(self) -> list[Any]:
        cosine = VectorDistances.COSINE
        flat = Configure.VectorIndex.flat(distance_metric=cosine)
        graph = Configure.VectorIndex.hnsw(
            distance_metric=cosine,
            ef=HNSW["ef"],
            ef_construction=HNSW["ef_construction"],
            max_connections=HNSW["max_connections"],
        )
        return [
            Configure.Vectors.self_provided(name=self._vector, vector_index_config=flat),
            Configure.Vectors.self_provided(name=self._vector + GRAPH, vector_index_config=graph),
        ]
