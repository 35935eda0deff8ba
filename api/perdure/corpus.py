"""Corpora on the wire: ingest, its progress, and what a caller sees of a corpus."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import Field

from perdure.base import Request, Result
from perdure.errors import InvalidRequest
from perdure.ids import DEFAULT_TENANT, Id, check_names

GET_PROGRESS = "progress"
"""Query of the workflow `IngestCorpus`, answered with an `IngestReport`."""
MAX_FAILURES = 100
"""Failed files that a report names; `failed` counts all."""
MAX_FILE_BYTES = 1024 * 1024
"""Default limit of one file."""

Phase: TypeAlias = Literal["reading", "embedding", "indexing", "index_behind", "done"]
"""`index_behind`: the new version is readable, by full text alone, until the index is reached; work goes on."""


class FailedFile(Result):
    """A file that was not ingested, or a folder that could not be listed, and why."""

    path: str
    reason: str


UNCHANGED = "Content unchanged (same hash)"
"""Why an ingest skips a file."""


class IngestReport(Result):
    """How far an ingest is. `files` are those to look at; `spans` were made, of `created` and `updated` files.

    `removed` counts the documents that a pruning ingest took out of the corpus.
    """

    phase: Phase = "reading"
    version: int = 0
    files: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    removed: int = 0
    failed: int = 0
    spans: int = 0
    failures: list[FailedFile] = Field(default_factory=list)
    indexed: bool = False
    error: str | None = None

    @property
    def files_done(self) -> int:
        """Files looked at."""
        return self.created + self.updated + self.skipped + self.failed


class Ingest(Request):
    """Input of the workflow `IngestCorpus`: files staged under `upload_id`, or none, to rebuild the corpus's index.

    With `prune`, documents that were not staged, or noted as left out, alone or with their folder, are not in the new
    version.
    `chunking` is how documents are cut: by default as the corpus's are already, and `structure-v2` for a new corpus.
    `after` and `report` carry an ingest into its next run; a caller leaves them out.
    """

    tenant: Id = DEFAULT_TENANT
    corpus: Id
    upload_id: Id | None = None
    prune: bool = False
    chunking: str | None = Field(default=None, max_length=64)
    after: int = -1
    report: IngestReport = IngestReport()


class Corpus(Result):
    """A corpus as of its version. `indexed` is false while its index lacks that version."""

    tenant: str
    corpus: str
    version: int
    artifacts: int
    spans: int
    embedder: str
    chunking: str
    indexed: bool
    created_at: datetime
    updated_at: datetime


class Artifact(Result):
    """A document of a corpus. `changed_in` is the corpus version that last changed it."""

    artifact_id: str
    path: str
    content_hash: str
    size_bytes: int
    spans: int
    created_in: int
    changed_in: int


def ingest_workflow_id(tenant: str, corpus: str) -> str:
    """The workflow id of a corpus's ingest, `ingest:{tenant}:{corpus}`: one runs at a time.

    Raises:
        InvalidRequest: either part is not an id, or the tenant holds a colon.
    """
    check_names(InvalidRequest, tenant, corpus=corpus)
    return f"ingest:{tenant}:{corpus}"
