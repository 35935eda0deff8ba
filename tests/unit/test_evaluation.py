"""Golden queries, and the measures of a ranking."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidRequest
from perdure.evaluation import (
    GoldenQuery,
    QueryScore,
    ndcg_at,
    percentile,
    precision_at,
    ranking,
    read_golden,
    recall_at,
    reciprocal_rank,
    score,
    summarize,
)
from perdure.working_set import Citation, WorkingSet

PATHS = st.lists(st.sampled_from("abcdefgh"), max_size=12)


def working_set(*paths: str, latency: float = 1.0, degraded: str | None = None) -> WorkingSet:
    """One that cites `paths` by relevance, in an order of its text that is the opposite."""
    citations = [
        Citation(
            number=len(paths) - rank + 1,
            span_id=str(rank),
            artifact_id=path,
            path=path,
            start_line=rank,
            end_line=rank,
            score=1 / rank,
            rank=rank,
        )
        for rank, path in enumerate(paths, 1)
    ]
    return WorkingSet(
        text="",
        spans=[],
        citations=citations[::-1],
        tokens_used=0,
        query="q",
        context_hash="",
        compilation_time_ms=latency,
        degraded=degraded is not None,
        degraded_reason=degraded,
        manifest={},
    )


def test_paths_are_ranked_by_relevance_and_a_path_counts_once_at_its_best_place() -> None:
    found = ranking(working_set("c", "a", "c", "b"))
    assert found == ["c", "a", "b"]
    assert precision_at(["a", "b"], ["c", "c", "c", "a"], 2) == 0.5
    assert reciprocal_rank(["a"], ["c", "c", "a"]) == 0.5
    assert ndcg_at(["a"], ["a", "a", "a"], 3) == 1


def test_ndcg_falls_with_the_place_of_what_is_found() -> None:
    assert ndcg_at(["a", "b"], ["a", "b", "c"], 3) == 1
    # By hand: (1/log2(3) + 1/log2(4)) / (1/log2(2) + 1/log2(3))
    assert ndcg_at(["a", "b"], ["c", "a", "b"], 3) == pytest.approx((0.6309297536 + 0.5) / 1.6309297536)
    assert ndcg_at(["a"], ["b", "c", "d", "a"], 3) == 0
    assert ndcg_at(["a", "b", "c"], ["a"], 1) == 1
    assert ndcg_at([], ["a"], 3) == 1


@given(PATHS, PATHS, st.integers(1, 10))
def test_every_measure_is_between_0_and_1(expected: list[str], found: list[str], k: int) -> None:
    for value in (
        *(recall_at(expected, found, k), precision_at(expected, found, k)),
        *(reciprocal_rank(expected, found), ndcg_at(expected, found, k)),
    ):
        assert 0 <= value <= 1 + 1e-12


def test_percentiles_of_latency() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (51, 100)
    assert percentile([7.0], 0.99) == 7


def test_an_evaluation_is_the_mean_of_its_queries() -> None:
    golden = [
        GoldenQuery(query="one", expected_paths=["a", "b"], k=3),
        GoldenQuery(query="two", expected_paths=["a", "b"], k=3),
    ]
    sets = [working_set("a", "b", "c", latency=5), working_set("c", "a", "d", latency=9, degraded="away")]
    found = summarize("docs", [score(query, made) for query, made in zip(golden, sets, strict=True)])
    assert (found.queries, found.recall, found.mrr) == (2, 0.75, 0.75)
    assert found.precision == pytest.approx(0.5)
    assert (found.p50_latency_ms, found.p99_latency_ms, found.degraded) == (9, 9, 1)
    assert not math.isnan(found.ndcg)


def test_no_query_at_all_is_an_error_and_not_nan() -> None:
    nothing: list[QueryScore] = []
    with pytest.raises(InvalidRequest, match="nothing to measure"):
        summarize("docs", nothing)


def test_golden_queries_are_read_in_order_with_a_default_k(tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    file.write_text(json.dumps([{"query": "é", "expected_paths": []}, {"query": "b", "expected_paths": ["x"], "k": 3}]))
    assert read_golden(file) == [
        GoldenQuery(query="é", expected_paths=[], k=10),
        GoldenQuery(query="b", expected_paths=["x"], k=3),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "holds no query"),
        ("{}", "the file: takes a list, not {}"),
        ("[{", "the file: Invalid JSON"),
        ('[{"query": "a", "expected_paths": ["x"]}, {"query": "b"}]', "query 2, expected_paths: missing"),
        ('[{"query": "", "expected_paths": ["x"]}]', "query 1, query: "),
        ('[{"query": "a", "expected_paths": ["x"], "k": 0}]', "query 1, k: "),
        ('[{"query": "a", "expected_path": ["x"]}]', "query 1, expected_path: unknown; did you mean expected_paths?"),
        ('["a"]', 'query 1: takes an object, not "a"'),
        (
            '[{"query": "a", "expected_paths": ["x"], "k": "many"}]',
            'query 1, k: takes a whole number, at least 1, not "many"',
        ),
        (
            '[{"query": "a", "expected_paths": []}, {"query": "a\\u0000b", "expected_paths": []}]',
            "query 2, query: the text holds a NUL character",
        ),
        (
            '[{"query": "\\ud800", "expected_paths": []}]',
            "query 1, query: the text holds a lone surrogate at position 0",
        ),
        ('[{"query": "a", "expected_paths": ["x", "y\\u0000"]}]', "query 1, expected_paths.1: the text holds a NUL"),
        (
            '[{"query": "a", "expected_paths": ["\\udfff"]}]',
            "query 1, expected_paths.0: the text holds a lone surrogate",
        ),
        ("[" * 100_000, "the file: Invalid JSON: maximum recursion depth"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_the_reason(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "golden.json"
    file.write_text(content)
    with pytest.raises(InvalidRequest) as caught:
        read_golden(file)
    assert said in str(caught.value)
    assert "golden.json" in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r'nowhere\.json cannot be read: .*\. It holds .* \[\{"query": '):
        read_golden(tmp_path / "nowhere.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_bytes(b'[{"query": "\xff"}]')
    with pytest.raises(InvalidRequest, match="the file: Invalid JSON"):
        read_golden(tmp_path / "golden.json")


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    file.write_text(r'[{"query": "\ud83e\udd51", "expected_paths": []}]')
    assert read_golden(file) == [GoldenQuery(query="\N{AVOCADO}", expected_paths=[])]
