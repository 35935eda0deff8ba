"""Cases 46 to 54 on real servers: search, determinism, explanations, manifests and ingest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from activities.spans import EmbedderId, IndexUnavailable, span_id
from activities.stores.weaviate_index import WeaviateIndex
from perdure.working_set import CompilerConfig
from tests.parity.conftest import NOTES
from tests.retrieval.conftest import DOCUMENTS, PATIENT, Corpora, corpora_with, write
from tests.support.stack import database
from tests.unit.retrieval.fakes import vector
from tests.unit.retrieval.test_packing import span
from workers.stack.stack import Stack

MEMORY = {"memory.md": "Ownership frees memory without a garbage collector.\n", "fruit.txt": "There are 100 apples.\n"}
QUERIES = ["does ownership need a garbage collector?", "stop a worker", "apples", "中文"]


async def test_case_46_the_nearest_are_found_and_another_dimension_is_an_error(stack: Stack, unique: str) -> None:
    assert stack.addresses.weaviate is not None
    three = EmbedderId(name=f"three-{unique}", version="1", dimension=3)
    index = WeaviateIndex(stack.addresses.weaviate, stack.addresses.weaviate_grpc_port, three)
    vectors = [vector(1, 0, 0), vector(0, 1, 0), vector(0.9, 0.1, 0)]
    spans = [
        replace(span(f"text {n}"), span_id=span_id(unique, "a", n, n, ""), vector=v) for n, v in enumerate(vectors, 1)
    ]
    try:
        await index.prepare(unique)
        await index.put(unique, spans)
        found = await index.search_vector(unique, vector(1, 0, 0), 2)
        assert [hit.span_id for hit in found] == [spans[0].span_id, spans[2].span_id]
        assert [(1 + hit.score) / 2 for hit in found] == pytest.approx([1.0, 0.99694], abs=1e-5)
        with pytest.raises(IndexUnavailable, match="length"):
            await index.search_vector(unique, vector(1, 0), 2)
    finally:
        await index.drop(unique)
        await index.close()


async def test_case_47_the_same_query_twice_gives_the_same_text(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path, NOTES))
    first, second = [await corpora.compile("How is a worker stopped?") for _ in range(2)]
    assert (first.text, first.context_hash) == (second.text, second.context_hash)
    assert first.compilation_time_ms != second.compilation_time_ms


async def test_case_48_two_fresh_stores_filled_in_different_order_give_the_same_text(
    stack: Stack, template_database: str, corpora: Corpora, tmp_path: Path
) -> None:
    await corpora.ingest(write(tmp_path / "all", DOCUMENTS))
    async with (
        database(stack, template_database) as url,
        corpora_with(corpora.embedder, stack, url, corpora.client, f"{corpora.tenant}-2") as other,
    ):
        for path in sorted(DOCUMENTS, reverse=True):
            await other.ingest(write(tmp_path / "one", {path: DOCUMENTS[path]}))
        for query in QUERIES:
            first, second = await corpora.compile(query), await other.compile(query)
            assert not first.degraded
            assert not second.degraded
            assert (first.text, first.context_hash) == (second.text, second.context_hash)
            assert [c.span_id for c in first.citations] == [c.span_id for c in second.citations]


@pytest.mark.parametrize("budget", [1, 25, 60, 8000])
async def test_case_49_tokens_used_is_at_most_the_budget(corpora: Corpora, tmp_path: Path, budget: int) -> None:
    await corpora.ingest(write(tmp_path, DOCUMENTS))
    found = await corpora.compile("memory and fruit", config=CompilerConfig(token_budget=budget))
    assert found.tokens_used <= budget


async def test_case_50_words_are_found_anywhere_and_no_character_is_a_wildcard(
    corpora: Corpora, tmp_path: Path
) -> None:
    await corpora.ingest(write(tmp_path, MEMORY))

    async def lexical(query: str) -> list[str]:
        found = await corpora.compile(query, explain=True)
        assert found.explain is not None
        return [candidate["path"] for candidate in found.explain["stages"]["lexical"]]

    assert (await lexical("does ownership need a garbage collector?"))[0] == "memory.md"
    assert await lexical("10%") == await lexical("_00") == await lexical("%") == []
    assert await lexical("100%") == ["fruit.txt"]  # by the word 100, which is there


async def test_case_51_an_explanation_holds_every_stage_and_is_absent_unless_asked_for(
    corpora: Corpora, tmp_path: Path
) -> None:
    many = {f"{n}.md": f"Worker number {n} polls a queue.\n" for n in range(70)}
    await corpora.ingest(write(tmp_path, many))
    config = CompilerConfig(mmr_lambda=0.25, retrieval_timeout=PATIENT)
    found = await corpora.compile("worker", config=config, explain=True)
    assert found.explain is not None
    stages = found.explain["stages"]
    assert list(stages) == ["semantic", "lexical", "fused", "mmr", "packed", "final"]
    assert (len(stages["semantic"]), len(stages["lexical"])) == (50, 20)
    for stage in stages.values():
        assert [candidate["rank"] for candidate in stage] == list(range(1, len(stage) + 1))
        assert set(stage[0]) == {"span_id", "path", "lines", "score", "tokens", "rank"}
    assert found.explain["thresholds"] == config.model_dump(mode="json")
    timings = found.explain["timings"]
    assert len(timings) == 8
    assert all(value >= 0 for value in timings.values())
    assert (await corpora.compile("worker")).explain is None


async def test_case_53_a_manifest_tells_what_was_used_and_is_enough_to_compile_again(
    corpora: Corpora, tmp_path: Path
) -> None:
    await corpora.ingest(write(tmp_path, DOCUMENTS))
    config = CompilerConfig(
        token_budget=120, semantic_weight=0.4, lexical_weight=0.6, semantic_k=7, retrieval_timeout=PATIENT
    )
    first = await corpora.compile("where are the pears?", config=config)
    manifest = first.manifest
    assert (manifest["corpus"], manifest["corpus_version"]) == ("docs", 1)
    assert manifest["chunking"] == (await corpora.store.get_corpus(corpora.tenant, "docs")).chunking
    assert manifest["index"] == {**corpora.index.parameters(exact=True), "approximate": False}
    assert (manifest["fusion"]["semantic_weight"], manifest["fusion"]["lexical_weight"]) == (0.4, 0.6)
    assert manifest["config_hash"] == hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    assert manifest["query_hash"] == hashlib.sha256(first.query.encode()).hexdigest()
    again = await corpora.compile(first.query, manifest["corpus"], CompilerConfig.model_validate(manifest["config"]))
    assert (again.context_hash, again.manifest) == (first.context_hash, manifest)


async def test_case_54_a_path_is_created_then_skipped_then_updated(corpora: Corpora, tmp_path: Path) -> None:
    async def ingested(content: str) -> tuple[int, int, int, int, str]:
        report = await corpora.ingest(write(tmp_path, {"a.txt": content}))
        (held,) = await corpora.store.list_artifacts(corpora.tenant, "docs")
        return report.created, report.skipped, report.updated, report.spans, held.artifact_id

    first = await ingested("one\n")
    assert first[:4] == (1, 0, 0, 1)
    second = await ingested("one\n")
    assert second == (0, 1, 0, 0, first[4])
    third = await ingested("two\n")
    assert third == (0, 0, 1, 1, first[4])  # the predecessor's update made another id
