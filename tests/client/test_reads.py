"""History, pages and replay, with and without a reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Delete, Update, delete, update

from activities.stores.tables import working_sets
from perdure import Client, SessionHandle, WorkingSetCorrupted
from perdure.contract import Counting
from perdure.working_set import WorkingSet, context_hash
from tests.client.conftest import Service

MESSAGES = 130
"""More than a session's workflow keeps at hand, and more than a page."""


@pytest.fixture(params=["with a reader", "with nothing but Temporal"])
async def session(request: pytest.FixtureRequest, service: Service, unique: str) -> SessionHandle:
    client = service.client(reader=service.reader if request.param == "with a reader" else None)
    session = await client.start_session(unique)
    roles = ("user", "assistant")
    listed = [{"role": roles[i % 2], "content": f"message {i}"} for i in range(MESSAGES)]
    await session.add_messages(listed[:100])
    await session.add_messages(listed[100:])
    return session


def lines(first: int) -> str:
    names = ("User", "Assistant")
    return "\n\n".join(f"{names[i % 2]}: message {i}" for i in range(first, MESSAGES))


async def test_history_without_a_limit_is_all_of_it(session: SessionHandle) -> None:
    history = await session.history()
    assert history.text == lines(0)
    assert history.complete
    assert [m.sequence_number for m in history.messages] == list(range(MESSAGES))


@pytest.mark.parametrize("counting", ["tokenizer", "estimate"])
async def test_history_reaches_back_as_far_as_its_limit(session: SessionHandle, counting: Counting) -> None:
    few = await session.history(60, counting=counting)
    assert 0 < len(few.messages) < 50
    assert few.text == lines(few.messages[0].sequence_number)
    assert not few.complete
    many = await session.history(600, counting=counting)
    assert 50 < len(many.messages) < MESSAGES
    assert many.text == lines(many.messages[0].sequence_number)
    assert not many.complete


async def test_a_newest_message_that_does_not_fit_is_cut(session: SessionHandle) -> None:
    history = await session.history(2)
    assert history.truncated
    assert history.text
    assert lines(MESSAGES - 1).startswith(history.text)


async def test_messages_come_in_pages(session: SessionHandle) -> None:
    newest = await session.messages()
    assert [m.sequence_number for m in newest.messages] == list(range(MESSAGES - 100, MESSAGES))
    assert not newest.complete
    older = await session.messages(before=newest.messages[0].sequence_number)
    assert [m.sequence_number for m in older.messages] == list(range(MESSAGES - 100))
    assert older.complete
    after = await session.messages(after=9, limit=3)
    assert [m.sequence_number for m in after.messages] == [10, 11, 12]


async def test_turns_run_from_the_first_to_the_last(session: SessionHandle) -> None:
    turns = [turn async for turn in session.turns()]
    assert len(turns) == MESSAGES // 2
    for i, turn in enumerate(turns):
        assert turn.user_message is not None
        assert turn.user_message.content == f"message {2 * i}"
        assert [m.content for m in turn.messages] == [f"message {2 * i + 1}"]


async def test_a_page_of_replay_holds_whole_turns(session: SessionHandle) -> None:
    page = await session.replay(limit=3)
    assert len(page.turns) == 3
    assert not page.complete
    assert page.session.message_count == MESSAGES


async def test_a_bound_inside_a_turn_cuts_it_and_the_rest_counts_as_one(session: SessionHandle) -> None:
    page = await session.replay(after=0, limit=2)
    found = [[m.sequence_number for m in (turn.user_message, *turn.messages) if m] for turn in page.turns]
    assert (found, page.complete) == ([[1], [2, 3]], False)
    page = await session.replay(before=3, limit=1)
    (turn,) = page.turns
    assert turn.user_message is not None
    assert (turn.user_message.sequence_number, turn.messages, page.complete) == (2, [], False)


async def test_an_empty_session_reads_as_empty(client: Client, unique: str) -> None:
    session = await client.start_session(unique)
    history = await session.history()
    assert (history.text, history.messages, history.complete) == ("", [], True)
    assert (await session.replay()).turns == []
    assert [turn async for turn in session.turns()] == []


def _another_text(stored: WorkingSet) -> Update:
    return update(working_sets).values(body=stored.model_copy(update={"text": "something else"}))


def _another_text_with_its_hash(stored: WorkingSet) -> Update:
    forged = {"text": "something else", "context_hash": context_hash("something else")}
    return update(working_sets).values(body=stored.model_copy(update=forged), context_hash=forged["context_hash"])


def _nothing(_: WorkingSet) -> Delete:
    return delete(working_sets)


@pytest.mark.parametrize("tamper", [_another_text, _another_text_with_its_hash, _nothing])
async def test_a_working_set_that_was_tampered_with_is_noticed(
    service: Service, unique: str, tamper: Callable[[WorkingSet], Update | Delete]
) -> None:
    session = await service.client(reader=service.reader).start_session(unique, corpus="none-such")
    added = await session.add_user_message("Hello")
    assert added.working_set is not None
    assert added.working_set.verified()
    assert (await session.replay()).turns[0].working_set == added.working_set
    async with service.engine.begin() as connection:
        mine = working_sets.c.session_id == session.session_id
        await connection.execute(tamper(added.working_set).where(mine))
    for reading in (session, service.client().session(unique)):
        with pytest.raises(WorkingSetCorrupted) as caught:
            await reading.replay()
        assert caught.value.details == {"message_ids": [added.message.message_id]}
        assert len((await reading.replay(verify=False)).turns) == 1
