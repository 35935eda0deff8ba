"""Durable AI conversations on Temporal."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from perdure.contract import History, MessageAnswer, MessagePage, NewMessage, ReadMessages, Replay, Turn
from perdure.diff import WorkingSetDiff
from perdure.errors import (
    Busy,
    CapacityExceeded,
    CorpusNotFound,
    CorpusVersionNotFound,
    HeadMoved,
    IdempotencyConflict,
    InvalidMessage,
    InvalidRequest,
    InvalidRole,
    InvalidSessionId,
    MessageNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PerdureError,
    Refused,
    SessionDeleted,
    SessionNotActive,
    SessionNotFound,
    SessionRolling,
    TooMuchInFlight,
    Unavailable,
    UploadExpired,
    WorkingSetCorrupted,
)
from perdure.events import Event
from perdure.message import FilePart, Message, TextPart, ThoughtPart, ToolCallPart, ToolResultPart
from perdure.reader import EventPage, Reader, SessionFilter
from perdure.recompile import Comparison, TurnComparison
from perdure.session import RunBudget, Session, SessionConfig, SessionPage
from perdure.working_set import Citation, CompilerConfig, WorkingSet, WorkingSetSpan

if TYPE_CHECKING:
    from perdure.client import Client
    from perdure.handle import SessionHandle
    from perdure.listing import SessionList, SessionSummary

__all__ = [
    "Busy",
    "CapacityExceeded",
    "Citation",
    "Client",
    "Comparison",
    "CompilerConfig",
    "CorpusNotFound",
    "CorpusVersionNotFound",
    "Event",
    "EventPage",
    "FilePart",
    "HeadMoved",
    "History",
    "IdempotencyConflict",
    "InvalidMessage",
    "InvalidRequest",
    "InvalidRole",
    "InvalidSessionId",
    "Message",
    "MessageAnswer",
    "MessageNotFound",
    "MessagePage",
    "NewMessage",
    "OutcomeUnknown",
    "PayloadTooLarge",
    "PerdureError",
    "ReadMessages",
    "Reader",
    "Refused",
    "Replay",
    "RunBudget",
    "Session",
    "SessionConfig",
    "SessionDeleted",
    "SessionFilter",
    "SessionHandle",
    "SessionList",
    "SessionNotActive",
    "SessionNotFound",
    "SessionPage",
    "SessionRolling",
    "SessionSummary",
    "TextPart",
    "ThoughtPart",
    "TooMuchInFlight",
    "ToolCallPart",
    "ToolResultPart",
    "Turn",
    "TurnComparison",
    "Unavailable",
    "UploadExpired",
    "WorkingSet",
    "WorkingSetCorrupted",
    "WorkingSetDiff",
    "WorkingSetSpan",
]

# What needs Temporal's SDK is imported when it is asked for: the laws of a session and `perdure --help` do without.
_LAZY = {
    "Client": "perdure.client",
    "SessionHandle": "perdure.handle",
    "SessionList": "perdure.listing",
    "SessionSummary": "perdure.listing",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
