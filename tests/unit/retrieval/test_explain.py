"""What the record of a compilation tells: what was dropped and why, and where the tokens went."""

from __future__ import annotations

from typing import Any

from activities.spans import Span
from activities.tokens import count
from activities.working_sets.compiler import choose
from activities.working_sets.explain import Explain
from activities.working_sets.retrieval import Found, Scored
from perdure.working_set import CompilerConfig
from tests.unit.retrieval.test_packing import span


def report(spans: list[Span], **config: Any) -> dict[str, Any]:
    settings, log = CompilerConfig(enable_mmr=False, **config), Explain("q")
    choose(Found([Scored(item, 1 - n / 10) for n, item in enumerate(spans)], []), settings, log)
    return log.report(settings)


SMALL = [span(f"line {n}", path=f"{n}.txt") for n in range(4)]


def test_every_candidate_is_in_the_text_or_dropped_for_a_reason() -> None:
    found = report([*SMALL, span("word " * 500, path="large.txt")], token_budget=100)
    assert [item["path"] for item in found["stages"]["final"]] == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert [(item["path"], item["rank"], item["reason"]) for item in found["dropped"]] == [
        ("large.txt", 5, "first_line_over_budget")
    ]


def test_what_comes_after_the_last_place_or_the_last_token_is_dropped() -> None:
    assert [item["reason"] for item in report(SMALL, max_spans=3)["dropped"]] == ["max_spans"]
    one = count("[1] 0.txt\nLines 1-1\n\nline 0\n\n---\n\n")
    assert [item["reason"] for item in report(SMALL, token_budget=one)["dropped"]] == ["budget_used_up"] * 3


def test_the_ledger_says_where_the_tokens_went() -> None:
    cut = span("\n".join(f"value {n}" for n in range(40)), path="cut.txt")
    tokens = report([SMALL[0], cut], token_budget=90)["tokens"]
    assert tokens["budget"] == 90 == tokens["used"] + tokens["left"]
    assert tokens["used"] == tokens["texts"] + tokens["headings_and_separators"]
    assert tokens["truncated"] == [cut.span_id]
    assert report([])["tokens"]["used"] == 0
