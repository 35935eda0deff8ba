"""The activities of the session workflow: compile, then store, in one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.common import RawValue

from activities.commit import (
    PAGE_MOST_BYTES,
    Answered,
    Commit,
    Committed,
    Compilation,
    Compile,
    Compiled,
    Completion,
    Deflated,
    DryRun,
    Open,
    Opened,
    ReadAnswer,
    ReadPage,
    completed,
)
from activities.deflate import answerable, deflated, inflated_commit
from activities.failures import refusing
from activities.ports import Compiler, SessionStore, StoreUnavailable
from perdure.contract import MessagePage, Replay
from perdure.errors import PayloadTooLarge, PerdureError
from perdure.events import MessageAdded
from perdure.history import CountTokens, line_of
from perdure.message import Message
from perdure.reader import Reader, page_too_large
from perdure.working_set import WorkingSet, WorkingSetRef, context_hash

P = TypeVar("P", MessagePage, Replay)

logger = logging.getLogger(__name__)

COMMITS = (
    "record_user_message",
    "record_assistant_message",
    "record_message",
    "record_messages",
    "update_session",
    "suspend_session",
    "resume_session",
    "archive_session",
    "delete_session",
    "record_error",
)
"""One activity under many names: Temporal's timeline shows a local activity by its type, and a reader must see what
happened."""


PAGE_BYTES = 512 * 1024
"""Bound of a page that passes through the workflow: its history holds it twice, and a payload 2 MB at most."""


COMPILE_DEADLINE = timedelta(seconds=18)
"""How long a message's working set may take; an attempt has 20 s, and must store the message too."""
COMPILE_ATTEMPTS = 5
"""At which a failure is taken for the compiler's own. One of the store's never is: the commit waits for it as well."""


class SessionActivities:
    """The session's way to Postgres and to the compiler."""

    def __init__(self, store: SessionStore, reader: Reader, compiler: Compiler, count_tokens: CountTokens) -> None:
        self._store = store
        self._reader = reader
        self._compiler = compiler
        self._count = count_tokens

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """Every activity, to be registered with a worker."""
        return [
            self.open_session,
            self.read_answer,
            self.read_messages,
            self.read_replay,
            self.compile_working_set,
            *(self._commit_named(name) for name in COMMITS),
        ]

    @activity.defn
    async def open_session(self, request: Open) -> Opened:
        with refusing():
            return await self._store.open(request)

    @activity.defn
    async def read_answer(self, request: ReadAnswer) -> Answered:
        return await self._store.read_answer(request)

    @activity.defn
    async def read_messages(self, request: ReadPage) -> MessagePage:
        with refusing():
            page = await self._reader.read_messages(request.tenant, request.session_id, request.page, PAGE_BYTES)
            return _passable(page)

    @activity.defn
    async def read_replay(self, request: ReadPage) -> Replay:
        with refusing():
            page = await self._reader.read_replay(request.tenant, request.session_id, request.page, PAGE_MOST_BYTES)
            return _passable(page)

    @activity.defn
    async def compile_working_set(self, request: DryRun) -> Compiled:
        with refusing():
            working_set = await self._compiled(request.tenant, request)
            return Compiled(working_set=await asyncio.to_thread(_answer, working_set, request.room))

    def _commit_named(self, name: str) -> Callable[[RawValue], Awaitable[Committed]]:
        @activity.defn(name=name)
        async def commit(request: RawValue) -> Committed:
            with refusing():
                return await self._commit(inflated_commit(request))

        return commit

    async def _commit(self, request: Commit) -> Committed:
        compiled = await asyncio.gather(*(self._compile(request, item) for item in request.compile))
        sets = {item.sequence: made for item, made in zip(request.compile, compiled, strict=True)}
        completions = [
            self._completion(event.sequence, event.data, sets.get(event.sequence))
            for event in request.events
            if isinstance(event.data, MessageAdded)
        ]
        events = completed(request.events, completions)
        messages = {event.sequence: event.data.message for event in events if isinstance(event.data, MessageAdded)}
        by_message = {messages[sequence].message_id: made for sequence, made in sets.items()}
        wanted = [
            (item.sequence, messages[item.sequence], sets[item.sequence], item.room)
            for item in request.compile
            if item.room
        ]
        # While Postgres works, the answer is made ready.
        result, answered = await asyncio.gather(self._store.commit(request, events, by_message), _ready(wanted))
        if result.outcome != "committed":
            return result
        return result.model_copy(update={"completions": completions, "working_sets": answered})

    async def _compile(self, request: Commit, item: Compile) -> WorkingSet:
        """The working set, or one without text that says why: the message is worth more than its context."""
        try:
            async with asyncio.timeout(COMPILE_DEADLINE.total_seconds()):
                return await self._compiled(request.tenant, item)
        except PerdureError as error:
            return empty(item.query, error.message)
        except StoreUnavailable:
            raise
        except TimeoutError:
            return empty(item.query, f"It was not compiled within {COMPILE_DEADLINE.seconds} s.")
        except Exception as error:
            if activity.info().attempt < COMPILE_ATTEMPTS:
                raise
            logger.exception("no working set for event %d of session %s", item.sequence, request.session_id)
            return empty(item.query, f"The compiler failed with {type(error).__name__}. The worker's log says where.")

    async def _compiled(self, tenant: str, asked: Compilation) -> WorkingSet:
        return await self._compiler.compile(
            tenant=tenant,
            corpus=asked.corpus,
            query=asked.query,
            config=asked.config,
            search_query=asked.search_query,
            explain=asked.explain,
        )

    def _completion(self, sequence: int, added: MessageAdded, working_set: WorkingSet | None) -> Completion:
        return Completion(
            sequence=sequence,
            token_count=self._count(line_of(added.message)),
            working_set=reference(working_set) if working_set else None,
        )


