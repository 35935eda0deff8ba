"""How a stored turn is compiled again, and what is said of the outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.working_sets.comparison import CannotRecompile, Plan, compared, gains, planned, unknown
from activities.working_sets.manifests import differences
from perdure.message import Message
from perdure.recompile import SHOWN_SPANS, Change
from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig, WorkingSet
from tests.unit.test_diff import A, B, Cited, working_set

QUESTION = Message(
    message_id="m2",
    session_id="s",
    role="user",
    content="and how do I stop it?",
    sequence_number=2,
    parent_message_id="m1",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
EARLIER = [QUESTION.model_copy(update={"message_id": "m1", "content": "A worker?", "parent_message_id": None})]
SESSION = SessionConfig(corpus="docs", retrieval=CompilerConfig(token_budget=100))
CONFIG = CompilerConfig(token_budget=500, mmr_lambda=0.7)


def stored(cited: Cited, text: str | None = None, **manifest: Any) -> WorkingSet:
    held = {"corpus": "docs", "corpus_version": 3, "config": CONFIG.model_dump(mode="json"), "program_version": "1"}
    return working_set(cited, text).model_copy(update={"manifest": {**held, **manifest}})


def plan(of: WorkingSet | None, change: Change | None = None) -> Plan:
    return planned(QUESTION, of, SESSION, change, EARLIER)


def test_a_turn_is_verified_as_its_manifest_says() -> None:
    found = plan(stored([], search_query="folded then"))
    assert (found.corpus, found.query, found.search_query) == ("docs", QUESTION.content, "folded then")
    assert found.config == CONFIG.model_copy(update={"as_of": 3})


def test_a_preset_stands_for_its_values() -> None:
    assert plan(stored([]), Change(retrieval={"preset": "avocado"})).config.mmr_lambda == 0.5
    assert plan(stored([]), Change(retrieval={"preset": "avocado", "mmr_lambda": 0.6})).config.mmr_lambda == 0.6


def test_what_was_never_compiled_is_not_verified_and_says_why() -> None:
    degraded = working_set([], "").model_copy(update={"degraded": True, "degraded_reason": "Corpus not found: docs"})
    with pytest.raises(CannotRecompile, match="Corpus not found: docs"):
        plan(degraded)
    with pytest.raises(CannotRecompile, match="no manifest"):
        plan(None)


def test_settings_of_another_program_are_not_guessed_at() -> None:
    with pytest.raises(CannotRecompile, match="does not know"):
        plan(stored([], config={"flavour": "sweet"}))


def test_before_the_first_version_there_was_nothing_to_find() -> None:
    found = plan(stored([], corpus_version=0)).config
    assert (found.as_of, found.token_budget) == (None, 0)


@pytest.mark.parametrize(
    ("change", "corpus", "as_of"),
    [
        (Change(retrieval={"token_budget": 40}), "docs", 3),
        (Change(retrieval={"as_of": 2}), "docs", 2),
        (Change(retrieval={"as_of": None}), "docs", None),
        (Change(corpus="other"), "other", None),
        (Change(corpus="docs"), "docs", 3),
        (Change(corpus="other", retrieval={"as_of": 1}), "other", 1),
    ],
)
def test_what_a_change_leaves_out_stays_as_it_was(change: Change, corpus: str, as_of: int | None) -> None:
    found = plan(stored([], search_query="folded then"), change)
    assert (found.corpus, found.config.as_of, found.search_query) == (corpus, as_of, "folded then")
    assert found.config.mmr_lambda == CONFIG.mmr_lambda
    assert found.config.token_budget == change.retrieval.get("token_budget", CONFIG.token_budget)


def test_the_thread_is_folded_in_when_the_change_asks_for_it() -> None:
    assert (
        plan(stored([]), Change(retrieval={"query_from": "thread"})).search_query == "and how do I stop it?\nA worker?"
    )
    assert plan(stored([], search_query="x"), Change(retrieval={"query_from": "message"})).search_query is None


def test_a_turn_without_a_working_set_is_compiled_as_its_session_would() -> None:
    found = plan(None, Change())
    assert (found.corpus, found.config) == ("docs", SESSION.retrieval)
    with pytest.raises(CannotRecompile, match="names no corpus"):
        planned(QUESTION, None, SessionConfig(), Change(), [])


def test_the_same_text_is_the_same() -> None:
    found = compared(QUESTION, stored([("a", 0.5)]), stored([("a", 0.5)], program_version="2"), verify=True)
    assert (found.outcome, found.reasons, found.overlap) == ("same", [], 1.0)


def test_a_difference_is_counted_named_and_explained() -> None:
    many = [(f"s{n}", 0.5) for n in range(30)]
    before = stored([("a", 0.5), ("b", 0.4)])
    after = stored([("b", 0.5), *many], program_version="2")
    found = compared(QUESTION, before, after, verify=True)
    assert (found.outcome, found.spans_before, found.spans_after, found.kept, found.reranked) == (
        "differs",
        2,
        31,
        1,
        1,
    )
    assert found.overlap == round(1 / 32, 4)
    assert [span.path for span in found.lost] == ["a.md"]
    assert len(found.gained) == SHOWN_SPANS
    assert found.reasons == ["program_version: 1 → 2"]
    assert {span.reason for span in (*found.gained, *found.lost)} == {None}
    quiet = compared(QUESTION, before, stored([("b", 0.5)], program_version="2"), verify=False)
    assert quiet.reasons == []


def test_each_value_of_a_manifest_that_differs_is_one_readable_line() -> None:
    before = stored(
        [A], index={"kind": "hnsw", "ef": 128, "distance": "cosine"}, embedder={"name": "m", "dimension": 3}
    )
    after = stored([B], index={"kind": "hnsw", "ef": 256, "exact": True}, embedder={"name": "m", "dimension": 3})
    assert compared(QUESTION, before, after, verify=True).reasons == [
        "index.ef: 128 → 256",
        "index.distance: cosine → none",
        "index.exact: none → true",
    ]
    whole = differences({"chunking": "lines-v1"}, {"chunking": None, "index": {"kind": "flat"}})
    assert whole == ["chunking: lines-v1 → none", "index.kind: none → flat"]


def test_another_text_of_the_same_spans_says_that_it_is_one() -> None:
    found = compared(QUESTION, stored([A], "whole"), stored([A], "cut"), verify=False)
    assert (found.outcome, found.reasons) == ("differs", ["The same spans, in another order or cut elsewhere."])


def test_what_if_says_of_each_span_why_it_came_or_went() -> None:
    before, after = stored([A]), stored([B])
    explain = {"thresholds": {"token_budget": 9}, "dropped": [{"span_id": "b", "reason": "budget_used_up"}]}
    now = {"thresholds": {"max_spans": 1}, "dropped": [{"span_id": "a", "reason": "max_spans"}]}
    found = compared(QUESTION, before, after.model_copy(update={"explain": now}), verify=False, explain=explain)
    assert [span.reason for span in found.gained] == ["was over the budget of 9 tokens"]
    assert [span.reason for span in found.lost] == ["is over the limit max_spans=1"]
    (gained,) = compared(QUESTION, before, after, verify=False).gained
    assert gained.reason == "was left out; it is not made the same any more"
    (gained,) = compared(QUESTION, None, after, verify=False).gained
    assert gained.reason == "there was no working set"


def test_only_a_span_that_was_not_cited_is_gained() -> None:
    assert gains(None, stored([A]))
    assert gains(stored([A]), stored([A, B]))
    assert not gains(stored([A, B]), stored([A]))


def test_what_is_degraded_now_cannot_be_verified_but_can_be_asked_what_if() -> None:
    before = stored([("a", 0.5)])
    after = stored([("b", 0.5)]).model_copy(update={"degraded": True, "degraded_reason": "The span index is away."})
    found = compared(QUESTION, before, after, verify=True)
    assert (found.outcome, found.reasons) == (
        "unknown",
        ["It would be degraded now, so it was not compared: The span index is away."],
    )
    found = compared(QUESTION, before, after, verify=False)
    assert (found.outcome, found.reasons) == ("differs", ["It is degraded now: The span index is away."])


def test_a_difference_that_nothing_explains_says_so() -> None:
    found = compared(QUESTION, stored([("a", 0.5)]), stored([("b", 0.5)]), verify=True)
    assert found.reasons == ["The manifests show no reason."]
    approximate = stored([("a", 0.5)]).model_copy(update={"degraded": True, "degraded_reason": "It was down."})
    found = compared(QUESTION, approximate, stored([("b", 0.5)]), verify=True)
    assert found.reasons == ["It was degraded: It was down."]


def test_a_text_without_its_hash_is_never_the_same() -> None:
    forged = stored([("a", 0.5)], "the text").model_copy(update={"text": "another text"})
    found = compared(QUESTION, forged, stored([("a", 0.5)], "the text"), verify=True)
    assert (found.outcome, found.reasons) == ("differs", ["The stored text no longer has its hash."])


def test_a_turn_that_had_no_working_set_gains_all_of_it() -> None:
    found = compared(QUESTION, None, stored([("a", 0.5)]), verify=False)
    assert (found.outcome, found.spans_before, found.spans_after, found.overlap) == ("differs", 0, 1, 0.0)
    assert (found.before_hash, found.tokens_before) == (None, 0)
    assert unknown(QUESTION, None, "x" * 1000).reasons == ["x" * 300]
