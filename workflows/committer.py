"""The committer: the only writer of a run. Whoever holds it commits for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from activities.commit import (
    FENCED,
    Answered,
    Commit,
    Committed,
    Compile,
    Deflated,
    Owner,
    ReadAnswer,
    SessionFields,
    completed,
)
from perdure.contract import AddUserMessage, Handlers
from perdure.errors import PerdureError
from perdure.events import Event, MessageAdded
from perdure.message import text_of
from perdure.session import Session, SessionConfig
from perdure.thread_query import searched
from perdure.wire import refusal
from workflows.core.command import Command, Expire, RecordError
from workflows.core.decide import compiler_config, conflict, decide, receipt_of
from workflows.core.load import room_for
from workflows.core.state import Receipt, SessionState, fold

ATTEMPT = timedelta(seconds=20)
"""What one attempt of an activity may take, retrieval included."""
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=1)
)
"""A store that is away is waited for, without end: an accepted command is never given up."""

ACTIVITY_OF = {
    Handlers.ADD_USER_MESSAGE: "record_user_message",
    Handlers.ADD_ASSISTANT_MESSAGE: "record_assistant_message",
    Handlers.ADD_MESSAGE: "record_message",
    Handlers.UPDATE_SESSION: "update_session",
    Handlers.SUSPEND: "suspend_session",
    Handlers.RESUME: "resume_session",
    Handlers.DELETE: "delete_session",
}


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its events (none if it changed nothing) and working sets by event sequence."""

    events: Sequence[Event] = ()
    working_sets: dict[int, Deflated] | None = None


class _Entry:
    """A command in the queue, and later its outcome or its refusal."""

    def __init__(self, command: Command | Expire | RecordError) -> None:
        self.command = command
        self.outcome: Outcome | None = None
        self.error: ApplicationError | None = None

    @property
    def settled(self) -> bool:
        return self.outcome is not None or self.error is not None


