"""How long a session that left the worker's memory takes to answer."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks.corpus import Corpus
from benchmarks.measure import Figure, Samples
from benchmarks.rig import Rig, Talk
from perdure.session import RunBudget

COLD_ANSWER_MS = 300
_QUEUE = "cold"
_NEARLY = 0.85
"""From this share of its run's budget on, a session is long enough to be asked."""


async def cold_answer(rig: Rig, corpus: Corpus, *, sessions: int) -> list[Figure]:
    """Turns of sessions near the end of their run, on a worker that keeps one session: each has to be replayed."""
    worker = await rig.another_worker(_QUEUE, max_cached_workflows=1)
    questions = itertools.cycle(corpus.questions)
    talks = [await _nearly_full(rig, corpus, questions) for _ in range(sessions)]
    samples, lengths = Samples(), []
    for _ in range(3):
        for talk in talks:
            lengths.append(await _length(talk))
            await samples.take(partial(talk.turn, next(questions)))
    await worker.stop()
    return [
        Figure(
            name="cold answer, p50",
            value=samples.p50,
            unit="ms",
            at_most=COLD_ANSWER_MS,
            note=f"{samples.spread}; {min(lengths)}-{max(lengths)} events replayed",
        )
    ]


async def _nearly_full(rig: Rig, corpus: Corpus, questions: itertools.cycle[str]) -> Talk:
    talk = await rig.talk(corpus=corpus.name, queue=_QUEUE)
    while await _length(talk) < RunBudget().events * _NEARLY:
        await talk.turn(next(questions))
        await talk.answer()
    return talk


async def _length(talk: Talk) -> int:
    info = (await talk.handle.describe()).raw_description.workflow_execution_info
    return int(info.history_length)
