"""How an activity fails where to try again would not help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError

from activities.ports import Fenced, Unstorable
from perdure import wire


@contextmanager
def refusing() -> Iterator[None]:
    """As `perdure.wire.refusing`, and let what a store refuses for good out as its failure: it is not retried."""
    try:
        with wire.refusing():
            yield
    except Fenced as error:
        raise ApplicationError(str(error), type=wire.FENCED, non_retryable=True) from None
    except Unstorable as error:
        raise ApplicationError(str(error), type="Unstorable", non_retryable=True) from None
