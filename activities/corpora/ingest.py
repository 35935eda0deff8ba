"""What passes between the ingest workflow and its activities: names, cursors and counts, never content."""

from __future__ import annotations

from pydantic import model_validator

from perdure.base import Frozen

BEGIN = "begin_ingest"
FILES = "ingest_files"
INDEX = "index_spans"
PUBLISH = "publish_version"
TIDY = "tidy_index"
REBUILD = "rebuild_index"


class Upload(Frozen):
    """The staged files of one ingest. Without `chunking` the corpus keeps its own, and a new one has the default.

    `rows` is how many were staged, with those noted as left out; 0 where nobody counted.
    """

    tenant: str
    corpus: str
    upload_id: str
    chunking: str | None = None
    rows: int = 0


class Begun(Frozen):
    """The version that the ingest makes, how many files wait, and how they are to be cut."""

    version: int
    files: int
    chunking: str


class Step(Frozen):
    """Ingest some of the files numbered over `after`."""

    upload: Upload
    version: int
    chunking: str
    after: int


class Stepped(Frozen):
    """What a step did, and where the next goes on; `done` when no file is left."""

    after: int
    done: bool
    created: int = 0
    updated: int = 0
    skipped: int = 0
    spans: int = 0


class Publish(Frozen):
    """Let readers see `version`; with `prune`, without the artifacts that the upload does not name."""

    upload: Upload
    version: int
    prune: bool = False


class Published(Frozen):
    """The version that readers see now, and how many artifacts it was pruned of."""

    version: int
    removed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        return {"version": value} if isinstance(value, int) else value  # all that it was in older histories


class Rebuilt(Frozen):
    """How many spans the new index holds, and of which version."""

    version: int
    spans: int


class Target(Frozen):
    """A corpus whose index is to be worked on. `fresh` names the index to make, if one is."""

    tenant: str
    corpus: str
    fresh: str
