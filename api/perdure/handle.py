"""A handle on one session: its commands and its reads."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Unpack

from perdure.base import Request, as_json, parse
from perdure.calls import Calls
from perdure.contract import (
    PAGE_LIMIT,
    AddAssistantMessage,
    AddMessage,
    AddUserMessage,
    CompileQuery,
    Counting,
    GetHistory,
    Handlers,
    History,
    Lifecycle,
    MessageAnswer,
    MessagePage,
    MessagesAnswer,
    NewMessage,
    ReadMessages,
    Replay,
    SessionAnswer,
    Turn,
    UpdateSession,
    WorkingSetAnswer,
)
from perdure.diff import WorkingSetDiff, diff
from perdure.errors import InvalidRequest, SessionDeleted, Unavailable, WorkingSetCorrupted
from perdure.fields import MessageFields, SessionChanges, UserMessageFields, batch_request, given, message_request
from perdure.history import render
from perdure.ids import workflow_id
from perdure.message import Content, Message
from perdure.reader import Reader
from perdure.recompile import Comparison, Recompile
from perdure.recompile_client import RECOMPILE_TIMEOUT, find_turn, recompile
from perdure.replay import corrupted
from perdure.session import Session
from perdure.transport import Command, NotOpen
from perdure.working_set import CompilerConfig, WorkingSet


class SessionHandle:
    """One session, wherever its workflow runs now. Made by a `Client`; making it does no I/O.

    Every command carries a key, `message_id` or `request_id`: yours, or one made for the call. The same key and body
    give the first answer, for ever; so after `OutcomeUnknown` send again with the key in its `details`. A message or
    `resume` brings a suspended or archived session back; `update` leaves it as it is.

    All methods raise `SessionNotFound`, `SessionDeleted`, `Unavailable`; commands also `OutcomeUnknown` and the other
    refusals of `perdure.errors`.
    """

    def __init__(self, calls: Calls, tenant: str, session_id: str, reader: Reader | None) -> None:
        self.tenant = tenant
        self.session_id = session_id
        self.workflow_id = workflow_id(tenant, session_id)
        self._calls = calls
        self._reader = reader

    async def add_user_message(self, content: Content, **fields: Unpack[UserMessageFields]) -> MessageAnswer:
        """Add a user message; the answer holds its working set if the session names a corpus."""
        body = message_request(AddUserMessage, content=content, **fields)
        return MessageAnswer.model_validate(await self._command(Handlers.ADD_USER_MESSAGE, body, "message_id"))

    async def compile(
        self, query: str, *, retrieval: CompilerConfig | dict[str, Any] | None = None, explain: bool = False
    ) -> WorkingSet:
        """The working set that `add_user_message` would give for `query` now. Nothing is added, nothing changes.

        Raises:
            CorpusNotFound: the session names no corpus, or one that there is not.
            CorpusVersionNotFound: the corpus does not keep the version `as_of`; `details` say what it keeps.
            PayloadTooLarge: the working set is too large for an answer.
        """
        body = given(CompileQuery, query=query, retrieval=retrieval, explain=explain)
        answer = await self._send(Handlers.COMPILE, as_json(body))
        return WorkingSetAnswer.model_validate(answer).working_set

    async def add_assistant_message(self, content: Content, **fields: Unpack[MessageFields]) -> Message:
        """Add an assistant message."""
        body = message_request(AddAssistantMessage, content=content, **fields)
        answer = await self._command(Handlers.ADD_ASSISTANT_MESSAGE, body, "message_id")
        return MessageAnswer.model_validate(answer).message

    async def add_message(self, role: str, content: Content, **fields: Unpack[MessageFields]) -> Message:
        """Add a message of any role. Nothing is compiled, not even for a user message."""
        body = message_request(AddMessage, role=role, content=content, **fields)
        answer = await self._command(Handlers.ADD_MESSAGE, body, "message_id")
        return MessageAnswer.model_validate(answer).message

    async def add_messages(
        self,
        messages: Sequence[NewMessage | dict[str, Any]],
        *,
        request_id: str | None = None,
        expected_head: str | None = None,
    ) -> list[Message]:
        """Add up to 100 messages in one commit: all of them, or none."""
        body = batch_request(messages, request_id=request_id, expected_head=expected_head)
        answer = await self._command(Handlers.ADD_MESSAGES, body, "request_id")
        return MessagesAnswer.model_validate(answer).messages

    async def update(self, **changes: Unpack[SessionChanges]) -> Session:
        """Change the session's fields. Of a `SessionConfig`, those are changed that it was given."""
        return await self._change(Handlers.UPDATE_SESSION, parse(UpdateSession, {**changes}))

    async def suspend(self, *, request_id: str | None = None) -> Session:
        """Suspend the session; the next message resumes it."""
        return await self._change(Handlers.SUSPEND, given(Lifecycle, request_id=request_id))

    async def resume(self, *, request_id: str | None = None) -> Session:
        """Resume the session, also from the archive."""
        return await self._change(Handlers.RESUME, given(Lifecycle, request_id=request_id))

    async def delete(self, *, request_id: str | None = None) -> None:
        """Delete the session for good, with its messages and every run of its workflow. Its id is not free again."""
        await self._command(Handlers.DELETE, given(Lifecycle, request_id=request_id), "request_id")

    async def touch(self) -> None:
        """Put off the suspension of an open session; nothing is recorded, and an archived one stays so."""
        with suppress(NotOpen):
            await self._calls.signal(self.workflow_id, Handlers.SIGNAL_TOUCH, {})
        await self.get()  # a signal has no answer, and a deleted session's run takes them until it has ended

    async def get(self) -> Session:
        """The session as of its last commit."""
        try:
            session = Session.model_validate(await self._query(Handlers.GET_SESSION, {}))
        except (NotOpen, Unavailable):
            if self._reader is None:
                raise
            return await self._calls.read(self._reader.get_session(self.tenant, self.session_id))
        if session.status == "deleted":  # its run has yet to end
            raise SessionDeleted(session_id=self.session_id)
        return session

    async def history(self, max_tokens: int | None = None, *, counting: Counting = "tokenizer") -> History:
        """The newest messages as text within `max_tokens`, in chronological order; all of them without a limit.

        Args:
            max_tokens: in `cl100k_base` tokens, or by the rule that `counting` names.
            counting: "tokenizer", or "estimate", which is (UTF-8 bytes + 3) // 4 a message.
        """
        request = parse(GetHistory, {"max_tokens": max_tokens, "counting": counting})
        try:
            history = History.model_validate(await self._query(Handlers.GET_HISTORY, request.model_dump()))
            if history.truncated:  # perhaps because an answer cannot carry a message twice
                first = history.messages[0].sequence_number == 0
                whole = render(history.messages, max_tokens=max_tokens, complete=first, counting=counting)
                history = history if whole.truncated else whole
        except (NotOpen, Unavailable):
            if self._reader is None:
                raise
            # No tokenizer here: only should not even the newest message fit, bytes cut it, of which a token has some.
            page = await self.messages()
            history = render(
                page.messages, max_tokens=max_tokens, complete=page.complete, counting=counting, cut_by=_bytes
            )
            if len(history.messages) < len(page.messages):
                return history
        if not history.messages:
            await self.get()  # which tells an empty session from a deleted one
        return await self._older(history, request)

    async def _older(self, history: History, request: GetHistory) -> History:
        """The history with what fits of the messages before it."""
        while history.messages and history.messages[0].sequence_number > 0 and not history.truncated:
            page = await self.messages(before=history.messages[0].sequence_number)
            found = [*page.messages, *history.messages]
            history = render(found, max_tokens=request.max_tokens, complete=page.complete, counting=request.counting)
            if len(history.messages) < len(found):
                break
        return history

    async def messages(
        self, *, before: int | None = None, after: int | None = None, limit: int = PAGE_LIMIT
    ) -> MessagePage:
        """A page of stored messages, ascending; bounds are sequence numbers, exclusive; without one, the newest."""
        page = parse(ReadMessages, {"before": before, "after": after, "limit": limit})
        if self._reader is not None:
            return await self._calls.read(self._reader.read_messages(self.tenant, self.session_id, page))
        answer = await self._send(Handlers.READ_MESSAGES, page.model_dump(exclude_none=True))
        return MessagePage.model_validate(answer)

    async def replay(
        self, *, before: int | None = None, after: int | None = None, limit: int = PAGE_LIMIT, verify: bool = True
    ) -> Replay:
        """A page of turns with their stored working sets; `limit` counts turns, else as `messages`.

        Turns are whole but where a bound falls into one: then the page has only what is on its side of that.

        Raises:
            WorkingSetCorrupted: with `verify`, a working set is gone, or its text no longer has the hash that the event
                of its message recorded. The hash covers the text, and nothing else of the set.
        """
        page = parse(ReadMessages, {"before": before, "after": after, "limit": limit})
        if self._reader is not None:
            replay = await self._calls.read(self._reader.read_replay(self.tenant, self.session_id, page))
        else:
            answer = await self._send(Handlers.READ_REPLAY, page.model_dump(exclude_none=True))
            replay = Replay.model_validate(answer)
        if verify:
            _verify(replay.turns)
        return replay

    async def turns(self, *, verify: bool = True) -> AsyncIterator[Turn]:
        """All turns from the first on, page by page; see `replay`."""
        after = -1
        complete = False
        while not complete:
            page = await self.replay(after=after, verify=verify)
            for turn in page.turns:
                yield turn
                after = max(m.sequence_number for m in (turn.user_message, *turn.messages) if m is not None)
            complete = page.complete or not page.turns

    async def verify(
        self,
        message_id: str | None = None,
        *,
        after: int = -1,
        turns: int = 100,
        request_id: str | None = None,
        timeout: timedelta = RECOMPILE_TIMEOUT,
    ) -> Comparison:
        """Compile stored turns again as their manifests say, and compare the hashes; the session knows nothing of it.

        Args:
            message_id: of the only turn to verify; found by reading back from the newest.
            after: sequence number of the message after which to start.
            turns: how many, 200 at most.
            request_id: the same id and request give the same answer, as long as Temporal keeps it; of a deleted
                session too.
            timeout: for all of it.

        Raises:
            MessageNotFound: the session has no user message of that id.
        """
        if message_id is not None:
            found = (await find_turn(self.replay, message_id)).user_message
            assert found is not None
            after, turns = found.sequence_number - 1, 1
        return await self._recompile(request_id, timeout, after=after, turns=turns)

    async def what_if(
        self,
        *,
        retrieval: CompilerConfig | dict[str, Any] | None = None,
        corpus: str | None = None,
        after: int = -1,
        turns: int = 100,
        request_id: str | None = None,
        timeout: timedelta = RECOMPILE_TIMEOUT,
    ) -> Comparison:
        """Compile stored turns again under other settings, and compare; nothing is changed. See `verify`.

        Args:
            retrieval: a `CompilerConfig`, or fields of one, in place of those that each turn was compiled with.
            corpus: in place of the turn's own, then in its newest version.
            after, turns, request_id, timeout: as for `verify`.
        """
        change = {"retrieval": retrieval or {}, **({} if corpus is None else {"corpus": corpus})}
        return await self._recompile(request_id, timeout, after=after, turns=turns, change=change)

    async def diff(self, before: str, after: str) -> WorkingSetDiff:
        """What changed from the working set of the message `before` to that of the message `after`.

        Raises:
            MessageNotFound: one of them is no user message of the session.
            InvalidRequest: one of them has no working set.
        """
        sets = []
        for message_id in (before, after):
            turn = await find_turn(self.replay, message_id)
            if turn.working_set is None:
                raise InvalidRequest(f"Message {message_id!r} has no working set.", message_id=message_id)
            sets.append(turn.working_set)
        return diff(*sets)

    async def _recompile(self, request_id: str | None, timeout: timedelta, **fields: Any) -> Comparison:
        request = parse(Recompile, {"tenant": self.tenant, "session_id": self.session_id, **fields})
        return await recompile(self._calls, request, request_id, timeout)

    async def _query(self, name: str, body: dict[str, Any]) -> Any:
        """An open run's answer. Without a reader to turn to, a session that is not open is opened for it."""
        try:
            return await self._calls.query(self.workflow_id, name, body, patient=self._reader is None)
        except NotOpen:
            if self._reader is not None:
                raise
        await self._send(Handlers.UPDATE_SESSION, {})
        try:
            return await self._calls.query(self.workflow_id, name, body, patient=True)
        except NotOpen as error:
            raise Unavailable(f"{self.workflow_id} closed again before it answered. Try again.") from error

    async def _change(self, name: str, body: Request) -> Session:
        return SessionAnswer.model_validate(await self._command(name, body, "request_id")).session

    async def _command(self, name: str, body: Request, key_field: str) -> Any:
        """Send a command, with a key."""
        key = getattr(body, key_field) or str(uuid.uuid4())
        return await self._send(name, {**as_json(body), key_field: key}, key=key)

    async def _send(self, name: str, body: dict[str, Any], *, key: str | None = None) -> Any:
        revive = {"tenant": self.tenant, "session_id": self.session_id, "restore_only": True}
        return await self._calls.update(
            Command(workflow_id=self.workflow_id, name=name, body=body, key=key, revive=revive)
        )


def _bytes(text: str) -> int:
    return len(text.encode())


def _verify(turns: Sequence[Turn]) -> None:
    wrong = corrupted(turns)
    if wrong:
        raise WorkingSetCorrupted(
            f"The stored working sets of {', '.join(wrong)} are gone or no longer have their hashes. Restore them from "
            "a backup.",
            message_ids=wrong,
        )
