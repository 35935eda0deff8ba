"""The embedder: real vectors, the same for the same text."""

from __future__ import annotations

import numpy as np
import pytest

from activities.embedder import MiniLm


@pytest.fixture(scope="module")
def embedder() -> MiniLm:
    return MiniLm()


async def test_vectors_have_length_one_and_the_stated_dimension(embedder: MiniLm) -> None:
    for vector in await embedder.embed(["a text", "", "👩‍👩‍👧", "word " * 5000]):
        values = np.frombuffer(vector, dtype="<f4")
        assert values.shape == (embedder.id.dimension,)
        assert np.linalg.norm(values) == pytest.approx(1, abs=1e-6)


async def test_a_text_has_the_same_vector_alone_and_among_others(embedder: MiniLm) -> None:
    (alone,) = await embedder.embed(["how to stop a worker"])
    among = await embedder.embed(["another, rather longer, text about nothing", "how to stop a worker", "x"])
    assert alone == among[1]


async def test_nearness_follows_meaning(embedder: MiniLm) -> None:
    vectors = [np.frombuffer(v, dtype="<f4") for v in await embedder.embed(["a cat sat", "a kitten rested", "tax law"])]
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
