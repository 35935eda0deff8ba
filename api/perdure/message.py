"""Messages: roles, typed parts, and the checks that each one passes at the door."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    Tag,
    model_serializer,
)
from pydantic_core import to_json

from perdure.base import Result
from perdure.errors import InvalidMessage, InvalidRole, PayloadTooLarge
from perdure.problems import PARTS, printable

Role: TypeAlias = Literal["user", "assistant", "system", "tool"]
ROLES: tuple[Role, ...] = get_args(Role)

DEFAULT_CONTENT_BYTES = 256 * 1024
"""Limit of one message's content where a session sets none, in bytes of UTF-8 (of JSON, for parts)."""
MAX_CONTENT_BYTES = 512 * 1024
"""The most that a session may set as that limit."""
MAX_DEPTH = 32
"""Levels of nested lists and objects in metadata and in parts."""
MAX_METADATA_BYTES = 16 * 1024
"""Limit of a message's or a session's metadata, in bytes of JSON."""
Text: TypeAlias = Annotated[str, Strict()]
"""No bytes, of which pydantic would make text."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_post_init(self, _: Any, /) -> None:
        """Requests are sent without what was not given; a part is nothing without its type."""
        self.__pydantic_fields_set__.add("type")


class TextPart(_Part):
    type: Literal["text"] = "text"
    text: Text


class ThoughtPart(_Part):
    """Tells its type where defaults are left out too, as in a body's hash: without it, it would be a text part."""

    type: Literal["thought"] = "thought"
    text: Text

    @model_serializer(mode="wrap")
    def _with_type(self, fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"type": self.type, **fields(self)}


class ToolCallPart(_Part):
    type: Literal["tool_call"] = "tool_call"
    tool_call_id: Text
    name: Text
    parameters: dict[str, Any] = Field(default_factory=dict)


class ToolResultPart(_Part):
    """Exactly one of `result` and `error` is meant to be given."""

    type: Literal["tool_result"] = "tool_result"
    tool_call_id: Text
    result: Any = None
    error: Text | None = None


class FilePart(_Part):
    type: Literal["file"] = "file"
    uri: Text
    media_type: Text


Part: TypeAlias = Annotated[
    TextPart | ThoughtPart | ToolCallPart | ToolResultPart | FilePart, Field(discriminator="type")
]
Content: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[Part], Tag(PARTS)],
    Discriminator(lambda value: "(text)" if isinstance(value, str) else PARTS),
]
"""A message made from a string gives a string back."""


class Message(Result):
    """One message as stored. `token_count` is that of its line in the history, in `cl100k_base` tokens."""

    message_id: str
    session_id: str
    role: Role
    content: Content
    metadata: dict[str, Any] | None = None
    sequence_number: int = Field(ge=0)
    parent_message_id: str | None = None
    token_count: int = 0
    created_at: datetime


def text_of(content: Content) -> str:
    """What a reader sees: the string, or the parts' texts, one a line."""
    if isinstance(content, str):
        return content
    return "\n".join(_shown(part) for part in content)


def _shown(part: Part) -> str:
    match part:
        case TextPart() | ThoughtPart():
            return part.text
        case ToolCallPart():
            return f"{part.name}({to_json(part.parameters).decode()})"
        case ToolResultPart():
            if part.error is not None:
                return part.error
            return part.result if isinstance(part.result, str) else to_json(part.result).decode()
        case FilePart():
            return f"[{part.media_type} {part.uri}]"


def check_role(role: str) -> Role:
    """The role in lower case.

    Raises:
        InvalidRole: it is not one of the four.
    """
    lowered = role.lower()
    for known in ROLES:
        if lowered == known:
            return known
    shown = printable(role)
    raise InvalidRole(f"Invalid role: {shown}. Must be one of: {', '.join(ROLES)}", role=shown, roles=list(ROLES))


