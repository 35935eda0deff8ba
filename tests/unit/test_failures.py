"""How an activity fails where to try again would not help: by name, once, and without the cause, which may be large."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from activities.failures import refusing
from activities.ports import Fenced, Unstorable
from perdure.errors import CapacityExceeded
from perdure.wire import FENCED


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Fenced("Not yours."), FENCED),
        (Unstorable("Too long."), "Unstorable"),
        (CapacityExceeded("Full.", current=1, max=1), "CapacityExceeded"),
    ],
)
def test_what_is_refused_for_good_is_not_tried_again(error: Exception, name: str) -> None:
    with pytest.raises(ApplicationError) as failed, refusing():
        raise error from ValueError("all of the request")
    assert (failed.value.type, failed.value.message, failed.value.non_retryable) == (name, str(error), True)
    assert failed.value.__cause__ is None
