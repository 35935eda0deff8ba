"""The session workflow: handlers, the idle timer, continue-as-new."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.commit import Open, Opened, Owner, Purge, ReadPage
    from activities.tokens import count as count_tokens
    from perdure.base import Request, parse
    from perdure.contract import (
        PURGE_WORKFLOW,
        SESSION_WORKFLOW,
        AddAssistantMessage,
        AddMessage,
        AddMessages,
        AddUserMessage,
        GetHistory,
        Handlers,
        History,
        Lifecycle,
        MessageAnswer,
        MessagePage,
        MessagesAnswer,
        ReadMessages,
        Replay,
        SessionAnswer,
        StartSession,
        UpdateSession,
    )
    from perdure.errors import PerdureError, SessionDeleted, SessionNotFound, SessionRolling
    from perdure.events import MessageAdded
    from perdure.history import estimate, render
    from perdure.ids import workflow_id
    from perdure.replay import turns_of
    from perdure.session import Session
    from perdure.wire import named, refusal
    from workflows.carry import Carry, SessionInput, restored
    from workflows.committer import ATTEMPT, RETRY, Committer, Outcome, cause_of
    from workflows.core.command import Command, Expire, RecordError, command_of
    from workflows.core.decide import decide, receipt_of
    from workflows.core.state import RECEIPTS, WINDOW_MESSAGES, SessionState
    from workflows.display import attributes, details, status_shown

R = TypeVar("R", bound=Request)
A = TypeVar("A")

LINGER = timedelta(seconds=10)
"""How long a run stays that was started on an archived session and got no message."""
HARD_LIMIT = 2
"""At this many times its budget a run refuses updates for the moment, so that it gets to continue as new."""
NOTHING = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{}"))
"""What a caller sends who sends nothing: an empty object."""


@workflow.defn(name=SESSION_WORKFLOW)
class SessionWorkflow:
    """One conversation. Handlers: parse, commit, answer; `run` keeps the time and changes runs."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        self._committer: Committer | None = None
        self._refused: PerdureError | None = None
        self._active_at = workflow.now()
        self._lingered = False
        try:
            self._input = parse(SessionInput, _json(raw))
        except PerdureError as error:
            self._refused = error
            return
        if carry := self._input.carry:
            self._committer = Committer(carry.state, carry.owner)
            self._active_at = carry.active_at
            workflow.set_current_details(details(carry.state))

    @workflow.run
    async def run(self, _raw: RawValue = NOTHING) -> None:
        if self._committer is None and self._refused is None:
            await self._open()
        while not self._ended:
            await self._until_due()
            if self._ended or self._due_to_roll:
                await workflow.wait_condition(self._quiet)
            if self._due_to_roll and not self._ended:
                self._continue_as_new()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._leave()

    # Life

    async def _open(self) -> None:
        info = workflow.info()
        owner = Owner(run_id=info.first_execution_run_id, started_at=info.workflow_start_time)
        start = StartSession.model_validate(self._input.model_dump(exclude={"carry"}))
        try:
            opened = await workflow.execute_local_activity(
                "open_session",
                Open(start=start, owner=owner, at=workflow.now(), window_messages=WINDOW_MESSAGES, receipts=RECEIPTS),
                result_type=Opened,
                start_to_close_timeout=ATTEMPT,
                retry_policy=RETRY,
            )
        except (ActivityError, ApplicationError) as error:
            self._refused = named(cause_of(error))
            return
        self._committer = Committer(restored(opened), owner)
        self._show()

    @property
    def _state(self) -> SessionState:
        if self._committer is None:
            raise self._refused or SessionNotFound(session_id=workflow.info().workflow_id)
        return self._committer.state

    @property
    def _ended(self) -> bool:
        """Whether this run has nothing more to do: deleted, archived, or no longer the owner."""
        if self._committer is None or self._committer.fenced:
            return True
        status = self._state.session.status
        stayed = self._lingered or self._committer.commits > 0
        return status == "deleted" or (status == "archived" and stayed)

    @property
    def _timer(self) -> tuple[str, timedelta]:
        """What the idle timer waits for now, and how long after the last activity."""
        session = self._state.session
        match session.status:
            case "active":
                return session.status, session.config.idle_timeout
            case "suspended":
                return session.status, session.config.archive_after
            case _:
                return session.status, LINGER

    async def _until_due(self) -> None:
        """Wait for the end of the run, or for the idle deadline and act on it.

        The timer is not moved by activity: when it fires early, it is set again for what is left.
        """
        assert self._committer is not None
        armed = self._timer
        left = self._active_at + armed[1] - workflow.now()
        try:
            await workflow.wait_condition(
                lambda: self._ended or self._due_to_roll or self._timer != armed,
                timeout=max(left, timedelta(milliseconds=1)),
            )
        except TimeoutError:
            if not self._committer.idle or workflow.now() < self._active_at + self._timer[1]:
                return
            if armed[0] == "archived":
                self._lingered = True
                return
            await self._committer.execute(Expire(at=workflow.now()))
            self._active_at = workflow.now()
            self._show()

    @property
    def _due_to_roll(self) -> bool:
        return self._used(1)

    def _used(self, times: int) -> bool:
        """Whether the run has spent its budget `times` over, or the server wants it to end."""
        if self._committer is None or self._committer.commits == 0:
            return False
        info = workflow.info()
        budget = self._state.session.config.run_budget
        return (
            info.get_current_history_length() >= times * budget.events
            or info.get_current_history_size() >= times * budget.history_bytes
            or (times == 1 and info.is_continue_as_new_suggested())
        )

    def _quiet(self) -> bool:
        return workflow.all_handlers_finished() and (self._committer is None or self._committer.idle)

    def _continue_as_new(self) -> NoReturn:
        assert self._committer is not None
        workflow.upsert_search_attributes(attributes(self._state.session))
        carry = Carry(state=self._state, owner=self._committer.owner, active_at=self._active_at)
        start = self._input
        workflow.continue_as_new(SessionInput(tenant=start.tenant, session_id=start.session_id, carry=carry))

    async def _leave(self) -> None:
        """End the run; what was deleted, or should never have been started, leaves no history behind."""
        deleted = self._committer is not None and self._state.session.status == "deleted"
        if deleted and self._committer is not None and self._committer.commits == 0:
            self._refused = SessionDeleted(session_id=self._input.session_id)
        if deleted or isinstance(self._refused, SessionNotFound | SessionDeleted):
            await self._purge()
        if self._committer and self._committer.fenced:
            raise ApplicationError("Another run owns this session.", type="Fenced", non_retryable=True)
        if self._refused:
            raise refusal(self._refused)

    async def _purge(self) -> None:
        start = self._input
        with suppress(WorkflowAlreadyStartedError):  # one that runs already removes this run as well
            await workflow.start_child_workflow(
                PURGE_WORKFLOW,
                Purge(workflow_id=workflow_id(start.tenant, start.session_id)),
                id=f"purge:{start.tenant}:{start.session_id}",
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )

    def _show(self) -> None:
        """Keep Temporal's UI true. Details cost no event; the others are upserted when they differ, bar the counts."""
        state = self._state
        workflow.set_current_details(details(state))
        if status_shown(workflow.info().typed_search_attributes) != state.session.status:
            workflow.upsert_search_attributes(attributes(state.session))
        if workflow.memo_value("title", None) != state.session.title:
            workflow.upsert_memo({"title": state.session.title})

    # Commands

    async def _execute(self, name: str, model: type[R], raw: RawValue, *, answered: bool = True) -> Outcome:
        """Parse, commit, answer. Only an `ApplicationError` may leave a handler: all else would stop the workflow."""
        try:
            body = parse(model, _json(raw))
            if isinstance(body, AddUserMessage) and not answered:
                body = body.model_copy(update={"return_working_set": False})
            return await self._commit(_command(name, body))
        except PerdureError as error:
            raise refusal(error) from error

    async def _commit(self, command: Command | RecordError) -> Outcome:
        await self._opened()
        assert self._committer is not None
        self._active_at = max(self._active_at, command.at)
        outcome = await self._committer.execute(command)
        self._show()
        return outcome

    async def _opened(self) -> None:
        await workflow.wait_condition(lambda: self._committer is not None or self._refused is not None)
        if self._refused is not None:
            raise self._refused

    def _validate(self, name: str, model: type[R], raw: RawValue) -> None:
        """Refuse, before anything is in the history, what the state already shows to be refused."""
        try:
            body = parse(model, _json(raw))
            if self._refused is not None:
                raise self._refused
            if self._committer is None:
                return
            if self._used(HARD_LIMIT):
                raise SessionRolling("The session is changing runs. Send again in a moment, with the same key.")
            command = _command(name, body)
            if receipt_of(self._state, command) is None:
                decide(self._state, command)
        except PerdureError as error:
            raise refusal(error) from error

    async def _add_message(self, name: str, model: type[R], raw: RawValue) -> MessageAnswer:
        outcome = await self._execute(name, model, raw)
        for event in outcome.events:
            if isinstance(event.data, MessageAdded):
                working_set = (outcome.working_sets or {}).get(event.sequence)
                return MessageAnswer(message=event.data.message, working_set=working_set)
        raise ApplicationError("The command added no message.", type="InternalError", non_retryable=True)

    async def _change(self, name: str, model: type[R], raw: RawValue) -> SessionAnswer:
        outcome = await self._execute(name, model, raw)
        if not outcome.events:
            return SessionAnswer(session=self._state.session, changed=False)
        last = outcome.events[-1]
        session: Session = getattr(last.data, "session", self._state.session)
        return SessionAnswer(session=session.model_copy(update={"event_sequence": last.sequence}))

    @workflow.update(description="Add a user message; answers with it and its working set.")
    async def add_user_message(self, raw: RawValue = NOTHING) -> MessageAnswer:
        return await self._add_message(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @add_user_message.validator
    def _validate_add_user_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @workflow.update(description="Add an assistant message.")
    async def add_assistant_message(self, raw: RawValue = NOTHING) -> MessageAnswer:
        return await self._add_message(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @add_assistant_message.validator
    def _validate_add_assistant_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @workflow.update(description="Add a message of any role; nothing is compiled.")
    async def add_message(self, raw: RawValue = NOTHING) -> MessageAnswer:
        return await self._add_message(Handlers.ADD_MESSAGE, AddMessage, raw)

    @add_message.validator
    def _validate_add_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_MESSAGE, AddMessage, raw)

    @workflow.update(description="Add several messages in one commit, or none.")
    async def add_messages(self, raw: RawValue = NOTHING) -> MessagesAnswer:
        outcome = await self._execute(Handlers.ADD_MESSAGES, AddMessages, raw)
        return MessagesAnswer(messages=[e.data.message for e in outcome.events if isinstance(e.data, MessageAdded)])

    @add_messages.validator
    def _validate_add_messages(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_MESSAGES, AddMessages, raw)

    @workflow.update(description="Change title, metadata, user or config; null clears.")
    async def update_session(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.UPDATE_SESSION, UpdateSession, raw)

    @update_session.validator
    def _validate_update_session(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.UPDATE_SESSION, UpdateSession, raw)

    @workflow.update(description="Suspend the session; a message resumes it.")
    async def suspend(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.SUSPEND, Lifecycle, raw)

    @suspend.validator
    def _validate_suspend(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.SUSPEND, Lifecycle, raw)

    @workflow.update(description="Resume a suspended or archived session.")
    async def resume(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.RESUME, Lifecycle, raw)

    @resume.validator
    def _validate_resume(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.RESUME, Lifecycle, raw)

    @workflow.update(description="Delete the session for good, with every run of its workflow.")
    async def delete(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.DELETE, Lifecycle, raw)

    @delete.validator
    def _validate_delete(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.DELETE, Lifecycle, raw)

    # Reads of what is older than the window, for callers with nothing but Temporal

    @workflow.update(description="A page of messages from Postgres.")
    async def read_messages(self, raw: RawValue = NOTHING) -> MessagePage:
        return await self._read(Handlers.READ_MESSAGES, raw, MessagePage)

    @workflow.update(description="A page of turns with their working sets, from Postgres.")
    async def read_replay(self, raw: RawValue = NOTHING) -> Replay:
        return await self._read(Handlers.READ_REPLAY, raw, Replay)

    async def _read(self, name: str, raw: RawValue, answer: type[A]) -> A:
        try:
            page = parse(ReadMessages, _json(raw))
            await self._opened()
            session = self._state.session
            result: A = await workflow.execute_local_activity(
                name,
                ReadPage(tenant=session.tenant, session_id=session.session_id, page=page),
                result_type=answer,
                start_to_close_timeout=ATTEMPT,
                retry_policy=RETRY,
            )
            return result
        except PerdureError as error:
            raise refusal(error) from error
        except ActivityError as error:
            raise error.cause if isinstance(error.cause, ApplicationError) else ApplicationError(str(error)) from error

    # Signals

    @workflow.signal(description="Add a user message, without an answer.")
    async def user_message(self, raw: RawValue = NOTHING) -> None:
        await self._receive(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @workflow.signal(description="Add an assistant message, without an answer.")
    async def assistant_message(self, raw: RawValue = NOTHING) -> None:
        await self._receive(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @workflow.signal(description="Move the idle deadline; nothing is recorded.")
    def touch(self, _raw: RawValue = NOTHING) -> None:
        self._active_at = workflow.now()

    async def _receive(self, name: str, model: type[R], raw: RawValue) -> None:
        """As the update of the same body; a refusal has no caller to go to and becomes an event."""
        try:
            await self._execute(name, model, raw, answered=False)
        except ApplicationError as error:
            if self._committer is not None and not self._ended:
                await self._commit(
                    RecordError(source=name, code=error.type or "", message=error.message, at=workflow.now())
                )

    # Queries

    @workflow.query(description="The session as of its last commit.")
    def get_session(self) -> Session:
        return self._state.session

    @workflow.query(description="The newest messages as text, within max_tokens.")
    def get_history(self, raw: RawValue = NOTHING) -> History:
        try:
            request = parse(GetHistory, _json(raw))
            state = self._state
        except PerdureError as error:
            raise refusal(error) from error
        return render(
            [item.message for item in state.window],
            max_tokens=request.max_tokens,
            complete=len(state.window) == state.session.message_count,
            count=estimate if request.counting == "estimate" else count_tokens,
        )

    @workflow.query(description="The newest turns, with a reference to each working set.")
    def replay(self) -> Replay:
        state = self._state
        references = {item.message.message_id: item.working_set for item in state.window if item.working_set}
        turns = turns_of([item.message for item in state.window], references=references)
        return Replay(
            session=state.session,
            turns=turns,
            complete=len(state.window) == state.session.message_count and not references,
        )

    @workflow.query(description="All that the run carries; its shape may change.")
    def get_state(self) -> dict[str, Any]:
        return self._state.model_dump(mode="json")


def _json(raw: RawValue) -> bytes:
    return raw.payload.data or b"{}"


def _command(name: str, body: Request) -> Command:
    """The command of a request without a key of its own takes the update's id, or for a signal a fresh one."""
    update = workflow.current_update_info()
    return command_of(name, body, update.id if update else str(workflow.uuid4()), workflow.now())
