"""What passes between the session workflow and the activities that store it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from perdure.base import Frozen
from perdure.contract import ReadMessages, StartSession
from perdure.events import Event, MessageAdded
from perdure.message import Message
from perdure.session import Session, SessionConfig, Status
from perdure.working_set import CompilerConfig, WorkingSetRef

Deflated: TypeAlias = str
"""A working set's JSON, deflated and in base64: a third of its size. Workflows pass it on unread, since reading one
costs more than all else that an answer needs, and again in every replay."""


ANSWER_BYTES = 1792 * 1024
"""What an activity or a handler may answer: a payload holds 2 MB, and a larger one stops its workflow for good."""
PAGE_MOST_BYTES = 896 * 1024
"""What a page that passes through a workflow may have; one message or one turn may be larger, and is refused."""


class Owner(Frozen):
    """The workflow chain that may write: its first run, and when that started."""

    run_id: str
    started_at: datetime


class Open(Frozen):
    """Create the session, or take over one that Postgres knows."""

    start: StartSession
    owner: Owner
    at: datetime
    window_messages: int
    window_bytes: int
    receipts: int


class StoredMessage(Frozen):
    message: Message
    working_set: WorkingSetRef | None = None


class StoredReceipt(Frozen):
    key: str
    body_hash: str
    first: int
    last: int


class Opened(Frozen):
    """A session as Postgres has it: its row, its newest messages and its newest receipts, both oldest first.

    The messages are those that fit the window, and at most one more: a result of over 2 MB would stop the workflow.
    """

    session: Session
    messages: list[StoredMessage] = Field(default_factory=list)
    receipts: list[StoredReceipt] = Field(default_factory=list)


class Compilation(Frozen):
    """What is asked of the compiler. `search_query` is what is looked for, where that is more than the query.

    `room`: bytes that the answer has for the working set, if any.
    """

    corpus: str
    query: str
    search_query: str | None = None
    config: CompilerConfig
    explain: bool = False
    room: int = 0


class Compile(Compilation):
    """Compile a working set for the message of event `sequence`, under the settings that the session had then."""

    sequence: int


class DryRun(Compilation):
    """Compile a working set, and store nothing."""

    tenant: str


class Compiled(Frozen):
    """What a dry run gave."""

    working_set: Deflated


class SessionFields(TypedDict, total=False):
    """Fields of a session that commands change."""

    user_id: str | None
    title: str | None
    metadata: dict[str, Any] | None
    config: SessionConfig
    status: Status
    message_count: int
    active_message_id: str | None
    event_sequence: int
    updated_at: datetime
    last_message_at: datetime | None


class Commit(Frozen):
    """Store `events` on top of `base_sequence`, and the session's fields that they changed."""

    tenant: str
    session_id: str
    owner: Owner
    base_sequence: int
    events: list[Event]
    changed: SessionFields
    compile: list[Compile] = Field(default_factory=list)


class Completion(Frozen):
    """What the activity found out about the message of event `sequence`."""

    sequence: int
    token_count: int
    working_set: WorkingSetRef | None = None


class Committed(Frozen):
    """How a commit went.

    `committed`: stored. `behind`: Postgres has events that this run lacks (an attempt that died after its commit);
    `events` holds the next of them and nothing was stored. `known`: some keys or message ids were used long ago;
    nothing was stored.
    """

    outcome: Literal["committed", "behind", "known"]
    completions: list[Completion] = Field(default_factory=list)
    working_sets: dict[int, Deflated] = Field(default_factory=dict)
    events: list[Event] = Field(default_factory=list)
    receipts: list[StoredReceipt] = Field(default_factory=list)
    message_ids: list[str] = Field(default_factory=list)


class ReadAnswer(Frozen):
    """Ask for what the command of a key and a body left behind, to answer it again.

    Without `answered` nobody looks at it, and it is asked only whether there was one.
    """

    tenant: str
    session_id: str
    key: str
    body_hash: str
    answered: bool = True
    room: int = 0


class Answered(Frozen):
    """The command's events, if it was of that body. `body_hash`: that of the command which used the key, if any did."""

    body_hash: str | None = None
    events: list[Event] = Field(default_factory=list)
    working_sets: dict[int, Deflated] = Field(default_factory=dict)


class ReadPage(Frozen):
    """A page of messages or of turns."""

    tenant: str
    session_id: str
    page: ReadMessages


class Purge(Frozen):
    """Remove runs of a session's workflow: the run `run_id`, or, without one, all that had started by `started_by`.

    Runs that started later are nobody's here: the id may stand for a session that lives.
    """

    workflow_id: str
    run_id: str | None = None
    started_by: datetime | None = None


def completed(events: Sequence[Event], completions: Sequence[Completion]) -> list[Event]:
    """The events as they are stored and applied: each message with its tokens and its working set."""
    found = {item.sequence: item for item in completions}
    return [_complete(event, found[event.sequence]) if event.sequence in found else event for event in events]


def _complete(event: Event, completion: Completion) -> Event:
    assert isinstance(event.data, MessageAdded)
    message = event.data.message.model_copy(update={"token_count": completion.token_count})
    data = event.data.model_copy(update={"message": message, "working_set": completion.working_set})
    return event.model_copy(update={"data": data})
