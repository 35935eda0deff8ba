"""What a session is asked and does not change by: queries of the window, and updates that read what is older."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from activities.commit import ANSWER_BYTES, Compiled, ReadPage
from activities.deflate import inflated
from activities.tokens import count as count_tokens
from perdure.base import Request, parse
from perdure.contract import CompileQuery, GetHistory, Handlers, History, MessagePage, ReadMessages, Replay
from perdure.errors import BY_CODE, SessionDeleted, Unavailable
from perdure.history import render, within
from perdure.replay import turns_of
from perdure.session import Session
from perdure.wire import refusing
from workflows.admission import Admission
from workflows.attempts import RETRY, cause_of
from workflows.core.dry_run import dry_run
from workflows.core.state import SessionState
from workflows.input import NOTHING, json_of, raw_of

R = TypeVar("R", bound=Request)
A = TypeVar("A")

READ_DEADLINE = timedelta(seconds=20)
"""What a page may take; unlike a command, a read is not owed an answer."""
READ_RETRY = replace(RETRY, maximum_attempts=23)
"""As many attempts as fail at once in that time: the SDK does not look at the deadline between them."""


class Reads(Admission):
    """The handlers that read."""

    @workflow.query(name=Handlers.GET_SESSION, description="The session as of its last commit.")
    def get_session(self) -> Session:
        return self._state.session

    @workflow.query(name=Handlers.GET_HISTORY, description="The newest messages as text, within max_tokens.")
    def get_history(self, raw: RawValue = NOTHING) -> History:
        with refusing():
            request = parse(GetHistory, json_of(raw))
            state = self._state
        history = render(
            state.messages(),
            max_tokens=request.max_tokens,
            complete=_complete(state),
            counting=request.counting,
            cut_by=count_tokens,
        )
        return within(history, ANSWER_BYTES)

    @workflow.query(name=Handlers.REPLAY, description="The newest turns, with a reference to each working set.")
    def replay(self) -> Replay:
        state = self._state
        messages = state.messages()
        references = {
            message.message_id: item.working_set
            for message, item in zip(messages, state.window, strict=True)
            if item.working_set
        }
        turns = turns_of(messages, references=references)
        return Replay(session=state.session, turns=turns, complete=_complete(state) and not references)

    @workflow.query(name=Handlers.GET_STATE, description="All that the run carries; its shape may change.")
    def get_state(self) -> dict[str, Any]:
        return self._state.model_dump(mode="json")

    @workflow.update(name=Handlers.READ_MESSAGES, description="A page of messages from Postgres.")
    async def read_messages(self, raw: RawValue = NOTHING) -> MessagePage:
        return await self._read(Handlers.READ_MESSAGES, raw, MessagePage)

    @read_messages.validator
    def _validate_read_messages(self, raw: RawValue = NOTHING) -> None:
        self._validate_page(raw)

    @workflow.update(name=Handlers.READ_REPLAY, description="A page of turns with their working sets, from Postgres.")
    async def read_replay(self, raw: RawValue = NOTHING) -> Replay:
        return await self._read(Handlers.READ_REPLAY, raw, Replay)

    @read_replay.validator
    def _validate_read_replay(self, raw: RawValue = NOTHING) -> None:
        self._validate_page(raw)

    @workflow.update(name=Handlers.COMPILE, description="Compile a working set for a query; nothing is added.")
    async def compile_query(self, raw: RawValue = NOTHING) -> RawValue:
        compiled = await self._ask(
            "compile_working_set", CompileQuery, raw, lambda body: dry_run(self._state, body), Compiled
        )
        return raw_of(b'{"working_set":%b}' % inflated(compiled.working_set))

    @compile_query.validator
    def _validate_compile_query(self, raw: RawValue = NOTHING) -> None:
        with refusing():
            body = self._admit(CompileQuery, raw)
            if self._committer is not None:
                dry_run(self._state, body)

    def _validate_page(self, raw: RawValue) -> None:
        with refusing():
            self._admit(ReadMessages, raw)

    async def _read(self, name: str, raw: RawValue, answer: type[A]) -> A:
        def request(page: ReadMessages) -> ReadPage:
            session = self._state.session
            if session.status == "deleted":
                raise SessionDeleted(session_id=session.session_id)
            return ReadPage(tenant=session.tenant, session_id=session.session_id, page=page)

        return await self._ask(name, ReadMessages, raw, request, answer)

    async def _ask(
        self, name: str, model: type[R], raw: RawValue, request: Callable[[R], object], answer: type[A]
    ) -> A:
        """What an activity that changes nothing answers to `request`, made once the session is open."""
        with refusing():
            body = parse(model, json_of(raw))
            with self._carrying(body):
                await self._opened()
                try:
                    result: A = await workflow.execute_local_activity(
                        name,
                        request(body),
                        result_type=answer,
                        schedule_to_close_timeout=READ_DEADLINE,
                        retry_policy=READ_RETRY,
                    )
                except (ActivityError, ApplicationError) as error:
                    if cause_of(error).type in BY_CODE:
                        raise
                    raise Unavailable(f"No answer to {name} in {READ_DEADLINE.seconds} s. Ask again.") from error
                return result


def _complete(state: SessionState) -> bool:
    """Whether there are no messages but those of the window."""
    return len(state.window) == state.session.message_count
