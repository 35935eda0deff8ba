"""Dry runs: a working set without a message."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import (
    CorpusNotFound,
    CorpusVersionNotFound,
    InvalidMessage,
    InvalidRequest,
    PayloadTooLarge,
    SessionHandle,
)
from perdure.session import Session
from tests.client.conftest import PATIENT, Ingest, Service
from tests.retrieval.conftest import DOCUMENTS

QUESTION = "how is memory freed without a garbage collector?"


@pytest.fixture
async def session(service: Service, ingest: Ingest) -> SessionHandle:
    """A session over a few documents, by a client with nothing but Temporal."""
    await ingest(DOCUMENTS)
    return await service.client().start_session("talk", corpus="docs", config=PATIENT)


async def seen(service: Service, session: SessionHandle) -> tuple[Session, Any, Any]:
    """All that a dry run must leave as it was: the session's row and events, and what its run carries."""
    state = await service.temporal.get_workflow_handle(session.workflow_id).query("get_state")
    tenant = service.settings.tenant
    events = await service.reader.read_events(tenant, session.session_id)
    return await service.reader.get_session(tenant, session.session_id), events, state


async def test_it_gives_what_the_message_gets(session: SessionHandle) -> None:
    config = {"token_budget": 120, "order": "relevance"}
    dry = await session.compile(QUESTION, retrieval=config, explain=True)
    answer = await session.add_user_message(QUESTION, retrieval=config)
    assert answer.working_set is not None
    assert dry.explain is not None
    assert not dry.degraded
    assert dry.query == QUESTION
    assert "Ownership" in dry.text
    assert (dry.text, dry.context_hash) == (answer.working_set.text, answer.working_set.context_hash)
    assert (dry.citations, dry.manifest) == (answer.working_set.citations, answer.working_set.manifest)


async def test_it_leaves_everything_as_it_was(service: Service, session: SessionHandle) -> None:
    await session.add_user_message("Hello")
    before = await seen(service, session)
    await session.compile(QUESTION)
    assert await seen(service, session) == before


async def test_a_suspended_session_stays_suspended(service: Service, session: SessionHandle) -> None:
    await session.suspend()
    before = await seen(service, session)
    assert (await session.compile(QUESTION)).citations
    assert await seen(service, session) == before
    assert before[0].status == "suspended"


async def test_a_session_without_a_corpus_is_told_what_to_do(service: Service) -> None:
    plain = await service.client().start_session("plain")
    history = service.temporal.get_workflow_handle(plain.workflow_id)
    length = (await history.describe()).history_length
    with pytest.raises(CorpusNotFound, match="update_session"):
        await plain.compile(QUESTION)
    assert (await history.describe()).history_length == length
    with pytest.raises(CorpusNotFound, match="nothing"):
        await (await service.client().start_session("wrong", corpus="nothing")).compile(QUESTION)


@pytest.mark.parametrize(
    ("query", "retrieval", "error"),
    [
        ("  ", None, InvalidMessage),
        ("nul \0", None, InvalidMessage),
        ("x" * (300 * 1024), None, PayloadTooLarge),
        ("q", {"token_budget": -1}, InvalidRequest),
        ("q", {"colour": "red"}, InvalidRequest),
    ],
)
async def test_what_no_message_could_be_is_refused(
    session: SessionHandle, query: str, retrieval: dict[str, Any] | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await session.compile(query, retrieval=retrieval)


async def test_an_older_version_is_compiled_as_it_was(session: SessionHandle, ingest: Ingest) -> None:
    question = "what fruit is in the basket?"
    then = await session.compile(question)
    assert await ingest({"fruit.txt": "Only plums are left.\n", "more.md": "Fruit, fruit, fruit in a basket.\n"}) == 2
    now = await session.compile(question)
    assert "plums" in now.text
    again = await session.compile(question, retrieval={"as_of": 1, "retrieval_timeout": 10})
    assert not again.degraded, again.degraded_reason
    assert "apples" in again.text
    assert (again.text, again.context_hash, again.citations) == (then.text, then.context_hash, then.citations)
    assert again.manifest["corpus_version"] == 1
    answer = await session.add_user_message(question, retrieval={"as_of": 1})
    assert answer.working_set is not None
    assert answer.working_set.context_hash == then.context_hash


async def test_a_version_that_is_not_kept_is_refused_with_those_that_are(session: SessionHandle) -> None:
    with pytest.raises(CorpusVersionNotFound, match="keeps 1 to 1") as refused:
        await session.compile(QUESTION, retrieval={"as_of": 7})
    assert (refused.value.details["first"], refused.value.details["last"]) == (1, 1)
    answer = await session.add_user_message(QUESTION, retrieval={"as_of": 7})
    assert answer.working_set is not None
    assert (answer.working_set.text, answer.working_set.degraded) == ("", True)
    assert "has no version 7" in (answer.working_set.degraded_reason or "")


async def test_a_query_from_the_thread_is_the_same_in_a_dry_run_and_in_the_message(session: SessionHandle) -> None:
    await session.add_user_message("Where are the pears kept?")
    await session.add_assistant_message("In the cellar.")
    thread = {"query_from": "thread", "max_spans": 1}
    alone = await session.compile("and on which line is that?", retrieval={"max_spans": 1})
    dry = await session.compile("and on which line is that?", retrieval=thread)
    answer = await session.add_user_message("and on which line is that?", retrieval=thread)
    assert answer.working_set is not None
    assert dry.query == answer.working_set.query == "and on which line is that?"
    assert dry.manifest["search_query"] == "and on which line is that?\nIn the cellar.\nWhere are the pears kept?"
    assert dry.manifest == answer.working_set.manifest
    assert dry.context_hash == answer.working_set.context_hash != alone.context_hash
    assert [citation.path for citation in dry.citations] == ["fruit.txt"]
    (*_, turn) = (await session.verify()).turns
    assert turn.outcome == "same"
