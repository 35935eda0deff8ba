"""Cases 28 to 33: replay."""

from __future__ import annotations

import hashlib

import pytest

from perdure import Client, SessionHandle, SessionNotFound, Turn
from perdure.contract import ReadMessages
from perdure.session import RunBudget, SessionConfig
from tests.parity.conftest import CORPUS, NOTES
from tests.retrieval.conftest import write
from tests.support.runs import histories
from tests.support.site import Site, site_on
from workers.settings import Settings
from workers.stack.stack import Stack


async def turns_of(site: Site, session_id: str = "talk") -> list[Turn]:
    """All turns as Postgres has them."""
    return (await site.reader.read_replay(site.settings.tenant, session_id, ReadMessages())).turns


async def test_case_28_two_questions_with_answers_are_two_turns_in_order(site: Site, session: SessionHandle) -> None:
    for number in ("First", "Second"):
        await session.add_user_message(f"{number} query")
        await session.add_assistant_message(f"{number} response")
    first, second = await turns_of(site)
    for turn, number in ((first, "First"), (second, "Second")):
        assert turn.user_message is not None
        assert turn.working_set is not None
        assert turn.user_message.content == f"{number} query"
        assert [(m.role, m.content) for m in turn.messages] == [("assistant", f"{number} response")]
    assert first.user_message is not None
    assert second.user_message is not None
    assert first.user_message.sequence_number < second.user_message.sequence_number


async def test_case_29_a_question_without_an_answer_is_a_turn(site: Site, session: SessionHandle) -> None:
    await session.add_user_message("How is a worker started?")
    (turn,) = await turns_of(site)
    assert turn.working_set is not None
    assert turn.messages == []


async def test_case_30_an_empty_session_has_no_turns_and_an_unknown_one_is_not_found(
    site: Site, session: SessionHandle
) -> None:
    assert (await session.replay()).turns == []
    with pytest.raises(SessionNotFound, match="Session not found: nonexistent-id"):
        await site.client.session("nonexistent-id").replay()


async def test_case_31_a_replayed_working_set_is_the_compiled_one_byte_for_byte(
    site: Site, session: SessionHandle
) -> None:
    answer = await session.add_user_message("How is a worker stopped?")
    compiled = answer.working_set
    assert compiled is not None
    assert "stopped by a signal" in compiled.text
    (turn,) = await turns_of(site)
    assert turn.working_set is not None
    assert turn.working_set.model_dump_json() == compiled.model_dump_json()
    assert hashlib.sha256(turn.working_set.text.encode()).hexdigest() == compiled.context_hash


async def test_case_32_a_turn_holds_all_that_followed_its_question(site: Site, session: SessionHandle) -> None:
    await session.add_user_message("How is a worker stopped?")
    for role, text in (("tool", "searched"), ("assistant", "By a signal."), ("assistant", "SIGTERM.")):
        await session.add_message(role, text)
    (turn,) = await turns_of(site)
    assert [(m.role, m.content) for m in turn.messages] == [
        ("tool", "searched"),
        ("assistant", "By a signal."),
        ("assistant", "SIGTERM."),
    ]


async def test_case_33_replay_is_the_same_after_a_worker_restart_and_after_continue_as_new(
    stack: Stack, settings: Settings
) -> None:
    async with site_on(stack, settings, settings.data_dir) as site:
        bare = Client(site.client.temporal, tenant=settings.tenant, task_queue=settings.task_queue)  # asks the workflow
        async with site.worker_here():
            await site.ingest(write(settings.data_dir / settings.tenant, NOTES), CORPUS)
            config = SessionConfig(corpus=CORPUS, run_budget=RunBudget(events=20))
            session = await site.client.start_session("talk", config=config)
            await session.add_user_message("How is a worker stopped?")
            await session.add_assistant_message("By a signal.")
            before = (await bare.session("talk").replay()).turns
        assert before[0].working_set is not None
        async with site.worker_here():
            assert (await bare.session("talk").replay()).turns == before
            for number in range(12):
                await session.add_message("tool", f"message {number}")
            assert len(await histories(site.bare, site.workflow_id("talk"))) > 1
            (after,) = (await bare.session("talk").replay()).turns
            assert (after.user_message, after.working_set) == (before[0].user_message, before[0].working_set)
            assert after.messages[:1] == before[0].messages
            assert (await turns_of(site)) == [after]
