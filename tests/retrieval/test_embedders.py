"""A corpus made with an embedder behind HTTP, and workers that have another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.corpora.index import IndexActivities
from activities.corpora.ingest import Target
from activities.spans import IndexUnavailable
from perdure.errors import InvalidRequest, Unavailable
from tests.retrieval.conftest import DOCUMENTS, Corpora, corpora_with
from tests.support.embeddings import DIMENSION, EmbeddingsServer, Reply, embeddings_server
from workers.ingest_folder import reindex
from workers.retrieval import open_embedder
from workers.settings import Settings
from workers.stack.stack import Stack

QUERY = "a garbage collector"


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with embeddings_server() as server:
        yield server


@pytest.fixture
async def remote(
    stack: Stack, settings: Settings, temporal_client: Client, server: EmbeddingsServer, unique: str
) -> AsyncIterator[Corpora]:
    """The tenant's corpora, by a worker whose embedder is behind HTTP, on a task queue of its own."""
    chosen = settings.model_copy(
        update={"embedder_url": server.url, "embedder_model": "m", "embedder_dimension": DIMENSION}
    )
    async with (
        open_embedder(chosen) as embedder,
        corpora_with(
            embedder, stack, settings.require_database_url(), temporal_client, unique, f"{unique}-remote"
        ) as corpora,
    ):
        yield corpora


async def test_a_corpus_is_made_and_searched_with_vectors_that_came_over_http(
    remote: Corpora, server: EmbeddingsServer, folder: Path
) -> None:
    report = await remote.ingest(folder)
    assert (report.phase, report.indexed, report.failed) == ("done", True, 0)
    asked = len(server.requests)
    found = await remote.compile(DOCUMENTS["fruit.txt"].strip(), explain=True)
    assert (found.degraded, len(server.requests)) == (False, asked + 1)
    assert found.manifest["embedder"] == {"name": "m", "version": "1-256", "dimension": DIMENSION}
    assert found.explain is not None
    best = found.explain["stages"]["semantic"][0]
    assert best["path"] == "fruit.txt"
    assert best["score"] == pytest.approx(1.0, abs=0.02)  # the span was embedded under its file's name


async def test_a_worker_with_another_embedder_searches_by_words_alone_and_says_so(
    remote: Corpora, corpora: Corpora, folder: Path
) -> None:
    await remote.ingest(folder)
    found = await corpora.compile(QUERY)
    assert found.degraded
    assert found.degraded_reason == (f"The corpus was embedded with m@1-256; this worker has {corpora.embedder.id}.")
    assert "garbage collector" in found.text
    assert not (await remote.compile(QUERY)).degraded


async def test_a_worker_with_another_embedder_refuses_to_add_to_a_corpus(
    remote: Corpora, corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    with pytest.raises(InvalidRequest, match="Ingest into a new corpus") as caught:
        await remote.ingest(folder)
    assert caught.value.details["embedder"] == str(corpora.embedder.id)
    assert not (await corpora.compile(QUERY)).degraded


async def test_a_worker_with_another_embedder_refuses_to_make_an_index_anew_and_the_old_one_serves(
    remote: Corpora, corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    before = await corpora.store.state(corpora.tenant, "docs")
    with pytest.raises(InvalidRequest, match=r"Corpus docs was made with .* Ingest into a new corpus") as caught:
        await reindex(remote.client, corpus="docs", tenant=remote.tenant, task_queue=remote.task_queue)
    assert caught.value.details["embedder"] == str(corpora.embedder.id)
    assert await corpora.store.state(corpora.tenant, "docs") == before
    found = await corpora.compile(QUERY, explain=True)
    assert not found.degraded
    assert found.explain is not None
    assert found.explain["stages"]["semantic"]


async def test_a_worker_with_another_embedder_leaves_what_waits_for_the_index_to_others(
    remote: Corpora, corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    there = IndexActivities(remote.store, remote.index, remote.embedder.id)
    with pytest.raises(IndexUnavailable, match=f"this worker has {remote.embedder.id}"):
        await ActivityEnvironment().run(there.index_spans, Target(tenant=remote.tenant, corpus="docs", fresh="none"))
    assert not (await corpora.compile(QUERY)).degraded


async def test_an_embedder_that_refuses_ends_the_ingest_with_a_sentence_and_readers_see_nothing_of_it(
    remote: Corpora, server: EmbeddingsServer, folder: Path
) -> None:
    server.replies = [Reply(status=401, body="no such key")] * 9
    with pytest.raises(Unavailable, match="PERDURE_EMBEDDER_API_KEY"):
        await remote.ingest(folder)
    assert (await remote.store.get_corpus(remote.tenant, "docs")).version == 0
    server.replies = []
    assert (await remote.ingest(folder)).phase == "done"


async def test_an_embedder_that_is_busy_only_delays_an_ingest(
    remote: Corpora, server: EmbeddingsServer, folder: Path
) -> None:
    server.replies = [Reply(status=429), Reply(status=503)]
    assert (await remote.ingest(folder)).phase == "done"
    assert server.replies == []


async def test_a_turn_goes_on_by_words_while_the_embedder_is_away(
    remote: Corpora, server: EmbeddingsServer, folder: Path
) -> None:
    await remote.ingest(folder)
    server.replies = [Reply(status=401)]
    found = await remote.compile(QUERY)
    assert found.degraded_reason == (
        "The embedder failed: The embedder at 127.0.0.1 refused with status 401. Check PERDURE_EMBEDDER_API_KEY."
    )
    assert "garbage collector" in found.text
