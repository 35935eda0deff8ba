"""What a turn costs beside its parts, taken in turns: bare update, retrieval, commit; turn; append of two messages."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import psycopg

from benchmarks.corpus import Corpus
from benchmarks.measure import CpuMeter, Figure, Samples, interleave
from benchmarks.raw import RawCommit, open_raw_retrieval
from benchmarks.rig import Rig

TURN_OVER_PARTS = 1.25
APPEND_OVER_BARE = 1.45


async def turn_cost(rig: Rig, corpus: Corpus, *, rounds: int, warm_up: int) -> list[Figure]:
    """Ratios of medians of one interleaved run, the medians, and the CPU of each process per turn."""
    questions = itertools.cycle(corpus.questions)
    turns, appends = await rig.talk(corpus=corpus.name), await rig.talk()
    for _ in range(warm_up):
        await turns.turn(next(questions))
        await appends.pair(next(questions))
        await rig.bare_update()
    async with AsyncExitStack() as resources:
        connection = await resources.enter_async_context(
            await psycopg.AsyncConnection.connect(rig.dsn, autocommit=True, prepare_threshold=2)
        )
        raw = RawCommit(connection, f"raw-{uuid.uuid4().hex[:12]}")
        await raw.learn(turns.session_id)
        retrieval = await resources.enter_async_context(open_raw_retrieval(rig.stack.addresses, corpus.index))
        bare, found, hybrid, stored, turn, terse, append = (Samples() for _ in range(7))
        calls: Sequence[tuple[Samples, Callable[[], Awaitable[object]]]] = [
            (bare, rig.bare_update),
            (found, lambda: retrieval.find(next(questions))),
            (hybrid, lambda: retrieval.hybrid(next(questions))),
            (stored, raw.commit),
            (turn, lambda: turns.turn(next(questions))),
            (terse, lambda: turns.turn(next(questions), returned=False)),
            (append, lambda: appends.pair(next(questions))),
        ]
        await interleave(warm_up, [(Samples(), call) for _, call in calls])
        await interleave(rounds, calls)
    meter = CpuMeter(rig.pids)
    for _ in range(rounds):
        await turns.turn(next(questions))
    used = meter.used_ms()
    parts = bare.p50 + found.p50 + stored.p50
    return [
        Figure(
            name="turn / (bare update + retrieval + commit)",
            value=turn.p50 / parts,
            at_most=TURN_OVER_PARTS,
            note=f"{turn.p50:.1f} / {parts:.1f} ms",
        ),
        Figure(
            name="the same, working set not returned",
            value=terse.p50 / parts,
            note=f"{terse.p50:.1f} / {parts:.1f} ms",
        ),
        Figure(
            name="turn / the same, retrieval as one hybrid query",
            value=turn.p50 / (parts - found.p50 + hybrid.p50),
            note=f"{turn.p50:.1f} / {parts - found.p50 + hybrid.p50:.1f} ms; it brings words and vectors",
        ),
        Figure(
            name="append of two messages / bare update",
            value=append.p50 / bare.p50,
            at_most=APPEND_OVER_BARE,
            note=f"{append.p50:.1f} / {bare.p50:.1f} ms",
        ),
        *(
            Figure(name=f"{name}, p50", value=samples.p50, unit="ms", note=samples.spread)
            for name, samples in {
                "bare update": bare,
                "raw retrieval": found,
                "raw retrieval as one hybrid query": hybrid,
                "raw commit": stored,
                "turn": turn,
                "turn, working set not returned": terse,
                "append of two messages": append,
            }.items()
        ),
        *(Figure(name=f"CPU per turn, {name}", value=ms / rounds, unit="ms") for name, ms in used.items()),
    ]
