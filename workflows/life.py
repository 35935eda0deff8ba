"""The life of a session's run: opened, timed, rolled into the next run, left."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

from activities.commit import Open, Opened, Owner, Purge
from perdure.attributes import STATUS, USER
from perdure.base import parse
from perdure.contract import PURGE_WORKFLOW, StartSession
from perdure.errors import InvalidRequest, PerdureError, SessionDeleted, SessionNotFound, Unavailable
from perdure.ids import workflow_id
from perdure.session import Status
from perdure.wire import FENCED, named, refusal
from workflows.attempts import ATTEMPT, RETRY, cause_of
from workflows.carry import Carry, SessionInput, restored
from workflows.committer import Committer
from workflows.core.command import Expire
from workflows.core.state import RECEIPTS, WINDOW_BYTES, WINDOW_MESSAGES, SessionState
from workflows.display import attributes, details
from workflows.input import json_of

LINGER = timedelta(seconds=10)
"""How long a run stays that was started on an archived session and got no message."""
HARD_LIMIT = 2
"""At this many times its budget a run refuses updates for the moment, so that it gets to continue as new."""

RESTING_EVENTS = 40
"""A suspended session with more events in its run goes on in a new run: what rests is then small to keep, and quick to
replay when it wakes."""

LIGHT_STATE_BYTES = WINDOW_BYTES
"""A window of more is heavy, which only one message makes it. A task has room for this beside all that it carries."""

_UNREADABLE = object()

PURGED_ALONE = "purged-alone"
"""Name of the patch since which a refused run has a purge of its own."""


class Life:
    """Opens a session's run, times it, rolls it into the next one, ends it. `raw` is the run's input."""

    def __init__(self, raw: RawValue) -> None:
        self._committer: Committer | None = None
        self._refused: PerdureError | ApplicationError | None = None
        self._active_at = workflow.now()
        self._lingered = False
        # A heavy input alone must not use the budget up, or each run would continue as new at once.
        self._least_bytes = 2 * len(raw.payload.data)
        try:
            self._input = parse(SessionInput, json_of(raw))
            _check_own(self._input)
        except PerdureError as error:
            self._refused = error
            return
        if carry := self._input.carry:
            self._committer = Committer(carry.state, carry.owner)
            self._active_at = carry.active_at
            workflow.set_current_details(details(carry.state))

    async def _live(self) -> None:
        """Until the run ends. One that is cancelled first does what it has taken, which nobody may send again."""
        stay = asyncio.create_task(self._stay())
        try:
            await asyncio.shield(stay)
        except asyncio.CancelledError:
            if not self._cancelled:  # the worker lets go of the run
                raise
            await stay
        if self._cancelled:
            raise asyncio.CancelledError

    @property
    def _cancelled(self) -> bool:
        """Whether somebody asked Temporal to cancel the run."""
        return workflow.cancellation_reason() is not None

    async def _stay(self) -> None:
        if self._committer is None and self._refused is None:
            await self._open()
        if self._committer is not None:  # the rest has gone into the state, and would be kept twice
            self._input = SessionInput(tenant=self._input.tenant, session_id=self._input.session_id)
        while not self._over:
            await self._until_due()
            if self._ended or self._due_to_roll:
                await workflow.wait_condition(self._quiet)
            if self._due_to_roll and not self._ended and await self._rolls_alone():
                self._continue_as_new()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._leave()

    async def _open(self) -> None:
        info = workflow.info()
        owner = Owner(run_id=info.first_execution_run_id, started_at=info.workflow_start_time)
        start = StartSession.model_validate(self._input.model_dump(exclude={"carry"}))
        try:
            opened = await workflow.execute_local_activity(
                "open_session",
                Open(
                    start=start,
                    owner=owner,
                    at=workflow.now(),
                    window_messages=WINDOW_MESSAGES,
                    window_bytes=WINDOW_BYTES,
                    receipts=RECEIPTS,
                ),
                result_type=Opened,
                start_to_close_timeout=ATTEMPT,
                retry_policy=RETRY,
            )
        except (ActivityError, ApplicationError) as error:
            cause = cause_of(error)
            self._refused = cause if cause.type == FENCED else named(cause)  # a client sends that again by itself
            return
        self._committer = Committer(restored(opened), owner)
        self._show()

    async def _opened(self) -> None:
        await workflow.wait_condition(lambda: self._committer is not None or self._refused is not None)
        if self._refused is not None:
            raise self._refused

    @property
    def _state(self) -> SessionState:
        if self._committer is None:
            raise self._refused or Unavailable("The session is being opened. Ask again in a moment.")
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
    def _over(self) -> bool:
        return self._ended or self._cancelled

    @property
    def _timer(self) -> tuple[Status, timedelta]:
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
        deadline = self._active_at + armed[1]
        try:
            await workflow.wait_condition(
                lambda: self._over or self._due_to_roll or self._timer != armed,
                timeout=max(deadline - workflow.now(), timedelta(milliseconds=1)),
            )
        except TimeoutError:
            if not self._committer.idle or self._is_after(deadline):
                return
            if armed[0] == "archived":
                self._lingered = True
                return
            await self._committer.execute(Expire(at=workflow.now(), status=armed[0]))
            self._active_at = workflow.now()
            self._show()

    def _is_after(self, deadline: datetime) -> bool:
        """Whether the idle deadline has moved on since a timer was set for this one, which has fired.

        No clock is asked, though the server may be so late that the new deadline is over too: the SDK's was seen to
        stand still as a timer fired, and a replay then went another way.
        """
        due = self._active_at + self._timer[1]
        return due > (deadline if workflow.patched("a-timer-is-not-asked-the-time") else workflow.now())

    @property
    def _due_to_roll(self) -> bool:
        if self._committer is None:
            return False
        resting = self._state.session.status == "suspended"
        return self._used(1) or (resting and workflow.info().get_current_history_length() > RESTING_EVENTS)

    def _used(self, times: int) -> bool:
        """Whether the run has spent its budget `times` over, or the server wants it to end."""
        if self._committer is None:
            return False
        info = workflow.info()
        budget = self._state.session.config.run_budget
        return (
            info.get_current_history_length() >= times * budget.events
            or info.get_current_history_size() >= times * max(budget.history_bytes, self._least_bytes)
            or (times == 1 and info.is_continue_as_new_suggested())
        )

    def _quiet(self) -> bool:
        return workflow.all_handlers_finished() and (self._committer is None or self._committer.idle)

    async def _rolls_alone(self) -> bool:
        """Whether the run may end now. What goes on with a heavy state does so in a workflow task of its own: this one
        may carry answers already, and Temporal ends a workflow whose task brings too much."""
        heavy = sum(len(item.message) for item in self._state.window) > LIGHT_STATE_BYTES
        if heavy and workflow.patched("a-heavy-state-goes-on-alone"):
            await workflow.sleep(timedelta(milliseconds=1))
        return self._quiet() and not self._over

    def _continue_as_new(self) -> NoReturn:
        assert self._committer is not None
        state = self._state
        workflow.upsert_search_attributes(attributes(state.session))
        carry = Carry(state=state, owner=self._committer.owner, active_at=self._active_at)
        workflow.continue_as_new(
            self._input.model_copy(update={"carry": carry}),
            memo={"title": state.session.title},  # else the next run has the memo that this one started with
        )

    async def _leave(self) -> None:
        """End the run; what was deleted, or should never have been started, leaves no history behind."""
        committer = self._committer
        deleted = committer is not None and committer.state.session.status == "deleted"
        if deleted or isinstance(self._refused, SessionNotFound):
            await self._purge()
            await workflow.wait_condition(workflow.all_handlers_finished)  # a repeat may have come meanwhile
        if committer is not None and committer.fenced:
            raise ApplicationError("Another run owns this session.", type=FENCED, non_retryable=True)
        if committer is not None and deleted and committer.commits == 0:  # it was started on a tombstone
            self._refused = SessionDeleted(session_id=self._input.session_id)
        if self._refused:
            raise refusal(self._refused) if isinstance(self._refused, PerdureError) else self._refused

    async def _purge(self) -> None:
        """Have this run removed, and if the session is deleted, all runs before it."""
        info = workflow.info()
        name = f"purge:{self._input.tenant}:{self._input.session_id}"
        alone = Purge(workflow_id=info.workflow_id, run_id=info.run_id)
        if isinstance(self._refused, SessionNotFound) and workflow.patched(PURGED_ALONE):
            await self._start_purge(f"{name}:{info.run_id}", alone)  # the next run may be a session that lives
            return
        try:
            await self._start_purge(name, Purge(workflow_id=info.workflow_id, started_by=workflow.now()))
        except WorkflowAlreadyStartedError:  # it leaves out what started after it
            if workflow.patched(PURGED_ALONE):
                await self._start_purge(f"{name}:{info.run_id}", alone)

    async def _start_purge(self, name: str, purge: Purge) -> None:
        await workflow.start_child_workflow(
            PURGE_WORKFLOW, purge, id=name, parent_close_policy=workflow.ParentClosePolicy.ABANDON
        )

    def _show(self) -> None:
        """Keep Temporal's UI true. Details cost no event; the others are upserted when they differ, bar the counts."""
        state = self._state
        workflow.set_current_details(details(state))
        session = state.session
        indexed = workflow.info().typed_search_attributes
        if indexed.get(STATUS) != session.status or (
            indexed.get(USER) != session.user_id and workflow.patched("another-user-is-shown")
        ):
            workflow.upsert_search_attributes(attributes(session))
        if _shown_title() != session.title:
            workflow.upsert_memo({"title": session.title})


def _check_own(start: SessionInput) -> None:
    """Refuse an input that would take another workflow's session over."""
    info = workflow.info()
    mine = workflow_id(start.tenant, start.session_id)
    if mine != info.workflow_id:
        raise InvalidRequest(f"The workflow id of this session is {mine!r}.")
    if carry := start.carry:
        session = carry.state.session
        if info.continued_run_id is None or workflow_id(session.tenant, session.session_id) != mine:
            raise InvalidRequest("Only a run hands `carry` to the next one. Leave it out.")


def _shown_title() -> object:
    try:
        return workflow.memo_value("title", None)
    except Exception:  # a caller wrote it with a codec that this worker has not; out of a handler it would stop the run
        return _UNREADABLE
