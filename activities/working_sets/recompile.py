"""The activity that compiles stored turns again, a page at a time; it changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from temporalio import activity

from activities.beating import beating
from activities.failures import refusing
from activities.ports import Compiler
from activities.spans import IndexUnavailable
from activities.working_sets.comparison import CannotRecompile, Plan, compared, gains, planned, unknown
from perdure.base import Frozen
from perdure.contract import ReadMessages, Turn
from perdure.errors import PerdureError
from perdure.message import Message
from perdure.reader import Reader
from perdure.recompile import Recompile, TurnComparison
from perdure.session import SessionConfig
from perdure.thread_query import LOOKED_AT
from perdure.working_set import WorkingSet

RECOMPILE = "recompile_turns"
PAGE_BYTES = 100_000
"""What a page's report may have; over it, spans are counted, not named. All pages pass through one payload of 2 MB."""


class RecompilePage(Frozen):
    """The next turns of `request`: at most `limit`, after the message numbered `after`."""

    request: Recompile
    after: int
    limit: int


class RecompiledPage(Frozen):
    """What came of them; the next page goes on after the message numbered `after`."""

    turns: list[TurnComparison]
    after: int
    complete: bool


class Recompiler(Compiler, Protocol):
    """A compiler that can make ready for an older version."""

    async def prepare(self, *, tenant: str, corpus: str, version: int) -> None:
        """Make the index that an older version needs, however long it takes.

        Raises:
            CorpusNotFound, CorpusVersionNotFound: there is nothing to make it of.
            IndexUnavailable: it cannot be made now.
        """
        ...


class RecompileActivities:
    """Reads turns from Postgres and compiles them; no session's workflow has a part in it."""

    def __init__(self, reader: Reader, compiler: Recompiler) -> None:
        self._reader = reader
        self._compiler = compiler

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """What a worker registers."""
        return [self.recompile_turns]

    @activity.defn(name=RECOMPILE)
    async def recompile_turns(self, page: RecompilePage) -> RecompiledPage:
        """Compare a page of turns."""
        request = page.request
        with refusing():
            async with beating():
                bounds = ReadMessages(after=page.after, limit=page.limit)
                found = await self._reader.read_replay(request.tenant, request.session_id, bounds)
                earlier = await self._earlier(request, page.after)
                turns: list[TurnComparison] = []
                last = page.after
                for turn in found.turns:
                    compiled = turn.working_set or turn.working_set_ref
                    if turn.user_message is not None and (compiled is not None or request.change is not None):
                        turns.append(await self._compare(request, found.session.config, turn, earlier))
                    messages = [m for m in (turn.user_message, *turn.messages) if m is not None]
                    last = messages[-1].sequence_number
                    earlier = [*earlier, *messages][-LOOKED_AT:]
        return RecompiledPage(turns=bounded(turns), after=last, complete=found.complete or not found.turns)

    async def _earlier(self, request: Recompile, after: int) -> list[Message]:
        """The messages up to the page's first turn, for queries from the thread."""
        if after < 0 or request.change is None:  # a manifest holds what was folded in
            return []
        bounds = ReadMessages(before=after + 1, limit=LOOKED_AT)
        return (await self._reader.read_messages(request.tenant, request.session_id, bounds)).messages

    async def _compare(
        self, request: Recompile, config: SessionConfig, turn: Turn, earlier: list[Message]
    ) -> TurnComparison:
        message, stored = turn.user_message, turn.working_set
        assert message is not None
        if turn.working_set_ref is not None and request.change is None:
            return unknown(message, stored, "Its stored working set is gone.")
        try:
            plan = planned(message, stored, config, request.change, earlier)
            made = await self._compile(request.tenant, plan, explain=request.change is not None)
        except CannotRecompile as error:
            return unknown(message, stored, str(error))
        except PerdureError as error:
            return unknown(message, stored, error.message)
        if request.change is None:
            return compared(message, stored, made, verify=True)
        explain = None
        if stored is not None and gains(stored, made):
            explain = await self._explained(request.tenant, message, stored, config)
        return compared(message, stored, made, verify=False, explain=explain)

    async def _explained(
        self, tenant: str, message: Message, stored: WorkingSet, config: SessionConfig
    ) -> dict[str, Any] | None:
        """How `stored` came about, if it still comes out the same."""
        try:
            again = await self._compile(tenant, planned(message, stored, config, None, []), explain=True)
        except (CannotRecompile, PerdureError):
            return None
        return again.explain if again.context_hash == stored.context_hash else None

    async def _compile(self, tenant: str, plan: Plan, *, explain: bool) -> WorkingSet:
        if plan.config.as_of is not None:
            with suppress(IndexUnavailable):  # the working set says that it was without
                await self._compiler.prepare(tenant=tenant, corpus=plan.corpus, version=plan.config.as_of)
        return await self._compiler.compile(
            tenant=tenant,
            corpus=plan.corpus,
            query=plan.query,
            config=plan.config,
            search_query=plan.search_query,
            explain=explain,
        )


def bounded(turns: list[TurnComparison]) -> list[TurnComparison]:
    """The turns, without the names of spans from where they would make the page too large."""
    size, kept = 0, []
    for turn in turns:
        size += len(turn.model_dump_json().encode())
        kept.append(turn if size <= PAGE_BYTES else turn.model_copy(update={"gained": [], "lost": []}))
    return kept
