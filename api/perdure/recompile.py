"""Stored turns compiled again: to verify them, or to see what other settings would have given."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from perdure.base import Overrides, Request, Result, whole
from perdure.contract import MAX_NUMBER
from perdure.ids import DEFAULT_TENANT, Id
from perdure.working_set import CompilerConfig

MAX_TURNS = 200
"""Turns of one request; `after` leads to the rest."""
SHOWN_SPANS = 10
"""How many of the spans that a turn gained or lost are named: the most relevant."""

Outcome: TypeAlias = Literal["same", "differs", "unknown"]


class Change(Request):
    """Other settings than those a turn was compiled with; fields of `retrieval` that are left out stay.

    A turn is compiled from the corpus version that it was compiled from, unless `corpus` or `retrieval["as_of"]` says
    otherwise; none as `as_of` is the newest.
    """

    retrieval: Overrides = Field(default_factory=dict)
    corpus: Id | None = None

    @field_validator("retrieval")
    @classmethod
    def _whole(cls, value: dict[str, Any]) -> dict[str, Any]:
        return whole(CompilerConfig, value, "retrieval")


class Recompile(Request):
    """Input of the workflow `RecompileSession`: the first `turns` turns after the message numbered `after`.

    Without a `change`, each turn is compiled as its manifest says.
    """

    tenant: Id = DEFAULT_TENANT
    session_id: Id
    after: int = Field(default=-1, ge=-1, le=MAX_NUMBER)
    turns: int = Field(default=100, ge=1, le=MAX_TURNS)
    change: Change | None = None


class SpanRef(Result):
    """A span that was gained or lost; `rank` is its place by relevance, from 1.

    `reason` says why the working set that lacks it does: `is over the budget of 40 tokens`, or `was` of the stored one.
    Of a turn that was verified it is none: `TurnComparison.reasons` say what differs.
    """

    path: str
    start_line: int
    end_line: int
    rank: int
    reason: str | None = None


class TurnComparison(Result):
    """A turn's stored working set against the one compiled now.

    `same`: both have the same hash. `unknown`: it cannot be compiled; `reasons` say why, or why it may differ.
    `overlap` is the Jaccard index of the cited spans; `kept` counts those that both cite. `gained` and `lost` name
    the first of `spans_after - kept` and of `spans_before - kept`.
    """

    message_id: str
    sequence_number: int
    outcome: Outcome
    reasons: list[str] = Field(default_factory=list)
    before_hash: str | None = None
    after_hash: str | None = None
    tokens_before: int = 0
    tokens_after: int = 0
    spans_before: int = 0
    spans_after: int = 0
    kept: int = 0
    reranked: int = 0
    overlap: float = 0.0
    gained: list[SpanRef] = Field(default_factory=list)
    lost: list[SpanRef] = Field(default_factory=list)


class Comparison(Result):
    """The turns of `request`, in order. `complete` is false when the session has more, after message `last`."""

    request: Recompile
    turns: list[TurnComparison]
    last: int
    complete: bool

    def count(self, outcome: Outcome) -> int:
        """How many turns came out so."""
        return sum(turn.outcome == outcome for turn in self.turns)


def recompile_workflow_id(tenant: str, session_id: str, request_id: str) -> str:
    """One runs at a time for a request id, and its answer is that of the first. No id holds a slash."""
    return f"recompile:{tenant}:{session_id}/{request_id}"