def _passable(page: P) -> P:
    """The page, if a workflow can pass it on.

    Raises:
        PayloadTooLarge: its only message or turn is too large.
    """
    size = len(page.model_dump_json().encode())
    if size > PAGE_MOST_BYTES:
        raise page_too_large(size, PAGE_MOST_BYTES)
    return page


async def _ready(working_sets: Sequence[tuple[int, Message, WorkingSet, int]]) -> dict[int, Deflated]:
    """As `answerable`, off the event loop."""
    if not working_sets:
        return {}
    bodies = ((number, message, made.model_dump_json().encode(), room) for number, message, made, room in working_sets)
    return await asyncio.to_thread(answerable, bodies)


def _answer(working_set: WorkingSet, room: int) -> Deflated:
    """What a dry run answers, which is nowhere stored.

    Raises:
        PayloadTooLarge: an answer cannot carry it.
    """
    body = working_set.model_dump_json().encode()
    small = deflated(body)
    size = len(body) + len(small)
    if size > room:
        raise PayloadTooLarge(
            f"The working set takes {size} bytes, {len(body)} of them JSON; its answer has room for {room}. Ask for it "
            f"{'without `explain`, or ' if working_set.explain else ''}with a smaller `max_spans`.",
            field="working_set",
            size_bytes=size,
            limit_bytes=room,
        )
    return small


def reference(working_set: WorkingSet) -> WorkingSetRef:
    """What the workflow keeps of a working set."""
    return WorkingSetRef(
        context_hash=working_set.context_hash,
        tokens_used=working_set.tokens_used,
        span_count=len(working_set.spans),
        degraded=working_set.degraded,
        degraded_reason=working_set.degraded_reason,
    )


def empty(query: str, reason: str) -> WorkingSet:
    """A working set without text, degraded for `reason`."""
    return WorkingSet(
        text="",
        spans=[],
        citations=[],
        tokens_used=0,
        query=query,
        context_hash=context_hash(""),
        compilation_time_ms=0.0,
        degraded=True,
        degraded_reason=reason,
        manifest={},
    )
