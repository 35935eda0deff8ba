"""An ingest whose steps take long, or fail while others go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.corpora.batch import CutFile, StagedFile
from activities.corpora.corpus import CorpusActivities
from activities.corpora.ingest import Begun, Publish, Step, Upload
from activities.spans import EmbedderId, EmbedderRefused
from tests.unit.retrieval.fakes import Embedder

FILE = StagedFile(
    sequence=0, path="a.md", content="# One\n\nof many lines\n", content_hash="h", action="create", stored=False
)

UPLOAD = Upload(tenant="t", corpus="docs", upload_id="u")
STEP = Step(upload=UPLOAD, version=1, chunking="structure-v2", after=-1)


class Store:
    """Has one file; knows nothing of it."""

    def __init__(self) -> None:
        self.committed: list[CutFile] = []

    async def staged(self, tenant: str, corpus: str, upload_id: str, after: int, limit: int) -> Sequence[StagedFile]:
        return [FILE] if after < FILE.sequence else []

    async def held(self, tenant: str, corpus: str, span_ids: Sequence[str]) -> set[str]:
        return set()

    async def commit(self, tenant: str, corpus: str, version: int, upload_id: str, files: Sequence[CutFile]) -> None:
        self.committed += files

    async def complete(self, tenant: str, corpus: str, version: int, upload_id: str) -> None: ...


class Slow(Embedder):
    """Needs until the next heartbeat to size lines, which is done in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.beat = threading.Event()
        self.beaten: list[bool] = []

    def sizes(self, lines: Sequence[str]) -> list[int]:
        if not self.beaten:
            self.beat.clear()
            self.beaten.append(self.beat.wait(10))
        return super().sizes(lines)


async def test_a_file_is_cut_under_heartbeats_however_long_it_takes() -> None:
    store, embedder, environment = Store(), Slow(), ActivityEnvironment()
    environment.on_heartbeat = lambda *_: embedder.beat.set()
    activities = CorpusActivities(store, embedder)  # type: ignore[arg-type] # what this activity asks of a store
    stepped = await environment.run(activities.ingest_files, STEP)
    assert stepped.done
    assert embedder.beaten == [True]
    assert [cut.file for cut in store.committed] == [FILE]


class SlowStore(Store):
    """Answers after the next heartbeat."""

    def __init__(self) -> None:
        super().__init__()
        self.beat = asyncio.Event()

    async def begin(
        self, tenant: str, corpus: str, upload_id: str, embedder: EmbedderId, chunking: str | None, rows: int = 0
    ) -> Begun:
        await self._next_beat()
        return Begun(version=1, files=1, chunking="structure-v2")

    async def complete(self, tenant: str, corpus: str, version: int, upload_id: str) -> None:
        await self._next_beat()

    async def publish(
        self, tenant: str, corpus: str, version: int, upload_id: str, *, prune: bool = False
    ) -> tuple[int, int]:
        await self._next_beat()
        return version, 0

    async def _next_beat(self) -> None:
        self.beat.clear()
        await asyncio.wait_for(self.beat.wait(), 10)


async def test_what_takes_time_by_the_size_of_the_corpus_is_done_under_heartbeats() -> None:
    store, environment = SlowStore(), ActivityEnvironment()
    environment.on_heartbeat = lambda *_: store.beat.set()
    activities = CorpusActivities(store, Embedder())  # type: ignore[arg-type] # what these activities ask of a store
    assert (await environment.run(activities.begin_ingest, UPLOAD)).files == 1
    assert (await environment.run(activities.ingest_files, STEP)).done
    assert (await environment.run(activities.publish_version, Publish(upload=UPLOAD, version=1))).version == 1


class ManyFiles(Store):
    """Has four files, each of which goes its own way."""

    async def staged(self, tenant: str, corpus: str, upload_id: str, after: int, limit: int) -> Sequence[StagedFile]:
        content = "A line of many others.\n" * 2000
        return [replace(FILE, sequence=n, path=f"{n}.txt", content=content) for n in range(4)]


class Refusing(Embedder):
    """Refuses the second request, while the first goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.given_up = 0

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.requests += 1
        if self.requests == 2:
            raise EmbedderRefused("It refuses.")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        raise AssertionError


async def test_what_goes_on_beside_a_failure_ends_with_it() -> None:
    embedder = Refusing()
    activities = CorpusActivities(ManyFiles(), embedder, embed_at_once=2)  # type: ignore[arg-type] # as above
    with pytest.raises(ApplicationError, match=r"It refuses\. Then ingest again\.") as failed:
        await ActivityEnvironment().run(activities.ingest_files, STEP)
    assert isinstance(failed.value.__cause__, EmbedderRefused)
    assert 2 <= embedder.requests == embedder.given_up + 1
