"""Deflates what passes through a workflow unread: working sets, and the commits that hold them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities.commit import ANSWER_BYTES, Commit, Deflated
from perdure.message import Message


def deflated(working_set: bytes) -> Deflated:
    """The JSON of a working set, as it passes through a workflow."""
    return base64.b64encode(zlib.compress(working_set, 1)).decode()


def inflated(working_set: Deflated) -> bytes:
    """The JSON again."""
    return zlib.decompress(base64.b64decode(working_set))


def answerable(working_sets: Iterable[tuple[int, Message, bytes, int]]) -> dict[int, Deflated]:
    """Those of `(sequence, message, working set's JSON, room)` that answers can carry, by sequence.

    Each has room for two copies: a deflated one, in one result with all others, and itself in an answer beside its
    message. One that is left out is stored all the same, and read by `replay`.
    """
    found: dict[int, Deflated] = {}
    left = ANSWER_BYTES
    for sequence, message, body, room in working_sets:
        if len(body) > room or len(to_json(message)) + len(body) > ANSWER_BYTES:
            continue
        small = deflated(body)
        if len(body) + len(small) <= room and len(small) <= left:
            found[sequence] = small
            left -= len(small)
    return found


def deflated_commit(request: Commit) -> RawValue:
    """The input of a commit's activity, a half of its JSON: the SDK keeps it in memory until the run ends.

    It is no part of the history, and nobody else reads it: so it names no encoding, which would be kept as well.
    """
    return RawValue(Payload(data=zlib.compress(to_json(request), 1)))


def inflated_commit(raw: RawValue) -> Commit:
    """The commit again."""
    return Commit.model_validate_json(zlib.decompress(raw.payload.data))
