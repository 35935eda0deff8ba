"""Working sets and comparisons as they are printed."""

from __future__ import annotations

import re

from rich.console import Console, RenderableType

from perdure.cli.working_set_text import comparison_text
from perdure.recompile import Comparison, Recompile, SpanRef, TurnComparison


def printed(text: RenderableType) -> list[str]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(text)
    return [line.rstrip() for line in captured.get().splitlines()]


def ref(path: str, reason: str | None) -> SpanRef:
    return SpanRef(path=path, start_line=1, end_line=2, rank=1, reason=reason)


def test_spans_stand_under_the_reason_why_they_came_or_went() -> None:
    turn = TurnComparison(
        message_id="m",
        sequence_number=0,
        outcome="differs",
        reasons=["index.ef: 128 → 256"],
        spans_before=4,
        spans_after=2,
        kept=1,
        gained=[ref("new.md", None)],
        lost=[ref("a.md", "is over the budget of 9 tokens"), ref("b.md", "is not found in version 2 of docs")],
    )
    found = printed(comparison_text(Comparison(request=Recompile(session_id="s"), turns=[turn], last=0, complete=True)))
    assert [line.split("  ", 5)[-1].strip() for line in found[1:-1]] == [
        "index.ef: 128 → 256",
        "+ new.md:1-2",
        "- is over the budget of 9 tokens:",
        "a.md:1-2",
        "- is not found in version 2 of docs:",
        "b.md:1-2",
        "- and 1 more",
    ]


def test_a_turn_that_could_not_be_compiled_lost_nothing_and_counts_for_nothing() -> None:
    unknown = TurnComparison(
        message_id="m0",
        sequence_number=0,
        outcome="unknown",
        reasons=["Corpus not found: zzz"],
        tokens_before=7999,
        spans_before=54,
    )
    request = Recompile(session_id="s")
    found = printed(comparison_text(Comparison(request=request, turns=[unknown], last=0, complete=True)))
    assert re.split(r"  +", found[1]) == ["#0 m0", "unknown", "7999 → -", "54 → -", "-", "Corpus not found: zzz"]
    assert found[2:] == ["1 unknown"]
    same = TurnComparison(message_id="m1", sequence_number=2, outcome="same", tokens_before=9, tokens_after=9)
    found = printed(comparison_text(Comparison(request=request, turns=[unknown, same], last=2, complete=True)))
    assert found[-1] == "1 same, 1 unknown; 9 → 9 tokens"
