"""The committer: the only writer of a run. Whoever holds it commits for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.commit import Commit, Committed, Compile, Owner, completed
from activities.deflate import deflated_commit
from perdure.contract import UpdateSession
from perdure.errors import IdempotencyConflict, PerdureError
from perdure.events import Event, MessageAdded
from perdure.wire import FENCED, refusal
from workflows.attempts import ATTEMPT, RETRY, cause_of
from workflows.commit_parts import activity_name, changed, compiles, numbered
from workflows.core.command import AnyCommand, Command, Expire, RecordError
from workflows.core.decide import decide, outlived, receipt_of
from workflows.core.state import SessionState, fold
from workflows.repeats import Outcome, outcome_again, outcome_long_ago

BATCH = 10
"""Commands of one commit: as many as Temporal lets updates be in flight. Of signals there may be any number."""


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
                if isinstance(command, Command) and (receipt := receipt_of(state, command)) is not None:
                    if receipt.last <= self.state.event_sequence:  # else: its first is in this very batch
                        entry.outcome = await outcome_again(self.state.session, command, answered=entry.answered)
                    continue
                data = decide(state, command)
            except PerdureError as error:
                if drafts and workflow.patched("refusals-wait-for-the-commit"):
                    continue  # an attempt that died may have stored it before these drafts: decided again after them
                if not (outlived(state, error) and await self._carried_out_long_ago(entry)):
                    entry.error = refusal(error)
                continue
            if not data:
                if drafts and workflow.patched("nothing-to-do-waits-for-the-commit"):
                    continue  # there is much to do if these drafts are refused: decided again after them
                if _may_have_done_more(state, command):
                    if drafts:
                        continue  # decided again after them, as a refusal is
                    if await self._carried_out_long_ago(entry):
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
                    entry.outcome = await outcome_again(self.state.session, command, answered=entry.answered)
                else:
                    entry.error = refusal(IdempotencyConflict(key=command.key))
                continue
            for event in draft.events:
                if isinstance(event.data, MessageAdded) and event.data.message.message_id in taken:
                    entry.error = refusal(IdempotencyConflict(key=event.data.message.message_id))

    async def _carried_out_long_ago(self, entry: _Entry) -> bool:
        """Settle a command whose key Postgres knows, though the state has forgotten it."""
        try:
            entry.outcome = await outcome_long_ago(self.state.session, entry.command, answered=entry.answered)
        except IdempotencyConflict as conflict:
            entry.error = refusal(conflict)
        return entry.settled

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
