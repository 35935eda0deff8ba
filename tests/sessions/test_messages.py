"""Messages through the bare contract: keys, batches, heads, history, pages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from activities.tokens import count
from perdure.contract import ReadMessages
from perdure.history import line_of
from perdure.message import ROLES, Message
from perdure.reader import EventPage
from tests.sessions.caller import Caller
from tests.support.rules import disagreements
from workflows.core.state import WINDOW_MESSAGES


async def test_an_update_without_a_key_takes_its_update_id(caller: Caller) -> None:
    answer = await caller.update("add_user_message", {"content": "Hello"}, update_id="my-update")
    assert answer["message"]["message_id"] == "my-update"
    again = await caller.update("add_user_message", {"content": "Hello", "message_id": "my-update"})
    assert again == answer


async def test_a_message_may_have_more_tokens_than_the_tokenizer_takes_at_once(caller: Caller) -> None:
    await caller.update("add_user_message", {"content": "1 " * 131_072})
    assert (await caller.observed()).messages[-1].token_count > 262_144
    history = await caller.handle.query("get_history", {"max_tokens": 1000})
    assert (history["truncated"], history["text"][:9]) == (True, "User: 1 1")
    assert (await caller.says("and then?")).sequence_number == 1


async def test_a_message_has_all_that_was_sent_and_its_place(caller: Caller) -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "file", "uri": "file:a", "media_type": "text/plain"}]
    await caller.says("Hello")
    body = {"role": "Tool", "content": parts, "metadata": {"tool": "search", "n": [1, None]}, "message_id": "t1"}
    answer = await caller.update("add_message", body)
    message = Message.model_validate(answer["message"])
    (_, stored) = (await caller.observed()).messages
    assert stored == message
    assert (message.role, message.sequence_number, message.metadata) == ("tool", 1, {"tool": "search", "n": [1, None]})
    assert answer["message"]["content"] == parts
    session = await caller.session()
    assert (session.message_count, session.active_message_id) == (2, "t1")
    assert session.last_message_at == message.created_at


async def test_a_batch_is_stored_as_a_whole_and_numbered_in_its_order(caller: Caller) -> None:
    messages = [{"role": ROLES[n % 4], "content": f"message {n}"} for n in range(100)]
    length = await caller.history_length()
    answer = await caller.update("add_messages", {"messages": messages, "request_id": "batch"})
    assert [m["sequence_number"] for m in answer["messages"]] == list(range(100))
    assert [m["content"] for m in answer["messages"]] == [m["content"] for m in messages]
    assert await caller.update("add_messages", {"messages": messages, "request_id": "batch"}) == answer
    assert await caller.history_length() < length + 20
    assert disagreements(await caller.observed()) == []


async def test_of_two_writes_that_expect_the_same_head_one_is_refused(caller: Caller) -> None:
    first = await caller.says("Hello")
    bodies = [{"content": f"answer {n}", "expected_head": first.message_id} for n in range(2)]
    told = await asyncio.gather(
        *(caller.update("add_assistant_message", body) for body in bodies), return_exceptions=True
    )
    assert sum(isinstance(item, BaseException) for item in told) == 1
    assert (await caller.session()).message_count == 2


async def test_ten_concurrent_messages_have_ten_places(caller: Caller) -> None:
    told = await asyncio.gather(*(caller.says(f"message {n}") for n in range(10)))
    assert sorted(m.sequence_number for m in told) == list(range(10))
    assert disagreements(await caller.observed()) == []


async def test_history_is_the_roles_and_their_words(caller: Caller) -> None:
    for role, text in (("user", "Hello"), ("assistant", "Hi there!"), ("user", "How are you?")):
        await caller.says(text, role)
    expected = "User: Hello\n\nAssistant: Hi there!\n\nUser: How are you?"
    history = await caller.handle.query("get_history", {})
    assert (history["text"], history["complete"], history["truncated"]) == (expected, True, False)
    await caller.update(
        "add_messages", {"messages": [{"role": "system", "content": "S"}, {"role": "tool", "content": "T"}]}
    )
    assert (await caller.handle.query("get_history"))["text"] == expected + "\n\nSystem: S\n\nTool: T"


@pytest.mark.parametrize(("max_tokens", "kept"), [(20, 4), (19, 3), (16, 3), (15, 2), (10, 2), (9, 1), (6, 1), (5, 1)])
async def test_history_by_the_bytes_rule_keeps_the_newest_that_fit(caller: Caller, max_tokens: int, kept: int) -> None:
    texts = ["Message 1", "Response 1", "Message 2", "Response 2"]
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    await caller.update("add_messages", {"messages": messages})
    history = await caller.handle.query("get_history", {"max_tokens": max_tokens, "counting": "estimate"})
    assert [m["content"] for m in history["messages"]] == texts[-kept:]
    assert history["truncated"] == (max_tokens == 5)
    assert history["text"]


async def test_pages_in_both_directions_hold_each_message_once(caller: Caller) -> None:
    await caller.update("add_messages", {"messages": [{"role": "user", "content": f"m{n}"} for n in range(10)]})
    reader, tenant = caller.site.reader, caller.site.settings.tenant
    for bound in ("before", "after"):
        sizes: list[int] = []
        numbers: list[int] = []
        at = {"before": 10, "after": -1}[bound]
        while True:
            page = ReadMessages.model_validate({bound: at, "limit": 3})
            found = await reader.read_messages(tenant, caller.session_id, page)
            assert (await caller.update("read_messages", page.model_dump(exclude_none=True))) == found.model_dump(
                mode="json"
            )
            here = [m.sequence_number for m in found.messages]
            assert here == sorted(here)
            sizes.append(len(here))
            numbers += here
            if found.complete:
                break
            at = here[0] if bound == "before" else here[-1]
        assert sizes == [3, 3, 3, 1]
        assert sorted(numbers) == list(range(10))


async def test_a_page_without_a_bound_is_the_newest_in_ascending_order(caller: Caller) -> None:
    await caller.update("add_messages", {"messages": [{"role": "user", "content": f"m{n}"} for n in range(5)]})
    page = await caller.update("read_messages", {"limit": 2})
    assert [m["content"] for m in page["messages"]] == ["m3", "m4"]
    assert page["complete"] is False


async def test_a_page_has_what_is_between_its_bounds(caller: Caller) -> None:
    await caller.update("add_messages", {"messages": [{"role": "user", "content": f"m{n}"} for n in range(10)]})
    where = caller.site.settings.tenant, caller.session_id
    for limit, expected in ((100, [3, 4, 5, 6]), (4, [3, 4, 5, 6]), (3, [3, 4, 5])):
        page = ReadMessages(after=2, before=7, limit=limit)
        found = await caller.site.reader.read_messages(*where, page)
        assert ([m.sequence_number for m in found.messages], found.complete) == (expected, len(expected) == 4)
        replay = await caller.site.reader.read_replay(*where, page)
        asked = [turn.user_message.sequence_number for turn in replay.turns if turn.user_message]
        assert (asked, replay.complete) == (expected, len(expected) == 4)


@pytest.mark.parametrize(("limit", "sizes"), [(2, [2, 2, 2]), (4, [4, 2]), (6, [6])])
async def test_events_come_in_pages_with_each_once(caller: Caller, limit: int, sizes: list[int]) -> None:
    await caller.update("add_messages", {"messages": [{"role": "user", "content": f"m{n}"} for n in range(5)]})
    pages: list[EventPage] = []
    after = 0
    while not pages or not pages[-1].complete:
        read = caller.site.reader.read_events
        pages.append(await read(caller.site.settings.tenant, caller.session_id, after, limit))
        after = pages[-1].events[-1].sequence
    assert [len(page.events) for page in pages] == sizes
    assert [event.sequence for page in pages for event in page.events] == [1, 2, 3, 4, 5, 6]


async def test_what_a_run_no_longer_has_at_hand_is_told(caller: Caller) -> None:
    await caller.update("add_messages", {"messages": [{"role": "user", "content": "x"}] * WINDOW_MESSAGES})
    for query in ("get_history", "replay"):
        assert (await caller.handle.query(query))["complete"]
    await caller.says("one more")
    history, replay = [await caller.handle.query(query) for query in ("get_history", "replay")]
    assert (len(history["messages"]), history["complete"]) == (WINDOW_MESSAGES, False)
    assert (len(replay["turns"]), replay["complete"]) == (WINDOW_MESSAGES, False)


async def test_the_query_replay_has_no_text_of_working_sets_and_says_so(caller: Caller) -> None:
    await caller.update("update_session", {"config": {"corpus": "none"}})
    answer = await caller.update("add_user_message", {"content": "Hello"})
    replay = await caller.handle.query("replay")
    (turn,) = replay["turns"]
    assert turn["working_set_ref"]["context_hash"] == answer["working_set"]["context_hash"]
    assert (turn["working_set"], replay["complete"]) == (None, False)


@pytest.mark.parametrize("content", ["Hello there", "語", [{"type": "text", "text": "Hello"}]])
async def test_a_message_has_as_many_tokens_as_its_line_in_the_history(caller: Caller, content: Any) -> None:
    answer = await caller.update("add_message", {"role": "assistant", "content": content})
    message = Message.model_validate(answer["message"])
    assert message.token_count == count(line_of(message))


async def test_a_message_that_is_sent_again_has_the_same_working_set(caller: Caller) -> None:
    await caller.update("update_session", {"config": {"corpus": "none"}})
    body = {"content": "Hello", "message_id": "k"}
    first = await caller.update("add_user_message", body)
    assert first["working_set"]["degraded"]
    assert await caller.update("add_user_message", body) == first
    assert (await caller.update("add_user_message", {**body, "return_working_set": False}))["working_set"] is None
