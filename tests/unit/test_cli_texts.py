"""Working sets and comparisons as they are printed."""

from __future__ import annotations

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
