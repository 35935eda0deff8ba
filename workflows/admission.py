"""Which requests a session takes now: of a right shape and size, and no more at once than a workflow task carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from temporalio.common import RawValue

from perdure.base import Request, parse
from perdure.contract import AddUserMessage, CompileQuery, ReadMessages, check_request_size
from perdure.errors import SessionRolling, TooMuchInFlight
from perdure.session import SessionConfig
from workflows.core.decide import compiler_config
from workflows.core.load import READ_LOAD, TASK_BYTES, load_of, may_grow_too_large, room_for, size_of
from workflows.input import json_of
from workflows.life import HARD_LIMIT, Life

R = TypeVar("R", bound=Request)


class Admission(Life):
    """What validators ask, and what handlers carry meanwhile."""

    def __init__(self, raw: RawValue) -> None:
        super().__init__(raw)
        self._carried = 0

    def _admit(self, model: type[R], raw: RawValue) -> R:
        """The request, if the session can take one like it now.

        Raises:
            PerdureError: it cannot; nothing is in the history.
        """
        body = request_of(model, raw)
        if self._refused is not None:
            raise self._refused
        # With nothing in flight this one is let in: the SDK looks for what is due only when a handler has run.
        if self._committer is not None and self._carried and self._used(HARD_LIMIT):
            raise SessionRolling("The session is changing runs. Send again in a moment, with the same key.")
        if self._carried and self._carried + self._load(body) > TASK_BYTES:
            raise TooMuchInFlight(
                "The session carries as much as it can at once. Send again in a moment, with the same key.",
                carried_bytes=self._carried,
                limit_bytes=TASK_BYTES,
            )
        return body

    @contextmanager
    def _carrying(self, body: Request) -> Iterator[None]:
        """Count a request in, until it is answered. In a replay too, where no validator runs."""
        load = self._load(body)
        self._carried += load
        try:
            yield
        finally:
            self._carried -= load

    def _load(self, body: Request) -> int:
        """Bytes that a workflow task may have to carry for `body` and its answer."""
        match body:
            case ReadMessages():
                return READ_LOAD
            case CompileQuery() | AddUserMessage():
                config = SessionConfig() if self._committer is None else self._state.session.config
                return load_of(body) + room_for(body, compiler_config(config, body.retrieval))
            case _:
                return load_of(body)


def request_of(model: type[R], raw: RawValue) -> R:
    """The request, which is neither as it was sent nor as we write it larger than one may be.

    Raises:
        PerdureError: it is no such request, or too large.
    """
    size = len(raw.payload.data)
    check_request_size(size)
    body = parse(model, json_of(raw))
    if may_grow_too_large(size):
        check_request_size(size_of(body))
    return body
