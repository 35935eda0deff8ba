"""The wire contract: names of the workflow and its handlers, and one request and one answer for each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_core import PydanticKnownError

from perdure.base import Overrides, Request, Result, whole
from perdure.errors import PayloadTooLarge
from perdure.ids import DEFAULT_TENANT, Id
from perdure.message import Content, Message, Role, Text, check_metadata, check_role, check_text
from perdure.session import Session, SessionConfig
from perdure.working_set import WorkingSet, WorkingSetRef

TASK_QUEUE = "perdure"
SESSION_WORKFLOW = "Session"
INGEST_WORKFLOW = "IngestCorpus"
PURGE_WORKFLOW = "PurgeSession"
RECOMPILE_WORKFLOW = "RecompileSession"

MAX_IN_FLIGHT = 8
"""Updates a caller keeps in flight on one session; at the eleventh Temporal aborts them all."""
MAX_BATCH = 100
"""Messages that one `add_messages` may carry."""
MAX_REQUEST_BYTES = 1024 * 1024
"""Limit of one request's JSON; a workflow task of Temporal carries 4 MB, and a request up to three times."""
MAX_NUMBER = 2**53
"""Largest number that a page's bounds may have."""
PAGE_LIMIT = 100
"""Messages of a page when no limit is asked for."""


def check_request_size(size: int) -> None:
    """Refuse a request of more than `MAX_REQUEST_BYTES`.

    Raises:
        PayloadTooLarge: it is larger.
    """
    if size > MAX_REQUEST_BYTES:
        raise PayloadTooLarge(
            f"The request has {size} bytes of JSON; the limit is {MAX_REQUEST_BYTES}. Send it in parts.",
            field="request",
            size_bytes=size,
            limit_bytes=MAX_REQUEST_BYTES,
        )


def _role(value: Any) -> Role:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return check_role(value)


def _metadata(value: dict[str, Any] | None) -> dict[str, Any] | None:
    check_metadata(value)
    return value


def _title(value: str | None) -> str | None:
    check_text(value or "", "title", 1024)
    return value


Counting: TypeAlias = Literal["tokenizer", "estimate"]
RoleField = Annotated[Role, BeforeValidator(_role)]
Metadata = Annotated[dict[str, Any] | None, AfterValidator(_metadata)]
Head = Annotated[Text | None, Field(max_length=128)]
Title = Annotated[Text | None, AfterValidator(_title)]


class StartSession(Request):
    """Input of the workflow `Session`. With `restore_only`, a session that Postgres does not know is not made."""

    tenant: Id = DEFAULT_TENANT
    session_id: Id
    user_id: Id | None = None
    title: Title = None
    metadata: Metadata = None
    config: SessionConfig = SessionConfig()
    restore_only: bool = False

    def session(self, *, at: datetime) -> Session:
        """The session that it makes, as of its first event."""
        return Session(
            tenant=self.tenant,
            session_id=self.session_id,
            user_id=self.user_id,
            title=self.title,
            metadata=self.metadata,
            config=self.config,
            status="active",
            message_count=0,
            event_sequence=1,
            created_at=at,
            updated_at=at,
        )


class NewMessage(Request):
    """One message of `add_messages`. `message_id` is made from the request's key when left out."""

    role: RoleField
    content: Content
    message_id: Id | None = None
    metadata: Metadata = None


class AddUserMessage(Request):
    """`add_user_message`. `retrieval` overrides fields of the session's `CompilerConfig` for this message alone."""

    content: Content
    message_id: Id | None = None
    metadata: Metadata = None
    expected_head: Head = None
    retrieval: Overrides | None = None
    explain: bool = False
    return_working_set: bool = True


class CompileQuery(Request):
    """`compile`: the working set that a user message of the text `query` would get now; nothing is added."""

    query: Text
    retrieval: Overrides | None = None
    explain: bool = False


class AddAssistantMessage(Request):
    """`add_assistant_message`."""

    content: Content
    message_id: Id | None = None
    metadata: Metadata = None
    expected_head: Head = None


