"""Turns: how a conversation is cut for replay, and whether their working sets are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perdure.contract import Turn
from perdure.message import Message
from perdure.working_set import WorkingSet, WorkingSetRef


def turns_of(
    messages: Sequence[Message],
    *,
    working_sets: Mapping[str, WorkingSet] | None = None,
    references: Mapping[str, WorkingSetRef] | None = None,
) -> list[Turn]:
    """The turns of `messages` (ascending), with working sets or references by message id.

    A turn starts at each user message; messages before the first one make a turn without a user message.
    """
    starts = [i for i, m in enumerate(messages) if m.role == "user"]
    bounds = [*starts, len(messages)]
    turns = [
        Turn(
            user_message=messages[start],
            working_set=(working_sets or {}).get(messages[start].message_id),
            working_set_ref=(references or {}).get(messages[start].message_id),
            messages=list(messages[start + 1 : end]),
        )
        for start, end in zip(starts, bounds[1:], strict=True)
    ]
    leading = list(messages[: bounds[0]])
    return [Turn(user_message=None, messages=leading), *turns] if leading else turns


def corrupted(turns: Sequence[Turn]) -> list[str]:
    """Ids of the messages whose working sets are gone, or have another text than was recorded."""
    return [
        turn.user_message.message_id
        for turn in turns
        if turn.user_message and not (turn.working_set.verified() if turn.working_set else turn.working_set_ref is None)
    ]
