"""Cases 34 to 49, as far as they need no server: the stages of a compilation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.corpora.ports import CorpusVersions
from activities.spans import CorpusState, Span
from activities.tokens import count
from activities.working_sets.compiler import WorkingSetCompiler
from activities.working_sets.fusion import by_score, diversify, fuse, similarities
from activities.working_sets.packing import Packed, pack
from perdure.working_set import CompilerConfig, WorkingSet, context_hash
from tests.unit.retrieval import fakes
from tests.unit.retrieval.fakes import vector
from tests.unit.retrieval.test_packing import UNUSUAL, packed, span

EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_case_34_the_default_configuration() -> None:
    config = CompilerConfig()
    assert (config.token_budget, config.enable_mmr, config.mmr_lambda) == (8000, True, 0.9)
    assert CompilerConfig.model_validate({"preset": "avocado"}) == config.model_copy(update={"mmr_lambda": 0.5})
    assert (config.semantic_weight, config.lexical_weight) == (0.7, 0.3)


def test_case_35_one_span_gives_this_text_and_this_hash() -> None:
    found = packed([span("This is a test document about Rust programming.")], 8000)
    assert found.text == "[1] test.txt\nLines 1-1\n\nThis is a test document about Rust programming."
    assert context_hash(found.text) == "ed05ed75d638c6f6c2a3c8de77deea978b4a670cfccf6523633567e4be8f5de8"


class EmptyCorpus(fakes.Corpora):
    """A corpus whose published version has no documents."""

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        return replace(fakes.STATE, span_count=0)

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        return []


@pytest.mark.parametrize(("corpora", "budget"), [(EmptyCorpus(), 8000), (fakes.Corpora(), 0)])
async def test_case_37_an_empty_corpus_or_no_budget_gives_the_empty_text(corpora: CorpusVersions, budget: int) -> None:
    found = await compiled(corpora, CompilerConfig(token_budget=budget))
    assert (found.text, found.spans, found.citations, found.tokens_used) == ("", [], [], 0)
    assert (found.context_hash, found.degraded) == (EMPTY_HASH, False)


async def compiled(corpora: CorpusVersions, config: CompilerConfig) -> WorkingSet:
    """What the compiler makes with fakes for all else."""
    compiler = WorkingSetCompiler(corpora, fakes.Index(), fakes.Embedder())
    return await compiler.compile(tenant="default", corpus="docs", query="hello?", config=config)


def test_case_38_reciprocal_ranks_are_fused_with_their_weights() -> None:
    scores = fuse([(0.7, ["A", "B", "C"]), (0.3, ["B"])])
    assert scores == pytest.approx({"B": 0.0164754, "A": 0.0116667, "C": 0.0112903}, abs=1e-7)
    assert by_score(scores, str) == ["B", "A", "C"]


def test_case_40_equal_scores_are_ordered_by_path_and_line() -> None:
    places = [("b.md", 1), ("a.md", 9), ("a.md", 2)]
    assert by_score(dict.fromkeys(places, 0.01), lambda place: place) == [("a.md", 2), ("a.md", 9), ("b.md", 1)]


@pytest.mark.parametrize(("weight", "order"), [(0.5, "ACB"), (1.0, "ABC"), (0.0, "ACB")])
def test_case_41_diversity_reorders_by_its_weight(weight: float, order: str) -> None:
    vectors = [vector(1, 0), vector(1, 0), vector(0, 1)]
    assert diversify([0.0116667, 0.0114754, 0.0112903], vectors, weight) == ["ABC".index(name) for name in order]


def test_case_42_a_candidate_without_a_vector_resembles_nothing() -> None:
    assert diversify([3.0, 2.0, 1.0], [vector(1, 0), vector(1, 0), None], 0.0) == [0, 2, 1]
    assert diversify([2.0, 1.0], [None, None], 0.5) == [0, 1]


def words(text: str, _: str) -> int:
    """Counts words, so that a test can say how large a span is."""
    return len(text.split())


def lines_of_words(number: int, path: str) -> Span:
    """A span of `number` words, five a line; the rest on the last."""
    every = [f"w{n}" for n in range(number)]
    text = "\n".join(" ".join(every[i : i + 5]) for i in range(0, number, 5))
    return replace(span(text, path), token_count=number)


def packed_words(spans: Sequence[Span], budget: int) -> Packed:
    """Packed by words instead of tokens."""
    return pack(spans, budget=budget, max_spans=100, order="document", encoding="cl100k_base", count=words)


def test_case_43_a_span_that_is_too_large_for_what_is_left_is_cut_and_marked() -> None:
    found = packed_words([lines_of_words(100, "a.txt"), lines_of_words(150, "b.txt")], 200)
    whole, cut = found.chunks
    assert (whole.tokens, whole.truncated) == (100, False)
    assert (cut.tokens, cut.truncated) == (90, True)  # 200 - 100, less the heads of both and what is between them
    assert found.tokens_used == words(found.text, "") <= 200


@pytest.mark.parametrize("size", [50, 51])
def test_case_44_a_span_over_half_of_the_budget_is_used(size: int) -> None:
    found = packed_words([lines_of_words(size, "a.txt")], 100)
    (chunk,) = found.chunks
    assert (chunk.tokens, chunk.truncated, found.omitted) == (size, False, [])


def test_case_46_similarity_is_half_of_one_plus_the_cosine_and_another_dimension_is_an_error() -> None:
    found = similarities(vector(1, 0, 0), [vector(1, 0, 0), vector(0, 1, 0), vector(0.9, 0.1, 0)])
    assert found == pytest.approx([1.0, 0.5, 0.99694], abs=1e-5)
    with pytest.raises(ValueError, match="dimension"):
        similarities(vector(1, 0, 0), [vector(1, 0)])


@settings(max_examples=200, deadline=None)
@given(st.lists(UNUSUAL, max_size=12), st.integers(1, 400), st.sampled_from(["cl100k_base", "o200k_base"]))
def test_case_49_tokens_used_is_at_most_the_budget(texts: list[str], budget: int, encoding: str) -> None:
    found = packed([span(text, f"{n}.txt") for n, text in enumerate(texts)], budget, encoding=encoding)
    assert found.tokens_used == count(found.text, encoding) <= budget
