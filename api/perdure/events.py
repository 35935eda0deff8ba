"""Events: the facts that a session is the fold of, as they stand in Postgres."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from perdure.base import Result
from perdure.message import Message
from perdure.session import Session
from perdure.working_set import WorkingSetRef


class SessionCreated(Result):
    type: Literal["session_created"] = "session_created"
    session: Session


class MessageAdded(Result):
    type: Literal["message_added"] = "message_added"
    message: Message
    working_set: WorkingSetRef | None = None


class SessionUpdated(Result):
    """`session` is the session after the update; so it is in the other events that change more than messages."""

    type: Literal["session_updated"] = "session_updated"
    session: Session


class SessionSuspended(Result):
    type: Literal["session_suspended"] = "session_suspended"
    reason: Literal["idle", "requested"]
    session: Session


class SessionResumed(Result):
    type: Literal["session_resumed"] = "session_resumed"
    reason: Literal["message", "requested"]
    session: Session


class SessionArchived(Result):
    type: Literal["session_archived"] = "session_archived"
    session: Session


class SessionDeleted(Result):
    type: Literal["session_deleted"] = "session_deleted"
    session: Session


class ErrorRecorded(Result):
    """A signal that could not be carried out: it has no caller to tell."""

    type: Literal["error_recorded"] = "error_recorded"
    source: str
    code: str
    message: str


EventData: TypeAlias = Annotated[
    SessionCreated
    | MessageAdded
    | SessionUpdated
    | SessionSuspended
    | SessionResumed
    | SessionArchived
    | SessionDeleted
    | ErrorRecorded,
    Field(discriminator="type"),
]


class Event(Result):
    """One fact. `sequence` is gapless per session, from 1.

    `key` and `body_hash` are those of the command that caused it; `ordinal` counts from 0 inside that command.
    """

    sequence: int = Field(ge=1)
    key: str | None = None
    ordinal: int = 0
    body_hash: str | None = None
    created_at: datetime
    data: EventData
