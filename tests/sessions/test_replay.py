"""Replay: turns with every message, and the working sets as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from perdure import MessageAnswer, SessionHandle, Turn
from perdure.contract import ReadMessages
from perdure.session import RunBudget, SessionConfig
from tests.support.runs import histories
from tests.support.site import Site

CORPUS = "notes"
NOTES = "# Stopping\n\nA worker is stopped by a signal.\n\n# Starting\n\nA worker is started by a command.\n"


@pytest.fixture
async def session(site: Site, tmp_path: Path) -> SessionHandle:
    """A session over a small corpus, whose runs are short."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "notes.md").write_text(NOTES)
    await site.ingest(folder, CORPUS)
    config = SessionConfig(corpus=CORPUS, run_budget=RunBudget(events=20))
    return await site.client.start_session("talk", config=config)


async def _turns(site: Site) -> list[Turn]:
    return (await site.reader.read_replay(site.settings.tenant, "talk", ReadMessages())).turns


async def test_each_turn_has_its_question_its_working_set_and_its_answer(site: Site, session: SessionHandle) -> None:
    asked: list[MessageAnswer] = []
    for word in ("First", "Second"):
        asked.append(await session.add_user_message(f"{word} query: how is a worker stopped?"))
        await session.add_assistant_message(f"{word} response")
    turns = await _turns(site)
    assert [turn.user_message for turn in turns] == [answer.message for answer in asked]
    assert [turn.working_set for turn in turns] == [answer.working_set for answer in asked]
    assert [[m.content for m in turn.messages] for turn in turns] == [["First response"], ["Second response"]]
    for turn in turns:
        assert turn.working_set is not None
        assert "A worker is stopped by a signal." in turn.working_set.text
        assert turn.working_set.verified()
        assert turn.working_set.citations


async def test_a_question_without_an_answer_is_a_turn(site: Site, session: SessionHandle) -> None:
    await session.add_user_message("How is a worker started?")
    (turn,) = await _turns(site)
    assert turn.working_set is not None
    assert turn.messages == []


async def test_an_empty_session_has_no_turns(site: Site, session: SessionHandle) -> None:
    assert session.session_id == "talk"
    assert await _turns(site) == []


async def test_all_messages_of_every_role_belong_to_their_turn(site: Site, session: SessionHandle) -> None:
    await session.add_message("system", "Be brief.")
    await session.add_user_message("How is a worker stopped?")
    for role, text in (("tool", "searched"), ("assistant", "By a signal."), ("assistant", "SIGTERM.")):
        await session.add_message(role, text)
    leading, turn = await _turns(site)
    assert (leading.user_message, [m.content for m in leading.messages]) == (None, ["Be brief."])
    assert [m.role for m in turn.messages] == ["tool", "assistant", "assistant"]


async def test_replay_is_the_same_after_continue_as_new_and_archiving(site: Site, session: SessionHandle) -> None:
    await session.add_user_message("How is a worker stopped?")
    await session.add_assistant_message("By a signal.")
    before = await _turns(site)
    for number in range(12):
        await session.add_message("tool", f"message {number}")
    assert len(await histories(site.bare, site.workflow_id("talk"))) > 1
    await session.suspend()
    (after,) = await _turns(site)
    (first,) = before
    assert (after.user_message, after.working_set) == (first.user_message, first.working_set)
    assert after.messages[: len(first.messages)] == first.messages


async def test_a_question_that_comes_while_a_page_is_read_is_not_of_it(
    site: Site, session: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await session.add_user_message("How is a worker started?")
    read = AsyncConnection.scalars

    async def scalars(connection: AsyncConnection, *arguments: Any) -> Any:
        monkeypatch.undo()
        await session.add_user_message("And stopped?")
        return await read(connection, *arguments)

    monkeypatch.setattr(AsyncConnection, "scalars", scalars)
    page = await site.reader.read_replay(site.settings.tenant, "talk", ReadMessages(limit=1))
    assert [turn.user_message for turn in page.turns] == [first.message]
    assert page.complete
    assert len(await _turns(site)) == 2
