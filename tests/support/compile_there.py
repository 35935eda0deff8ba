"""Compiles queries in a process of its own, with what the environment names, and prints what came of them."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from perdure.working_set import CompilerConfig
from workers import telemetry
from workers.compiler_metrics import CompilerMetrics
from workers.retrieval import compiler_of, open_embedder, open_index
from workers.settings import Settings


async def main(corpus: str, queries: list[str]) -> None:
    """Print a JSON list with the text and the hash of each query, and whether it is degraded."""
    settings = Settings.load()
    async with (
        Engine(settings.require_database_url()) as engine,
        open_embedder(settings) as embedder,
        open_index(settings, embedder) as index,
    ):
        config = CompilerConfig(retrieval_timeout=timedelta(seconds=15))  # the machine may be slow
        compiler = compiler_of(PostgresCorpusStore(engine), index, embedder, CompilerMetrics(telemetry.meter()))
        made = [
            await compiler.compile(tenant=settings.tenant, corpus=corpus, query=query, config=config)
            for query in queries
        ]
    print(json.dumps([[found.text, found.context_hash, found.degraded] for found in made]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
