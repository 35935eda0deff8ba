"""How the client tells whether an answer is to its own request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.calls import Calls
from perdure.contract import Replay, Turn
from perdure.errors import IdempotencyConflict, MessageNotFound
from perdure.message import Message
from perdure.recompile import Change, Recompile
from perdure.recompile_client import find_turn, recompile
from perdure.session import Session, SessionConfig
from tests.unit.client.transport import Script

LONGEST = timedelta(seconds=5)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


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


def turns(first: int, end: int) -> list[Turn]:
    """Turns of a message each, by their numbers."""
    asked = (
        Message(
            message_id=f"m{number}", session_id="s", role="user", content="x", sequence_number=number, created_at=NOON
        )
        for number in range(first, end)
    )
    return [Turn(user_message=message) for message in asked]


async def test_a_turn_is_found_wherever_it_is() -> None:
    session = Session(
        tenant="t",
        session_id="s",
        config=SessionConfig(),
        status="active",
        message_count=230,
        event_sequence=231,
        created_at=NOON,
        updated_at=NOON,
    )

    async def replay(*, before: int | None, limit: int, **_: bool) -> Replay:
        end = session.message_count if before is None else before
        first = max(0, end - limit)
        return Replay(session=session, turns=turns(first, end), complete=first == 0)

    for number in range(session.message_count):
        found = (await find_turn(replay, f"m{number}")).user_message
        assert found is not None
        assert found.sequence_number == number
    with pytest.raises(MessageNotFound):
        await find_turn(replay, "m230")
