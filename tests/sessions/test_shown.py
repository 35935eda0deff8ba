"""What Temporal's UI shows of a session: current details, and the search attributes that count."""

from __future__ import annotations

from datetime import datetime

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

from perdure.attributes import LAST_ACTIVITY, MESSAGE_COUNT, STATUS
from perdure.message import Message
from tests.sessions.caller import Caller
from tests.support.eventually import eventually
from tests.support.runs import histories, updates
from tests.support.site import Site

METADATA = "__temporal_workflow_metadata"
"""The query by which the UI asks for current details."""


async def _details_tell_of(caller: Caller, message: Message, status: str) -> None:
    """Assert that the newest run shows this message as its head and its newest, and as many as there are."""
    shown = await caller.handle.query(METADATA, result_type=WorkflowMetadata)
    lines = shown.current_details.splitlines()
    assert lines[:2] == [
        f"- **talk**, {status}, {message.sequence_number + 1} messages",
        f"- head: `{message.message_id}`",
    ]
    assert lines[-1:] == [f"- **{message.role}** #{message.sequence_number}: {message.content}"]


async def _attributes(caller: Caller) -> tuple[str | None, int | None, datetime | None]:
    """Status, number of messages and last activity, as the newest run is listed by them."""
    found = (await caller.handle.describe()).typed_search_attributes
    return found.get(STATUS), found.get(MESSAGE_COUNT), found.get(LAST_ACTIVITY)


async def test_details_show_the_head_and_the_newest_message_after_each_message(caller: Caller) -> None:
    for number in range(3):
        added = await caller.says(f"message {number}")
        await _details_tell_of(caller, added, "active")


async def test_a_new_run_shows_the_newest_message_and_the_count_before_it_has_taken_one(site: Site) -> None:
    caller = await Caller.start(site, "talk", config={"run_budget": {"events": 20}})

    async def last_before_a_run() -> Message | None:
        """A message that came just before a new run."""
        added = await caller.says("How long is this run?")
        runs = await histories(site.bare, caller.handle.id)
        return added if len(runs) > 1 and updates(runs[-1]) == 0 else None

    last = await eventually(last_before_a_run)
    assert last is not None
    await _details_tell_of(caller, last, "active")
    assert await _attributes(caller) == ("active", last.sequence_number + 1, last.created_at)


@pytest.mark.parametrize(("messages", "runs"), [(2, 1), (10, 2)])
async def test_a_suspended_session_shows_its_newest_message_and_count_in_whichever_run_it_rests(
    caller: Caller, messages: int, runs: int
) -> None:
    for number in range(messages):
        last = await caller.says(f"message {number}")
    await caller.update("suspend")

    async def rests() -> bool:
        return len(await histories(caller.site.bare, caller.handle.id)) == runs

    await eventually(rests)
    await _details_tell_of(caller, last, "suspended")
    assert await _attributes(caller) == ("suspended", messages, last.created_at)
    back = await caller.says("I am back")
    await _details_tell_of(caller, back, "active")
    assert await _attributes(caller) == ("active", messages + 1, back.created_at)
