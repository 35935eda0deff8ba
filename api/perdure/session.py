"""Sessions: their settings, their status, and what a caller sees of one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from perdure.base import Result
from perdure.ids import Id
from perdure.message import DEFAULT_CONTENT_BYTES, MAX_CONTENT_BYTES
from perdure.working_set import CompilerConfig

Status: TypeAlias = Literal["active", "suspended", "archived", "deleted"]


MAX_WAIT = timedelta(days=3650)


class RunBudget(BaseModel):
    """When a session's workflow continues as a new run: at the first of these, or when the server suggests it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: int = Field(default=240, ge=20, le=10_000)
    history_bytes: int = Field(default=4 * 1024 * 1024, ge=1024 * 1024, le=20 * 1024 * 1024)


class SessionConfig(BaseModel):
    """Settings of one session. Durations are ISO 8601 or seconds on the wire.

    `corpus` names what working sets are drawn from; without it none is compiled. An idle session is suspended after
    `idle_timeout` and archived `archive_after` later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: Id | None = None
    retrieval: CompilerConfig = CompilerConfig()
    idle_timeout: timedelta = Field(default=timedelta(minutes=30), gt=timedelta(0), le=MAX_WAIT)
    archive_after: timedelta = Field(default=timedelta(days=7), gt=timedelta(0), le=MAX_WAIT)
    max_content_bytes: int = Field(default=DEFAULT_CONTENT_BYTES, ge=1, le=MAX_CONTENT_BYTES)
    run_budget: RunBudget = RunBudget()


class Session(Result):
    """A session as of its last committed event.

    `message_count` is also the next `sequence_number`; `active_message_id` is the head; `event_sequence` numbers the
    last event.
    """

    tenant: str
    session_id: str
    user_id: str | None = None
    title: str | None = None
    metadata: dict[str, Any] | None = None
    config: SessionConfig
    status: Status
    message_count: int
    active_message_id: str | None = None
    event_sequence: int
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None = None


class SessionPage(Result):
    """Sessions, last changed first. `cursor` asks for the next page; none means that there is no more."""

    sessions: list[Session]
    cursor: str | None = None
