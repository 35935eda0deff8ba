"""Signals: they add messages without an answer, and a refused one is an event and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from perdure.events import ErrorRecorded
from tests.sessions.caller import Caller, raw
from tests.support.eventually import eventually
from tests.support.rules import disagreements
from tests.support.runs import histories
from tests.support.site import Site

BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (raw(b"{"), "InvalidRequest"),
    "no object": ([1, 2], "InvalidRequest"),
    "another field": ({"text": "Hello"}, "InvalidRequest"),
    "empty": ({"content": ""}, "InvalidMessage"),
    "a NUL": ({"content": "\x00"}, "InvalidMessage"),
    "a NUL in a field's name": (raw(rb'{"content":"a","b\u0000":1}'), "InvalidRequest"),
    "a lone surrogate": (raw(rb'{"content":"\udfff"}'), "InvalidRequest"),
    "a key used with another body": ({"content": "other", "message_id": "first"}, "IdempotencyConflict"),
}


async def _has_events(caller: Caller, count: int) -> bool:
    return len(await caller.events()) >= count


@pytest.mark.parametrize("case", BAD)
async def test_a_signal_that_cannot_be_taken_is_recorded_as_an_error_and_nothing_else(
    caller: Caller, case: str
) -> None:
    body, code = BAD[case]
    await caller.update("add_user_message", {"content": "Hello", "message_id": "first"})
    await caller.handle.signal("user_message", body)
    await eventually(partial(_has_events, caller, 3))
    *_, last = await caller.events()
    assert isinstance(last.data, ErrorRecorded)
    assert (last.data.source, last.data.code) == ("add_user_message", code)
    assert (await caller.says("and now?")).sequence_number == 1
    assert disagreements(await caller.observed()) == []


async def test_a_signal_without_an_argument_is_recorded_as_an_error(caller: Caller) -> None:
    await caller.handle.signal("assistant_message")
    await eventually(partial(_has_events, caller, 2))
    assert await caller.event_types() == ["session_created", "error_recorded"]


async def test_signals_that_cannot_be_taken_do_not_keep_a_session_awake(caller: Caller) -> None:
    await caller.update("update_session", {"config": {"idle_timeout": 1}})

    async def suspended_all_the_same() -> bool:
        await caller.handle.signal("user_message", {"text": "Hello"})
        return (await caller.session()).status == "suspended"

    await eventually(suspended_all_the_same, within=15)


async def test_each_signal_that_cannot_be_taken_is_recorded_in_whichever_run_it_comes(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"run_budget": {"events": 20}})
    for number in range(10):
        await caller.handle.signal("user_message", {"text": "Hello"})
        await eventually(partial(_has_events, caller, number + 2))
    assert len(await histories(site.bare, caller.handle.id)) > 1
    assert await caller.event_types() == ["session_created", *["error_recorded"] * 10]


async def test_signals_add_messages_in_order_and_once_per_key(caller: Caller) -> None:
    for number in range(10):
        body = {"content": f"message {number}", "message_id": f"m{number}"}
        await caller.handle.signal("user_message" if number % 2 else "assistant_message", body)
        await caller.handle.signal("user_message" if number % 2 else "assistant_message", body)
    await eventually(partial(_has_events, caller, 11))
    await caller.says("the end")
    seen = await caller.observed()
    assert [m.content for m in seen.messages] == [*(f"message {n}" for n in range(10)), "the end"]
    assert disagreements(seen) == []


async def test_a_touch_leaves_no_event(caller: Caller) -> None:
    await caller.handle.signal("touch", {})
    await caller.says("Hello")
    assert await caller.event_types() == ["session_created", "message_added"]
