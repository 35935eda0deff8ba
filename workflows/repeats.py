"""What a command left behind, and how one that was carried out before is answered again, from what Postgres keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio import workflow

from activities.commit import Answered, Deflated, ReadAnswer
from perdure.contract import AddUserMessage
from perdure.errors import IdempotencyConflict, PerdureError
from perdure.events import Event
from perdure.session import Session
from workflows.attempts import ATTEMPT, RETRY
from workflows.core.command import AnyCommand, Command
from workflows.core.decide import compiler_config
from workflows.core.load import room_for


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its events (none if it changed nothing) and working sets by event sequence."""

    events: Sequence[Event] = ()
    working_sets: dict[int, Deflated] = field(default_factory=dict)


async def outcome_again(session: Session, command: Command, *, answered: bool) -> Outcome:
    """The outcome of a command that was carried out. `answered`: whether its caller looks at it."""
    if not answered and workflow.patched("repeated-signals-read-nothing"):
        return Outcome()
    found = await _read(session, command, answered)
    return Outcome(found.events, found.working_sets)


async def outcome_long_ago(session: Session, command: AnyCommand, *, answered: bool) -> Outcome | None:
    """The outcome of a command whose key the state may have forgotten, if Postgres knows it.

    Raises:
        IdempotencyConflict: Postgres knows the key with another body.
    """
    if not isinstance(command, Command) or not workflow.patched("late-repeats-are-answered"):
        return None
    found = await _read(session, command, answered)
    if found.body_hash is None:
        return None
    if found.body_hash != command.body_hash:
        raise IdempotencyConflict(key=command.key)
    return Outcome(found.events, found.working_sets)


async def _read(session: Session, command: Command, answered: bool) -> Answered:
    found: Answered = await workflow.execute_local_activity(
        "read_answer",
        ReadAnswer(
            tenant=session.tenant,
            session_id=session.session_id,
            key=command.key,
            body_hash=command.body_hash,
            answered=answered,
            room=_room(session, command),
        ),
        result_type=Answered,
        start_to_close_timeout=ATTEMPT,
        retry_policy=RETRY,
    )
    return found


def _room(session: Session, command: Command) -> int:
    """Bytes that the answer has for a working set."""
    if not isinstance(body := command.body, AddUserMessage):
        return 0
    try:
        return room_for(body, compiler_config(session.config, body.retrieval))
    except PerdureError:  # overrides that are refused now, of a command that may have been carried out once
        return 0
