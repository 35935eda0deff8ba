"""The committer: the only writer of a run. Whoever holds it commits for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from activities.commit import Answered, Commit, Committed, Compile, Deflated, Owner, ReadAnswer, completed
from activities.deflate import deflated_commit
from perdure.contract import AddUserMessage, UpdateSession
from perdure.errors import IdempotencyConflict, PerdureError
from perdure.events import Event, MessageAdded
from perdure.wire import FENCED, refusal
from workflows.commit_parts import activity_name, changed, compiles, numbered
from workflows.core.command import AnyCommand, Command, Expire, RecordError
from workflows.core.decide import compiler_config, decide, outlived, receipt_of
from workflows.core.load import room_for
from workflows.core.state import SessionState, fold

ATTEMPT = timedelta(seconds=20)
"""What one attempt of an activity may take, retrieval included."""
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=1)
)
"""A store that is away is waited for, without end: an accepted command is never given up."""

BATCH = 10
"""Commands of one commit: as many as Temporal lets updates be in flight. Of signals there may be any number."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its events (none if it changed nothing) and working sets by event sequence."""

    events: Sequence[Event] = ()
    working_sets: dict[int, Deflated] = field(default_factory=dict)


class _Entry:
    """A command in the queue, and later its outcome or its refusal."""

    def __init__(self, command: AnyCommand, answered: bool) -> None:
        self.command = command
        self.answered = answered
        self.outcome: Outcome | None = None
        self.error: ApplicationError | None = None

    @property
    def settled(self) -> bool:
        return self.outcome is not None or self.error is not None


