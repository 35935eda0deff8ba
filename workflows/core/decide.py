"""What a command does to a session: the events it causes, or the refusal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, assert_never

from perdure.base import parse_field
from perdure.contract import (
    AddAssistantMessage,
    AddMessage,
    AddMessages,
    AddUserMessage,
    Handlers,
    Lifecycle,
    NewMessage,
    UpdateSession,
)
from perdure.errors import (
    HeadMoved,
    IdempotencyConflict,
    InvalidRequest,
    PayloadTooLarge,
    PerdureError,
    SessionDeleted,
)
from perdure.events import (
    ErrorRecorded,
    EventData,
    MessageAdded,
    SessionArchived,
    SessionResumed,
    SessionSuspended,
    SessionUpdated,
)
from perdure.events import SessionDeleted as Deleted
from perdure.message import Message, Role, check_content
from perdure.session import Session, SessionConfig, Status
from perdure.working_set import CompilerConfig, with_preset
from workflows.core.command import AnyCommand, Command, Expire, RecordError, message_id_in
from workflows.core.state import Receipt, SessionState


def receipt_of(state: SessionState, command: Command) -> Receipt | None:
    """The receipt of a command that was carried out before.

    Raises:
        IdempotencyConflict: its key was used with another body.
    """
    receipt = state.receipts.get(command.key)
    if receipt is not None and receipt.body_hash != command.body_hash:
        raise IdempotencyConflict(key=command.key)
    return receipt


def outlived(state: SessionState, error: PerdureError) -> bool:
    """Whether a command that is refused so may have been carried out once: long enough ago for its key to be
    forgotten, and what it is refused for has changed since."""
    judged_by_state = isinstance(error, HeadMoved | PayloadTooLarge | InvalidRequest)
    return judged_by_state and state.forgets


def decide(state: SessionState, command: AnyCommand) -> list[EventData]:
    """The events that `command` causes now; none when it changes nothing.

    Raises:
        Refused: by its name, with nothing changed.
    """
    match command:
        case Expire():
            return _expire(state.session, command.at)
        case RecordError():
            return [ErrorRecorded(source=command.source, code=command.code, message=command.message)]
    session = state.session
    if session.status == "deleted":
        raise SessionDeleted(session_id=session.session_id)
    match command.body:
        case AddMessages() as body:
            _check_head(session, body.expected_head)
            return list(_messages(session, _identified(body.messages, command.key), command.at))
        case AddUserMessage() | AddAssistantMessage() | AddMessage() as body:
            _check_head(session, body.expected_head)
            if isinstance(body, AddUserMessage) and body.retrieval:
                compiler_config(session.config, body.retrieval)
            new = NewMessage(role=_role(body), content=body.content, metadata=body.metadata)
            return list(_messages(session, {command.key: new}, command.at))
        case UpdateSession() as body:
            return _update(session, body, command.at)
        case Lifecycle():
            return _lifecycle(session, command)
        case _:
            assert_never(command.body)


def compiler_config(config: SessionConfig, overrides: dict[str, Any] | None) -> CompilerConfig:
    """The session's compiler settings with a message's own on top.

    Raises:
        InvalidRequest: an override is unknown or out of its range.
    """
    if not overrides:
        return config.retrieval
    return parse_field(CompilerConfig, {**config.retrieval.model_dump(), **with_preset(overrides)}, "retrieval")


def _role(body: AddUserMessage | AddAssistantMessage | AddMessage) -> Role:
    match body:
        case AddUserMessage():
            return "user"
        case AddAssistantMessage():
            return "assistant"
        case AddMessage():
            return body.role


def _check_head(session: Session, expected: str | None) -> None:
    if expected is not None and expected != session.active_message_id:
        raise HeadMoved(
            f"The head is {session.active_message_id!r}, not {expected!r}. Read what was added and send again.",
            expected_head=expected,
            active_message_id=session.active_message_id,
        )


def _identified(messages: list[NewMessage], key: str) -> dict[str, NewMessage]:
    named = {message.message_id or message_id_in(key, i): message for i, message in enumerate(messages)}
    if len(named) < len(messages):
        raise InvalidRequest("Two messages of one request have the same message_id.")
    return named


def _messages(session: Session, new: dict[str, NewMessage], at: datetime) -> Iterator[EventData]:
    if session.status != "active":
        yield SessionResumed(reason="message", session=_with_status(session, "active", at))
    parent = session.active_message_id
    for offset, (message_id, item) in enumerate(new.items()):
        check_content(item.content, session.config.max_content_bytes)
        message = Message(
            message_id=message_id,
            session_id=session.session_id,
            role=item.role,
            content=item.content,
            metadata=item.metadata,
            sequence_number=session.message_count + offset,
            parent_message_id=parent,
            created_at=at,
        )
        parent = message_id
        yield MessageAdded(message=message)


def _update(session: Session, body: UpdateSession, at: datetime) -> list[EventData]:
    changes: dict[str, Any] = {
        name: getattr(body, name) for name in ("title", "metadata", "user_id") if name in body.model_fields_set
    }
    if body.config:
        config = dict(body.config)
        if isinstance(config.get("retrieval"), dict):
            config["retrieval"] = with_preset(config["retrieval"])
        merged = _deep_merge(session.config.model_dump(exclude_unset=True), config)
        changes["config"] = parse_field(SessionConfig, merged, "config")
    after = session.model_copy(update={**changes, "updated_at": at})
    return [SessionUpdated(session=after)] if changes else []


def _deep_merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        inner = merged.get(name)
        merged[name] = _deep_merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _lifecycle(session: Session, command: Command) -> list[EventData]:
    match command.name:
        case Handlers.SUSPEND if session.status == "active":
            return [SessionSuspended(reason="requested", session=_with_status(session, "suspended", command.at))]
        case Handlers.RESUME if session.status != "active":
            return [SessionResumed(reason="requested", session=_with_status(session, "active", command.at))]
        case Handlers.DELETE:
            tombstone = session.model_copy(
                update={
                    "status": "deleted",
                    "title": None,
                    "user_id": None,
                    "metadata": None,
                    "config": SessionConfig(),
                    "message_count": 0,
                    "active_message_id": None,
                    "last_message_at": None,
                    "updated_at": command.at,
                }
            )
            return [Deleted(session=tombstone)]
        case _:
            return []


def _expire(session: Session, at: datetime) -> list[EventData]:
    match session.status:
        case "active":
            return [SessionSuspended(reason="idle", session=_with_status(session, "suspended", at))]
        case "suspended":
            return [SessionArchived(session=_with_status(session, "archived", at))]
        case _:
            return []


def _with_status(session: Session, status: Status, at: datetime) -> Session:
    return session.model_copy(update={"status": status, "updated_at": at})
