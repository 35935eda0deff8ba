"""When a call is sent again, and what it says when it gives up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from perdure.calls import LONG_POLL, Calls
from perdure.contract import MAX_IN_FLIGHT, MAX_REQUEST_BYTES
from perdure.errors import (
    IdempotencyConflict,
    InvalidRequest,
    OutcomeUnknown,
    PayloadTooLarge,
    SessionDeleted,
    SessionNotFound,
    Unavailable,
)
from perdure.transport import Command, NotOpen, Run, TryAgain
from tests.unit.client.transport import Script

LOST = TryAgain("no answer", sent=True)
REFUSED_TO_CONNECT = TryAgain("connection refused", sent=False)
ROLLING = TryAgain("the run is ending", sent=False, ended=True)
ANSWER = {"message": "x"}
RESTORE = {"restore_only": True}
START = {"session_id": "s"}


def calls(script: Script, *, timeout: float = 5.0, rpc_timeout: float = 1.0) -> Calls:
    return Calls(script, rpc_timeout=timedelta(seconds=rpc_timeout), timeout=timedelta(seconds=timeout))


def command(**changes: Any) -> Command:
    fields: dict[str, Any] = {
        "workflow_id": "session:default:s",
        "name": "add_user_message",
        "body": {"content": "Hello", "message_id": "k"},
        "key": "k",
        "revive": RESTORE,
    }
    return Command(**{**fields, **changes})


async def test_an_unanswered_attempt_is_repeated_with_the_same_body_under_the_same_update_id() -> None:
    script = Script(LOST, LOST, ANSWER)
    assert await calls(script).update(command()) == ANSWER
    assert len(script.updates) == 3
    assert len({update.update_id for update in script.updates}) == 1
    assert all(update.body == {"content": "Hello", "message_id": "k"} for update in script.updates)


async def test_an_update_that_ended_with_its_run_is_sent_under_another_id() -> None:
    script = Script(ROLLING, ANSWER)
    assert await calls(script).update(command()) == ANSWER
    first, second = script.updates
    assert first.update_id != second.update_id
    assert first.body == second.body


async def test_a_session_that_is_not_open_is_restored_by_the_same_call() -> None:
    script = Script(NotOpen(), ANSWER)
    assert await calls(script).update(command()) == ANSWER
    assert [update.start for update in script.updates] == [None, RESTORE]


async def test_a_start_that_joined_a_run_which_was_to_restore_is_sent_again_under_another_id() -> None:
    script = Script(SessionNotFound(session_id="s"), SessionNotFound(session_id="s"), ANSWER)
    assert await calls(script).update(command(at_once=True, revive=START)) == ANSWER
    assert len({update.update_id for update in script.updates}) == 3
    assert all(update.start == START for update in script.updates)


async def test_a_start_that_joins_such_runs_for_too_long_ends_as_unavailable() -> None:
    with pytest.raises(Unavailable, match="Session not found: s"):
        await calls(Script(SessionNotFound(session_id="s")), timeout=0.3).update(command(at_once=True, revive=START))


async def test_a_command_that_starts_nothing_is_told_at_once_that_there_is_no_session() -> None:
    script = Script(NotOpen(), SessionNotFound(session_id="s"))
    with pytest.raises(SessionNotFound):
        await calls(script).update(command())
    assert [update.start for update in script.updates] == [None, RESTORE]


async def test_two_calls_never_share_an_update_id() -> None:
    script = Script(ANSWER)
    one = calls(script)
    await one.update(command())
    await one.update(command())
    assert len({update.update_id for update in script.updates}) == 2


async def test_a_refusal_is_raised_at_once() -> None:
    script = Script(IdempotencyConflict("used before", key="k"))
    with pytest.raises(IdempotencyConflict) as caught:
        await calls(script).update(command())
    assert caught.value.details == {"key": "k"}
    assert len(script.updates) == 1


async def test_a_command_that_may_have_been_sent_ends_as_outcome_unknown_with_its_key() -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await calls(Script(LOST, REFUSED_TO_CONNECT), timeout=0.3).update(command())
    assert caught.value.details["key"] == "k"
    assert "Nobody is there. It may have been carried out" in caught.value.message
    assert "same key, 'k'" in caught.value.message
    assert caught.value.retryable


async def test_a_command_that_was_never_sent_ends_as_unavailable() -> None:
    with pytest.raises(Unavailable):
        await calls(Script(REFUSED_TO_CONNECT), timeout=0.3).update(command())


async def test_a_command_that_may_have_been_sent_before_temporal_refused_ends_as_outcome_unknown_with_its_key() -> None:
    refused = Unavailable("Temporal refused: the token is expired.")
    with pytest.raises(OutcomeUnknown) as caught:
        await calls(Script(LOST, refused)).update(command())
    assert caught.value.details["key"] == "k"
    assert "the token is expired" in caught.value.message
    with pytest.raises(Unavailable):
        await calls(Script(refused)).update(command())


async def test_a_read_that_got_no_answer_ends_as_unavailable() -> None:
    with pytest.raises(Unavailable):
        await calls(Script(LOST), timeout=0.3).update(command(key=None))


async def test_no_attempt_has_more_time_than_is_left() -> None:
    script = Script(LOST)
    with pytest.raises(OutcomeUnknown):
        await calls(script, timeout=0.3, rpc_timeout=0.2).update(command())
    assert script.timeouts[0] == timedelta(seconds=0.2)
    assert script.timeouts[-1] < timedelta(seconds=0.2)


async def test_eight_updates_are_in_flight_on_one_session_and_the_next_one_waits() -> None:
    script = Script(ANSWER)
    script.gate = asyncio.Event()
    one = calls(script)
    sent = [asyncio.create_task(one.update(command())) for _ in range(3 * MAX_IN_FLIGHT)]
    other = asyncio.create_task(one.update(command(workflow_id="session:default:other")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert script.in_flight == MAX_IN_FLIGHT + 1
    script.gate.set()
    await asyncio.gather(*sent, other)
    assert len(script.updates) == 3 * MAX_IN_FLIGHT + 1
    assert one.waiting == 0


async def test_a_call_that_found_no_free_place_in_time_was_not_sent() -> None:
    script = Script(ANSWER)
    script.gate = asyncio.Event()
    one = calls(script, timeout=0.1)
    first = [asyncio.create_task(one.update(command())) for _ in range(MAX_IN_FLIGHT)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="not sent"):
        await one.update(command())
    script.gate.set()
    await asyncio.gather(*first)
    assert len(script.updates) == MAX_IN_FLIGHT


async def test_a_call_that_was_sent_and_then_found_no_place_may_have_happened() -> None:
    script = Script(TryAgain("one too many", sent=True, crowded=True))
    one = calls(script, timeout=0.5, rpc_timeout=0.5)
    sent = [asyncio.create_task(one.update(command())) for _ in range(MAX_IN_FLIGHT)]
    await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
    assert {type(error) for error in await asyncio.gather(*sent, return_exceptions=True)} == {OutcomeUnknown}
    assert one.waiting == 0


async def test_a_cancelled_call_gives_its_place_back() -> None:
    script = Script(ANSWER)
    script.gate = asyncio.Event()
    one = calls(script)
    task = asyncio.create_task(one.update(command()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.waiting == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [({"content": "x" * MAX_REQUEST_BYTES}, PayloadTooLarge), ({"content": "\ud800"}, InvalidRequest)],
)
async def test_a_body_that_no_payload_can_hold_is_not_sent(body: dict[str, Any], error: type[Exception]) -> None:
    script = Script(ANSWER)
    with pytest.raises(error):
        await calls(script).update(command(body=body))
    assert script.updates == []


async def test_a_query_is_asked_again_only_by_the_patient() -> None:
    assert await calls(Script(LOST, ANSWER)).query("session:default:s", "get_session", {}, patient=True) == ANSWER
    async with asyncio.timeout(2):  # and not for as long as a command
        with pytest.raises(Unavailable, match=r"within 0\.1 s"):
            await calls(Script(LOST), rpc_timeout=0.1).query("session:default:s", "get_session", {}, patient=False)


async def test_a_workflows_result_is_waited_for_in_several_attempts() -> None:
    script = Script(LOST, REFUSED_TO_CONNECT, ANSWER)
    run = Run(workflow="W", workflow_id="w", request={}, longest=timedelta(seconds=60))
    assert await calls(script).run(run) == ANSWER
    assert script.timeouts[0] == LONG_POLL  # and not the time that an update has


async def test_a_result_that_does_not_come_is_unavailable() -> None:
    run = Run(workflow="W", workflow_id="w", request={}, longest=timedelta(seconds=0.2))
    with pytest.raises(Unavailable, match="w"):
        await calls(Script(LOST)).run(run)


async def test_a_reader_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"reader.*0\.1 s"):
        await calls(Script(), timeout=0.1).read(asyncio.Event().wait())


async def test_a_signal_is_sent_again_until_it_is_taken() -> None:
    await calls(Script(LOST, REFUSED_TO_CONNECT, ANSWER)).signal("session:default:s", "touch", {})
    with pytest.raises(Unavailable):
        await calls(Script(LOST), timeout=0.2).signal("session:default:s", "touch", {})


async def test_a_session_that_stays_closed_is_not_asked_without_a_pause() -> None:
    script = Script(NotOpen())
    with pytest.raises(Unavailable):
        await calls(script, timeout=0.5).update(command())
    assert 2 <= len(script.updates) < 15


async def test_pauses_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("perdure.calls.random.uniform", lambda _, high: high)
    monkeypatch.setattr("perdure.calls.asyncio.sleep", sleep)
    await calls(Script(*[LOST] * 8, ANSWER)).update(command())
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2])


async def test_of_sessions_that_are_called_no_more_nothing_is_kept() -> None:
    one = calls(Script(ANSWER, NotOpen(), SessionDeleted(session_id="s")))
    for number in range(3):
        with suppress(SessionDeleted):
            await one.update(command(workflow_id=f"session:default:{number}"))
    assert one._gates == {}
