"""What commands take by keyword, and how a request is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar

from perdure.base import Request, parse, plain
from perdure.contract import AddAssistantMessage, AddMessage, AddMessages, AddUserMessage
from perdure.errors import InvalidRequest
from perdure.message import MAX_CONTENT_BYTES, check_content
from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig

R = TypeVar("R", bound=Request)
M = TypeVar("M", AddUserMessage, AddAssistantMessage, AddMessage)


class MessageFields(TypedDict, total=False):
    """What any message may carry: its key, its metadata, and the head that it expects."""

    message_id: str | None
    metadata: dict[str, Any] | None
    expected_head: str | None


class UserMessageFields(MessageFields, total=False):
    """What a user message may carry beyond that; see `AddUserMessage`."""

    retrieval: CompilerConfig | dict[str, Any] | None
    explain: bool
    return_working_set: bool


class SessionChanges(TypedDict, total=False):
    """Fields of a session to change. Those left out stay; none clears all but `config`, merged field by field."""

    title: str | None
    metadata: dict[str, Any] | None
    user_id: str | None
    config: SessionConfig | dict[str, Any]
    request_id: str | None


def given(model: type[R], **fields: Any) -> R:
    """The request of the fields that are not none.

    Raises:
        Refused: a field is not as it should be.
    """
    return parse(model, {name: value for name, value in fields.items() if value is not None})


def check_durations(**durations: object) -> None:
    """Refuse a duration that none can wait for.

    Raises:
        InvalidRequest: it is no `timedelta` of more than 0.
    """
    for name, value in durations.items():
        if not isinstance(value, timedelta) or value <= timedelta(0):
            problem = f"takes a timedelta of more than 0, not {value!r}"
            raise InvalidRequest(f"{name}: {problem}", errors=[{"field": name, "problem": problem}])


def message_request(model: type[M], **fields: Any) -> M:
    """The request to add one message, refused here already when no session could take it."""
    body = given(model, **fields)
    check_content(body.content, MAX_CONTENT_BYTES)
    return body


def batch_request(messages: Iterable[Any], **fields: Any) -> AddMessages:
    """The request to add several messages, refused here already when no session could take one of them."""
    listed: object = messages
    if isinstance(messages, Iterable):  # else `given` says what it takes
        listed = [plain(message) for message in messages]
    body = given(AddMessages, messages=listed, **fields)
    for message in body.messages:
        check_content(message.content, MAX_CONTENT_BYTES)
    return body
