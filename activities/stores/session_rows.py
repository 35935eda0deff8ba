"""How sessions, messages and events become rows, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, RowMapping, and_

from perdure.events import Event
from perdure.message import Message
from perdure.session import Session
from perdure.working_set import WorkingSet


def session_of(row: RowMapping) -> Session:
    return Session.model_validate({name: row[name] for name in Session.model_fields})


def event_row(tenant: str, session_id: str, event: Event) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in Event.model_fields}
    return {"tenant": tenant, "session_id": session_id, "type": event.data.type, **fields}


def event_of(row: RowMapping) -> Event:
    return Event.model_validate({name: row[name] for name in Event.model_fields})


def message_row(tenant: str, message: Message) -> dict[str, Any]:
    return {"tenant": tenant, **{name: getattr(message, name) for name in Message.model_fields}}


def message_of(row: RowMapping) -> Message:
    return Message.model_validate({name: row[name] for name in Message.model_fields})


def working_set_row(tenant: str, session_id: str, message_id: str, working_set: WorkingSet) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "session_id": session_id,
        "message_id": message_id,
        "context_hash": working_set.context_hash,
        "tokens_used": working_set.tokens_used,
        "body": working_set,
    }


def is_session(table: FromClause, tenant: Any, session_id: Any) -> ColumnElement[bool]:
    """Whether a row of `table` belongs to the session."""
    return and_(table.c.tenant == tenant, table.c.session_id == session_id)
