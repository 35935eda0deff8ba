"""What a commit is made of: the numbered events of each command, their working sets, the fields they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from activities.commit import Compile, SessionFields
from perdure.contract import AddUserMessage, Handlers
from perdure.events import Event, EventData, MessageAdded, SessionArchived
from perdure.message import text_of
from perdure.session import Session
from perdure.thread_query import searched
from workflows.core.command import AnyCommand, Command, Expire, RecordError
from workflows.core.decide import compiler_config
from workflows.core.load import room_for
from workflows.core.state import SessionState

ACTIVITY_OF = {
    Handlers.ADD_USER_MESSAGE: "record_user_message",
    Handlers.ADD_ASSISTANT_MESSAGE: "record_assistant_message",
    Handlers.ADD_MESSAGE: "record_message",
    Handlers.UPDATE_SESSION: "update_session",
    Handlers.SUSPEND: "suspend_session",
    Handlers.RESUME: "resume_session",
    Handlers.DELETE: "delete_session",
}


def numbered(command: AnyCommand, data: Sequence[EventData], event_sequence: int) -> list[Event]:
    """The events of a command, on top of `event_sequence`, with its key."""
    key, digest = (None, None) if isinstance(command, Expire) else (command.key, command.body_hash)
    return [
        Event(
            sequence=event_sequence + 1 + ordinal,
            key=key,
            ordinal=ordinal,
            body_hash=digest,
            created_at=command.at,
            data=item,
        )
        for ordinal, item in enumerate(data)
    ]


def compiles(command: AnyCommand, made: list[Event], after: SessionState) -> list[Compile]:
    """The working sets that the command's messages get, under the settings that the session had when they came."""
    if not isinstance(command, Command) or not isinstance(command.body, AddUserMessage):
        return []
    settings = after.session.config
    if settings.corpus is None:
        return []
    config = compiler_config(settings, command.body.retrieval)
    return [
        Compile(
            sequence=event.sequence,
            corpus=settings.corpus,
            query=text_of(event.data.message.content),
            search_query=searched(
                config, text_of(event.data.message.content), event.data.message.parent_message_id, after.messages
            ),
            config=config,
            explain=command.body.explain,
            room=room_for(command.body, config),
        )
        for event in made
        if isinstance(event.data, MessageAdded)
    ]


def changed(before: Session, after: Session) -> SessionFields:
    """The fields that a commit moves."""
    fields = {
        name: getattr(after, name) for name in Session.model_fields if getattr(after, name) != getattr(before, name)
    }
    return cast("SessionFields", fields)


def activity_name(commands: list[AnyCommand], events: list[Event]) -> str:
    """Under which name Temporal shows the commit of these commands, which cause `events`."""
    if len(commands) > 1:
        return "record_messages"
    match commands[0]:
        case Command(name=name):
            return ACTIVITY_OF.get(name, "record_messages")
        case Expire():
            return "archive_session" if isinstance(events[-1].data, SessionArchived) else "suspend_session"
        case RecordError():
            return "record_error"
