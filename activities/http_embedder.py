"""An embedder behind an HTTP endpoint that speaks OpenAI's `/v1/embeddings`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import httpx
import numpy as np

from activities import tokens
from activities.spans import EmbedderId, EmbedderRefused

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed; asking twice has no effect but its price."""
_SHOWN = 200


class EmbedderUnavailable(Exception):
    """The endpoint is down, late or overloaded, and was so at every attempt."""


class HttpEmbedder:
    """`activities.ports.Embedder` over HTTP. Texts go in batches, and an answer is checked before it is believed.

    A vector is as reproducible as the endpoint makes it. Tokens are counted as cl100k_base; a text is cut to `limit` of
    them before it is sent. Errors name the host and the status, and never the key.

    Args:
        url: The endpoint's whole address, such as `https://api.openai.com/v1/embeddings`.
        identity: Stored with each vector; the dimension is checked.
        limit: Tokens of a text that are sent, and so the largest span.
        timeout: Seconds that a batch may take, all attempts included.
        pause: Waits so many seconds before the next attempt.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        identity: EmbedderId,
        limit: int,
        api_key: str | None = None,
        batch: int = 64,
        timeout: float = 20.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.id = identity
        self.limit = limit
        self._url = url
        self._host = httpx.URL(url).host
        self._model = model
        self._batch = batch
        self._timeout = timeout
        self._pause = pause
        self._key = api_key
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=min(timeout, 5.0)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A float32 little-endian vector of length 1 for each text.

        Raises:
            EmbedderRefused: the endpoint refuses the request, or its answer has another number of vectors, another
                dimension, or a value that is no number.
            EmbedderUnavailable: it is down, late or overloaded.
        """
        vectors: list[bytes] = []
        for start in range(0, len(texts), self._batch):
            vectors += await self._embed(texts[start : start + self._batch])
        return vectors

    def sizes(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line, its end included."""
        return [tokens.count(line + "\n") for line in lines]

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        # An empty input is an error of the protocol; a space says as little.
        body = {"model": self._model, "input": [tokens.first(text, self.limit) or " " for text in texts]}
        try:
            async with asyncio.timeout(self._timeout):
                return self._vectors(await self._post(body), len(texts))
        except TimeoutError:
            raise EmbedderUnavailable(f"The embedder at {self._host} gave no vectors in {self._timeout:g} s.") from None

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            wait = _PAUSE_SECONDS * 2 ** (attempt - 1)
            try:
                answer = await self._client.post(self._url, json=body)
            except httpx.RequestError as error:
                problem = f"{type(error).__name__} {error}".strip()
            else:
                if answer.is_success:
                    return answer
                if answer.status_code not in _BUSY:
                    raise EmbedderRefused(self._refusal(answer))
                problem = f"status {answer.status_code}"
                wait = max(wait, _retry_after(answer))
            if attempt < _ATTEMPTS:
                await self._pause(min(wait, _LONGEST_PAUSE_SECONDS))
        raise EmbedderUnavailable(f"The embedder at {self._host} gave no vectors in {_ATTEMPTS} attempts: {problem}.")

    def _vectors(self, answer: httpx.Response, number: int) -> list[bytes]:
        try:
            items = sorted(answer.json()["data"], key=lambda item: item["index"])  # the order of an answer is free
            numbers = [item["index"] for item in items]
            rows = [np.asarray(item["embedding"], dtype=np.float64) for item in items]
        except (ValueError, KeyError, TypeError) as error:
            raise self._wrong(f"an answer that is no list of embeddings ({type(error).__name__})") from None
        if len(items) != number:
            raise self._wrong(f"{len(items)} vectors for {number} texts")
        if numbers != list(range(number)):
            raise self._wrong("vectors with other numbers than those of the texts")
        return [self._unit(row) for row in rows]

    def _unit(self, row: np.ndarray[Any, np.dtype[np.float64]]) -> bytes:
        if row.shape != (self.id.dimension,):
            raise self._wrong(f"a vector of dimension {'×'.join(map(str, row.shape))}, not {self.id.dimension}")
        length = float(np.linalg.norm(row))
        if not np.isfinite(length) or length == 0:
            raise self._wrong("a vector without a direction: all zeros, or a value that is no finite number")
        return (row / length).astype("<f4").tobytes()

    def _wrong(self, what: str) -> EmbedderRefused:
        return EmbedderRefused(f"The embedder at {self._host} gave {what}. Check PERDURE_EMBEDDER_*.")

    def _refusal(self, answer: httpx.Response) -> str:
        said = f"The embedder at {self._host} refused with status {answer.status_code}."
        if answer.status_code in (401, 403):  # such answers quote the key
            return f"{said} Check PERDURE_EMBEDDER_API_KEY."
        text = answer.text.replace(self._key, "***") if self._key else answer.text
        return f"{said} Check PERDURE_EMBEDDER_*. It said: {text[:_SHOWN]}"


def _retry_after(answer: httpx.Response) -> float:
    """The seconds that the server asks for; 0 when it names none, or a date."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
