"""How a session looks in Temporal's UI: search attributes, memo, current details."""

from __future__ import annotations

from typing import Any

from temporalio.common import SearchAttributeUpdate

from perdure.attributes import LAST_ACTIVITY, MESSAGE_COUNT, STATUS, TENANT, USER
from perdure.message import text_of
from perdure.session import Session
from workflows.core.state import SessionState

_SHOWN_MESSAGES = 6
_SHOWN_CHARACTERS = 160
_READ_CHARACTERS = 4 * _SHOWN_CHARACTERS
"""How much of a message is read to show its start: what each command makes anew must not grow with the messages."""


def attributes(session: Session) -> list[SearchAttributeUpdate[Any]]:
    """All search attributes of a session."""
    return [
        TENANT.value_set(session.tenant),
        USER.value_set(session.user_id) if session.user_id else USER.value_unset(),
        STATUS.value_set(session.status),
        MESSAGE_COUNT.value_set(session.message_count),
        LAST_ACTIVITY.value_set(session.last_message_at or session.updated_at),
    ]


def details(state: SessionState) -> str:
    """The session as Markdown: what it is, then its newest messages. Lists, since the UI renders tables badly."""
    session = state.session
    lines = [
        f"- **{_line(session.title or '') or session.session_id}**, {session.status}, {session.message_count} messages",
        f"- head: `{session.active_message_id or 'none'}`",
    ]
    newest = next((item.working_set for item in reversed(state.window) if item.working_set), None)
    if newest:
        warning = f", degraded: {newest.degraded_reason}" if newest.degraded else ""
        lines.append(
            f"- last working set: {newest.tokens_used} tokens, {newest.span_count} spans, "
            f"`{newest.context_hash[:12]}`{warning}"
        )
    lines.append("")
    for message in [item.parsed for item in state.window[-_SHOWN_MESSAGES:]]:
        lines.append(f"- **{message.role}** #{message.sequence_number}: {_start(text_of(message.content))}")
    return "\n".join(lines)


def _start(text: str) -> str:
    line = _line(text[:_READ_CHARACTERS])
    whole = len(text) <= _READ_CHARACTERS and len(line) <= _SHOWN_CHARACTERS
    return line if whole else line[: _SHOWN_CHARACTERS - 1] + "…"


def _line(text: str) -> str:
    return " ".join(text.split())  # a line end would break the list