@dataclass(frozen=True)
class _Draft:
    """What a command in the queue is going to leave behind."""

    entry: _Entry
    events: list[Event]
    compiles: list[Compile]


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

    async def execute(self, command: AnyCommand, *, answered: bool = True) -> Outcome:
        """Carry out `command`; return once it is stored. `answered`: whether the caller looks at the outcome.

        Raises:
            ApplicationError: it was refused, by the refusal's name; nothing of it is stored.
        """
        entry = _Entry(command, answered)
        self._queue.append(entry)
        async with self._writing:  # fair: the first in line commits for all who queued behind it meanwhile
            if not entry.settled:
                await self._settle(self._next_batch())
        if entry.error is not None:
            raise entry.error
        assert entry.outcome is not None
        return entry.outcome

    def _next_batch(self) -> list[_Entry]:
        size = len(self._queue)
        if size > BATCH and workflow.patched("a-commit-is-bounded"):
            size = BATCH
        batch, self._queue = self._queue[:size], self._queue[size:]
        return batch

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
        events = [event for draft in drafts for event in draft.events]
        name = activity_name([draft.entry.command for draft in drafts], events)
        if name == "archive_session" and not workflow.patched("archiving-has-its-name"):
            name = "suspend_session"
        result = await workflow.execute_local_activity(
            name,
            deflated_commit(
                Commit(
                    tenant=state.session.tenant,
                    session_id=state.session.session_id,
                    owner=self.owner,
                    base_sequence=self.state.event_sequence,
                    events=events,
                    changed=changed(self.state.session, state.session),
                    compile=[item for draft in drafts for item in draft.compiles],
                )
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
                for draft in drafts:
                    draft.entry.outcome = Outcome([stored[e.sequence] for e in draft.events], result.working_sets)
            case "behind":
                self._apply(result.events)
                # Ends the workflow task, which has carried much already: what is answered now goes with the next one.
                if workflow.patched("task-ends-after-catching-up"):
                    await workflow.sleep(timedelta(milliseconds=1))
            case "known":
                await self._settle_known(drafts, result)

    async def _decide(self, waiting: list[_Entry]) -> tuple[SessionState, list[_Draft]]:
        """The events of each command, decided one on top of the other; refusals and repetitions settle here."""
        state = self.state
        drafts: list[_Draft] = []
        for entry in waiting:
            command = entry.command
            if (isinstance(command, RecordError) and (_forgotten(state) or command.key in state.receipts)) or (
                isinstance(command, Expire) and _expired(command, state)
            ):
                entry.outcome = Outcome()
                continue
            try:
                receipt = receipt_of(state, command) if isinstance(command, Command) else None
                if receipt is not None:
                    if receipt.last <= self.state.event_sequence:  # else: its first is in this very batch
                        await self._answer_again(entry)
                    continue
                data = decide(state, command)
            except PerdureError as error:
                if drafts and workflow.patched("refusals-wait-for-the-commit"):
                    continue  # an attempt that died may have stored it before these drafts: decided again after them
                if not (outlived(state, error) and await self._carried_out_once(entry)):
                    entry.error = refusal(error)
                continue
            if not data:
                if _may_have_done_more(state, command):
                    if drafts:
                        continue  # decided again after them, as a refusal is
                    if await self._carried_out_once(entry):
                        continue
                entry.outcome = Outcome()
                continue
            made = numbered(command, data, state.event_sequence)
            after = fold(state, made)
            assert after is not None
            state = after
            drafts.append(_Draft(entry, made, compiles(command, made, state)))
        return state, drafts

    async def _settle_known(self, drafts: list[_Draft], result: Committed) -> None:
        """Keys that only Postgres remembered: the same body is answered again, another one is refused."""
        receipts = {item.key: item for item in result.receipts}
        taken = set(result.message_ids)
        for draft in drafts:
            entry, command = draft.entry, draft.entry.command
            if not isinstance(command, Command):
                continue
            if known := receipts.get(command.key):
                if known.body_hash == command.body_hash:
                    await self._answer_again(entry)
                else:
                    entry.error = refusal(IdempotencyConflict(key=command.key))
                continue
            for event in draft.events:
                if isinstance(event.data, MessageAdded) and event.data.message.message_id in taken:
                    entry.error = refusal(IdempotencyConflict(key=event.data.message.message_id))

    async def _answer_again(self, entry: _Entry) -> None:
        """Settle a command that was carried out before."""
        assert isinstance(entry.command, Command)
        if not entry.answered and workflow.patched("repeated-signals-read-nothing"):
            entry.outcome = Outcome()
            return
        answered = await self._read_answer(entry, entry.command)
        entry.outcome = Outcome(answered.events, answered.working_sets)

    async def _carried_out_once(self, entry: _Entry) -> bool:
        """Settle a command whose key Postgres knows, though the state has forgotten it."""
        if not isinstance(command := entry.command, Command) or not workflow.patched("late-repeats-are-answered"):
            return False
        answered = await self._read_answer(entry, command)
        if answered.body_hash is None:
            return False
        if answered.body_hash == command.body_hash:
            entry.outcome = Outcome(answered.events, answered.working_sets)
        else:
            entry.error = refusal(IdempotencyConflict(key=command.key))
        return True

    async def _read_answer(self, entry: _Entry, command: Command) -> Answered:
        session = self.state.session
        answered: Answered = await workflow.execute_local_activity(
            "read_answer",
            ReadAnswer(
                tenant=session.tenant,
                session_id=session.session_id,
                key=command.key,
                body_hash=command.body_hash,
                answered=entry.answered,
                room=self._room(command),
            ),
            result_type=Answered,
            start_to_close_timeout=ATTEMPT,
            retry_policy=RETRY,
        )
        return answered

    def _room(self, command: Command) -> int:
        """Bytes that the answer has for a working set."""
        if not isinstance(body := command.body, AddUserMessage):
            return 0
        try:
            return room_for(body, compiler_config(self.state.session.config, body.retrieval))
        except PerdureError:  # overrides that are refused now, of a command that may have been carried out once
            return 0

    def _apply(self, events: Sequence[Event]) -> None:
        state = fold(self.state, events)
        assert state is not None
        self.state = state


def _forgotten(state: SessionState) -> bool:
    """Whether the session is deleted: an error that is recorded then may quote what was deleted."""
    return state.session.status == "deleted" and workflow.patched("errors-end-with-the-session")


def _may_have_done_more(state: SessionState, command: AnyCommand) -> bool:
    """Whether a command that has nothing to do now did something once, and its key is forgotten."""
    if not isinstance(command, Command) or not state.forgets or command.body == UpdateSession():
        return False
    return workflow.patched("what-did-something-once-is-answered")


def _expired(command: Expire, state: SessionState) -> bool:
    """Whether an attempt that died has stored it: the session is not as its timer found it."""
    return state.session.status != command.status and workflow.patched("an-idle-session-expires-once")


def cause_of(error: ActivityError | ApplicationError) -> ApplicationError:
    """The activity's own failure, under its own name: a local activity's comes bare, unless it timed out."""
    if isinstance(error, ApplicationError):
        return error
    if isinstance(error.cause, ApplicationError):
        return error.cause
    return ApplicationError(f"The commit failed: {error.cause or error}", type="CommitFailed", non_retryable=True)
