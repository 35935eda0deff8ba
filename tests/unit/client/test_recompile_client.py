"""How the client tells whether an answer is to its own request."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from perdure.calls import Calls
from perdure.errors import IdempotencyConflict
from perdure.recompile import Change, Recompile
from perdure.recompile_client import recompile
from tests.unit.client.transport import Script

LONGEST = timedelta(seconds=5)


def request(**retrieval: Any) -> Recompile:
    return Recompile(session_id="s", change=Change(retrieval=retrieval))


def calls_answered_for(asked: Recompile) -> Calls:
    """Of which each is answered as if `asked` had been the first with its key."""
    answer = {"request": asked.model_dump(mode="json"), "turns": [], "last": -1, "complete": True}
    return Calls(Script(json.loads(json.dumps(answer))), rpc_timeout=LONGEST, timeout=LONGEST)


async def test_a_duration_is_the_same_after_its_way_through_json() -> None:
    asked = request(retrieval_timeout=timedelta(seconds=5))
    assert (await recompile(calls_answered_for(asked), asked, None, LONGEST)).complete


async def test_another_duration_is_another_request() -> None:
    calls = calls_answered_for(request(retrieval_timeout=timedelta(seconds=6)))
    with pytest.raises(IdempotencyConflict):
        await recompile(calls, request(retrieval_timeout=timedelta(seconds=5)), "k", LONGEST)
