"""Stored turns compiled again: verified, or under other settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.corpus_tables import corpus_versions
from activities.stores.session_rows import is_session
from activities.stores.tables import working_sets
from perdure import Client, IdempotencyConflict, InvalidRequest, MessageNotFound, SessionHandle, SessionNotFound
from perdure.contract import ReadMessages
from perdure.recompile import SpanRef
from perdure.working_set import context_hash
from tests.client.conftest import PATIENT, Ingest, Service
from tests.retrieval.conftest import DOCUMENTS, write
from tests.support.embeddings import DIMENSION, embeddings_server
from workers.ingest_folder import ingest_folder
from workers.worker import running_worker

QUESTIONS = {"m0": "how is memory freed without a garbage collector?", "m1": "what fruit is in the basket?"}


@pytest.fixture
async def session(service: Service, ingest: Ingest) -> SessionHandle:
    """Two turns over a few documents."""
    await ingest(DOCUMENTS)
    session = await service.client().start_session("talk", corpus="docs", config=PATIENT)
    for message_id, question in QUESTIONS.items():
        await session.add_user_message(question, message_id=message_id)
        await session.add_assistant_message("So it is.")
    return session


async def all_of(service: Service, session: SessionHandle) -> list[Any]:
    """All that a comparison must leave as it was."""
    tenant, described = service.settings.tenant, service.temporal.get_workflow_handle(session.workflow_id)
    bounds = ReadMessages(limit=1000)
    return [
        await service.reader.get_session(tenant, session.session_id),
        await service.reader.read_events(tenant, session.session_id),
        await service.reader.read_replay(tenant, session.session_id, bounds),
        (await described.describe()).history_length,
    ]


async def test_what_was_compiled_verifies_whatever_was_ingested_since(
    service: Service, session: SessionHandle, ingest: Ingest
) -> None:
    await ingest({"fruit.txt": "Only plums are left.\n", "memory.md": "Memory is what elephants have.\n"})
    before = await all_of(service, session)
    found = await session.verify()
    assert [(turn.message_id, turn.outcome, turn.reasons) for turn in found.turns] == [
        ("m0", "same", []),
        ("m1", "same", []),
    ]
    assert all(turn.before_hash == turn.after_hash and turn.overlap == 1 for turn in found.turns)
    assert found.complete
    assert await all_of(service, session) == before
    (one,) = (await session.verify("m1")).turns
    assert (one.message_id, one.sequence_number) == ("m1", 2)


async def test_what_was_tampered_with_does_not_verify(service: Service, session: SessionHandle) -> None:
    stored = (await session.replay()).turns[0].working_set
    assert stored is not None
    forged = stored.model_copy(update={"text": "forged", "context_hash": context_hash("forged")})
    async with service.engine.begin() as connection:
        mine = working_sets.c.tenant == service.settings.tenant
        await connection.execute(
            update(working_sets).where(mine, working_sets.c.message_id == "m0").values(body=forged)
        )
        await connection.execute(delete(working_sets).where(mine, working_sets.c.message_id == "m1"))
    found = await session.verify()
    assert [(turn.outcome, turn.reasons[0]) for turn in found.turns] == [
        ("differs", "The stored text no longer has its hash."),
        ("unknown", "Its stored working set is gone."),
    ]


async def test_turns_are_compiled_under_another_embedder_by_the_workers_that_have_it(
    service: Service, session: SessionHandle, tmp_path: Path
) -> None:
    settings = service.settings
    queue = f"{settings.task_queue}-remote"
    with embeddings_server() as server:
        embedder = {"embedder_url": server.url, "embedder_model": "m", "embedder_dimension": DIMENSION}
        remote = settings.model_copy(update={"task_queue": queue, **embedder})
        async with running_worker(remote, service.temporal):
            await ingest_folder(
                service.temporal,
                PostgresCorpusStore(service.engine),
                write(tmp_path / "remote", DOCUMENTS),
                corpus="remote",
                tenant=settings.tenant,
                task_queue=queue,
            )
            there = Client(service.temporal, tenant=settings.tenant, task_queue=queue).session(session.session_id)
            asked = len(server.requests)
            found = await there.what_if(corpus="remote")
    # All of so few documents fits, so that the text is the same; whoever is degraded would give a reason.
    assert [(turn.message_id, turn.outcome, turn.reasons) for turn in found.turns] == [
        ("m0", "same", []),
        ("m1", "same", []),
    ]
    assert {text for request in server.requests[asked:] for text in request["input"]} == set(QUESTIONS.values())


async def test_a_stored_text_that_was_tampered_with_does_not_verify(service: Service, session: SessionHandle) -> None:
    answered = (await session.replay()).turns[0].working_set
    assert answered is not None
    forged = answered.model_copy(update={"text": answered.text.replace("Ownership", "Magic")})
    async with service.engine.begin() as connection:
        mine = is_session(working_sets, service.settings.tenant, session.session_id)
        await connection.execute(
            update(working_sets).where(mine, working_sets.c.message_id == "m0").values(body=forged)
        )
    first, second = (await session.verify()).turns
    assert (first.outcome, second.outcome) == ("differs", "same")
    assert first.reasons == ["The stored text no longer has its hash."]


async def test_turns_of_a_version_that_is_kept_no_more_are_unknown(
    service: Service, session: SessionHandle, ingest: Ingest
) -> None:
    for number in (2, 3):
        assert await ingest({"fruit.txt": f"Only {number} plums are left.\n"}) == number
    async with service.engine.begin() as connection:
        earlier = corpus_versions.c.published_at - timedelta(days=30)
        mine = corpus_versions.c.tenant == service.settings.tenant
        await connection.execute(update(corpus_versions).where(mine).values(published_at=earlier))
    await ingest({})
    found = await session.verify()
    assert [turn.outcome for turn in found.turns] == ["unknown", "unknown"]
    assert "has no version 1, or keeps it no more. It keeps 2 to 3" in found.turns[0].reasons[0]


async def test_another_budget_is_compared_turn_by_turn(service: Service, session: SessionHandle) -> None:
    before = await all_of(service, session)
    found = await session.what_if(retrieval={"token_budget": 40, "order": "relevance"})
    assert [turn.message_id for turn in found.turns] == ["m0", "m1"]
    for turn in found.turns:
        assert turn.outcome == "differs"
        assert turn.tokens_after <= 40 < turn.tokens_before
        assert turn.spans_before - turn.kept == turn.spans_before - turn.spans_after == len(turn.lost) > 0
        assert turn.overlap == round(turn.kept / turn.spans_before, 4)
        assert turn.gained == []
        assert {span.reason for span in turn.lost} == {"is over the budget of 40 tokens"}
    assert await all_of(service, session) == before


async def test_another_corpus_or_version_is_compared(session: SessionHandle, ingest: Ingest) -> None:
    await ingest({"fruit.txt": "Only plums are left in the basket.\n"})
    await ingest({"basket.txt": "Fruit is in the basket.\n"}, "other")
    same = await session.what_if()
    assert {turn.outcome for turn in same.turns} == {"same"}  # as of the version that each was compiled from
    newest = (await session.what_if(retrieval={"as_of": None})).turns[1]
    assert newest.outcome == "differs"
    assert [(span.path, span.start_line) for span in newest.gained] == [("fruit.txt", 1)]
    assert [(span.path, span.start_line) for span in newest.lost] == [("fruit.txt", 1)]
    assert [span.reason for span in newest.gained] == ["was not found in version 1 of docs"]
    assert [span.reason for span in newest.lost] == ["is not found in version 2 of docs"]
    other = (await session.what_if(corpus="other")).turns[1]
    assert (other.kept, other.overlap) == (0, 0.0)
    why = "was not found in version 1 of docs"
    assert other.gained == [SpanRef(path="basket.txt", start_line=1, end_line=1, rank=1, reason=why)]
    unknown = (await session.what_if(corpus="nothing")).turns[1]
    assert (unknown.outcome, unknown.reasons) == ("unknown", ["Corpus not found: nothing"])


async def test_what_a_larger_budget_or_limit_brings_was_over_the_smaller_one(session: SessionHandle) -> None:
    await session.add_user_message(QUESTIONS["m1"], message_id="m2", retrieval={"token_budget": 40})
    await session.add_user_message(QUESTIONS["m1"], message_id="m3", retrieval={"max_spans": 1})
    small, few = (await session.what_if(retrieval={"token_budget": 4000, "max_spans": 50}, after=3)).turns
    assert small.gained
    assert {span.reason for span in small.gained} == {"was over the budget of 40 tokens"}
    assert few.gained
    assert {span.reason for span in few.gained} == {"was over the limit max_spans=1"}
    found = (await session.what_if(retrieval={"semantic_k": 1, "lexical_k": 1}, after=1, turns=1)).turns[0]
    assert found.lost
    assert {span.reason for span in found.lost} == {"is not among the 1 nearest, nor the 1 best by words"}


async def test_the_thread_as_query_is_compared_as_the_session_would_have_asked(session: SessionHandle) -> None:
    thread = {"query_from": "thread", "max_spans": 1, "order": "relevance"}
    wanted = await session.compile("and more of it?", retrieval=thread)
    await session.add_user_message("and more of it?", message_id="m2")
    found = await session.what_if(retrieval=thread, after=3)
    assert [turn.message_id for turn in found.turns] == ["m2"]
    assert found.turns[0].after_hash == wanted.context_hash


async def test_the_same_request_is_answered_once(session: SessionHandle, ingest: Ingest) -> None:
    first = await session.what_if(retrieval={"token_budget": 40}, request_id="r")
    await ingest({"fruit.txt": "Only plums are left.\n"})
    assert await session.what_if(retrieval={"token_budget": 40}, request_id="r") == first
    with pytest.raises(IdempotencyConflict):
        await session.what_if(retrieval={"token_budget": 50}, request_id="r")


async def test_turns_come_in_pages(service: Service, ingest: Ingest) -> None:
    await ingest(DOCUMENTS)
    session = await service.client().start_session("long", corpus="docs", config=PATIENT)
    for number in range(25):
        await session.add_user_message(f"question {number}", message_id=f"q{number}", return_working_set=False)
    await session.add_message("user", "never compiled")
    first = await session.verify(turns=22)
    assert [turn.message_id for turn in first.turns] == [f"q{n}" for n in range(22)]
    assert not first.complete
    rest = await session.verify(after=first.last)
    assert [turn.message_id for turn in rest.turns] == ["q22", "q23", "q24"]
    assert rest.complete
    assert {turn.outcome for turn in (*first.turns, *rest.turns)} == {"same"}


async def test_what_cannot_be_asked_is_refused(service: Service, session: SessionHandle) -> None:
    with pytest.raises(SessionNotFound):
        await service.client().session("nobody").verify()
    with pytest.raises(
        InvalidRequest, match=r"^retrieval\.token_budget: takes a whole number from 0 to 100000, not -1$"
    ):
        await session.what_if(retrieval={"token_budget": -1})
    with pytest.raises(InvalidRequest, match="turns"):
        await session.verify(turns=1000)
    with pytest.raises(MessageNotFound, match="Session talk has no user message 'm9'") as refused:
        await session.verify("m9")
    assert refused.value.details == {"session_id": "talk", "message_id": "m9"}
    with pytest.raises(InvalidRequest, match="Not an id"):
        await session.verify(request_id="a b")


async def test_two_working_sets_are_told_apart(session: SessionHandle) -> None:
    await session.add_user_message(QUESTIONS["m1"], message_id="m2", retrieval={"max_spans": 1})
    found = await session.diff("m1", "m2")
    assert found.query == QUESTIONS["m1"]
    assert found.summary == f"{len(found.removed)} removed"
    assert found.removed
    assert (await session.diff("m2", "m1")).added == found.removed
    assert (await session.diff("m1", "m1")).summary == "No changes"
    with pytest.raises(MessageNotFound, match="'unknown'"):
        await session.diff("m1", "unknown")
    with pytest.raises(MessageNotFound, match="'unknown'"):
        await session.diff("unknown", "m1")
