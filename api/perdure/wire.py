"""How a named error crosses the wire: as an `ApplicationError` of its name, with its details."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from perdure.errors import PerdureError, from_wire


def refusal(error: PerdureError) -> ApplicationError:
    """The failure that carries `error`. It is never retried by the server: the caller decides."""
    return ApplicationError(error.message, error.details, type=error.code, non_retryable=True)


def named(error: ApplicationError) -> PerdureError:
    """The error that `error` carries; a plain `PerdureError` when its type is none of ours."""
    details = error.details[0] if error.details and isinstance(error.details[0], dict) else {}
    return from_wire(error.type, error.message, details)
