"""An embedder behind HTTP, against a server that speaks its protocol well and badly."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import numpy as np
import pytest

from activities.http_embedder import EmbedderUnavailable, HttpEmbedder
from activities.spans import EmbedderId, EmbedderRefused
from activities.tokens import count
from tests.support.embeddings import DIMENSION, EmbeddingsServer, Reply, body_of, embedding, embeddings_server

KEY = "sk-very-secret"
ID = EmbedderId(name="m", version="1-256", dimension=DIMENSION)


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with embeddings_server() as server:
        yield server


class Pauses(list[float]):
    """The pauses between attempts, which take no time."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


class Asked:
    """Makes embedders that are closed at the end."""

    def __init__(self, server: EmbeddingsServer, pauses: Pauses, stack: AsyncExitStack) -> None:
        self._server, self._pauses, self._stack = server, pauses, stack

    async def __call__(
        self, *texts: str, batch: int = 64, timeout: float = 30, limit: int = 256, url: str | None = None
    ) -> list[bytes]:
        embedder = HttpEmbedder(
            url or self._server.url,
            model="m",
            identity=ID,
            limit=limit,
            api_key=KEY,
            batch=batch,
            timeout=timeout,
            pause=self._pauses,
        )
        return await (await self._stack.enter_async_context(embedder)).embed(texts)


@pytest.fixture
async def embed(server: EmbeddingsServer, pauses: Pauses) -> AsyncIterator[Asked]:
    async with AsyncExitStack() as stack:
        yield Asked(server, pauses, stack)


def values(vector: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(vector, dtype="<f4")


async def test_each_text_gets_its_own_vector_of_length_one_in_batches(embed: Asked, server: EmbeddingsServer) -> None:
    texts = [f"text number {n}" for n in range(7)]
    vectors = await embed(*texts, batch=3)
    assert [len(request["input"]) for request in server.requests] == [3, 3, 1]
    assert {request["model"] for request in server.requests} == {"m"}
    assert set(server.keys) == {f"Bearer {KEY}"}
    for text, vector in zip(texts, vectors, strict=True):
        wanted = np.array(embedding(text)) / np.linalg.norm(embedding(text))
        assert np.linalg.norm(values(vector)) == pytest.approx(1, abs=1e-6)
        assert values(vector) == pytest.approx(wanted, abs=1e-6)


async def test_no_text_is_no_request(embed: Asked, server: EmbeddingsServer) -> None:
    assert await embed() == []
    assert server.requests == []


async def test_a_text_is_sent_up_to_the_limit_and_an_empty_one_as_a_space(
    embed: Asked, server: EmbeddingsServer
) -> None:
    await embed("word " * 1000, "", "中文" * 500, limit=20)
    long, empty, chinese = server.requests[0]["input"]
    assert (count(long), empty) == (20, " ")
    assert 10 <= count(chinese) <= 20
    assert chinese + ("中文" * 500)[len(chinese) :] == "中文" * 500


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_server_that_is_busy_is_asked_again(
    embed: Asked, server: EmbeddingsServer, pauses: Pauses, status: int
) -> None:
    server.replies = [Reply(status=status), Reply(status=status, headers={"Retry-After": "2"})]
    assert len(await embed("text")) == 1
    assert (len(server.requests), pauses) == (3, [0.25, 2.0])


async def test_a_server_that_stays_busy_is_given_up_and_its_long_wait_is_not_waited_for(
    embed: Asked, server: EmbeddingsServer, pauses: Pauses
) -> None:
    server.replies = [Reply(status=503, headers={"Retry-After": "3600"})] * 3
    with pytest.raises(EmbedderUnavailable, match=r"127\.0\.0\.1 gave no vectors in 3 attempts: status 503"):
        await embed("text")
    assert (len(server.requests), pauses) == (3, [4.0, 4.0])


async def test_nobody_at_the_address_is_unavailable(embed: Asked, pauses: Pauses) -> None:
    with pytest.raises(EmbedderUnavailable, match="ConnectError"):
        await embed("text", url="http://127.0.0.1:9/v1/embeddings")
    assert len(pauses) == 2


async def test_a_server_that_does_not_answer_is_given_up_in_time(embed: Asked, server: EmbeddingsServer) -> None:
    server.replies = [Reply(hold=True)]
    with pytest.raises(EmbedderUnavailable, match=r"gave no vectors in 0\.2 s"):
        await embed("text", timeout=0.2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
async def test_a_refusal_is_final(embed: Asked, server: EmbeddingsServer, pauses: Pauses, status: int) -> None:
    server.replies = [Reply(status=status, body='{"error": "no such model"}')]
    with pytest.raises(EmbedderRefused, match=f"refused with status {status}") as caught:
        await embed("text")
    assert (len(server.requests), pauses) == (1, [])
    assert ("no such model" in str(caught.value)) is (status not in (401, 403))


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_the_key_is_in_no_error_and_in_no_log(
    embed: Asked, server: EmbeddingsServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies = [Reply(status=status, body=f"Incorrect API key provided: {KEY}")] * 3
    with pytest.raises((EmbedderRefused, EmbedderUnavailable)) as caught:
        await embed("text")
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert KEY not in caplog.text


ONE = embedding("text")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (body_of([]), "0 vectors for 1 texts"),
        (body_of([ONE, ONE]), "2 vectors for 1 texts"),
        (body_of([ONE[:-1]]), "a vector of dimension 15, not 16"),
        (body_of([[ONE]]), "a vector of dimension 1×16, not 16"),
        (body_of([[*ONE[:-1], float("nan")]]), "no finite number"),
        (body_of([[*ONE[:-1], float("inf")]]), "no finite number"),
        (body_of([[0.0] * DIMENSION]), "all zeros"),
        (body_of([[*ONE[:-1], None]]), "no finite number"),
        (body_of(["AAAA"]), "no list of embeddings"),
        (json.dumps({"data": [{"index": 1, "embedding": ONE}]}), "other numbers"),
        (json.dumps({"data": [{"embedding": ONE}]}), "no list of embeddings"),
        (json.dumps({"embeddings": [ONE]}), "no list of embeddings"),
        (json.dumps([1]), "no list of embeddings"),
        ("<html>", "no list of embeddings"),
    ],
)
async def test_an_answer_that_is_wrong_is_refused_and_no_vector_is_made_up(
    embed: Asked, server: EmbeddingsServer, body: str, said: str
) -> None:
    server.replies = [Reply(body=body)]
    with pytest.raises(EmbedderRefused, match=said):
        await embed("text")
    assert len(server.requests) == 1


def test_lines_are_counted_with_their_ends() -> None:
    embedder = HttpEmbedder("http://127.0.0.1:9/v1/embeddings", model="m", identity=ID, limit=256)
    assert embedder.sizes(["", "Hello world", "中文"]) == [1, 3, count("中文\n")]
