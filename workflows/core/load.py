"""What a request makes Temporal carry. All that is in flight on a session has to fit into one workflow task."""

from __future__ import annotations

from pydantic_core import to_json

from activities.commit import ANSWER_BYTES, PAGE_MOST_BYTES
from perdure.base import Request
from perdure.contract import MAX_REQUEST_BYTES, AddUserMessage, CompileQuery
from perdure.working_set import CompilerConfig

TASK_BYTES = 3840 * 1024
"""Temporal takes 4 MB from a worker at once, and ends a workflow whose task brings more: the requests that it accepts,
the results of its activities, and its answers."""
READ_LOAD = 2 * PAGE_MOST_BYTES
"""Bytes that a page adds to a task: it passes twice, as an activity's result and as the update's answer."""

_CARRIED = 3
"""Times that a request is carried: as it is accepted, read again if its key is known, and answered."""
_GROWTH = 8
"""Times that JSON may grow when we write it: `1e15` becomes `1000000000000000.0`."""
_SET_BYTES = 64 * 1024
_TOKEN_BYTES = 24
_EXPLANATION_BYTES = 1024 * 1024
"""Bytes that a working set may add to a task, where it passes twice, deflated in an activity's result and as JSON in
the answer: a base, its query twice, a share for each token of its budget, and a share for its explanation. One that
takes more is stored, and not answered."""


def may_grow_too_large(size: int) -> bool:
    """Whether a request of `size` bytes may be over the limit once we have written it."""
    return _GROWTH * size > MAX_REQUEST_BYTES


def size_of(body: Request) -> int:
    """A request's bytes as we write them, in events and in answers: with what was left out, as null."""
    return len(to_json(body))


def load_of(body: Request) -> int:
    """Bytes that a task may have to carry for a request, its working set left out."""
    return _CARRIED * size_of(body)


def room_for(body: AddUserMessage | CompileQuery, config: CompilerConfig) -> int:
    """Bytes that its working set may add; none if the caller does not want it."""
    if isinstance(body, AddUserMessage) and not body.return_working_set:
        return 0
    size = size_of(body)
    asked = _SET_BYTES + 2 * size + _TOKEN_BYTES * config.token_budget + (_EXPLANATION_BYTES if body.explain else 0)
    return min(asked, ANSWER_BYTES, TASK_BYTES - _CARRIED * size)
