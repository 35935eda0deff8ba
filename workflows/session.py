"""The session workflow: its commands, as updates and as signals."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.commit import Deflated
from activities.deflate import inflated
from perdure.base import parse
from perdure.contract import (
    SESSION_WORKFLOW,
    AddAssistantMessage,
    AddMessage,
    AddMessages,
    AddUserMessage,
    Handlers,
    Lifecycle,
    MessagesAnswer,
    SessionAnswer,
    UpdateSession,
)
from perdure.errors import IdempotencyConflict, PerdureError
from perdure.events import MessageAdded
from perdure.message import Message
from perdure.session import Session
from perdure.wire import refusing
from workflows.admission import request_of
from workflows.core.command import Body, Command, RecordError, command_of
from workflows.core.decide import decide, outlived, receipt_of
from workflows.input import NOTHING, json_of, raw_of
from workflows.reads import Reads
from workflows.repeats import Outcome

B = TypeVar("B", bound=Body)

ERROR_CHARACTERS = 1000
"""What is recorded of a refused signal's error, which may quote the signal."""


@workflow.defn(name=SESSION_WORKFLOW)
class SessionWorkflow(Reads):
    """One conversation. Handlers parse, commit, answer; `Reads` has those that commit nothing; `Admission` bounds what
    is in flight; `Life` opens, times and ends the run."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        super().__init__(raw)
        self._errors = 0

    @workflow.run
    async def run(self, _raw: RawValue = NOTHING) -> None:
        await self._live()

    async def _execute(self, name: str, model: type[B], raw: RawValue, *, answered: bool = True) -> Outcome:
        """Parse, commit, answer. Only an `ApplicationError` may leave a handler: all else would stop the workflow."""
        with refusing():
            if not answered:
                body = request_of(model, raw)
                if isinstance(body, AddUserMessage):
                    body = body.model_copy(update={"return_working_set": False})
                return await self._commit(_command(name, body), answered=False)
            body = parse(model, json_of(raw))  # its validator has seen its size, by the limit of its time
            with self._carrying(body):
                return await self._commit(_command(name, body))

    async def _commit(self, command: Command | RecordError, *, answered: bool = True) -> Outcome:
        await self._opened()
        assert self._committer is not None
        if not isinstance(command, RecordError) or not workflow.patched("refused-signals-move-no-deadline"):
            self._active_at = max(self._active_at, command.at)
        outcome = await self._committer.execute(command, answered=answered)
        self._show()
        return outcome

    def _validate(self, name: str, model: type[B], raw: RawValue) -> None:
        """Refuse, before anything is in the history, what the state already shows to be refused."""
        with refusing():
            body = self._admit(model, raw)
            if self._committer is None:
                return
            command = _command(name, body)
            if receipt_of(self._state, command) is None:
                try:
                    made = decide(self._state, command)
                except PerdureError as error:
                    if not outlived(self._state, error):  # else the committer asks Postgres for its key
                        raise
                    return
                if self._state.forgets:  # the id may be the command's own: Postgres says whether it is
                    return
                for data in made:
                    if isinstance(data, MessageAdded) and self._state.has_at_hand(data.message.message_id):
                        raise IdempotencyConflict(key=data.message.message_id)

    async def _add_message(self, name: str, model: type[B], raw: RawValue) -> RawValue:
        outcome = await self._execute(name, model, raw)
        for event in outcome.events:
            if isinstance(event.data, MessageAdded):
                return _answer(event.data.message, outcome.working_sets.get(event.sequence))
        raise ApplicationError("The command added no message.", type="InternalError", non_retryable=True)

    async def _change(self, name: str, model: type[B], raw: RawValue) -> SessionAnswer:
        outcome = await self._execute(name, model, raw)
        if not outcome.events:
            return SessionAnswer(session=self._state.session, changed=False)
        last = outcome.events[-1]
        session: Session = getattr(last.data, "session", self._state.session)
        return SessionAnswer(session=session.model_copy(update={"event_sequence": last.sequence}))

    @workflow.update(
        name=Handlers.ADD_USER_MESSAGE, description="Add a user message; answers with it and its working set."
    )
    async def add_user_message(self, raw: RawValue = NOTHING) -> RawValue:
        return await self._add_message(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @add_user_message.validator
    def _validate_add_user_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @workflow.update(name=Handlers.ADD_ASSISTANT_MESSAGE, description="Add an assistant message.")
    async def add_assistant_message(self, raw: RawValue = NOTHING) -> RawValue:
        return await self._add_message(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @add_assistant_message.validator
    def _validate_add_assistant_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @workflow.update(name=Handlers.ADD_MESSAGE, description="Add a message of any role; nothing is compiled.")
    async def add_message(self, raw: RawValue = NOTHING) -> RawValue:
        return await self._add_message(Handlers.ADD_MESSAGE, AddMessage, raw)

    @add_message.validator
    def _validate_add_message(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_MESSAGE, AddMessage, raw)

    @workflow.update(name=Handlers.ADD_MESSAGES, description="Add several messages in one commit, or none.")
    async def add_messages(self, raw: RawValue = NOTHING) -> MessagesAnswer:
        outcome = await self._execute(Handlers.ADD_MESSAGES, AddMessages, raw)
        return MessagesAnswer(messages=[e.data.message for e in outcome.events if isinstance(e.data, MessageAdded)])

    @add_messages.validator
    def _validate_add_messages(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.ADD_MESSAGES, AddMessages, raw)

    @workflow.update(name=Handlers.UPDATE_SESSION, description="Change title, metadata, user (null clears) or config.")
    async def update_session(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.UPDATE_SESSION, UpdateSession, raw)

    @update_session.validator
    def _validate_update_session(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.UPDATE_SESSION, UpdateSession, raw)

    @workflow.update(name=Handlers.SUSPEND, description="Suspend the session; a message resumes it.")
    async def suspend(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.SUSPEND, Lifecycle, raw)

    @suspend.validator
    def _validate_suspend(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.SUSPEND, Lifecycle, raw)

    @workflow.update(name=Handlers.RESUME, description="Resume a suspended or archived session.")
    async def resume(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.RESUME, Lifecycle, raw)

    @resume.validator
    def _validate_resume(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.RESUME, Lifecycle, raw)

    @workflow.update(name=Handlers.DELETE, description="Delete the session for good, with every run of its workflow.")
    async def delete(self, raw: RawValue = NOTHING) -> SessionAnswer:
        return await self._change(Handlers.DELETE, Lifecycle, raw)

    @delete.validator
    def _validate_delete(self, raw: RawValue = NOTHING) -> None:
        self._validate(Handlers.DELETE, Lifecycle, raw)

    @workflow.signal(name=Handlers.SIGNAL_USER_MESSAGE, description="Add a user message, without an answer.")
    async def user_message(self, raw: RawValue = NOTHING) -> None:
        await self._receive(Handlers.ADD_USER_MESSAGE, AddUserMessage, raw)

    @workflow.signal(name=Handlers.SIGNAL_ASSISTANT_MESSAGE, description="Add an assistant message, without an answer.")
    async def assistant_message(self, raw: RawValue = NOTHING) -> None:
        await self._receive(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage, raw)

    @workflow.signal(name=Handlers.SIGNAL_TOUCH, description="Move the idle deadline; nothing is recorded.")
    def touch(self, _raw: RawValue = NOTHING) -> None:
        self._active_at = workflow.now()

    async def _receive(self, name: str, model: type[B], raw: RawValue) -> None:
        """As the update of the same body; a refusal has no caller to go to and becomes an event."""
        try:
            await self._execute(name, model, raw, answered=False)
        except ApplicationError as error:
            with suppress(PerdureError):
                await self._opened()  # the signal may have come before Postgres answered
            if self._committer is not None and not self._ended:
                text = error.message.replace("\0", "\\0")[:ERROR_CHARACTERS]
                self._errors += 1
                refused = RecordError(
                    key=f"{workflow.info().run_id}:{self._errors}",
                    source=name,
                    code=error.type or "",
                    message=text,
                    at=workflow.now(),
                )
                with suppress(ApplicationError):  # which would end the run: a signal has nobody to fail for
                    await self._commit(refused)


def _answer(message: Message, working_set: Deflated | None) -> RawValue:
    """A `MessageAnswer`, without reading the working set."""
    body = inflated(working_set) if working_set else b"null"
    return raw_of(b'{"message":%b,"working_set":%b}' % (message.model_dump_json().encode(), body))


def _command(name: str, body: Body) -> Command:
    """The command of a request without a key of its own takes the update's id, or for a signal a fresh one."""
    update = workflow.current_update_info()
    return command_of(name, body, update.id if update else str(workflow.uuid4()), workflow.now())