def check_content(content: Content, limit_bytes: int) -> None:
    """Refuse content that is empty, too long, or that Postgres cannot hold.

    Raises:
        InvalidMessage: nothing but white space, a NUL character, a lone surrogate, or a number that is not finite.
        PayloadTooLarge: more than `limit_bytes` of UTF-8.
    """
    if not _says_something(content):
        raise InvalidMessage(
            "Message content is empty. Send at least one character that is not white space.", field="content"
        )
    if not isinstance(content, str):
        _refuse_no_json([_dump(part) for part in content], "content")
    size = len(_utf8(content, "content") if isinstance(content, str) else _json(content, "content"))
    if size > limit_bytes:
        raise PayloadTooLarge(
            f"Message content has {size} bytes; the limit is {limit_bytes}. Split it, or store it elsewhere and send a "
            "file part with its address.",
            field="content",
            size_bytes=size,
            limit_bytes=limit_bytes,
        )


def _says_something(content: Content) -> bool:
    if isinstance(content, str):
        return bool(content.strip())
    return any(not isinstance(part, TextPart | ThoughtPart) or part.text.strip() for part in content)


def check_metadata(metadata: dict[str, Any] | None) -> None:
    """Refuse metadata over 16 KiB of JSON, or that Postgres cannot hold.

    Raises:
        InvalidMessage, PayloadTooLarge: as `check_content`.
    """
    _refuse_no_json(metadata, "metadata")
    size = len(_json(metadata, "metadata")) if metadata else 0
    if size > MAX_METADATA_BYTES:
        raise PayloadTooLarge(
            f"Metadata has {size} bytes of JSON; the limit is {MAX_METADATA_BYTES}.",
            field="metadata",
            size_bytes=size,
            limit_bytes=MAX_METADATA_BYTES,
        )


def check_text(text: str, field: str, limit_bytes: int) -> None:
    """Refuse a short text (a title, a name) that is too long or that Postgres cannot hold.

    Raises:
        InvalidMessage, PayloadTooLarge: as `check_content`.
    """
    size = len(_utf8(text, field))
    if size > limit_bytes:
        raise PayloadTooLarge(
            f"{field} has {size} bytes; the limit is {limit_bytes}.",
            field=field,
            size_bytes=size,
            limit_bytes=limit_bytes,
        )


def _utf8(text: str, field: str) -> bytes:
    if "\x00" in text:
        raise InvalidMessage(f"{field} holds a NUL character (U+0000). Remove it; text stores refuse it.", field=field)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidMessage(
            f"{field} holds a lone surrogate at position {error.start}. Send valid Unicode.", field=field
        ) from None


def _json(value: Any, field: str) -> bytes:
    try:
        data = to_json(value)
    except ValueError as error:  # a lone surrogate, or a value that is no JSON
        raise InvalidMessage(f"{field} cannot be written as JSON: {error}", field=field) from None
    if b"\\u0000" in data:
        # An escaped backslash before `u0000` is text, not a NUL: look at the values themselves.
        _refuse_nul(value if not isinstance(value, list) else [_dump(v) for v in value], field)
    return data


def _refuse_no_json(value: Any, field: str, depth: int = 0) -> None:
    """JSON has no NaN, and its readers give up somewhere below 200 levels, some sooner."""
    if isinstance(value, float) and not isfinite(value):
        raise InvalidMessage(f"{field} holds the number {value}, which JSON has not. Send null or text.", field=field)
    if isinstance(value, bytes | bytearray | set | frozenset):  # of which pydantic would make text, or a list
        raise InvalidMessage(
            f"{field} holds a value of type {type(value).__name__}, which JSON has not. Send text or a list.",
            field=field,
        )
    if depth > MAX_DEPTH:
        raise InvalidMessage(f"{field} is nested more than {MAX_DEPTH} levels deep.", field=field)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        _refuse_no_json(item, field, depth + 1)


def _dump(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _refuse_nul(value: Any, field: str) -> None:
    match value:
        case str():
            _utf8(value, field)
        case dict():
            for key, item in value.items():
                _refuse_nul(key, field)
                _refuse_nul(item, field)
        case list() | tuple():
            for item in value:
                _refuse_nul(item, field)
        case _:
            pass
