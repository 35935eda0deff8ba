"""The store of corpora, as activities see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from activities.corpora.batch import CutFile, StagedFile
from activities.corpora.ingest import Begun
from activities.spans import CorpusState, EmbedderId, Hit, KeptVersion, Span


class CorpusReader(Protocol):
    """What the compiler reads of corpora. A version shows the same spans for ever, until they are purged."""

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        """The corpus as of now; none when it is unknown."""
        ...

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        """Those of `span_ids` that the version has, in any order."""
        ...

    async def search_text(self, tenant: str, corpus: str, version: int, terms: Sequence[str], limit: int) -> list[Hit]:
        """The best spans of the version by full-text search over any of the terms; ties by path and line."""
        ...


class CorpusVersions(CorpusReader, Protocol):
    """What the compiler needs of versions before the newest."""

    async def versions(self, tenant: str, corpus: str) -> list[KeptVersion]:
        """The versions that are kept, ascending; the newest is the last."""
        ...

    async def visible(self, tenant: str, corpus: str, version: int, after: str, limit: int) -> list[Span]:
        """All spans of the version by id, of those over `after`."""
        ...

    async def hold_index(self, tenant: str, corpus: str, version: int, index: str, at_most: int) -> list[str]:
        """The version has the index `index` from now on; the indexes that no version has any more, to be dropped.

        Of a corpus's versions, `at_most` have one: the latest made. `index` itself is answered if its version is gone.
        """
        ...

    async def forget_index(self, tenant: str, corpus: str, index: str) -> None:
        """The unused index `index` is dropped."""
        ...


class CorpusStore(CorpusVersions, Protocol):
    """Where ingest writes. One call is one transaction; each may be repeated with the same arguments."""

    async def stage(
        self, tenant: str, corpus: str, upload_id: str, first: int, files: Sequence[tuple[str, str]]
    ) -> None:
        """Keep `(path, content)` for an ingest, numbered from `first`."""
        ...

    async def stage_left_out(self, tenant: str, corpus: str, upload_id: str, first: int, paths: Sequence[str]) -> None:
        """Note files and folders that are there but cannot be read, so that pruning does not take them for gone."""
        ...

    async def begin(
        self, tenant: str, corpus: str, upload_id: str, embedder: EmbedderId, chunking: str | None, rows: int = 0
    ) -> Begun:
        """Create the corpus if need be; its next version is made of this upload and no other from now on.

        Without `chunking` a corpus keeps its own, and a new one has the default. `rows` is how many files were staged
        or noted as left out, where that is known.

        Raises:
            InvalidRequest: the corpus was made with another embedder or chunking.
            UploadExpired: the upload has no file, or fewer than `rows`; nothing was changed.
        """
        ...

    async def staged(self, tenant: str, corpus: str, upload_id: str, after: int, limit: int) -> list[StagedFile]:
        """The next files, of those numbered over `after`; what is published already comes without its content."""
        ...

    async def held(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> set[str]:
        """Those of `span_ids` that the corpus has already."""
        ...

    async def commit(self, tenant: str, corpus: str, version: int, upload_id: str, cuts: Sequence[CutFile]) -> None:
        """Store the files as of `version`, which nobody sees before `publish`. Spans that are held need no vector.

        Raises:
            Fenced: another upload is the one that `version` is made of, or it is published.
        """
        ...

    async def complete(self, tenant: str, corpus: str, version: int, upload_id: str) -> None:
        """All files of the upload are stored: leave nothing in `version` of an ingest that was given up.

        Raises:
            Fenced: as `commit`.
        """
        ...

    async def publish(
        self, tenant: str, corpus: str, version: int, upload_id: str, *, prune: bool = False
    ) -> tuple[int, int]:
        """Let readers see `version` if it changed anything, and drop the upload.

        With `prune`, artifacts whose paths the upload does not name are not in the version, unless they are below one
        that it left out. Answers the version that readers see now, and how many artifacts it was pruned of.
        """
        ...

    async def index_name(self, tenant: str, corpus: str, fresh: str) -> str:
        """The corpus's index, which is `fresh` if it had none.

        Raises:
            CorpusNotFound: there is no such corpus.
        """
        ...

    async def take_index(self, tenant: str, corpus: str, by: str) -> timedelta:
        """Say that the ingest `by` is about to change the index; how long to wait before it says so again.

        Zero: it alone may, until it releases the index, or for `activities.spans.CHANGED_WITHIN`. No reader is left
        then who saw the index settled and still counts on it.
        """
        ...

    async def release_index(self, tenant: str, corpus: str, by: str) -> None:
        """The change is done: another ingest may make the next one."""
        ...

    async def settle(self, tenant: str, corpus: str, by: str) -> None:
        """Say that the index changes no more, if it holds what the version has and nothing else, and nobody but `by`
        may be changing it.
        """
        ...

    async def unindexed(self, tenant: str, corpus: str, limit: int) -> list[Span]:
        """Spans that the index lacks, with their terms."""
        ...

    async def mark_indexed(self, tenant: str, corpus: str, span_ids: Sequence[str], by: str) -> None:
        """The index holds these now, put by `by`.

        Raises:
            IndexUnavailable: another ingest took the index since, and may have removed them.
        """
        ...

    async def note_indexed(self, tenant: str, corpus: str) -> None:
        """If the index holds the version that readers see, they may use it from now on."""
        ...

    async def switch_index(self, tenant: str, corpus: str, index: str, version: int, old: str | None) -> None:
        """`index` holds `version` and nothing else, and serves from now on in place of `old`, which is unused then, as
        are those of single versions.

        Raises:
            Fenced: another index serves, another version is published, or `index` was dropped.
        """
        ...

    async def removed(self, tenant: str, corpus: str, limit: int) -> list[str]:
        """Spans that the index holds and no reader sees any more."""
        ...

    async def mark_removed(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> None:
        """The index holds these no more. A span that is back meanwhile is to be put again, and the index is behind."""
        ...

    async def oldest_kept(self, tenant: str, corpus: str, retention: timedelta) -> int:
        """The oldest version to keep: readers saw it within `retention`, or it is the newest or the one before."""
        ...

    async def reserve_index(self, tenant: str, corpus: str, index: str) -> None:
        """`index` is unused, and so to be dropped, unless `switch_index` takes it into use."""
        ...

    async def unused_indexes(self, tenant: str, corpus: str) -> list[str]:
        """The indexes that are to be dropped: nobody finds them any more, or yet."""
        ...

    async def purge(self, tenant: str, corpus: str, oldest: int) -> None:
        """Delete versions before `oldest`, and spans that none of the others has."""
        ...
