"""Sessions, messages and turns as a person reads them in a terminal, with or without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from perdure.contract import MessageAnswer, Replay, Turn
from perdure.history import line_of
from perdure.message import Message
from perdure.session import Session
from perdure.working_set import WorkingSet

if TYPE_CHECKING:
    from perdure.listing import SessionSummary

TOP_CITATIONS = 5
SHOWN_CHARACTERS = 400


def session_text(session: Session) -> RenderableType:
    """A session, a field a line."""
    rows = {
        "session": session.session_id,
        "title": session.title,
        "user": session.user_id,
        "status": session.status,
        "messages": session.message_count,
        "head": session.active_message_id,
        "corpus": session.config.corpus,
        "metadata": session.metadata,
        "created": f"{session.created_at:%Y-%m-%d %H:%M:%S %Z}",
        "last message": f"{session.last_message_at:%Y-%m-%d %H:%M:%S %Z}" if session.last_message_at else None,
    }
    table = table_of("", "", header=False)
    for name, value in rows.items():
        if value is not None:
            table.add_row(Text(name, style="dim"), Text(str(value)))
    return table


def answer_text(answer: MessageAnswer) -> RenderableType:
    """A message that was added, and its working set."""
    message = answer.message
    parts: list[RenderableType] = [
        Text(f"#{message.sequence_number} {message.role}, {message.token_count} tokens, key {message.message_id}")
    ]
    if answer.working_set:
        parts += [sized_text(answer.working_set), citations_text(answer.working_set)]
    return Group(*parts)


def replay_text(replay: Replay) -> RenderableType:
    """The turns, with the size of each working set, its first citations, and whether its hash still holds."""
    if not replay.turns:
        return Text("No turns.")
    return Group(*(part for turn in replay.turns for part in (turn_text(turn), Text())))


def turn_text(turn: Turn) -> RenderableType:
    """One turn: the question, what it was given, and what followed."""
    parts: list[RenderableType] = []
    if turn.user_message:
        parts.append(_said(turn.user_message))
    if turn.working_set:
        sized = sized_text(turn.working_set)
        mark = ("✓", "green") if turn.working_set.verified() else ("✗ the hash does not hold", "bold red")
        sized.append(f"  {turn.working_set.context_hash[:12]} ", style="dim").append(*mark)
        parts += [sized, citations_text(turn.working_set)]
    elif turn.working_set_ref:
        parts.append(Text("  ✗ the working set is gone", style="bold red"))
    parts += map(_said, turn.messages)
    return Group(*parts)


def citations_text(working_set: WorkingSet, top: int = TOP_CITATIONS) -> RenderableType:
    """The most relevant citations, one a line, as `[n] path:start-end  score`."""
    best = sorted(working_set.citations, key=lambda citation: citation.rank)[:top]
    lines = [
        Text.assemble(
            (f"    [{c.number}] ", "dim"), f"{c.path}:{c.start_line}-{c.end_line}", (f"  {c.score:.3f}", "dim")
        )
        for c in best
    ]
    left = len(working_set.citations) - len(best)
    return Group(*lines, *([Text(f"    and {left} more", style="dim")] if left else []))


def list_text(sessions: Sequence[SessionSummary]) -> RenderableType:
    """Sessions, one a line."""
    table = table_of("session", "status", "messages", "user", "title", "updated")
    for item in sessions:
        values = (
            *(item.session_id, item.status, str(item.message_count), item.user_id or "-", _line(item.title) or "-"),
            f"{item.updated_at:%Y-%m-%d %H:%M:%S}",
        )
        table.add_row(*map(Text, values))  # as they are: a title may hold what rich takes for markup
    return table


def sized_text(working_set: WorkingSet) -> Text:
    """Tokens and spans, and why it is degraded if it is."""
    text = Text(f"  {working_set.tokens_used} tokens, {len(working_set.spans)} spans")
    if working_set.degraded:
        text.append(f", degraded: {working_set.degraded_reason}", style="yellow")
    return text


def _said(message: Message) -> Text:
    line = _line(line_of(message))
    shown = line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
    return Text.assemble((f"#{message.sequence_number} ", "dim"), (shown, "bold" if message.role == "user" else ""))


def _line(text: str | None) -> str:
    """The text in one line."""
    return " ".join((text or "").split())


def table_of(*columns: str, header: bool = True) -> Table:
    """A plain table of those columns."""
    table = Table(box=None, pad_edge=False, show_header=header)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
