"""What a turn costs beside its parts, taken in turns: bare update, retrieval, commit; turn; append of two messages."""

from __future__ import annotations

import itertools
import uuid
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
    turns, terse = await rig.talk(corpus=corpus.name), await rig.talk(corpus=corpus.name)
    appends = await rig.talk()
    for question in corpus.questions:  # as a worker has been asked that has been up for a while: it has the spans
        await turns.turn(question)
    async with AsyncExitStack() as resources:
        connection = await resources.enter_async_context(
            await psycopg.AsyncConnection.connect(rig.dsn, autocommit=True, prepare_threshold=2)
        )
        raw = RawCommit(connection, f"raw-{uuid.uuid4().hex[:12]}")
        await raw.learn(turns.session_id)
        retrieval = await resources.enter_async_context(open_raw_retrieval(rig.stack.addresses, corpus.index))
        calls = {
            "bare update": await rig.stub("nothing"),
            "update with a local activity": await rig.stub("by_activity"),
            "update that passes a working set on": await rig.stub("passed_on"),
            "raw retrieval": lambda: retrieval.find(next(questions)),
            "raw retrieval as one hybrid query": lambda: retrieval.hybrid(next(questions)),
            "raw commit": raw.commit,
            "turn": lambda: turns.turn(next(questions)),
            "turn, working set not returned": lambda: terse.turn(next(questions), returned=False),
            "append of two messages": lambda: appends.pair(next(questions)),
        }
        samples = {name: Samples() for name in calls}
        await interleave(warm_up, [(Samples(), call) for call in calls.values()])
        await interleave(rounds, [(samples[name], call) for name, call in calls.items()])
    meter = CpuMeter(rig.pids)
    for _ in range(rounds):
        await turns.turn(next(questions))
    used = meter.used_ms()
    p50 = {name: taken.p50 for name, taken in samples.items()}

    def over_parts(
        name: str, whole: float, *, retrieval: str = "raw retrieval", at_most: float | None = None
    ) -> Figure:
        parts = p50["bare update"] + p50[retrieval] + p50["raw commit"]
        return Figure(name=name, value=whole / parts, at_most=at_most, note=f"{whole:.1f} / {parts:.1f} ms")

    hybrid = "raw retrieval as one hybrid query"
    floor = p50["update that passes a working set on"] + p50["raw retrieval"] + p50["raw commit"]
    return [
        over_parts("turn / (bare update + retrieval + commit)", p50["turn"], at_most=TURN_OVER_PARTS),
        over_parts(
            "turn, working set not returned / (bare update + retrieval + commit)", p50["turn, working set not returned"]
        ),
        over_parts("turn / (bare update + hybrid query + commit)", p50["turn"], retrieval=hybrid),
        over_parts(
            "turn, working set not returned / (bare update + hybrid query + commit)",
            p50["turn, working set not returned"],
            retrieval=hybrid,
        ),
        over_parts("(update that passes one on + retrieval + commit) / (bare update + retrieval + commit)", floor),
        Figure(
            name="append of two messages / bare update",
            value=p50["append of two messages"] / p50["bare update"],
            at_most=APPEND_OVER_BARE,
            note=f"{p50['append of two messages']:.1f} / {p50['bare update']:.1f} ms",
        ),
        *(
            Figure(name=f"{name}, p50", value=taken.p50, unit="ms", note=taken.spread)
            for name, taken in samples.items()
        ),
        *(Figure(name=f"CPU per turn, {name}", value=ms / rounds, unit="ms") for name, ms in used.items()),
    ]
