"""A compiler that fails in ways that nobody foresaw costs a message its context and a dry run its time; a store that is
away costs neither."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities import session
from activities.session import COMPILE_ATTEMPTS
from activities.stores.corpus_reader import PostgresCorpusReader
from activities.stores.engine import Engine
from perdure.working_set import WorkingSet
from tests.sessions.caller import Caller
from tests.support.own_store import ToldCompiler, worker_on
from tests.support.site import Site
from workflows.reads import READ_RETRY


class Failing(ToldCompiler):
    """Fails for a query that says `poison`, and for any other one once; is stuck at `mud`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def compile(self, *, query: str, **other: Any) -> WorkingSet:
        self.asked.append(query)
        if "mud" in query:
            await asyncio.sleep(3600)
        if "poison" in query or self.asked.count(query) == 1:
            raise ZeroDivisionError("a number nobody thought of")
        return await super().compile(query=query, **other)


class Searching(ToldCompiler):
    """Looks into Postgres first, which is away for the first few times."""

    def __init__(self, engine: Engine, away: int) -> None:
        self._there = PostgresCorpusReader(engine)
        self._away = PostgresCorpusReader(Engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        self._times = away
        self.asked = 0

    async def compile(self, *, corpus: str, **other: Any) -> WorkingSet:
        self.asked += 1
        store = self._away if self.asked <= self._times else self._there
        await store.state("nobody", corpus)
        return await super().compile(corpus=corpus, **other)


@pytest.mark.parametrize(
    ("content", "reason", "asked"),
    [
        ("poison", "The compiler failed with ZeroDivisionError. The worker's log says where.", 5),
        ("mud", "It was not compiled within 1 s.", 1),
        ("honey", "docs, 8000 tokens", 2),
    ],
)
async def test_the_message_is_stored_and_says_what_became_of_its_working_set(
    alone: Site, monkeypatch: pytest.MonkeyPatch, content: str, reason: str, asked: int
) -> None:
    monkeypatch.setattr(session, "COMPILE_DEADLINE", timedelta(seconds=1))
    compiler = Failing()
    async with worker_on(alone, compiler=compiler):
        caller = await Caller.start(alone, "talk", config={"corpus": "docs"})
        answer = await caller.update("add_user_message", {"content": content})
        assert (answer["working_set"]["degraded"], answer["working_set"]["degraded_reason"]) == (True, reason)
        assert compiler.asked == [content] * asked
        assert [message.content for message in (await caller.observed()).messages] == [content]


async def test_a_message_whose_working_set_lacks_the_store_waits_for_it(alone: Site) -> None:
    engine = Engine(alone.settings.require_database_url())
    compiler = Searching(engine, away=COMPILE_ATTEMPTS + 2)
    async with worker_on(alone, compiler=compiler):
        caller = await Caller.start(alone, "talk", config={"corpus": "docs"})
        answer = await caller.update("add_user_message", {"content": "Hello"})
    await engine.dispose()
    assert answer["working_set"]["degraded_reason"] == "docs, 8000 tokens"
    assert compiler.asked == COMPILE_ATTEMPTS + 3


async def test_a_dry_run_that_fails_each_time_is_not_tried_for_ever(
    alone: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.reads.READ_RETRY", replace(READ_RETRY, maximum_attempts=2))
    compiler = Failing()
    async with worker_on(alone, compiler=compiler):
        caller = await Caller.start(alone, "talk", config={"corpus": "docs"})
        refusal = await caller.refused("compile", {"query": "poison"})
    assert (refusal.name, refusal.message) == ("Unavailable", "No answer to compile_working_set in 20 s. Ask again.")
    assert compiler.asked == ["poison"] * 2
