"""The same query, config and corpus version give the same text and hash: on real servers, whatever goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from activities.compiler import WorkingSetCompiler
from activities.ingest_folder import reindex
from perdure.working_set import CompilerConfig, WorkingSet
from tests.retrieval.conftest import DOCUMENTS, Corpora, write
from workers.stack.stack import Stack

QUERIES = ["does ownership need a garbage collector?", "stop a worker", "100%", "what is said of subject 1?", "中文"]
REPEATS = 60
MANY = {f"{n % 5}/{n}.md": f"A part that speaks of subject {n % 3}.\n" for n in range(72)}
"""Documents of which more are equally good than the index is asked for at first."""


def seen(found: WorkingSet) -> tuple[object, ...]:
    """All that may not differ."""
    assert not found.degraded, found.degraded_reason
    return found.text, found.context_hash, tuple(found.citations), tuple(found.spans)


async def test_other_processes_give_the_same_text(
    stack: Stack, database_url: str, corpora: Corpora, tmp_path: Path
) -> None:
    await corpora.ingest(write(tmp_path, DOCUMENTS | MANY))
    made = [await corpora.compile(query) for query in QUERIES]

    async def there(seed: str) -> Any:
        own = {"PERDURE_DATABASE_URL": database_url, "PERDURE_TENANT": corpora.tenant, "PYTHONHASHSEED": seed}
        path = ":".join(filter(None, sys.path))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.compile_there", "docs", *QUERIES),
            env={**os.environ, **stack.addresses.environment(), **own, "PYTHONPATH": path},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    wanted = [[found.text, found.context_hash, False] for found in made]
    for found in await asyncio.gather(there("1"), there("2")):
        assert found == wanted


async def test_repeated_and_after_a_reindex_the_text_is_the_same(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path, DOCUMENTS | MANY))
    wanted = {query: seen(await corpora.compile(query)) for query in QUERIES}
    for number in range(REPEATS):
        query = QUERIES[number % len(QUERIES)]
        assert seen(await corpora.compile(query)) == wanted[query]
    for _ in range(2):
        await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.task_queue)
        fresh = WorkingSetCompiler(corpora.store, corpora.index, corpora.embedder)
        for query in QUERIES:
            found = await fresh.compile(tenant=corpora.tenant, corpus="docs", query=query, config=CompilerConfig())
            assert seen(found) == wanted[query]


async def test_the_text_is_the_same_while_another_corpus_is_imported(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path / "docs", DOCUMENTS | MANY))
    wanted = {query: seen(await corpora.compile(query)) for query in QUERIES}
    other = {path: content.replace("subject", "ownership") for path, content in MANY.items()}
    importing = asyncio.create_task(corpora.ingest(write(tmp_path / "other", other), "other"))
    rounds = 0
    while not importing.done():
        for query in QUERIES:
            assert seen(await corpora.compile(query)) == wanted[query]
        rounds += 1
    report = await importing
    assert (report.phase, report.created) == ("done", len(MANY))
    assert rounds > 3
