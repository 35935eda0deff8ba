"""The state of a session, and the fold that makes it from events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias, assert_never

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic_core import from_json, to_json

from perdure.events import (
    ErrorRecorded,
    Event,
    MessageAdded,
    SessionArchived,
    SessionCreated,
    SessionDeleted,
    SessionResumed,
    SessionSuspended,
    SessionUpdated,
)
from perdure.message import Message
from perdure.session import Session
from perdure.working_set import WorkingSetRef

WINDOW_MESSAGES = 50
WINDOW_BYTES = 128 * 1024
"""The window holds the newest messages up to both bounds, and always the newest one."""
RECEIPTS = 256
"""Commands remembered by key; Postgres remembers all of them."""


def _as_json(value: object) -> bytes:
    return value if isinstance(value, bytes) else to_json(value)


MessageJson: TypeAlias = Annotated[bytes, BeforeValidator(_as_json), PlainSerializer(from_json)]
"""A message as JSON, which takes a quarter of the model's memory: many sessions rest in a worker, few are asked."""


@dataclass(frozen=True, slots=True)
class WindowEntry:
    """A message in the window, with what is known of its working set."""

    message: MessageJson
    working_set: WorkingSetRef | None = None

    @property
    def parsed(self) -> Message:
        return Message.model_validate_json(self.message)


class Receipt(NamedTuple):
    """What a command left behind: its body's hash and its events, `first` to `last`."""

    body_hash: str
    first: int
    last: int


class SessionState(BaseModel):
    """All that a run knows of its session; bounded, whatever the session's age."""

    model_config = ConfigDict(frozen=True)

    session: Session
    window: tuple[WindowEntry, ...] = ()
    receipts: dict[str, Receipt] = {}

    @property
    def event_sequence(self) -> int:
        return self.session.event_sequence

    @property
    def forgets(self) -> bool:
        """Whether it may have forgotten keys, of messages too that are still in the window."""
        return len(self.receipts) >= RECEIPTS

    def messages(self) -> list[Message]:
        """The window's messages, read from their JSON."""
        return [item.parsed for item in self.window]

    def has_at_hand(self, message_id: str) -> bool:
        """Whether a message of the window has that id; only those whose JSON tells of it are read."""
        told = b'"message_id":' + to_json(message_id)
        return any(told in item.message and item.parsed.message_id == message_id for item in self.window)


def entry(message: Message, working_set: WorkingSetRef | None) -> WindowEntry:
    """A message made ready for the window."""
    return WindowEntry(to_json(message), working_set)


def bounded(entries: Sequence[WindowEntry]) -> tuple[WindowEntry, ...]:
    """The newest entries that fit the window's bounds, in order."""
    kept = 0
    size = 0
    for item in reversed(entries[-WINDOW_MESSAGES:]):
        size += len(item.message)
        if kept and size > WINDOW_BYTES:
            break
        kept += 1
    return tuple(entries[len(entries) - kept :])


def apply(state: SessionState | None, event: Event) -> SessionState:
    """The state after `event`. Total: an event that was committed always applies."""
    data = event.data
    if isinstance(data, SessionCreated | SessionDeleted):
        state = SessionState(session=data.session)
    assert state is not None, "the first event of a session creates it"
    session, window = state.session, state.window
    moved: dict[str, object] = {"event_sequence": event.sequence}
    match data:
        case MessageAdded(message=message):
            moved |= {
                "message_count": message.sequence_number + 1,
                "active_message_id": message.message_id,
                "last_message_at": message.created_at,
                "updated_at": event.created_at,
            }
            window = bounded((*window, entry(message, data.working_set)))
        case SessionUpdated() | SessionSuspended() | SessionResumed() | SessionArchived():
            session = data.session
        case SessionCreated() | SessionDeleted() | ErrorRecorded():
            pass
        case _:
            assert_never(data)
    return state.model_copy(
        update={
            "session": session.model_copy(update=moved),
            "window": window,
            "receipts": _receipts(state.receipts, event),
        }
    )


def fold(state: SessionState | None, events: Iterable[Event]) -> SessionState | None:
    """`apply`, event by event."""
    for event in events:
        state = apply(state, event)
    return state


def _receipts(receipts: dict[str, Receipt], event: Event) -> dict[str, Receipt]:
    if event.key is None or event.body_hash is None:
        return receipts
    known = receipts.get(event.key)
    receipt = Receipt(event.body_hash, known.first if known else event.sequence, event.sequence)
    receipts = {**receipts, event.key: receipt}
    if len(receipts) > RECEIPTS:
        del receipts[next(iter(receipts))]
    return receipts