class AddMessage(Request):
    """`add_message`: any role, nothing compiled."""

    role: RoleField
    content: Content
    message_id: Id | None = None
    metadata: Metadata = None
    expected_head: Head = None


class AddMessages(Request):
    """`add_messages`: all of them in one commit, or none."""

    messages: list[NewMessage] = Field(min_length=1, max_length=MAX_BATCH)
    request_id: Id | None = None
    expected_head: Head = None


class UpdateSession(Request):
    """`update_session`: fields left out stay; `null` clears all but `config`, which is merged field by field."""

    request_id: Id | None = None
    title: Title = None
    metadata: Metadata = None
    user_id: Id | None = None
    config: Overrides | None = None

    @field_validator("config")
    @classmethod
    def _whole(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return value if value is None else whole(SessionConfig, value, "config")


class Lifecycle(Request):
    """`suspend`, `resume`, `delete`: nothing but the key."""

    request_id: Id | None = None


class ReadMessages(Request):
    """`read_messages`, `read_replay`: a page by sequence number, both bounds exclusive; the newest without a bound."""

    before: int | None = Field(default=None, ge=0, le=MAX_NUMBER)
    after: int | None = Field(default=None, ge=-1, le=MAX_NUMBER)
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=1000)


class GetHistory(Request):
    """`get_history`. `counting` "estimate" is (UTF-8 bytes + 3) // 4 a message, with separators free."""

    max_tokens: int | None = Field(default=None, ge=0)
    counting: Counting = "tokenizer"


class MessageAnswer(Result):
    """Answer of the updates that add one message.

    `working_set` is none when none was compiled or asked for, and when it is too large for an answer, whose room goes
    by the session's budget of now: `replay` has it.
    """

    message: Message
    working_set: WorkingSet | None = None


class WorkingSetAnswer(Result):
    """Answer of `compile`."""

    working_set: WorkingSet


class MessagesAnswer(Result):
    """Answer of `add_messages`."""

    messages: list[Message]


class SessionAnswer(Result):
    """Answer of `update_session`, `suspend`, `resume`, `delete`; `changed` is false when there was nothing to do.

    An update that names a field is a change, whatever its value.
    """

    session: Session
    changed: bool = True


class MessagePage(Result):
    """Messages in ascending order. `complete` is false when the page is not all there is in the asked direction."""

    messages: list[Message]
    complete: bool


class History(Result):
    """The conversation as text. `truncated`: the newest message was cut to fit. `complete`: nothing was left out."""

    text: str
    messages: list[Message]
    complete: bool
    truncated: bool = False


class Turn(Result):
    """A user message, its working set, and every later message up to the next user message.

    `user_message` is none for messages before the first user message. `working_set_ref` is given only where there was a
    working set and none is at hand: from the live window (a query), or where its row is gone from Postgres.
    """

    user_message: Message | None
    working_set: WorkingSet | None = None
    working_set_ref: WorkingSetRef | None = None
    messages: list[Message] = Field(default_factory=list)


class Replay(Result):
    """Turns in order. `complete`: no more follow in the direction that was asked for. The query `replay` answers true
    only if it has the text of every working set, too.
    """

    session: Session
    turns: list[Turn]
    complete: bool


class Handlers:
    """Names of the handlers, as any Temporal client calls them."""

    ADD_USER_MESSAGE = "add_user_message"
    ADD_ASSISTANT_MESSAGE = "add_assistant_message"
    ADD_MESSAGE = "add_message"
    ADD_MESSAGES = "add_messages"
    COMPILE = "compile"
    UPDATE_SESSION = "update_session"
    SUSPEND = "suspend"
    RESUME = "resume"
    DELETE = "delete"
    READ_MESSAGES = "read_messages"
    READ_REPLAY = "read_replay"
    SIGNAL_USER_MESSAGE = "user_message"
    SIGNAL_ASSISTANT_MESSAGE = "assistant_message"
    SIGNAL_TOUCH = "touch"
    GET_SESSION = "get_session"
    GET_HISTORY = "get_history"
    REPLAY = "replay"
    GET_STATE = "get_state"