class Committer:
    """Decides commands in order, stores their events in one activity, and only then moves the state.

    The events of all commands that wait go into one transaction (group commit). An attempt that died after its commit
    is noticed by the next one, which first takes the events that it lacks.
    """

    def __init__(self, state: SessionState, owner: Owner) -> None:
        self.state = state
        self.commits = 0
        self.fenced = False
        self.owner = owner
        self._queue: list[_Entry] = []
        self._writing = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being written."""
        return not self._queue and not self._writing.locked()

    async def execute(self, command: Command | Expire | RecordError) -> Outcome:
        """Carry out `command`; return once it is stored.

        Raises:
            ApplicationError: it was refused, by the refusal's name; nothing of it is stored.
        """
        entry = _Entry(command)
        self._queue.append(entry)
        async with self._writing:  # fair: the first in line commits for all who queued behind it meanwhile
            if not entry.settled:
                batch, self._queue = self._queue, []
                await self._settle(batch)
        if entry.error is not None:
            raise entry.error
        assert entry.outcome is not None
        return entry.outcome

    async def _settle(self, batch: list[_Entry]) -> None:
        while waiting := [entry for entry in batch if not entry.settled]:
            before = (len(waiting), self.state.event_sequence)
            try:
                await self._attempt(waiting)
                if before == (sum(not entry.settled for entry in batch), self.state.event_sequence):
                    raise ApplicationError("Postgres and the session disagree.", type="CommitFailed")
            except (ActivityError, ApplicationError) as error:
                cause = cause_of(error)
                self.fenced = self.fenced or cause.type == FENCED
                if len(waiting) == 1:
                    waiting[0].error = cause
                else:  # one of them cannot be stored: each on its own, so that it fails alone
                    for entry in waiting:
                        await self._settle([entry])

    async def _attempt(self, waiting: list[_Entry]) -> None:
        """Decide and commit once. Leaves unsettled what must be decided again on a newer state."""
        state, drafts = await self._decide(waiting)
        if not drafts:
            return
        events = [event for _, made in drafts for event in made]
        config = state.session.config
        compiles = [item for entry, made in drafts for item in _compiles(config, entry.command, made, state)]
        result = await workflow.execute_local_activity(
            _activity_name([entry.command for entry, _ in drafts]),
            Commit(
                tenant=state.session.tenant,
                session_id=state.session.session_id,
                owner=self.owner,
                base_sequence=self.state.event_sequence,
                events=events,
                changed=_changed(self.state.session, state.session),
                corpus=config.corpus,
                compile=compiles,
            ),
            result_type=Committed,
            start_to_close_timeout=ATTEMPT,
            retry_policy=RETRY,
        )
        match result.outcome:
            case "committed":
                final = completed(events, result.completions)
                self._apply(final)
                self.commits += 1
                stored = {event.sequence: event for event in final}
                for entry, made in drafts:
                    entry.outcome = Outcome([stored[e.sequence] for e in made], result.working_sets)
            case "behind":
                self._apply(result.events)
                # Ends the workflow task, which has carried much already: what is answered now goes with the next one.
                if workflow.patched("task-ends-after-catching-up"):
                    await workflow.sleep(timedelta(milliseconds=1))
            case "known":
                await self._settle_known(drafts, result)

    async def _decide(self, waiting: list[_Entry]) -> tuple[SessionState, list[tuple[_Entry, list[Event]]]]:
        """The events of each command, decided one on top of the other; refusals and repetitions settle here."""
        state = self.state
        drafts: list[tuple[_Entry, list[Event]]] = []
        for entry in waiting:
            command = entry.command
            try:
                receipt = receipt_of(state, command) if isinstance(command, Command) else None
                if receipt is not None:
                    if receipt.last <= self.state.event_sequence:  # else: its first is in this very batch
                        await self._answer_again(entry, receipt)
                    continue
                data = decide(state, command)
            except PerdureError as error:
                entry.error = refusal(error)
                continue
            if not data:
                entry.outcome = Outcome()
                continue
            key, digest = (command.key, command.body_hash) if isinstance(command, Command) else (None, None)
            made = [
                Event(
                    sequence=state.event_sequence + 1 + ordinal,
                    key=key,
                    ordinal=ordinal,
                    body_hash=digest,
                    created_at=command.at,
                    data=item,
                )
                for ordinal, item in enumerate(data)
            ]
            after = fold(state, made)
            assert after is not None
            state = after
            drafts.append((entry, made))
        return state, drafts

    async def _settle_known(self, drafts: list[tuple[_Entry, list[Event]]], result: Committed) -> None:
        """Keys that only Postgres remembered: the same body is answered again, another one is refused."""
        receipts = {item.key: item for item in result.receipts}
        taken = set(result.message_ids)
        for entry, made in drafts:
            command = entry.command
            if not isinstance(command, Command):
                continue
            if known := receipts.get(command.key):
                if known.body_hash == command.body_hash:
                    await self._answer_again(entry, Receipt(known.body_hash, known.first, known.last))
                else:
                    entry.error = refusal(conflict(command.key))
                continue
            for event in made:
                if isinstance(event.data, MessageAdded) and event.data.message.message_id in taken:
                    entry.error = refusal(conflict(event.data.message.message_id))

    async def _answer_again(self, entry: _Entry, receipt: Receipt) -> None:
        answered = await workflow.execute_local_activity(
            "read_answer",
            ReadAnswer(
                tenant=self.state.session.tenant,
                session_id=self.state.session.session_id,
                first=receipt.first,
                last=receipt.last,
                room=self._room(entry.command),
            ),
            result_type=Answered,
            start_to_close_timeout=ATTEMPT,
            retry_policy=RETRY,
        )
        entry.outcome = Outcome(answered.events, answered.working_sets)

    def _room(self, command: Command | Expire | RecordError) -> int:
        """Bytes that the answer has for a working set."""
        if not isinstance(command, Command) or not isinstance(body := command.body, AddUserMessage):
            return 0
        try:
            return room_for(body, compiler_config(self.state.session.config, body.retrieval))
        except PerdureError:  # the session's settings changed, and these overrides do not go with them
            return 0

    def _apply(self, events: Sequence[Event]) -> None:
        state = fold(self.state, events)
        assert state is not None
        self.state = state


def _compiles(
    session: SessionConfig, command: Command | Expire | RecordError, made: list[Event], after: SessionState
) -> list[Compile]:
    if not isinstance(command, Command) or not isinstance(command.body, AddUserMessage):
        return []
    if session.corpus is None:
        return []
    config = compiler_config(session, command.body.retrieval)
    return [
        Compile(
            sequence=event.sequence,
            query=text_of(event.data.message.content),
            search_query=searched(
                config, text_of(event.data.message.content), event.data.message.parent_message_id, after.messages
            ),
            config=config,
            explain=command.body.explain,
            room=room_for(command.body, config),
        )
        for event in made
        if isinstance(event.data, MessageAdded)
    ]


def _changed(before: Session, after: Session) -> SessionFields:
    changed = {
        name: getattr(after, name) for name in Session.model_fields if getattr(after, name) != getattr(before, name)
    }
    return cast("SessionFields", changed)


def _activity_name(commands: list[Command | Expire | RecordError]) -> str:
    if len(commands) > 1:
        return "record_messages"
    match commands[0]:
        case Command(name=name):
            return ACTIVITY_OF.get(name, "record_messages")
        case Expire():
            return "suspend_session"
        case RecordError():
            return "record_error"


def cause_of(error: ActivityError | ApplicationError) -> ApplicationError:
    """The activity's own failure, under its own name: a local activity's comes bare, unless it timed out."""
    if isinstance(error, ApplicationError):
        return error
    if isinstance(error.cause, ApplicationError):
        return error.cause
    return ApplicationError(f"The commit failed: {error.cause or error}", type="CommitFailed", non_retryable=True)
