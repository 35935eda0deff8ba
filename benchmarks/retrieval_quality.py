"""`python -m benchmarks.retrieval_quality`: how well the compiler finds what docstrings ask for, beside a baseline."""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from importlib import metadata
from typing import Any

from activities.embedder import MiniLm
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.working_sets.compiler import WorkingSetCompiler
from benchmarks.baseline import baseline
from benchmarks.questions import Place, QuestionSet, question_set
from benchmarks.ranking import LEGS, Ranking, table
from benchmarks.report import arguments, end, say
from benchmarks.rig import Rig, open_rig
from perdure.ids import DEFAULT_TENANT
from perdure.working_set import CompilerConfig
from workers.ingest_folder import ingest_folder
from workers.retrieval import open_index

PACKAGES = ["psycopg", "alembic"]
"""Over six hundred questions. They had no part in choosing any default: click, packaging and tomlkit had."""


async def measure(options: argparse.Namespace) -> tuple[QuestionSet, list[Ranking]]:
    """Ask everything of the baseline, and of the compiler on real servers."""
    found = question_set(options.packages)
    say(f"{len(found.questions)} questions about {len(found.files)} files")
    embedder = MiniLm()
    rankings = [await baseline(found, embedder)]
    say(table(rankings))
    async with open_rig(options.data_dir, say) as rig:
        rankings += await _compiled(rig, found, embedder, options.chunking)
    return found, rankings


async def _compiled(rig: Rig, found: QuestionSet, embedder: MiniLm, chunking: str | None) -> list[Ranking]:
    corpus = f"quality-{uuid.uuid4().hex[:8]}"  # another each time: another commit may cut in another way
    folder = found.write(rig.stack.settings.data_dir / "documents" / corpus)
    async with Engine(rig.stack.addresses.postgres) as engine, open_index(rig.stack.settings, embedder) as index:
        if index is None:
            raise RuntimeError("the index is what is measured here, and there is no Weaviate")
        store = PostgresCorpusStore(engine)
        report = await ingest_folder(rig.client, store, folder, corpus=corpus, chunking=chunking)
        say(f"Ingested {report.spans} spans")
        compiler = WorkingSetCompiler(store, index, embedder)
        name = (await store.get_corpus(DEFAULT_TENANT, corpus)).chunking
        avocado = CompilerConfig.model_validate({"preset": "avocado"})
        rankings = [
            await _ask(f"{name}, defaults", compiler, corpus, found, CompilerConfig(), LEGS),
            await _ask(f"{name}, preset avocado", compiler, corpus, found, avocado, LEGS),
        ]
        alone = WorkingSetCompiler(store, None, embedder)
        rankings.append(await _ask(f"{name}, no index", alone, corpus, found, CompilerConfig(), ("lexical",)))
    return rankings


async def _ask(
    name: str,
    compiler: WorkingSetCompiler,
    corpus: str,
    found: QuestionSet,
    config: CompilerConfig,
    legs: tuple[str, ...],
) -> Ranking:
    ranking = Ranking(name)
    for question in found.questions:
        compiled = await compiler.compile(
            tenant=DEFAULT_TENANT, corpus=corpus, query=question.text, config=config, explain=True
        )
        stages: dict[str, Any] = (compiled.explain or {})["stages"]
        for leg in legs:
            # A stage that is switched off leaves the order as it was.
            candidates = stages[leg] if leg != "mmr" or config.enable_mmr else stages["fused"]
            ranking.add(leg, question, (Place(c["path"], *c["lines"]) for c in candidates))
    say(table([ranking]))
    return ranking


def missed(plain: Ranking, ours: Ranking) -> list[str]:
    """What does not hold of the defaults: fused no worse than the better leg, and better than the baseline."""
    broken = []
    for name, figure in (("MRR", Ranking.mrr), ("recall@10", Ranking.recall)):
        fused = figure(ours, "fused")
        if fused < max(figure(ours, "semantic"), figure(ours, "lexical")):
            broken.append(f"{name}: a leg alone is better than both fused")
        if fused <= max(figure(plain, leg) for leg in LEGS):
            broken.append(f"{name}: the baseline is as good")
    return broken


def main() -> None:
    """Exit code 1 with `--check` when the defaults are not what they should be."""
    parser = arguments("retrieval_quality", __doc__)
    parser.add_argument("--packages", nargs="+", default=PACKAGES, help="installed packages to ask about")
    parser.add_argument("--chunking", help="how documents are cut; by default as for any new corpus")
    options = parser.parse_args()
    found, rankings = asyncio.run(measure(options))
    broken = missed(*rankings[:2])
    if options.output == "json":
        report = {
            "packages": {package: metadata.version(package.partition(".")[0]) for package in options.packages},
            "questions": len(found.questions),
            "figures": [figure for ranking in rankings for figure in ranking.figures()],
            "missed": broken,
        }
        print(json.dumps(report, indent=1))
    else:
        print("\n".join([table(rankings), *broken]))
    end(failed=options.check and bool(broken))


if __name__ == "__main__":
    main()
