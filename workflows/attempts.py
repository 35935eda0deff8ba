"""How a session's activities are tried: for how long, how often, and what it was that failed."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

ATTEMPT = timedelta(seconds=20)
"""What one attempt of an activity may take, retrieval included."""
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=1)
)
"""A store that is away is waited for, without end: an accepted command is never given up."""


def cause_of(error: ActivityError | ApplicationError) -> ApplicationError:
    """The activity's own failure, under its own name: a local activity's comes bare, unless it timed out."""
    if isinstance(error, ApplicationError):
        return error
    if isinstance(error.cause, ApplicationError):
        return error.cause
    return ApplicationError(f"The commit failed: {error.cause or error}", type="CommitFailed", non_retryable=True)
