"""`python -m benchmarks.ingest_speed`: ingest of a package beside embedding the same texts and nothing else."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from activities.chunking import DEFAULT_CHUNKING
from activities.corpus_files import read_folder
from activities.cut import cut
from activities.embedder import MiniLm
from activities.ingest_folder import ingest_folder
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import engine_of
from benchmarks.baseline import embed_all
from benchmarks.corpus import source_of
from benchmarks.measure import Figure
from benchmarks.rig import open_rig
from benchmarks.turn import table
from perdure.corpus import FailedFile
from workers.settings import Settings

INGEST_OVER_EMBEDDING = 1.25
"""Four fifths of the embedder's speed."""


async def measure(folder: Path, data_dir: Path) -> list[Figure]:
    """One ingest into a new corpus; half of the texts embedded before it and half after, as the machine has moods."""
    embedder = MiniLm()
    embedder.load()
    texts = _texts(folder, embedder)
    async with open_rig(data_dir, _say) as rig:
        engine = engine_of(rig.stack.addresses.postgres)
        try:
            before = await _embedding(embedder, texts[::2])
            begun = time.perf_counter()
            store = PostgresCorpusStore(engine)
            report = await ingest_folder(rig.client, store, folder, corpus=f"speed-{uuid.uuid4().hex[:8]}")
            ingest = time.perf_counter() - begun
            embedding = before + await _embedding(embedder, texts[1::2])
        finally:
            await engine.dispose()
    if report.spans != len(texts) or not report.indexed:
        raise RuntimeError(f"{report.spans} spans were ingested of {len(texts)}, indexed: {report.indexed}")
    return [
        Figure(
            name="ingest / embedding alone",
            value=ingest / embedding,
            at_most=INGEST_OVER_EMBEDDING,
            note=f"{ingest:.1f} / {embedding:.1f} s, {len(texts)} spans",
        ),
        Figure(name="ingest", value=len(texts) / ingest, unit="spans/s", note="read, cut, embedded, stored, indexed"),
        Figure(name="embedding alone", value=len(texts) / embedding, unit="spans/s", note="two at a time, as ingest"),
    ]


def _texts(folder: Path, embedder: MiniLm) -> list[str]:
    return [
        piece.indexed.embedded
        for file in read_folder(folder)
        if not isinstance(file, FailedFile)
        for piece in cut(*file, DEFAULT_CHUNKING, embedder)
    ]


async def _embedding(embedder: MiniLm, texts: Sequence[str]) -> float:
    begun = time.perf_counter()
    await embed_all(embedder, texts, at_once=2)
    return time.perf_counter() - begun


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Exit code 1 with `--check` when ingest is slower than its goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest_speed", description=__doc__)
    parser.add_argument("--package", default="alembic", help="an installed package, some 2,000 spans by default")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the goal is missed")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--data-dir", type=Path, default=Settings().data_dir / "benchmark", help="of the stack")
    options = parser.parse_args()
    figures = asyncio.run(measure(source_of(options.package), options.data_dir))
    if options.output == "json":
        print(json.dumps([asdict(figure) | {"met": figure.met} for figure in figures], indent=1))
    else:
        print(table(figures))
    failed = options.check and any(figure.met is False for figure in figures)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else 0)  # the SDK's threads can abort the interpreter while it shuts down


if __name__ == "__main__":
    main()
