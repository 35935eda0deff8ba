"""A folder of very many files, from the disk to the working set and out again."""

from __future__ import annotations

import resource
from pathlib import Path

import httpx
from sqlalchemy import text
from temporalio.client import Client, WorkflowHistory

from activities.corpora.corpus import STEP_SPANS
from activities.stores.weaviate_index import COLLECTION
from activities.working_sets.retrieval import EXACT_SPANS
from perdure.corpus import FailedFile, IngestReport, ingest_workflow_id
from perdure.working_set import CompilerConfig
from tests.retrieval.conftest import Corpora, corpora_with, write
from tests.support.embedders import Hashed
from workers.ingest_folder import ingest_folder
from workers.stack.stack import Stack

FILES = 50_000
GONE = 1000
ODD = {
    "00/windows.txt": "The quince is on Windows.\r\nSo is the medlar.\r\n",
    "00/empty.txt": "",
    "00/emoji 👩🏽‍🚀.txt": "👩‍👩‍👧 eat the kohlrabi.\n",
    "00/名.txt": "花椰菜在这里。\n",
}
MEGABYTE = 1024 * 1024


def peak_bytes() -> int:
    """The most memory that this process had, in which client and worker run."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def indexed_spans(stack: Stack, corpora: Corpora) -> int:
    """How many spans Weaviate itself counts in the corpus's index."""
    name = await corpora.store.index_name(corpora.tenant, "docs", "unused")
    asked = f'{{Aggregate{{{COLLECTION}(tenant: "{name}"){{meta{{count}}}}}}}}'
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{stack.addresses.weaviate}/v1/graphql", json={"query": asked})
    return int(answer.json()["data"]["Aggregate"][COLLECTION][0]["meta"]["count"])


async def rows_read(corpora: Corpora) -> int:
    """How many rows Postgres has looked at in the test's database, by its own count."""
    counted = text("SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables")
    async with corpora.engine.connect() as connection:
        return int((await connection.execute(counted)).scalar_one())


async def paths_known(corpora: Corpora) -> set[str]:
    """The paths of all the corpus's documents, page by page."""
    found: list[str] = []
    while page := await corpora.store.list_artifacts(corpora.tenant, "docs", found[-1] if found else "", 5000):
        found += [artifact.path for artifact in page]
    assert len(set(found)) == len(found)
    return set(found)


async def history_of(corpora: Corpora) -> WorkflowHistory:
    return await corpora.client.get_workflow_handle(ingest_workflow_id(corpora.tenant, "docs")).fetch_history()


async def check_held(stack: Stack, corpora: Corpora, documents: set[str], version: int) -> None:
    """Postgres, its counts, and Weaviate hold `documents`, each of one span but the empty one, and nothing else."""
    held = await corpora.store.get_corpus(corpora.tenant, "docs")
    assert await paths_known(corpora) == documents
    assert (held.version, held.artifacts, held.spans, held.indexed) == (
        version,
        len(documents),
        len(documents) - 1,
        True,
    )
    assert await indexed_spans(stack, corpora) == held.spans


async def test_very_many_files_are_ingested_found_skipped_and_pruned(
    stack: Stack, database_url: str, temporal_client: Client, unique: str, tmp_path: Path
) -> None:
    documents = {f"{n % 97:02}/{n}.txt": f"Note {n} is kept in drawer d{n}x.\n" for n in range(FILES)} | ODD
    (write(tmp_path, documents) / "image.bin").write_bytes(b"\0\1")
    async with corpora_with(Hashed(), stack, database_url, temporal_client, unique) as corpora:
        await corpora.ingest(write(tmp_path.parent / "few", ODD), "few")  # loads what is loaded once
        memory = peak_bytes()
        seen: list[IngestReport] = []
        made = await ingest_folder(
            corpora.client,
            corpora.store,
            tmp_path,
            corpus="docs",
            tenant=unique,
            task_queue=unique,
            on_progress=seen.append,
        )
        assert (made.version, made.created, made.spans, made.indexed) == (1, len(documents), len(documents) - 1, True)
        assert made.failures == [FailedFile(path="image.bin", reason="binary")]
        await check_held(stack, corpora, set(documents), 1)
        history = await history_of(corpora)
        assert len(history.events) < 7 * len(documents) / STEP_SPANS + 50
        assert max(event.ByteSize() for event in history.events) < 2048  # cursors and counts, however many files

        for n in (0, FILES // 2, FILES - 1):
            await check_found(corpora, f"what is in drawer d{n}x?", f"{n % 97:02}/{n}.txt")
        await check_found(corpora, "medlar", "00/windows.txt")
        await check_found(corpora, "kohlrabi", "00/emoji 👩🏽‍🚀.txt")

        again = await corpora.ingest(tmp_path)
        assert (again.version, again.skipped, again.created, again.spans) == (1, len(documents), 0, 0)
        assert len((await history_of(corpora)).events) < 50  # what is skipped goes by in one step

        gone = list(documents)[: FILES : FILES // GONE][:GONE]
        for path in gone:
            (tmp_path / path).unlink()
        pruned = await corpora.ingest(tmp_path, prune=True)
        assert (pruned.version, pruned.removed, pruned.skipped) == (2, len(gone), len(documents) - len(gone))
        await check_held(stack, corpora, set(documents) - set(gone), 2)
        assert peak_bytes() - memory < 100 * MEGABYTE
        assert await rows_read(corpora) < 150 * len(documents)


async def check_found(corpora: Corpora, query: str, path: str) -> None:
    """The first citation is of the one document that holds a word of the query."""
    config = CompilerConfig(semantic_weight=0.2, lexical_weight=0.8, semantic_k=5, lexical_k=5, order="relevance")
    found = await corpora.compile(query, config=config)
    assert not found.degraded, found.degraded_reason
    assert found.citations[0].path == path
    assert found.manifest["index"]["approximate"] is (FILES > EXACT_SPANS)
