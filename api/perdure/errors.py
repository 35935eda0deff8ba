"""Every error Perdure raises, as one tree grouped by what the caller does next.

    PerdureError
    ├── Refused                 the request must change; sending it again gives the same answer
    │   ├── InvalidRequest      a field is missing, unknown or of the wrong shape
    │   ├── InvalidSessionId    not 1-128 of [A-Za-z0-9._:-]
    │   ├── InvalidRole         not one of user, assistant, system, tool
    │   ├── InvalidMessage      empty, or a field that cannot be stored
    │   ├── PayloadTooLarge     something is over its limit
    │   ├── IdempotencyConflict the key was used with another body
    │   ├── HeadMoved           `expected_head` is no longer the head
    │   ├── SessionNotFound
    │   ├── SessionNotActive
    │   ├── SessionDeleted
    │   ├── MessageNotFound     the session has no user message of that id
    │   ├── CorpusNotFound
    │   ├── CorpusVersionNotFound  `as_of` is no version that is kept
    │   └── UploadExpired       files sent for an ingest are gone; send them again
    ├── Busy                    refused for now; send again, later
    │   └── CapacityExceeded    the tenant's active sessions are used up
    ├── WorkingSetCorrupted     a stored working set is gone or no longer has its hash
    ├── OutcomeUnknown          no answer in time: it may have happened; send again with the same key
    │   ├── SessionRolling      the session is changing runs; the client sends again by itself
    │   └── TooMuchInFlight     the session carries as much as it can; the client sends again by itself
    └── Unavailable             a server could not be reached; nothing is known to have happened

The class name is the wire name: the `type` of the `ApplicationError` that a workflow raises, and the `code` of a
problem document. `details` is the structured part: of what the message tells, that which a program may need.

A plain Temporal client may also meet `Fenced`: the run has lost its session; send again, as our client does. And
`Unstorable` (PostgreSQL refuses it for good), `CommitFailed`, `InternalError`: our client raises a `PerdureError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class PerdureError(Exception):
    """Base of all errors. `details` is JSON: the values that the message speaks of."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def code(self) -> str:
        """The wire name."""
        return type(self).__name__


class Refused(PerdureError):
    """The request must change; the session is as it was."""


class InvalidRequest(Refused):
    """A field is missing, unknown or of the wrong shape; `details["errors"]` lists those that can be named."""

    def __init__(self, message: str, *, errors: Sequence[object] = (), **details: Any) -> None:
        super().__init__(message, errors=list(errors), **details)


class InvalidSessionId(Refused):
    """The id is not 1-128 characters of `[A-Za-z0-9._:-]`."""


class InvalidRole(Refused):
    """The role is not one of user, assistant, system, tool."""


class InvalidMessage(Refused):
    """The message is empty, or a field holds what no store can keep."""


class PayloadTooLarge(Refused):
    """Something is over its limit; `details` holds `field`, `size_bytes` and `limit_bytes`."""


class IdempotencyConflict(Refused):
    """The key was used before, with another body; `details["key"]` names it."""

    def __init__(self, message: str = "", **details: Any) -> None:
        used = f"The key {details.get('key')!r} was used before with another body."
        super().__init__(message or f"{used} Send the same body again, or use a new key.", **details)


class HeadMoved(Refused):
    """`expected_head` is no longer the head; `details["active_message_id"]` is."""


class SessionNotFound(Refused):
    """No such session."""

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or f"Session not found: {details.get('session_id')}", **details)


class SessionNotActive(Refused):
    """The session cannot do this in its present status."""


class SessionDeleted(Refused):
    """The session was deleted; its id cannot be used again."""

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or f"Session deleted: {details.get('session_id')}", **details)


class MessageNotFound(Refused):
    """The session has no user message of that id; `details` holds `session_id` and `message_id`. Its replay shows those
    that it has."""


class CorpusNotFound(Refused):
    """No such corpus."""

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or f"Corpus not found: {details.get('corpus')}", **details)


class CorpusVersionNotFound(Refused):
    """The corpus has no such version, or keeps it no more; `details` holds the first and last that it keeps."""


class UploadExpired(Refused):
    """Of the files that were sent for an ingest some are gone, since they waited for too long. Send them again, as
    another ingest does; the corpus is as it was."""


class Busy(PerdureError):
    """Refused for now, with nothing done; the same request may succeed later."""

    retryable = True


class CapacityExceeded(Busy):
    """The tenant has as many active sessions as it may; `details` holds `current` and `max`."""


class WorkingSetCorrupted(PerdureError):
    """A working set is gone, or its text no longer has the recorded hash; `details["message_ids"]` lists whose."""


class OutcomeUnknown(PerdureError):
    """No answer came in time, so the command may have been carried out. Send it again with the same key."""

    retryable = True


class SessionRolling(OutcomeUnknown):
    """The session is changing runs, and takes nothing for a moment. An attempt whose workflow task was lost may have
    carried the command out all the same: send it again with the same key, as the client does by itself."""


class TooMuchInFlight(OutcomeUnknown):
    """Requests and answers in flight on the session are as large as one workflow task carries. As for `SessionRolling`:
    send it again in a moment, with the same key, as the client does by itself."""


class Unavailable(PerdureError):
    """A server could not be reached."""

    retryable = True


def _tree(root: type[PerdureError]) -> dict[str, type[PerdureError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


BY_CODE: dict[str, type[PerdureError]] = _tree(PerdureError)
"""Each error class by its wire name."""


def from_wire(code: str | None, message: str, details: dict[str, Any]) -> PerdureError:
    """The error that crossed the wire as `code`; a plain `PerdureError` when the name is unknown here."""
    return BY_CODE.get(code or "", PerdureError)(message, **details)
