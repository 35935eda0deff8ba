"""One session as it is seen from every side: Postgres, replay, history, and the workflow's own state."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from perdure import Client
from perdure.contract import Handlers, ReadMessages
from perdure.events import Event
from perdure.ids import workflow_id
from perdure.message import Message
from perdure.reader import Reader
from tests.support.eventually import eventually
from workflows.core.state import SessionState

PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A session that nobody wrote to while it was read. `state` is none when no open run can say."""

    messages: list[Message]
    events: list[Event]
    replayed: list[Message]
    history: str
    state: SessionState | None


async def observe(client: Client, reader: Reader, session_id: str) -> Observed:
    """Read a session from every side; again, if it changed meanwhile."""
    tenant = client.tenant

    async def read() -> Observed:
        before = await reader.get_session(tenant, session_id)
        observed = Observed(
            messages=await _messages(reader, tenant, session_id),
            events=await _events(reader, tenant, session_id),
            replayed=await _replayed(reader, tenant, session_id),
            history=(await client.session(session_id).history()).text,
            state=await live_state(client, session_id),
        )
        after = await reader.get_session(tenant, session_id)
        assert before.event_sequence == after.event_sequence
        return observed

    return await eventually(read)


async def live_state(client: Client, session_id: str) -> SessionState | None:
    """What the open run knows of its session; none when no run is open."""
    handle = client.temporal.get_workflow_handle(workflow_id(client.tenant, session_id))
    try:
        state = await handle.query(Handlers.GET_STATE, reject_condition=QueryRejectCondition.NOT_OPEN)
    except WorkflowQueryRejectedError:
        return None
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return SessionState.model_validate(state)


async def _messages(reader: Reader, tenant: str, session_id: str) -> list[Message]:
    found: list[Message] = []
    while True:
        page = await reader.read_messages(tenant, session_id, ReadMessages(after=len(found) - 1, limit=PAGE))
        found += page.messages
        if page.complete:
            return found


async def _events(reader: Reader, tenant: str, session_id: str) -> list[Event]:
    found: list[Event] = []
    while True:
        page = await reader.read_events(tenant, session_id, after=found[-1].sequence if found else 0, limit=PAGE)
        found += page.events
        if page.complete:
            return found


async def _replayed(reader: Reader, tenant: str, session_id: str) -> list[Message]:
    """The messages of all turns, in the turns' order; each working set with its own hash."""
    found: list[Message] = []
    while True:
        last = found[-1].sequence_number if found else -1
        page = await reader.read_replay(tenant, session_id, ReadMessages(after=last, limit=PAGE))
        for turn in page.turns:
            assert turn.working_set is None or turn.working_set.verified()
            found += [turn.user_message, *turn.messages] if turn.user_message else turn.messages
        if page.complete:
            return found
