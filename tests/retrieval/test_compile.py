"""Compilation on real servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from activities.spans import artifact_id
from activities.terms import terms_of
from activities.tokens import count
from activities.working_sets.compiler import WorkingSetCompiler
from activities.working_sets.explain import STAGES, TIMINGS
from perdure.errors import CorpusNotFound
from perdure.working_set import CompilerConfig, context_hash
from tests.retrieval.conftest import DOCUMENTS, PATIENT, Corpora, write

QUERIES = ["does ownership need a garbage collector?", "stop a worker", "100%", "apples", "👩‍👩‍👧", "中文"]


async def test_files_in_another_order_in_a_fresh_corpus_give_the_same_text(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path / "a", DOCUMENTS))
    wanted = [await corpora.compile(query) for query in QUERIES]
    # Back to front, one file at a time.
    for path in sorted(DOCUMENTS, reverse=True):
        await corpora.ingest(write(tmp_path / "b", {path: DOCUMENTS[path]}), "again")
    fresh = WorkingSetCompiler(corpora.store, corpora.index, corpora.embedder)
    for query, before in zip(QUERIES, wanted, strict=True):
        after = await fresh.compile(
            tenant=corpora.tenant, corpus="again", query=query, config=CompilerConfig(retrieval_timeout=PATIENT)
        )
        assert (after.text, after.context_hash) == (before.text, before.context_hash)
        assert [c.score for c in after.citations] == [c.score for c in before.citations]


async def test_a_question_finds_the_span_that_holds_its_words(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    found = await corpora.compile("does ownership need a garbage collector?", explain=True)
    assert found.explain is not None
    assert found.explain["stages"]["lexical"][0]["path"] == "memory.md"
    best = min(found.citations, key=lambda citation: citation.rank)
    assert (best.path, best.start_line, best.rank) == ("memory.md", 1, 1)
    assert found.verified()


@pytest.mark.parametrize("order", ["document", "relevance"])
async def test_a_span_says_where_in_the_text_its_lines_stand(
    corpora: Corpora, folder: Path, order: Literal["document", "relevance"]
) -> None:
    await corpora.ingest(folder)
    found = await corpora.compile("memory and fruit", config=CompilerConfig(order=order))
    assert found.spans
    for span in found.spans:
        lines = (folder / span.path).read_text().splitlines()
        assert found.text_of(span) == "\n".join(lines[span.start_line - 1 : span.end_line])


async def test_a_percent_sign_is_no_wildcard(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    found = await corpora.compile("%", explain=True)
    assert found.explain is not None
    assert found.explain["stages"]["lexical"] == []


@pytest.mark.parametrize("budget", [0, 1, 7, 30, 100, 8000])
async def test_the_budget_holds(corpora: Corpora, folder: Path, budget: int) -> None:
    await corpora.ingest(folder)
    found = await corpora.compile("memory and fruit", config=CompilerConfig(token_budget=budget))
    assert found.tokens_used == count(found.text) <= budget
    assert found.context_hash == context_hash(found.text)
    if budget == 0:
        assert (found.text, found.spans, found.citations, found.degraded) == ("", [], [], False)


async def test_a_corpus_without_documents_gives_the_empty_text(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path, {"empty.txt": ""}))
    found = await corpora.compile("anything")
    assert (found.text, found.spans, found.degraded) == ("", [], False)
    assert found.context_hash == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


async def test_a_corpus_of_which_nothing_is_published_yet_says_so(corpora: Corpora) -> None:
    await corpora.store.stage(corpora.tenant, "docs", "upload", 0, [("a.txt", "anything")])
    await corpora.store.begin(corpora.tenant, "docs", "upload", corpora.embedder.id, None)
    found = await corpora.compile("anything")
    assert (found.text, found.spans, found.degraded) == ("", [], True)
    assert found.degraded_reason == "No version of corpus docs is published yet."


async def test_a_tenant_sees_nothing_of_another(corpora: Corpora, tmp_path: Path) -> None:
    other = replace(corpora, tenant=f"{corpora.tenant}-other")
    await corpora.ingest(write(tmp_path / "mine", {"same.txt": "Apples are red.\n"}))
    await other.ingest(write(tmp_path / "theirs", {"same.txt": "Apples are red.\n", "more.txt": "Apples are blue.\n"}))
    for one, paths in ((corpora, ["same.txt"]), (other, ["more.txt", "same.txt"])):
        assert [corpus.tenant for corpus in await one.store.list_corpora(one.tenant)] == [one.tenant]
        assert len(await one.store.search_text(one.tenant, "docs", 1, terms_of("apples"), 10)) == len(paths)
        held = [span.path for span in await one.store.visible(one.tenant, "docs", 1, "0" * 32, 10)]
        assert sorted(held) == paths
        cited = {citation.path: citation.artifact_id for citation in (await one.compile("red apples")).citations}
        assert cited == {path: artifact_id(one.tenant, "docs", path) for path in paths}


async def test_an_unknown_corpus_is_a_named_error(corpora: Corpora) -> None:
    with pytest.raises(CorpusNotFound):
        await corpora.compile("anything", "nothing")


async def test_an_explanation_has_every_stage_and_timing_and_only_when_asked_for(
    corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    config = CompilerConfig(semantic_k=3, lexical_k=2, retrieval_timeout=PATIENT)
    found = await corpora.compile("worker memory fruit line", config=config, explain=True)
    assert found.explain is not None
    stages = found.explain["stages"]
    assert tuple(stages) == STAGES
    assert len(stages["semantic"]) == 3
    assert len(stages["lexical"]) <= 2
    assert [c["rank"] for c in stages["fused"]] == list(range(1, len(stages["fused"]) + 1))
    assert set(stages["fused"][0]) == {"span_id", "path", "lines", "score", "tokens", "rank"}
    assert set(found.explain["timings"]) == {f"{name}_ms" for name in (*TIMINGS, "total")}
    assert all(value >= 0 for value in found.explain["timings"].values())
    assert found.explain["thresholds"] == config.model_dump(mode="json")
    assert (await corpora.compile("worker", config=config)).explain is None


async def test_the_manifest_is_enough_to_compile_again(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    config = CompilerConfig(token_budget=120, enable_mmr=False, order="relevance", tokenizer="o200k_base")
    first = await corpora.compile("where are the pears?", config=config)
    assert first.manifest["corpus_version"] == 1
    assert first.manifest["tokenizer"] == "o200k_base"
    assert first.manifest["embedder"]["dimension"] == 384
    again = await corpora.compile(
        first.query, first.manifest["corpus"], CompilerConfig.model_validate(first.manifest["config"])
    )
    assert (again.context_hash, again.manifest) == (first.context_hash, first.manifest)


@pytest.mark.parametrize("by_index", [True, False])
@pytest.mark.parametrize(
    "query", ["where are http headers parsed?", "parse_http_header", "ParseHTTPHeader", "שלום עולם", "中文文本", "or"]
)
async def test_an_identifier_is_found_by_its_words_with_and_without_the_index(
    corpora: Corpora, tmp_path: Path, query: str, by_index: bool
) -> None:
    documents = {
        "code.py": "def parseHTTPHeader(line):\n    return line\n",
        "hebrew.txt": "שלום\u200bעולם\n",
        "chinese.txt": "中文文本\n",
        "words.txt": "one or the other\n",
        "other.txt": "Nothing of the kind.\n",
    }
    wanted = {"ש": "hebrew.txt", "中": "chinese.txt", "o": "words.txt"}
    await corpora.ingest(write(tmp_path, documents))
    compiler = WorkingSetCompiler(corpora.store, corpora.index if by_index else None, corpora.embedder)
    found = await compiler.compile(
        tenant=corpora.tenant,
        corpus="docs",
        query=query,
        config=CompilerConfig(retrieval_timeout=PATIENT),
        explain=True,
    )
    assert found.explain is not None
    assert [c["path"] for c in found.explain["stages"]["lexical"]] == [wanted.get(query[0], "code.py")]


async def test_what_encloses_a_span_is_found_though_its_lines_do_not_say_it(corpora: Corpora, tmp_path: Path) -> None:
    body = "".join(f"        total += self.rate_{n} * {n}\n" for n in range(60))
    await corpora.ingest(write(tmp_path, {"pay.py": f"class Invoice:\n    def amount(self):\n{body}"}))
    found = await corpora.compile("invoice amount", explain=True)
    assert found.explain is not None
    lines = sorted(candidate["lines"] for candidate in found.explain["stages"]["lexical"])
    assert len(lines) > 2
    assert lines[0][0] == 1
    assert lines[-1][1] == 62
