"""The same query, config and corpus version give the same text and hash: on real servers, whatever goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

from activities.working_sets.compiler import WorkingSetCompiler
from perdure.working_set import CompilerConfig, WorkingSet
from tests.retrieval.conftest import DOCUMENTS, PATIENT, Corpora, write
from tests.support.embedders import Remembering
from workers.ingest_folder import reindex
from workers.stack.stack import Stack

QUERIES = ["does ownership need a garbage collector?", "stop a worker", "100%", "what is said of subject 1?", "中文"]
REPEATS = 60
MANY = {f"{n % 5}/{n}.md": f"A part that speaks of subject {n % 3}.\n" for n in range(72)}
"""Documents of which more are equally good than the index is asked for at first."""
TEN_THOUSAND = 10_000
IN_FLIGHT = 4
CONFIGS = [
    CompilerConfig(retrieval_timeout=PATIENT),
    CompilerConfig(retrieval_timeout=PATIENT, semantic_k=7, lexical_k=5, token_budget=150, mmr_lambda=0.3),
    CompilerConfig(retrieval_timeout=PATIENT, semantic_k=13, lexical_k=3, enable_mmr=False, order="relevance"),
    CompilerConfig(
        retrieval_timeout=PATIENT, semantic_k=10, semantic_weight=0.2, lexical_weight=0.8, tokenizer="o200k_base"
    ),
]
"""Limits that fall among equally good spans, of each leg and of the text."""


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
            found = await fresh.compile(tenant=corpora.tenant, corpus="docs", query=query, config=CONFIGS[0])
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


async def test_ten_thousand_compilations_on_real_servers_give_each_case_one_text(
    corpora: Corpora, tmp_path: Path
) -> None:
    await corpora.ingest(write(tmp_path / "docs", DOCUMENTS | MANY))
    embedder = Remembering(corpora.embedder)
    compilers = [
        WorkingSetCompiler(corpora.store, corpora.index, embedder),
        WorkingSetCompiler(corpora.store, corpora.index, embedder, cached_spans=0),  # reads them every time
    ]
    cases = list(product(QUERIES, CONFIGS, compilers))
    wanted: dict[tuple[str, str], tuple[object, ...]] = {}
    numbers = iter(range(TEN_THOUSAND))
    beside_the_import = 0

    async def compile_some() -> None:
        nonlocal beside_the_import
        for number in numbers:
            query, config, compiler = cases[number % len(cases)]
            found = await compiler.compile(tenant=corpora.tenant, corpus="docs", query=query, config=config)
            assert seen(found) == wanted.setdefault((query, config.model_dump_json()), seen(found)), number
            beside_the_import += not importing.done()

    importing = asyncio.create_task(import_another(corpora, tmp_path / "other"))
    await asyncio.gather(*(compile_some() for _ in range(IN_FLIGHT)))
    await importing
    assert len(wanted) == len(QUERIES) * len(CONFIGS)
    assert len({text for text, *_ in wanted.values()}) > len(QUERIES) * (len(CONFIGS) - 1)
    assert next(numbers, None) is None
    assert len(cases) < beside_the_import < TEN_THOUSAND


async def import_another(corpora: Corpora, folder: Path) -> None:
    """Bring in documents that say much the same, then take half of them out again."""
    other = {path: content.replace("subject", "ownership") for path, content in MANY.items()}
    first = await corpora.ingest(write(folder, other), "other")
    for path in list(other)[::2]:
        (folder / path).unlink()
    second = await corpora.ingest(folder, "other", prune=True)
    assert (first.created, second.removed, second.phase) == (len(other), len(other) // 2, "done")
