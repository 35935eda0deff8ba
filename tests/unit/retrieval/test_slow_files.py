"""An ingest of a file that takes long."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from temporalio.testing import ActivityEnvironment

from activities.corpus import CorpusActivities
from activities.ingest import Step, Upload
from activities.ingest_batch import CutFile, StagedFile
from tests.unit.retrieval.test_retrieval import Embedder

FILE = StagedFile(
    sequence=0, path="a.md", content="# One\n\nof many lines\n", content_hash="h", action="create", stored=False
)


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
    step = Step(upload=Upload(tenant="t", corpus="docs", upload_id="u"), version=1, chunking="structure-v2", after=-1)
    stepped = await environment.run(activities.ingest_files, step)
    assert stepped.done
    assert embedder.beaten == [True]
    assert [cut.file for cut in store.committed] == [FILE]
