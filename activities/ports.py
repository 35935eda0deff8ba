"""The protocols through which activities reach the world. Each has one implementation in `activities.stores`."""

from __future__ import annotations

from typing import Protocol

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
