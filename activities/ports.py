"""The protocols through which activities reach the world. Each has one implementation in `activities.stores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from activities.commit import Answered, Commit, Committed, Open, Opened, ReadAnswer
from perdure.events import Event
from perdure.working_set import CompilerConfig, WorkingSet


class Compiler(Protocol):
    """Compiles working sets."""

    async def compile(
        self, *, tenant: str, corpus: str, query: str, config: CompilerConfig, explain: bool = False
    ) -> WorkingSet:
        """The working set of `query` over `corpus`.

        An index that is down or late gives a set that says `degraded`, not an error.

        Raises:
            CorpusNotFound: the tenant has no such corpus.
        """
        ...


class Tokenizer(Protocol):
    """Counts tokens."""

    def __call__(self, text: str) -> int:
        """How many tokens `text` has."""
        ...


class SessionStore(Protocol):
    """Where sessions live. One call is one transaction; each may be repeated with the same arguments."""

    async def open(self, request: Open) -> Opened | None:
        """Create or take over a session; none when it is unknown and `restore_only` was asked for.

        Raises:
            SessionDeleted: a tombstone stands in its place.
            CapacityExceeded: the tenant's active sessions are used up; nothing was written.
        """
        ...

    async def commit(self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]) -> Committed:
        """Store `completed` (the request's events, completed) and the working sets by message id.

        Raises:
            Fenced: the owner is another chain.
            CapacityExceeded: the commit would activate a session too many.
        """
        ...

    async def read_answer(self, request: ReadAnswer) -> Answered:
        """The events of a command, with the working sets of their messages if asked for."""
        ...
