"""Runs golden queries against a corpus with the compiler that a worker would have."""

from __future__ import annotations

from collections.abc import Sequence

from activities.ports import Compiler
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from perdure.evaluation import Evaluation, GoldenQuery, score, summarize
from perdure.working_set import CompilerConfig
from workers import telemetry
from workers.compiler_metrics import CompilerMetrics
from workers.database_errors import explained
from workers.retrieval import compiler_of, open_embedder, open_index
from workers.settings import Settings


async def evaluate_corpus(
    settings: Settings, corpus: str, queries: Sequence[GoldenQuery], config: CompilerConfig
) -> tuple[Evaluation, list[str]]:
    """The evaluation, and the expected paths that the corpus does not hold.

    Raises:
        CorpusNotFound: there is no such corpus.
        InvalidRequest: there is no query.
        Unavailable: no database is set.
    """
    async with (
        Engine(settings.require_database_url(), pool_size=2, explain=explained) as engine,
        open_embedder(settings) as embedder,
        open_index(settings, embedder) as index,
    ):
        store = PostgresCorpusStore(engine)
        await store.get_corpus(settings.tenant, corpus)
        compiler = compiler_of(store, index, embedder, CompilerMetrics(telemetry.meter()))
        evaluation = await evaluate(compiler, settings.tenant, corpus, queries, config)
        expected = {path for query in queries for path in query.expected_paths}
        return evaluation, sorted(expected - await _paths(store, settings.tenant, corpus))


async def evaluate(
    compiler: Compiler, tenant: str, corpus: str, queries: Sequence[GoldenQuery], config: CompilerConfig
) -> Evaluation:
    """Compile each query by itself, and measure. The first is compiled once more before, to open connections.

    Raises:
        CorpusNotFound: there is no such corpus.
        InvalidRequest: there is no query.
    """
    results = []
    for query in (*queries[:1], *queries):
        made = await compiler.compile(tenant=tenant, corpus=corpus, query=query.query, config=config)
        results.append(score(query, made))
    return summarize(corpus, results[1:])


async def _paths(store: PostgresCorpusStore, tenant: str, corpus: str) -> set[str]:
    paths: set[str] = set()
    after = ""
    while page := await store.list_artifacts(tenant, corpus, after):
        paths.update(artifact.path for artifact in page)
        after = page[-1].path
    return paths
