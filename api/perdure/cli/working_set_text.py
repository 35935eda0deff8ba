"""Working sets, their differences and comparisons as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from perdure.cli.session_text import citations_text, sized_text, table_of
from perdure.diff import WorkingSetDiff
from perdure.recompile import Comparison, Outcome, SpanRef, TurnComparison
from perdure.working_set import Citation, WorkingSet

EXPLAINED = 5
"""Candidates of each stage that an explanation shows."""
_COLOURS = {"same": "green", "differs": "yellow", "unknown": "red"}


def working_set_text(working_set: WorkingSet) -> RenderableType:
    """Its size, its citations and its text; or, where it is explained, the text first, and the explanation last."""
    text, summary = Verbatim(working_set.text), [sized_text(working_set), citations_text(working_set)]
    if working_set.explain is None:
        return Group(*summary, Text(), text)
    return Group(text, Text(), *summary, Text(), *_explained(working_set.explain, working_set.citations))


@dataclass(frozen=True)
class Verbatim:
    """Text whose lines stay whole. What is no terminal gets it to the letter."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What rich asks for."""
        if console.file.isatty():
            yield Text(self.text, no_wrap=True, overflow="ignore")
        else:  # as `Text`, rich would expand its tabs and drop what moves a cursor
            yield from (Segment(self.text), Segment.line())


def diff_text(diff: WorkingSetDiff) -> RenderableType:
    """A summary, then a line for each citation that came, went or moved."""
    lines = [Text(f"{diff.summary}  {diff.before_hash[:12]} → {diff.after_hash[:12]}")]
    for sign, colour, cited in (("+", "green", diff.added), ("-", "red", diff.removed)):
        lines += [Text(f"  {sign} {_place(c.path, c.start_line, c.end_line)}  rank {c.rank}", colour) for c in cited]
    lines += [
        Text(
            f"  ~ {_place(r.path, r.start_line, r.end_line)}  rank {r.rank_before} → {r.rank_after}, "
            f"score {r.score_before:.4f} → {r.score_after:.4f}"
        )
        for r in diff.reranked
    ]
    return Group(*lines)


def comparison_text(comparison: Comparison) -> RenderableType:
    """A row for each turn, with what it gained and lost and why; then the totals."""
    if not comparison.turns:
        return Text("No turns with a working set.")
    table = table_of("turn", "outcome", "tokens", "spans", "overlap", "gained, lost, and why")
    for turn in comparison.turns:
        table.add_row(
            Text(f"#{turn.sequence_number} {turn.message_id}"),
            Text(turn.outcome, _COLOURS[turn.outcome]),
            *_measures(turn),
        )
    outcomes = get_args(Outcome)
    counts = ", ".join(f"{n} {name}" for name in outcomes if (n := comparison.count(name)))
    compared = [turn for turn in comparison.turns if turn.outcome != "unknown"]
    before, after = sum(turn.tokens_before for turn in compared), sum(turn.tokens_after for turn in compared)
    return Group(table, Text(counts + (f"; {before} → {after} tokens" if compared else "")))


def _measures(turn: TurnComparison) -> tuple[str, str, str, Text]:
    """Tokens, spans, overlap, and what came, went, and why. None of a turn that was not compiled."""
    if turn.outcome == "unknown":
        return f"{turn.tokens_before} → -", f"{turn.spans_before} → -", "-", Text("\n".join(turn.reasons))
    tokens, spans = f"{turn.tokens_before} → {turn.tokens_after}", f"{turn.spans_before} → {turn.spans_after}"
    return tokens, spans, f"{turn.overlap:.2f}", _changes(turn)


def _changes(turn: TurnComparison) -> Text:
    lines = [*turn.reasons]
    lines += _named("+", turn.gained, turn.spans_after - turn.kept)
    lines += _named("-", turn.lost, turn.spans_before - turn.kept)
    if turn.reranked:
        lines.append(f"{turn.reranked} reranked")
    return Text("\n".join(lines))


def _named(sign: str, spans: Sequence[SpanRef], count: int) -> list[str]:
    """The spans by rank, those that came or went for the same reason together, below it."""
    lines = []
    for reason in dict.fromkeys(span.reason for span in spans):
        places = [_place(span.path, span.start_line, span.end_line) for span in spans if span.reason == reason]
        if reason is None:
            lines += [f"{sign} {place}" for place in places]
        else:
            lines += [f"{sign} {reason}:", *(f"    {place}" for place in places)]
    return [*lines, *([f"{sign} and {count - len(spans)} more"] if count > len(spans) else [])]


def _explained(explain: dict[str, object], citations: Sequence[Citation]) -> list[RenderableType]:
    stages, timings = explain["stages"], explain["timings"]
    assert isinstance(stages, dict)
    assert isinstance(timings, dict)
    relevance = {citation.span_id: citation.rank for citation in citations}
    table: Table = table_of("stage", "found", "best")
    for name, found in stages.items():
        # `final` is in the order of the text, and its ranks count that.
        ranked = sorted(found, key=lambda span: relevance[span["span_id"]]) if name == "final" else found
        best = [f"{c['score']:.4f} {_place(c['path'], *c['lines'])}" for c in ranked[:EXPLAINED]]
        table.add_row(name, str(len(found)), Text("\n".join(best)))
    times = ", ".join(f"{name.removesuffix('_ms')} {value:.1f} ms" for name, value in timings.items())
    return [table, Text(times, "dim")]


def _place(path: str, start_line: int, end_line: int) -> str:
    return f"{path}:{start_line}-{end_line}"
