"""`python -m benchmarks.compile`: what a working set costs beside the queries it needs, over 5,000 and 50,000 spans."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from temporalio.testing import ActivityEnvironment

from activities.corpora.chunking import DEFAULT_CHUNKING
from activities.corpora.corpus import CorpusActivities
from activities.corpora.cut import cut
from activities.corpora.index import IndexActivities
from activities.corpora.ingest import Publish, Step, Target, Upload
from activities.embedder import MiniLm
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from activities.stores.weaviate_index import WeaviateIndex
from activities.terms import terms_of
from activities.working_sets.compiler import WorkingSetCompiler
from activities.working_sets.retrieval import EXACT_SPANS
from benchmarks.corpus import sentences, source_of
from benchmarks.measure import CpuMeter, Figure, Samples, interleave
from benchmarks.raw import open_raw_retrieval
from benchmarks.report import arguments, conclude, say
from benchmarks.rig import Rig, open_rig
from perdure.corpus import FailedFile
from perdure.ids import DEFAULT_TENANT
from perdure.working_set import CompilerConfig
from workers.corpus_files import read_folder

RAW_RATIO = 1.5
GROWTH = 1.5
COMPILE_MS = 50
SIZES = (5_000, 50_000)
_PACKAGES = (
    "psycopg", "sqlalchemy", "temporalio", "alembic", "weaviate", "pydantic", "numpy", "httpx", "rich", "mypy", "pip",
)  # fmt: skip


class Lots:
    """An embedder without a model: the sum of a drawn vector for each word, so that texts with the same words are near.

    Only for measuring: it embeds 50,000 spans in a minute, and a search cares little what they mean.
    """

    id = MiniLm.id
    limit = MiniLm.limit

    def __init__(self) -> None:
        self._sizes = MiniLm().sizes

    def sizes(self, lines: Sequence[str]) -> list[int]:
        return self._sizes(lines)

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [_vector(text) for text in texts]


def _vector(text: str) -> bytes:
    total = np.sum([_drawn(word) for word in set(terms_of(text))] or [_drawn("")], axis=0)
    return bytes((total / np.linalg.norm(total)).astype("<f4").tobytes())


@cache
def _drawn(word: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(Lots.id.dimension, dtype=np.float32)


async def measure(data_dir: Path, sizes: Sequence[int], rounds: int) -> list[Figure]:
    """Raw queries and compilations in turns, size by size; no query is embedded."""
    figures: list[Figure] = []
    first = 0.0
    async with AsyncExitStack() as resources:
        rig = await resources.enter_async_context(open_rig(data_dir, say))
        engine = await resources.enter_async_context(Engine(rig.stack.addresses.postgres))
        for size in sizes:
            hybrid, raw, ours, cpu, spans = await _of_size(rig, engine, size, rounds)
            first = first or ours.p50
            over = f"{spans:,} spans"
            figures += [
                Figure(
                    name=f"compile / hybrid query, {over}",
                    value=ours.p50 / hybrid.p50,
                    at_most=RAW_RATIO,
                    note=f"{ours.p50:.1f} / {hybrid.p50:.1f} ms",
                ),
                Figure(
                    name=f"compile / its own two queries, {over}",
                    value=ours.p50 / raw.p50,
                    note=f"{ours.p50:.1f} / {raw.p50:.1f} ms; ids and scores only",
                ),
                Figure(name=f"compile, p50, {over}", value=ours.p50, unit="ms", at_most=COMPILE_MS, note=ours.spread),
                Figure(name=f"compile, p99, {over}", value=ours.percentile(99), unit="ms"),
                Figure(name=f"hybrid query, p50, {over}", value=hybrid.p50, unit="ms", note=hybrid.spread),
                *(Figure(name=f"CPU per compile, {name}, {over}", value=ms, unit="ms") for name, ms in cpu.items()),
            ]
            if ours.p50 != first:
                figures.append(Figure(name=f"growth of compile to {over}", value=ours.p50 / first, at_most=GROWTH))
    return figures


async def _of_size(
    rig: Rig, engine: Engine, size: int, rounds: int
) -> tuple[Samples, Samples, Samples, dict[str, float], int]:
    embedder, store = Lots(), PostgresCorpusStore(engine)
    addresses = rig.stack.addresses
    if addresses.weaviate is None:
        raise RuntimeError("there is no Weaviate")
    index = WeaviateIndex(addresses.weaviate, addresses.weaviate_grpc_port, embedder.id)
    compiler = WorkingSetCompiler(store, index, embedder, cached_spans=2 * size)
    corpus, config = f"lots-{size}-{DEFAULT_CHUNKING}", CompilerConfig()
    try:
        name, spans = await _filled(store, index, embedder, corpus, size)
        questions = itertools.cycle(itertools.islice(sentences(source_of("sqlalchemy")), 400))

        async def compiled() -> None:
            found = await compiler.compile(tenant=DEFAULT_TENANT, corpus=corpus, query=next(questions), config=config)
            if found.degraded or found.tokens_used < config.token_budget / 2:
                raise RuntimeError(f"a poor working set: {found.tokens_used} tokens, {found.degraded_reason}")

        exact = spans <= EXACT_SPANS
        async with open_raw_retrieval(addresses, name, embedder, exact=exact) as retrieval:
            hybrid, raw, ours = Samples(), Samples(), Samples()
            calls = [
                (hybrid, lambda: retrieval.hybrid(next(questions))),
                (raw, lambda: retrieval.find(next(questions))),
                (ours, compiled),
            ]
            await interleave(100, [(Samples(), call) for _, call in calls])
            await interleave(rounds, calls)
        servers = {part.name: part.pid for part in rig.stack.parts if part.name != "Temporal"}
        meter = CpuMeter({**servers, "compiler": os.getpid()})
        for _ in range(rounds):
            await compiled()
        return hybrid, raw, ours, {what: ms / rounds for what, ms in meter.used_ms().items()}, spans
    finally:
        await compiler.close()
        await index.close()


async def _filled(
    store: PostgresCorpusStore, index: WeaviateIndex, embedder: Lots, corpus: str, size: int
) -> tuple[str, int]:
    """The index of a corpus of `size` spans or a few more, made unless it is there; and how many there are."""
    state = await store.state(DEFAULT_TENANT, corpus)
    if state is None or state.indexed_version == 0:
        say(f"Filling {corpus}")
        await _fill(store, index, embedder, corpus, size)
        state = await store.state(DEFAULT_TENANT, corpus)
    if state is None or state.index is None:
        raise RuntimeError("the corpus was not indexed")
    return state.index, (await store.get_corpus(DEFAULT_TENANT, corpus)).spans


async def _fill(store: PostgresCorpusStore, index: WeaviateIndex, embedder: Lots, corpus: str, size: int) -> None:
    files, held = [], 0
    for file in _files():
        files.append(file)
        held += len(cut(*file, DEFAULT_CHUNKING, embedder))
        if held >= size:
            break
    else:
        raise RuntimeError(f"the packages have {held} spans only")
    environment, activities = ActivityEnvironment(), CorpusActivities(store, embedder)
    upload = Upload(tenant=DEFAULT_TENANT, corpus=corpus, upload_id="lots")
    await store.stage(DEFAULT_TENANT, corpus, upload.upload_id, 0, files)
    begun = await environment.run(activities.begin_ingest, upload)
    step = Step(upload=upload, version=begun.version, chunking=begun.chunking, after=-1)
    while not (stepped := await environment.run(activities.ingest_files, step)).done:
        step = step.model_copy(update={"after": stepped.after})
    target = Target(tenant=DEFAULT_TENANT, corpus=corpus, fresh=corpus)
    await environment.run(IndexActivities(store, index, embedder.id).index_spans, target)
    await environment.run(activities.publish_version, Publish(upload=upload, version=begun.version))


def _files() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        for file in read_folder(source_of(package)):
            if not isinstance(file, FailedFile):
                yield f"{package}/{file[0]}", file[1]


def main() -> None:
    """Exit code 1 with `--check` when a goal is missed."""
    parser = arguments("compile", __doc__)
    parser.add_argument("--size", action="append", type=int, help="spans, at least; may be repeated")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    conclude(asyncio.run(measure(options.data_dir, options.size or SIZES, options.rounds)), options)


if __name__ == "__main__":
    main()
