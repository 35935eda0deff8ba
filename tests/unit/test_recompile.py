"""What is told of a page of turns that were compiled again."""

from __future__ import annotations

import pytest

from activities.working_sets.recompile import PAGE_BYTES, bounded
from perdure.recompile import MAX_TURNS, SHOWN_SPANS, SpanRef, TurnComparison
from workflows.recompile import PAGE_TURNS

PAYLOAD_BYTES = 2 * 1024 * 1024


@pytest.mark.parametrize("letter", ["a", "я", "語"])
def test_the_longest_comparison_fits_into_one_payload_whatever_the_script_of_its_paths(letter: str) -> None:
    span = SpanRef(path=letter * 340, start_line=1, end_line=2, rank=1, reason=letter * 100)
    turn = TurnComparison(
        message_id="m", sequence_number=0, outcome="differs", gained=[span] * SHOWN_SPANS, lost=[span] * SHOWN_SPANS
    )
    page = bounded([turn] * PAGE_TURNS)
    assert page[0] == turn
    size = sum(len(turn.model_dump_json().encode()) for turn in page)
    assert size <= PAGE_BYTES + PAGE_TURNS * 1024
    assert size * MAX_TURNS // PAGE_TURNS < PAYLOAD_BYTES
