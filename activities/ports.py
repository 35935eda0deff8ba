"""The protocols through which activities reach the world. `activities.stores` implements Postgres's and Weaviate's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from activities.commit import Answered, Commit, Committed, Open, Opened, ReadAnswer
from activities.spans import EmbedderId, Hit, Span
from perdure.events import Event
from perdure.working_set import CompilerConfig, WorkingSet


class Fenced(Exception):
    """Whoever asks was displaced by another, and may write no more."""


class Unstorable(Exception):
    """The store refuses what it was given, and would again."""


class StoreUnavailable(Exception):
    """There is no way to a store now. Any call of one may raise it, and may be made again."""


class Compiler(Protocol):
    """Compiles working sets."""

    async def compile(
        self,
        *,
        tenant: str,
        corpus: str,
        query: str,
        config: CompilerConfig,
        search_query: str | None = None,
        explain: bool = False,
    ) -> WorkingSet:
        """The working set of `query` over `corpus`; `search_query`, if given, is what is looked for in its place.

        An index that is down or late gives a set that says `degraded`, not an error.

        Raises:
            CorpusNotFound: the tenant has no such corpus.
            CorpusVersionNotFound: it does not keep the version `config.as_of`.
            StoreUnavailable: the store of corpora is away.
        """
        ...


class SessionStore(Protocol):
    """Where sessions live. One call is one transaction; each may be repeated with the same arguments."""

    async def open(self, request: Open) -> Opened:
        """Create a session, or take over one that is known; a deleted one's tombstone has the status `deleted`.

        Raises:
            Fenced: its owner started later.
            SessionNotFound: it is unknown, and `restore_only` was asked for.
            CapacityExceeded: the tenant's active sessions are used up; nothing was written.
        """
        ...

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        """Store `completed` (the request's events, completed) and the working sets by message id.

        Raises:
            Fenced: the owner is another chain.
            Unstorable: Postgres refuses an event for good.
            CapacityExceeded: the commit would activate a session too many, and none of it is known from long ago.
        """
        ...

    async def read_answer(self, request: ReadAnswer) -> Answered:
        """The events of a key's command, if it was of that body, with the working sets of its messages if asked for.

        Those of another body are not read: they may be larger than what the caller has just sent.
        """
        ...


class Embedder(Protocol):
    """Turns text into vectors."""

    @property
    def id(self) -> EmbedderId:
        """Which embedder this is."""
        ...

    @property
    def limit(self) -> int:
        """Tokens of a text that it reads; the rest is not seen."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A float32 little-endian vector of length 1 for each text. It fails rather than make one up."""
        ...

    def sizes(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line."""
        ...


class SpanIndex(Protocol):
    """Finds spans. An `index` is the part that one corpus has, by the name its corpus gives."""

    def parameters(self, *, exact: bool) -> dict[str, object]:
        """What a manifest says of it, and of how its vectors were searched."""
        ...

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        """The nearest spans, nearest first; without `exact` some of them may be missed, and it takes less time.

        Raises:
            IndexUnavailable: it is down, late, or has no such index.
        """
        ...

    async def search_text(self, index: str, terms: Sequence[str], limit: int) -> list[Hit]:
        """The best spans by BM25 over any of the terms.

        Raises:
            IndexUnavailable: as `search_vector`.
        """
        ...

    async def prepare(self, index: str) -> None:
        """Make `index` if there is none."""
        ...

    async def put(self, index: str, spans: Sequence[Span]) -> None:
        """Store the vectors and terms of the spans, over those of the same id."""
        ...

    async def remove(self, index: str, span_ids: Sequence[str]) -> None:
        """Remove spans; unknown ids are no error."""
        ...

    async def drop(self, index: str) -> None:
        """Remove the whole of `index`, if there is one."""
        ...
