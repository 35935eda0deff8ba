"""What bad input gets: a named error with details, no history event, no row, and a session that goes on."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import SessionNotFound
from perdure.contract import SESSION_WORKFLOW
from perdure.message import DEFAULT_CONTENT_BYTES, MAX_METADATA_BYTES
from tests.sessions.caller import Caller, failure_of, raw
from tests.support.rules import disagreements
from tests.support.runs import FAILED, troubles
from tests.support.site import Site

BIG = {"key": "x" * MAX_METADATA_BYTES}

REFUSED: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "empty": ("add_user_message", {"content": ""}, "InvalidMessage", {"field": "content"}),
    "white space": ("add_user_message", {"content": " \n\t"}, "InvalidMessage", {}),
    "no parts": ("add_assistant_message", {"content": []}, "InvalidMessage", {}),
    "parts that say nothing": (
        "add_assistant_message",
        {"content": [{"type": "thought", "text": ""}, {"type": "text", "text": " \n"}]},
        "InvalidMessage",
        {},
    ),
    "NaN in metadata": ("add_user_message", raw(b'{"content":"a","metadata":{"k":[NaN]}}'), "InvalidMessage", {}),
    "Infinity in a part": (
        "add_assistant_message",
        raw(b'{"content":[{"type":"tool_result","tool_call_id":"c","result":-Infinity}]}'),
        "InvalidMessage",
        {"field": "content"},
    ),
    "no content": ("add_user_message", {}, "InvalidRequest", {}),
    "a NUL": ("add_user_message", {"content": "a\x00b"}, "InvalidMessage", {"field": "content"}),
    "a NUL in a part": (
        "add_message",
        {"role": "tool", "content": [{"type": "tool_result", "tool_call_id": "c", "result": {"a\x00": 1}}]},
        "InvalidMessage",
        {"field": "content"},
    ),
    "a NUL in metadata": ("add_user_message", {"content": "a", "metadata": {"k": "\x00"}}, "InvalidMessage", {}),
    "a lone surrogate": ("add_user_message", raw(rb'{"content":"a\ud800b"}'), "InvalidRequest", {}),
    "no JSON": ("add_user_message", raw(b'{"content":'), "InvalidRequest", {}),
    "no object": ("add_user_message", "Hello", "InvalidRequest", {}),
    "an unknown field": ("add_user_message", {"content": "a", "contents": "b"}, "InvalidRequest", {}),
    "over-long": (
        "add_user_message",
        {"content": "é" * (DEFAULT_CONTENT_BYTES // 2) + "x"},
        "PayloadTooLarge",
        {"size_bytes": DEFAULT_CONTENT_BYTES + 1, "limit_bytes": DEFAULT_CONTENT_BYTES, "field": "content"},
    ),
    "metadata over 16 KiB": (
        "add_user_message",
        {"content": "a", "metadata": BIG},
        "PayloadTooLarge",
        {"limit_bytes": MAX_METADATA_BYTES, "field": "metadata"},
    ),
    "an unknown role": (
        "add_message",
        {"role": "robot", "content": "a"},
        "InvalidRole",
        {"role": "robot", "roles": ["user", "assistant", "system", "tool"]},
    ),
    "an unknown role in a batch": (
        "add_messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "robot", "content": "b"}]},
        "InvalidRole",
        {"role": "robot"},
    ),
    "an empty message in a batch": (
        "add_messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": ""}]},
        "InvalidMessage",
        {},
    ),
    "no message in a batch": ("add_messages", {"messages": []}, "InvalidRequest", {}),
    "101 messages in a batch": (
        "add_messages",
        {"messages": [{"role": "user", "content": "a"}] * 101},
        "InvalidRequest",
        {},
    ),
    "the same id twice in a batch": (
        "add_messages",
        {"messages": [{"role": "user", "content": "a", "message_id": "m"}] * 2},
        "InvalidRequest",
        {},
    ),
    "an id with a blank": ("add_user_message", {"content": "a", "message_id": "a b"}, "InvalidRequest", {}),
    "an id of 129 characters": ("add_user_message", {"content": "a", "message_id": "i" * 129}, "InvalidRequest", {}),
    "a key used with another body": (
        "add_user_message",
        {"content": "other", "message_id": "first"},
        "IdempotencyConflict",
        {"key": "first"},
    ),
    "an id of the thread in a batch": (
        "add_messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b", "message_id": "first"}]},
        "IdempotencyConflict",
        {"key": "first"},
    ),
    "a key used by another command": ("suspend", {"request_id": "first"}, "IdempotencyConflict", {"key": "first"}),
    "a head that moved": (
        "add_user_message",
        {"content": "a", "expected_head": "older"},
        "HeadMoved",
        {"expected_head": "older", "active_message_id": "first"},
    ),
    "an unknown override": ("add_user_message", {"content": "a", "retrieval": {"depth": 1}}, "InvalidRequest", {}),
    "an unknown setting": ("update_session", {"config": {"depth": 1}}, "InvalidRequest", {}),
    "a corpus that is no id": ("update_session", {"config": {"corpus": "a\0b"}}, "InvalidRequest", {}),
    "a negative timeout": ("update_session", {"config": {"idle_timeout": -1}}, "InvalidRequest", {}),
    "a title over 1 KiB": ("update_session", {"title": "t" * 1025}, "PayloadTooLarge", {"field": "title"}),
    "session metadata over 16 KiB": ("update_session", {"metadata": BIG}, "PayloadTooLarge", {"field": "metadata"}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_bad_input_is_refused_by_name_and_leaves_no_trace(caller: Caller, case: str) -> None:
    name, body, error, details = REFUSED[case]
    await caller.update("add_user_message", {"content": "Hello", "message_id": "first"})
    length, events = await caller.history_length(), await caller.events()
    refusal = await caller.refused(name, body)
    assert refusal.name == error
    assert details.items() <= refusal.details.items()
    assert await caller.history_length() == length
    assert await caller.events() == events
    assert (await caller.says("and now?")).sequence_number == 1
    assert disagreements(await caller.observed()) == []


async def test_an_id_that_came_in_a_batch_is_refused_without_a_trace(caller: Caller) -> None:
    batch = [{"role": "user", "content": "Hello", "message_id": "in"}]
    await caller.update("add_messages", {"messages": batch, "request_id": "batch"})
    length = await caller.history_length()
    refusal = await caller.refused("add_message", {"role": "user", "content": "Hello", "message_id": "in"})
    assert (refusal.name, refusal.details) == ("IdempotencyConflict", {"key": "in"})
    assert await caller.history_length() == length
    again = await caller.update("add_messages", {"messages": batch, "request_id": "batch"})
    assert [message["sequence_number"] for message in again["messages"]] == [0]


async def test_an_unknown_role_is_refused_in_the_known_words(caller: Caller) -> None:
    refusal = await caller.refused("add_message", {"role": "invalid", "content": "a"})
    assert refusal.message == "Invalid role: invalid. Must be one of: user, assistant, system, tool"
    answer = await caller.update("add_message", {"role": "USER", "content": "a"})
    assert answer["message"]["role"] == "user"


async def test_content_of_exactly_the_limit_is_taken_and_the_limit_is_the_sessions_own(caller: Caller) -> None:
    await caller.says("é" * (DEFAULT_CONTENT_BYTES // 2))
    await caller.update("update_session", {"config": {"max_content_bytes": 10}})
    await caller.says("0123456789")
    assert (await caller.refused("add_user_message", {"content": "0123456789a"})).details["limit_bytes"] == 10


@pytest.mark.parametrize("session_id", ["", "a b", "i" * 129, "é"])
async def test_a_start_with_a_bad_id_fails_by_name_and_makes_nothing(site: Site, session_id: str) -> None:
    start = {"tenant": site.settings.tenant, "session_id": session_id}
    handle = await site.bare.start_workflow(
        SESSION_WORKFLOW, start, id=f"{site.settings.tenant}-bad", task_queue=site.settings.task_queue
    )
    assert await failure_of(handle) == "InvalidRequest"
    with pytest.raises(SessionNotFound):
        await site.reader.get_session(site.settings.tenant, session_id)


async def test_an_unknown_session_is_not_found_in_the_known_words_by_the_reader_too(site: Site) -> None:
    with pytest.raises(SessionNotFound, match=r"^Session not found: nonexistent-id$"):
        await site.reader.get_session(site.settings.tenant, "nonexistent-id")


async def test_what_is_asked_between_a_refusal_and_a_message_hinders_neither(caller: Caller) -> None:
    """Temporal forgets the task of a refusal: the numbers of its events come again."""
    for number in range(3):
        assert (await caller.refused("add_user_message", {"content": ""})).name == "InvalidMessage"
        assert (await caller.session()).message_count == number
        assert (await caller.says("Hello")).sequence_number == number
    assert (await troubles(caller.site.bare, caller.handle.id))[FAILED] == 0
