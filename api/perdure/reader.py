"""The read side: older messages, replay, events and lists, from Postgres and never through a workflow."""

from __future__ import annotations

from typing import Any, Protocol, Self

from pydantic import AwareDatetime, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from perdure.base import Request, Result, refused
from perdure.contract import MessagePage, Metadata, ReadMessages, Replay
from perdure.errors import InvalidRequest, PayloadTooLarge
from perdure.events import Event
from perdure.ids import Id
from perdure.session import Session, SessionPage, Status


class SessionFilter(Request):
    """Which sessions to list; every field given must hold. Deleted ones are listed only by their status.

    `metadata` must be contained in the session's; `updated_after` is inclusive, `updated_before` exclusive; both
    name their time zone. Every change counts, a suspension too. A client without a reader asks Temporal, which compares
    milliseconds, and knows the last message as of the last change of status or of runs.
    """

    user_id: Id | None = None
    status: Status | None = None
    metadata: Metadata = None
    updated_after: AwareDatetime | None = None
    updated_before: AwareDatetime | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _refused_by_name(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Callers make filters themselves, and no request holds one, which would have to say where it stands."""
        try:
            return read(data)
        except ValidationError as error:
            raise refused(cls, error) from None


def unknown_cursor() -> InvalidRequest:
    """The refusal of a cursor that is none of ours."""
    return InvalidRequest(
        "The cursor is not one that this server gave. Start from the first page.", errors=[{"field": "cursor"}]
    )


def page_too_large(size: int, limit: int) -> PayloadTooLarge:
    """The refusal of a page of one message or one turn that no workflow can pass on."""
    return PayloadTooLarge(
        f"This page has {size} bytes of JSON, and is as short as one can be; the session's workflow passes {limit} on. "
        "Give the client a reader, which reads from PostgreSQL.",
        field="page",
        size_bytes=size,
        limit_bytes=limit,
    )


class EventPage(Result):
    """Events in order. `complete` is false when there are more."""

    events: list[Event]
    complete: bool


class Reader(Protocol):
    """Reads what was committed. Every method raises `SessionNotFound` for an id that it does not know, `SessionDeleted`
    for a tombstone's (but `read_events`), and `Unavailable` when its store does not answer."""

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """The session as of its last commit."""
        ...

    async def read_messages(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> MessagePage:
        """A page of messages, of at most `max_bytes` of JSON (but of at least one message)."""
        ...

    async def read_replay(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> Replay:
        """A page of turns; `limit` counts turns, the bounds are sequence numbers of messages.

        Turns are whole but where a bound falls into one. A working set comes with the hash that the event of its
        message recorded; where there was one and its row is gone, the turn has its reference instead.

        Raises:
            PayloadTooLarge: not even one turn is within `max_bytes` of JSON; none was read to find that out.
        """
        ...

    async def read_events(self, tenant: str, session_id: str, after: int = 0, limit: int = 1000) -> EventPage:
        """Events with a sequence over `after`; a deleted session has one, which is its tombstone.

        Raises:
            InvalidRequest: a number is out of the bounds of `ReadMessages`.
        """
        ...

    async def list_sessions(self, tenant: str, where: SessionFilter) -> SessionPage:
        """Sessions, last changed first.

        Raises:
            InvalidRequest: no tenant can have this name.
        """
        ...
