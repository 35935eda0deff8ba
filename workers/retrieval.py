"""What retrieval is built from: the embedder, the span index and the compiler that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from activities.corpora.ports import CorpusVersions
from activities.embedder import MiniLm
from activities.ports import Embedder
from activities.spans import EmbedderId
from activities.working_sets.breaker import Breaker
from activities.working_sets.compiler import WorkingSetCompiler
from workers.compiler_metrics import CompilerMetrics
from workers.settings import Settings

if TYPE_CHECKING:
    from activities.stores.weaviate_index import WeaviateIndex


@asynccontextmanager
async def open_embedder(settings: Settings) -> AsyncIterator[Embedder]:
    """The embedder, ready to be used.

    Raises:
        ModelMismatch: the local model that is installed has another hash.
    """
    if settings.embedder_url is None:
        model = MiniLm()
        await asyncio.to_thread(model.load)  # else the first turn would wait for it
        yield model
        return
    from activities.http_embedder import HttpEmbedder

    assert settings.embedder_model is not None
    assert settings.embedder_dimension is not None
    limit = settings.embedder_input_tokens
    identity = EmbedderId(
        name=settings.embedder_model,
        version=f"{settings.embedder_version}-{limit}",  # the limit decides where spans end
        dimension=settings.embedder_dimension,
    )
    key = settings.embedder_api_key
    async with HttpEmbedder(
        settings.embedder_url,
        model=settings.embedder_model,
        identity=identity,
        limit=limit,
        api_key=key.get_secret_value() if key else None,
        batch=settings.embedder_batch,
        timeout=settings.embedder_timeout.total_seconds(),
    ) as embedder:
        yield embedder


def texts_at_once(settings: Settings) -> int:
    """How many texts ingest embeds at a time: the local model does one after the other, a request takes many."""
    return 4 if settings.embedder_url is None else settings.embedder_batch


@asynccontextmanager
async def open_index(settings: Settings, embedder: Embedder) -> AsyncIterator[WeaviateIndex | None]:
    """The span index; none when the settings name none, and then working sets are degraded."""
    if settings.weaviate_url is None:
        yield None
        return
    from activities.stores.weaviate_index import WeaviateIndex  # its driver's import takes a second

    key = settings.weaviate_api_key.get_secret_value() if settings.weaviate_api_key else None
    index = WeaviateIndex(settings.weaviate_url, settings.weaviate_grpc_port, embedder.id, api_key=key)
    try:
        yield index
    finally:
        await index.close()


def compiler_of(
    corpora: CorpusVersions, index: WeaviateIndex | None, embedder: Embedder, metrics: CompilerMetrics
) -> WorkingSetCompiler:
    """The compiler, watched by `metrics`."""
    return WorkingSetCompiler(
        corpora,
        index,
        embedder,
        breaker=Breaker(on_change=partial(metrics.circuit, "index")),
        embedder_breaker=Breaker(on_change=partial(metrics.circuit, "embedder")),
        on_compiled=metrics.compiled,
    )
