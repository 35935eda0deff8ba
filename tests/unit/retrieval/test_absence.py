"""Why a span that one working set cites is not in another."""

from __future__ import annotations

from typing import Any

import pytest

from activities.tokens import count
from activities.working_sets.absence import why_gained, why_lost
from perdure.working_set import WorkingSet
from tests.unit.retrieval.test_explain import SMALL, report
from tests.unit.retrieval.test_packing import span
from tests.unit.test_diff import working_set

ONE = count("[1] 0.txt\nLines 1-1\n\nline 0\n\n---\n\n")
LARGE = span("word " * 500, path="large.txt")


def made(explain: dict[str, Any] | None, version: int = 1, *, degraded: bool = False) -> WorkingSet:
    manifest = {"corpus": "docs", "corpus_version": version}
    return working_set([]).model_copy(update={"explain": explain, "manifest": manifest, "degraded": degraded})


@pytest.mark.parametrize(
    ("lacking", "span_id", "why"),
    [
        (made(report(SMALL, token_budget=ONE)), SMALL[1].span_id, f"over the budget of {ONE} tokens"),
        (made(report(SMALL, max_spans=3)), SMALL[3].span_id, "over the limit max_spans=3"),
        (
            made(report([*SMALL, LARGE], token_budget=100)),
            LARGE.span_id,
            "over the budget of 100 tokens",
        ),
        (made(report([], token_budget=0)), SMALL[0].span_id, "over the budget of 0 tokens"),
        (made(report([], token_budget=0), version=0), SMALL[0].span_id, "not there: docs had no version yet"),
        (made(report([]), degraded=True), SMALL[0].span_id, "not found by full text alone"),
        (made(report([]), version=2), SMALL[0].span_id, "not found in version 2 of docs"),
        (
            made(report([], semantic_k=3, lexical_k=4)),
            SMALL[0].span_id,
            "not among the 3 nearest, nor the 4 best by words",
        ),
        (made(None, degraded=True), SMALL[0].span_id, "left out while degraded"),
        (made(None), SMALL[0].span_id, "left out; it is not made the same any more"),
    ],
)
def test_the_explanation_of_the_set_that_lacks_it_says_why(lacking: WorkingSet, span_id: str, why: str) -> None:
    citing = made(None)
    assert why_lost(span_id, citing, lacking) == f"is {why}"
    assert why_gained(span_id, lacking, citing) == f"was {why}"


def test_where_there_was_no_working_set_nothing_more_is_said() -> None:
    assert why_gained("a", None, made(None)) == "there was no working set"
