"""A compiler that fails in ways that nobody foresaw costs a message its context and a dry run its time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities import session
from perdure.working_set import WorkingSet
from tests.sessions.caller import Caller
from tests.support.own_store import ToldCompiler, worker_on
from tests.support.site import Site
from workflows.session import READ_RETRY


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


@pytest.mark.parametrize(
    ("content", "reason", "asked"),
    [
        ("poison", "The compiler failed with ZeroDivisionError. The worker's log says where.", 5),
        ("mud", "It was not compiled within 1 s.", 1),
        ("honey", "docs, 8000 tokens", 2),
    ],
)
async def test_the_message_is_stored_and_says_what_became_of_its_working_set(
    site: Site, unique: str, monkeypatch: pytest.MonkeyPatch, content: str, reason: str, asked: int
) -> None:
    monkeypatch.setattr(session, "COMPILE_DEADLINE", timedelta(seconds=1))
    site.settings = site.settings.model_copy(update={"task_queue": unique})
    compiler = Failing()
    async with worker_on(site, compiler=compiler):
        caller = await Caller.start(site, "talk", config={"corpus": "docs"})
        answer = await caller.update("add_user_message", {"content": content})
        assert (answer["working_set"]["degraded"], answer["working_set"]["degraded_reason"]) == (True, reason)
        assert compiler.asked == [content] * asked
        assert [message.content for message in (await caller.observed()).messages] == [content]


async def test_a_dry_run_that_fails_each_time_is_not_tried_for_ever(
    site: Site, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.session.READ_RETRY", replace(READ_RETRY, maximum_attempts=2))
    site.settings = site.settings.model_copy(update={"task_queue": unique})
    compiler = Failing()
    async with worker_on(site, compiler=compiler):
        caller = await Caller.start(site, "talk", config={"corpus": "docs"})
        refusal = await caller.refused("compile", {"query": "poison"})
    assert (refusal.name, refusal.message) == ("Unavailable", "No answer to compile_working_set in 20 s. Ask again.")
    assert compiler.asked == ["poison"] * 2
