"""What is large is answered, or refused by name: one workflow task carries 4 MB, and more would end the workflow."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError

from activities.commit import Commit, Owner
from activities.session import PAGE_BYTES
from activities.stores.session_store import CATCH_UP_BYTES, PostgresSessionStore
from perdure.contract import MAX_BATCH, MAX_IN_FLIGHT, MAX_REQUEST_BYTES, ReadMessages
from perdure.errors import PayloadTooLarge
from perdure.transport import TASK_TIMEOUT
from tests.sessions.caller import Caller, raw
from tests.support.eventually import eventually
from tests.support.rules import disagreements
from tests.support.site import Site, site_on
from workers.settings import Settings
from workers.stack.stack import Stack

LARGE = 250_000


def batch(characters: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x" * characters} for _ in range(MAX_BATCH)]
    return {"request_id": "batch", "messages": messages}


async def still_open(caller: Caller) -> bool:
    """Whether the run that was there at the start is there, and takes a message."""
    await caller.says("still here")
    return await caller.run_is(WorkflowExecutionStatus.RUNNING)


async def test_the_largest_batch_has_the_same_answer_each_time(caller: Caller) -> None:
    largest = batch(MAX_REQUEST_BYTES // MAX_BATCH - 100)
    first = await caller.update("add_messages", largest)
    assert len(first["messages"]) == MAX_BATCH
    assert await caller.update("add_messages", largest) == first
    assert await still_open(caller)


def results(count: int) -> dict[str, Any]:
    """Messages of parts that are larger when we write them: with the fields that were left out."""
    parts = [{"type": "tool_result", "tool_call_id": ""}] * count
    return {"request_id": "results", "messages": [{"role": "tool", "content": parts}] * MAX_BATCH}


async def test_a_batch_that_grows_when_it_is_written_is_answered_each_time_or_refused(caller: Caller) -> None:
    refused = await caller.refused("add_messages", results(250))
    assert refused.name == PayloadTooLarge.__name__
    largest = results(140)
    first = await caller.update("add_messages", largest)
    assert await caller.update("add_messages", largest) == first
    assert await still_open(caller)


async def test_large_messages_at_once_are_answered_or_sent_back(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    async with site_on(stack, settings, tmp_path) as site:
        caller = await Caller.start(site, "crowd", task_timeout=TASK_TIMEOUT)

        async def post(number: int) -> str:
            try:
                await caller.update("add_user_message", {"content": "x" * LARGE, "message_id": f"m{number}"})
            except WorkflowUpdateFailedError as error:
                return getattr(error.cause, "type", "")
            return "answered"

        posts = [asyncio.create_task(post(number)) for number in range(MAX_IN_FLIGHT)]
        async with site.engine.begin() as lock:  # while nothing can be stored, all that is taken stays in flight
            await lock.execute(text("LOCK TABLE messages IN SHARE MODE"))
            async with site.worker_here():
                await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)  # sent back, as none can be answered
                await lock.commit()
                told = await asyncio.gather(*posts)
                assert set(told) == {"answered", "TooMuchInFlight"}
                assert (await caller.session()).message_count == told.count("answered")
                assert await still_open(caller)


async def test_a_client_sends_again_what_was_too_much_at_once(site: Site) -> None:
    session = await site.client.start_session("crowd")
    sent = [session.add_user_message("x" * LARGE) for _ in range(MAX_IN_FLIGHT)]
    answers = await asyncio.gather(*sent)
    assert sorted(answer.message.sequence_number for answer in answers) == list(range(MAX_IN_FLIGHT))


async def test_an_archived_session_of_large_messages_comes_back(site: Site) -> None:
    caller = await Caller.start(site, "talk", task_timeout=TASK_TIMEOUT)
    for number in range(10):
        await caller.says(f"{number}" * LARGE)
    before = await caller.observed()
    await caller.update("update_session", {"config": {"idle_timeout": 0.4, "archive_after": 0.4}})
    await eventually(partial(caller.run_is, WorkflowExecutionStatus.COMPLETED))
    await site.client.session("talk").update(config={"idle_timeout": 600})
    await site.client.session("talk").resume()
    back = await caller.observed()
    assert back.state is not None
    assert before.state is not None
    assert back.state.window == before.state.window
    assert disagreements(back) == []


async def test_large_pages_at_once_are_answered_or_sent_back(caller: Caller) -> None:
    for number in range(4):
        await caller.says(f"{number}" * LARGE)
    pages = [caller.update("read_messages") for _ in range(MAX_IN_FLIGHT)]
    told = await asyncio.gather(*pages, return_exceptions=True)
    assert any(isinstance(page, dict) and page["messages"] for page in told)
    assert await still_open(caller)


async def test_a_request_that_grows_when_it_is_written_is_refused(caller: Caller) -> None:
    await caller.says("hello")
    before = await caller.history_length()
    numbers = ",".join(["1e15"] * 850)
    message = f'{{"role":"user","content":"x","metadata":{{"a":[{numbers}]}}}}'
    body = f'{{"messages":[{",".join([message] * MAX_BATCH)}]}}'
    assert len(body) < MAX_REQUEST_BYTES
    assert (await caller.refused("add_messages", raw(body.encode()))).name == "PayloadTooLarge"
    assert await caller.history_length() == before


async def test_a_turn_too_large_to_pass_on_is_refused_by_name(caller: Caller) -> None:
    await caller.says("question")
    for _ in range(4):
        await caller.says("x" * LARGE, role="tool")
    refused = await caller.refused("read_replay")
    assert (refused.name, refused.details["field"]) == ("PayloadTooLarge", "page")
    assert await still_open(caller)


async def test_pages_are_bounded_in_bytes_whatever_the_script(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    for number in range(10):
        await caller.says("語" * 80_000, role="tool" if number else "user")
    where = site.settings.tenant, "talk", ReadMessages()
    page = await site.reader.read_messages(*where, PAGE_BYTES)
    assert len(page.messages) == 2
    assert len(page.model_dump_json().encode()) < PAGE_BYTES
    async with asyncio.timeout(20):
        assert len((await caller.update("read_messages"))["messages"]) == 2
        refused = await caller.refused("read_replay")  # all of them are one turn
        assert await still_open(caller)
    assert (refused.name, refused.details["field"]) == ("PayloadTooLarge", "page")
    assert refused.details["size_bytes"] > 10 * 240_000


async def test_what_a_run_that_is_behind_catches_up_with_is_bounded_in_bytes(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    for _ in range(4):
        await caller.says("語" * 80_000)
    owner = Owner(run_id=(await caller.handle.describe()).run_id, started_at=datetime.now(UTC))
    request = Commit(
        tenant=site.settings.tenant,
        session_id="talk",
        owner=owner,
        base_sequence=1,
        events=[],
        changed={"event_sequence": 2},
    )
    found = await PostgresSessionStore(site.engine).commit(request, [], {})
    assert found.outcome == "behind"
    assert [event.sequence for event in found.events] == [2, 3]
    assert sum(len(event.model_dump_json().encode()) for event in found.events) < CATCH_UP_BYTES


async def test_turns_too_large_for_a_page_are_not_read(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"corpus": "none"})
    for _ in range(3):
        await caller.update("add_user_message", {"content": "question"})
        await caller.says("語" * 40_000, role="tool")
    where = site.settings.tenant, "talk"
    whole = await site.reader.read_replay(*where, ReadMessages())
    size = len(whole.model_dump_json().encode())
    assert len(whole.turns) == 3
    assert await site.reader.read_replay(*where, ReadMessages(), size + 2000) == whole
    newest = await site.reader.read_replay(*where, ReadMessages(), size - 1)
    assert (newest.turns, newest.complete) == (whole.turns[2:], False)
    with pytest.raises(PayloadTooLarge, match="Give the client a reader") as refused:
        await site.reader.read_replay(*where, ReadMessages(), size // 4)
    assert refused.value.details["size_bytes"] > size // 3


async def test_a_working_set_counts_for_its_turn(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"corpus": "none"})
    await caller.update("add_user_message", {"content": "question"})
    where = site.settings.tenant, "talk", ReadMessages()
    size = len((await site.reader.read_replay(*where)).model_dump_json().encode())
    with pytest.raises(PayloadTooLarge):
        await site.reader.read_replay(*where, size - 1)
    assert await site.reader.read_replay(*where, size + 1000)


async def test_what_stands_around_small_messages_counts(site: Site) -> None:
    caller = await Caller.start(site, "talk")
    await caller.update("add_messages", batch(1))
    where = site.settings.tenant, "talk", ReadMessages()
    size = len((await site.reader.read_replay(*where)).model_dump_json().encode())
    assert len((await site.reader.read_replay(*where, size - 1)).turns) == MAX_BATCH // 2


async def test_the_history_of_a_very_large_message_is_cut_in_an_answer_and_whole_by_the_client(site: Site) -> None:
    caller = await Caller.start(site, "quotes", config={"max_content_bytes": 512 * 1024})
    quotes = '"' * 500_000
    await caller.says(quotes)
    history = await caller.handle.query("get_history")
    assert history["truncated"]
    assert history["text"].startswith('User: "')
    assert len(history["messages"]) == 1
    for limit in (None, 1_000_000):
        whole = await site.client.session("quotes").history(limit)  # which needs no answer that holds it twice
        assert (whole.text, whole.truncated, whole.complete) == (f"User: {quotes}", False, True)


async def test_a_refused_read_leaves_no_trace(caller: Caller) -> None:
    await caller.says("hello")
    before = await caller.history_length()
    for body in ({"limit": 0}, {"before": "x"}, {"unknown": "y" * 1000}):
        for name in ("read_messages", "read_replay"):
            assert (await caller.refused(name, body)).name == "InvalidRequest"
    assert await caller.history_length() == before
