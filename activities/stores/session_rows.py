"""How sessions, messages and events become rows, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from perdure.events import Event
from perdure.message import Message
from perdure.session import Session


def session_of(row: RowMapping) -> Session:
    return Session.model_validate({name: row[name] for name in Session.model_fields})


def event_row(tenant: str, session_id: str, event: Event) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "session_id": session_id,
        "sequence": event.sequence,
        "type": event.data.type,
        "key": event.key,
        "ordinal": event.ordinal,
        "body_hash": event.body_hash,
        "data": event.data,
        "created_at": event.created_at,
    }


def event_of(row: RowMapping) -> Event:
    return Event.model_validate({name: row[name] for name in Event.model_fields})


def message_row(tenant: str, message: Message) -> dict[str, Any]:
    return {"tenant": tenant, **{name: getattr(message, name) for name in Message.model_fields}}


def message_of(row: RowMapping) -> Message:
    return Message.model_validate({name: row[name] for name in Message.model_fields})
