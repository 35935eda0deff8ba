"""The client's side of compiling stored turns again: finds a turn, runs the workflow, reads its answer."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from perdure.calls import Calls
from perdure.contract import RECOMPILE_WORKFLOW, Replay, Turn
from perdure.errors import IdempotencyConflict, InvalidRequest, MessageNotFound
from perdure.fields import check_durations
from perdure.ids import is_id, not_an_id
from perdure.recompile import Comparison, Recompile, recompile_workflow_id
from perdure.transport import Run

RECOMPILE_TIMEOUT = timedelta(minutes=10)
"""What a client waits for all turns of a request, and what the workflow may take."""
_FIRST_PAGE, _PAGE = 10, 100


async def recompile(calls: Calls, request: Recompile, request_id: str | None, timeout: timedelta) -> Comparison:
    """Run the workflow, or join the one that has this request id.

    Raises:
        IdempotencyConflict: the id was used for another request.
        InvalidRequest: the request id is none, or the timeout.
    """
    check_durations(timeout=timeout)
    key = str(uuid.uuid4()) if request_id is None else request_id
    if not is_id(key):
        problem = not_an_id(key)
        raise InvalidRequest(f"request_id: {problem}", errors=[{"field": "request_id", "problem": problem}])
    answer = await calls.run(
        Run(
            workflow=RECOMPILE_WORKFLOW,
            workflow_id=recompile_workflow_id(request.tenant, request.session_id, key),
            request=request.model_dump(mode="json"),
            longest=timeout,
        )
    )
    found = Comparison.model_validate(answer)
    # As JSON: in `retrieval` a duration may stand as a `timedelta` here, and came back as text.
    if found.request.model_dump(mode="json") != request.model_dump(mode="json"):
        raise IdempotencyConflict(key=key)
    return found


async def find_turn(replay: Callable[..., Awaitable[Replay]], message_id: str) -> Turn:
    """The turn of a user message, found by reading back from the newest.

    Raises:
        MessageNotFound: the session has no user message of that id.
    """
    before, limit = None, _FIRST_PAGE
    while True:
        page = await replay(before=before, limit=limit, verify=False)
        for turn in page.turns:
            if turn.user_message is not None and turn.user_message.message_id == message_id:
                return turn
        first = next((m for turn in page.turns for m in (turn.user_message, *turn.messages) if m), None)
        if page.complete or first is None:
            session_id = page.session.session_id
            raise MessageNotFound(
                f"Session {session_id} has no user message {message_id!r}.",
                session_id=session_id,
                message_id=message_id,
            )
        before, limit = first.sequence_number, _PAGE
