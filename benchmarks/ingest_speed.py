"""`python -m benchmarks.ingest_speed`: ingest of a package beside embedding the same texts and nothing else."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from activities.corpora.chunking import DEFAULT_CHUNKING
from activities.corpora.cut import cut
from activities.embedder import MiniLm
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from benchmarks.baseline import embed_all
from benchmarks.corpus import source_of
from benchmarks.measure import CpuMeter, Figure
from benchmarks.report import arguments, conclude, say
from benchmarks.rig import open_rig
from perdure.corpus import FailedFile
from workers.corpus_files import read_folder
from workers.ingest_folder import ingest_folder

INGEST_OVER_EMBEDDING = 1.25
"""Four fifths of the embedder's speed."""


async def measure(folder: Path, data_dir: Path, rounds: int) -> list[Figure]:
    """Ingests into new corpora, each between two halves of the texts embedded alone, as the machine has moods."""
    embedder = MiniLm()
    embedder.load()
    texts = _texts(folder, embedder)
    ingest = embedding = ingest_cpu = embedding_cpu = 0.0
    async with open_rig(data_dir, say) as rig, Engine(rig.stack.addresses.postgres) as engine:
        store = PostgresCorpusStore(engine)
        for number in range(rounds):
            say(f"Round {number + 1} of {rounds}, {len(texts)} spans")
            half = await _embedding(embedder, texts[::2])
            meter, begun = CpuMeter(rig.pids), time.perf_counter()
            report = await ingest_folder(rig.client, store, folder, corpus=f"speed-{uuid.uuid4().hex[:8]}")
            ingest += time.perf_counter() - begun
            ingest_cpu += sum(meter.used_ms().values()) / 1000
            if report.spans != len(texts) or not report.indexed:
                raise RuntimeError(f"{report.spans} of {len(texts)} were ingested, indexed: {report.indexed}")
            rest = await _embedding(embedder, texts[1::2])
            embedding, embedding_cpu = embedding + half[0] + rest[0], embedding_cpu + half[1] + rest[1]
    made = rounds * len(texts)
    return [
        Figure(
            name="ingest / embedding alone",
            value=ingest / embedding,
            at_most=INGEST_OVER_EMBEDDING,
            note=f"{ingest:.1f} / {embedding:.1f} s, {made} spans",
        ),
        Figure(
            name="the same in CPU of all servers",
            value=ingest_cpu / embedding_cpu,
            note=f"{ingest_cpu:.1f} / {embedding_cpu:.1f} s; says the same on a busy machine",
        ),
        Figure(name="ingest", value=made / ingest, unit="spans/s", note="read, cut, embedded, stored, indexed"),
        Figure(name="embedding alone", value=made / embedding, unit="spans/s", note="two at a time, as ingest"),
    ]


def _texts(folder: Path, embedder: MiniLm) -> list[str]:
    return [
        piece.indexed.embedded
        for file in read_folder(folder)
        if not isinstance(file, FailedFile)
        for piece in cut(*file, DEFAULT_CHUNKING, embedder)
    ]


async def _embedding(embedder: MiniLm, texts: Sequence[str]) -> tuple[float, float]:
    """Seconds, and seconds of CPU."""
    begun, used = time.perf_counter(), time.process_time()
    await embed_all(embedder, texts, at_once=2)
    return time.perf_counter() - begun, time.process_time() - used


def main() -> None:
    """Exit code 1 with `--check` when ingest is slower than its goal."""
    parser = arguments("ingest_speed", __doc__)
    parser.add_argument("--package", default="mako", help="an installed package, some 600 spans by default")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    conclude(asyncio.run(measure(source_of(options.package), options.data_dir, options.rounds)), options)


if __name__ == "__main__":
    main()
