"""How a named error crosses the wire: as an `ApplicationError` of its name, with its details."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic_core import to_json
from temporalio.exceptions import ApplicationError

from perdure.errors import PerdureError, from_wire

FENCED = "Fenced"
"""Failure type of a run that another one has displaced: it is no longer its session's owner, or its corpus's ingest."""
MAX_MESSAGE = 2000
MAX_DETAILS_BYTES = 16 * 1024
"""What a refusal may carry: it may quote the request, and a failure that is too large stops the workflow."""


def refusal(error: PerdureError) -> ApplicationError:
    """The failure that carries `error`. It is never retried by the server: the caller decides."""
    message, details = error.message, error.details
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + "…"
    if len(to_json(details, serialize_unknown=True)) > MAX_DETAILS_BYTES:
        details = {"omitted": "The details were too large to send."}
    return ApplicationError(message, details, type=error.code, non_retryable=True)


@contextmanager
def refusing() -> Iterator[None]:
    """Let a `PerdureError` out as its failure, and without its cause, which would carry the whole request along."""
    try:
        yield
    except PerdureError as error:
        raise refusal(error) from None


def named(error: ApplicationError) -> PerdureError:
    """The error that `error` carries; a plain `PerdureError` when its type is none of ours."""
    details = error.details[0] if error.details and isinstance(error.details[0], dict) else {}
    return from_wire(error.type, error.message, details)
