"""The committer over a store that an attempt which died has written to before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.commit import Answered, Committed, Owner, ReadAnswer
from activities.deflate import inflated_commit
from perdure.contract import AddMessage
from perdure.events import Event, MessageAdded
from tests.unit.core.test_fold import created
from workflows.commit_parts import numbered
from workflows.committer import Committer
from workflows.core.command import Command, command_of
from workflows.core.decide import decide
from workflows.core.state import SessionState, apply, fold
from workflows.repeats import Outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = Owner(run_id="run", started_at=NOW)


class Stored:
    """What Postgres holds of one session, behind the activities that commit to it and read what a command left."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.open = asyncio.Event()

    async def activity(self, name: str, sent: RawValue | ReadAnswer, **options: Any) -> Committed | Answered:
        if isinstance(sent, ReadAnswer):
            events = [event for event in self.events if event.key == sent.key]
            return Answered(body_hash=events[0].body_hash, events=events)
        await self.open.wait()
        request = inflated_commit(sent)
        if request.base_sequence < len(self.events):
            return Committed(outcome="behind", events=self.events[request.base_sequence :])
        self.events += request.events
        return Committed(outcome="committed")


def _command(content: str, **fields: Any) -> Command:
    body = AddMessage(role="user", content=content, message_id=content, **fields)
    return command_of("add_message", body, content, NOW)


def _carried_out(state: SessionState, command: Command) -> list[Event]:
    return numbered(command, decide(state, command), state.event_sequence)


async def test_a_message_that_a_dead_attempt_stored_is_not_refused_for_one_that_came_before_it_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = created()
    state = apply(None, begun)
    first = _carried_out(state, _command("first"))
    after = fold(state, first)
    assert after is not None
    late = _command("late", expected_head="first")
    store = Stored([begun, *first, *_carried_out(after, late)])
    monkeypatch.setattr(workflow, "execute_local_activity", store.activity)
    monkeypatch.setattr(workflow, "patched", lambda _: True)

    async def pause(_: timedelta) -> None: ...

    monkeypatch.setattr(workflow, "sleep", pause)
    committer = Committer(after, OWNER)
    # They wait together, and the other one is first in line now.
    blocker = asyncio.create_task(_hold(committer, store))
    await asyncio.sleep(0)
    sent = [asyncio.create_task(committer.execute(command)) for command in (_command("other"), late)]
    await asyncio.gather(blocker, *sent)
    assert [event.key for event in sent[1].result().events] == ["late"]
    contents = [event.data.message.content for event in store.events if isinstance(event.data, MessageAdded)]
    assert contents == ["first", "late", "other"]


class Picky(Stored):
    """Refuses one message for good."""

    async def activity(self, name: str, sent: RawValue | ReadAnswer, **options: Any) -> Committed | Answered:
        assert isinstance(sent, RawValue)
        asked = [event.data for event in inflated_commit(sent).events]
        if any(isinstance(data, MessageAdded) and data.message.content == "bad" for data in asked):
            raise ApplicationError("It cannot be stored.", type="Unstorable", non_retryable=True)
        return await super().activity(name, sent, **options)


async def test_of_commands_that_wait_together_only_the_one_that_cannot_be_stored_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = created()
    store = Picky([begun])
    monkeypatch.setattr(workflow, "execute_local_activity", store.activity)
    monkeypatch.setattr(workflow, "patched", lambda _: True)
    committer = Committer(apply(None, begun), OWNER)
    blocker = asyncio.create_task(_hold(committer, store))
    await asyncio.sleep(0)
    sent = [committer.execute(_command(content)) for content in ("first", "bad", "last")]
    first, bad, last = await asyncio.gather(*sent, return_exceptions=True)
    await blocker
    assert isinstance(first, Outcome)
    assert isinstance(bad, ApplicationError)
    assert isinstance(last, Outcome)
    assert bad.type == "Unstorable"
    assert [event.sequence for event in (*first.events, *last.events)] == [2, 3]
    assert store.events[1:] == [*first.events, *last.events]


async def _hold(committer: Committer, store: Stored) -> None:
    """Keep the committer busy until the others are in line."""
    async with committer._writing:
        for _ in range(5):
            await asyncio.sleep(0)
    store.open.set()
