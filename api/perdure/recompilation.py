"""The client's side of compiling stored turns again: finds a turn, runs the workflow, reads its answer."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from perdure.base import parse
from perdure.calls import Calls
from perdure.contract import RECOMPILE_WORKFLOW, Replay, Turn
from perdure.errors import IdempotencyConflict, InvalidRequest, MessageNotFound
from perdure.ids import is_id
from perdure.recompile import Comparison, Recompile, recompile_workflow_id
from perdure.transport import Run

RECOMPILE_TIMEOUT = timedelta(minutes=10)
"""What a client waits for all turns of a request, and what the workflow may take."""
_FIRST_PAGE, _PAGE = 10, 100


async def recompile(calls: Calls, request: Recompile, request_id: str | None, timeout: timedelta) -> Comparison:
    """Run the workflow, or join the one that has this request id.

    Raises:
        IdempotencyConflict: the id was used for another request.
        InvalidRequest: the request id is none.
    """
    key = request_id or str(uuid.uuid4())
    if not is_id(key):
        raise InvalidRequest(f"Not an id: {key!r}. Use 1 to 128 characters of A-Z a-z 0-9 . _ : -", value=key)
    answer = await calls.run(
        Run(
            workflow=RECOMPILE_WORKFLOW,
            workflow_id=recompile_workflow_id(request.tenant, request.session_id, key),
            request=request.model_dump(mode="json"),
            longest=timeout,
        )
    )
    found = Comparison.model_validate(answer)
    if found.request != request:
        raise IdempotencyConflict(
            f"The key {key!r} was used before with another body. Send the same body again, or use a new key.", key=key
        )
    return found


def recompile_request(**fields: object) -> Recompile:
    """The request of those fields.

    Raises:
        InvalidRequest: one of them is not as it should be.
    """
    return parse(Recompile, fields)


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
