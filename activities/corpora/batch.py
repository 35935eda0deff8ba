"""What ingest hands to its store: files as staged, and cut into spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from activities.spans import Span

Action: TypeAlias = Literal["create", "update", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """A file to ingest. `action` compares it with the corpus; one that this ingest stored already keeps its action."""

    sequence: int
    path: str
    content: str
    content_hash: str
    action: Action
    stored: bool
    """Whether the corpus holds this very content, so that nothing is left to do and `content` is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFile:
    """A file and the spans it was cut into."""

    file: StagedFile
    spans: Sequence[Span]
