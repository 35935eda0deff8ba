"""Working sets: the compiler's settings, and the cited text compiled for one user message."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perdure.base import Result

PRESETS: dict[str, dict[str, Any]] = {
    "avocado": {
        "token_budget": 8000,
        "enable_mmr": True,
        "mmr_lambda": 0.5,
        "semantic_weight": 0.7,
        "lexical_weight": 0.3,
        "semantic_k": 50,
        "lexical_k": 20,
    }
}
"""Values by the name of a preset. `avocado`: what AvocadoDB, the predecessor, compiled with."""


def with_preset(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` on top of those of the `preset` they name; an unknown name is left for the validation to refuse."""
    name = fields.get("preset")
    if not isinstance(name, str) or name not in PRESETS:
        return dict(fields)
    return {**PRESETS[name], **{field: value for field, value in fields.items() if field != "preset"}}


class CompilerConfig(BaseModel):
    """How a working set is compiled. Fields left out take the session's value, then these defaults.

    `as_of` is a version of the corpus that is still kept; none is the newest. `query_from` "thread" looks for what the
    newest messages before this one speak of, too; see `perdure.thread_query` for how much of them. `retrieval_timeout`
    is what the embedder has, and each search of the index; 16 s for all. `preset`, on the way in, stands for the values
    of one of `PRESETS`; fields given beside it win.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    shorthands: ClassVar[tuple[str, ...]] = ("preset",)
    """Taken on the way in, without being fields."""

    token_budget: int = Field(default=8000, ge=0, le=100_000)
    enable_mmr: bool = True
    mmr_lambda: float = Field(default=0.9, ge=0, le=1)
    semantic_weight: float = Field(default=0.7, ge=0, le=1)
    lexical_weight: float = Field(default=0.3, ge=0, le=1)
    semantic_k: int = Field(default=50, ge=1, le=500)
    lexical_k: int = Field(default=20, ge=1, le=500)
    max_spans: int = Field(default=100, ge=1, le=999)
    order: Literal["document", "relevance"] = "document"
    tokenizer: Literal["cl100k_base", "o200k_base"] = "cl100k_base"
    retrieval_timeout: timedelta = Field(default=timedelta(seconds=2), gt=timedelta(0), le=timedelta(seconds=15))
    query_from: Literal["message", "thread"] = "message"
    as_of: int | None = Field(default=None, ge=1, le=2**53)

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        fields = with_preset(given)
        if "preset" in fields:
            raise ValueError(f"unknown preset: {str(fields['preset'])[:64]!r}. Use one of: {', '.join(PRESETS)}.")
        return fields


class WorkingSetSpan(Result):
    """A run of whole lines that is in the text. `rank` is its place by relevance, from 1.

    Its own text is characters `text_start` to `text_end` of the working set's, half-open: `WorkingSet.text_of(span)`.
    """

    span_id: str
    artifact_id: str
    path: str
    start_line: int
    end_line: int
    text_start: int
    text_end: int
    token_count: int
    rank: int
    truncated: bool = False


class Citation(Result):
    """What `[number]` in the text refers to. `score` is the fused score; `rank` the place by relevance, from 1."""

    number: int
    span_id: str
    artifact_id: str
    path: str
    start_line: int
    end_line: int
    score: float
    rank: int


class WorkingSet(Result):
    """The text compiled for one user message.

    `context_hash` is the SHA-256 of `text` in UTF-8, in lower-case hex. `tokens_used` counts `text` as rendered, with
    the manifest's tokenizer, and never exceeds the budget. `degraded` is true when a part of retrieval was down or
    late; `degraded_reason` says which. `manifest` tells what was really used. Where nothing was
    compiled, as without the corpus, it is empty, and `explain` is none.
    """

    text: str
    spans: list[WorkingSetSpan]
    citations: list[Citation]
    tokens_used: int
    query: str
    context_hash: str
    compilation_time_ms: float
    degraded: bool = False
    degraded_reason: str | None = None
    manifest: dict[str, Any]
    explain: dict[str, Any] | None = None

    def text_of(self, span: WorkingSetSpan) -> str:
        """The lines of `span` as they stand in the text."""
        return self.text[span.text_start : span.text_end]

    def verified(self) -> bool:
        """Whether the text still has its hash. In a replay that is the one which the event of its message recorded."""
        return context_hash(self.text) == self.context_hash


class WorkingSetRef(Result):
    """A working set as the workflow remembers it; the text is in Postgres."""

    context_hash: str
    tokens_used: int
    span_count: int
    degraded: bool = False
    degraded_reason: str | None = None


def context_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes, in lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()
