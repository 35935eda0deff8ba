"""Whether a turn costs the same late in a session as early, and what it leaves in the history."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks.corpus import Corpus
from benchmarks.measure import Figure, Samples
from benchmarks.rig import Rig, Talk

LATE_OVER_EARLY = 1.2
_EARLY = 10
_AROUND = 5
"""Turns before and after the one that is asked for, whose median stands for it."""


async def growth(rig: Rig, corpus: Corpus, *, late: int, sessions: int) -> list[Figure]:
    """Turn `late` against turn 10, in turns: `sessions` old ones beside as many young ones."""
    questions = itertools.cycle(corpus.questions)
    old = [await _aged(rig, corpus, questions, late - _AROUND - 1) for _ in range(sessions)]
    young = [await _aged(rig, corpus, questions, _EARLY - _AROUND - 1) for _ in range(sessions)]
    early_ms, late_ms = Samples(), Samples()
    for _ in range(2 * _AROUND + 1):
        for before, after in zip(young, old, strict=True):
            for talk, samples in ((before, early_ms), (after, late_ms)):
                await samples.take(partial(talk.turn, next(questions)))
                await talk.answer()
    return [
        Figure(
            name=f"turn {late} / turn {_EARLY}",
            value=late_ms.p50 / early_ms.p50,
            at_most=LATE_OVER_EARLY,
            note=f"{late_ms.p50:.1f} ({late_ms.spread}) / {early_ms.p50:.1f} ms ({early_ms.spread})",
        ),
        *await _history(rig, corpus, questions),
    ]


async def _aged(rig: Rig, corpus: Corpus, questions: itertools.cycle[str], turns: int) -> Talk:
    talk = await rig.talk(corpus=corpus.name)
    for _ in range(turns):
        await talk.turn(next(questions))
        await talk.answer()
    return talk


async def _history(rig: Rig, corpus: Corpus, questions: itertools.cycle[str]) -> list[Figure]:
    figures = []
    for name, returned in (("turn with its working set", True), ("turn without", False)):
        talk = await rig.talk(corpus=corpus.name)
        await talk.turn(next(questions), returned=returned)
        before = (await talk.handle.describe()).raw_description.workflow_execution_info
        for _ in range(10):
            await talk.turn(next(questions), returned=returned)
        after = (await talk.handle.describe()).raw_description.workflow_execution_info
        events = (after.history_length - before.history_length) / 10
        size = (after.history_size_bytes - before.history_size_bytes) / 10
        figures += [
            Figure(name=f"history of a {name}", value=events, unit="events"),
            Figure(name=f"history of a {name}", value=size / 1024, unit="KiB"),
        ]
    return figures
