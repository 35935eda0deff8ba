"""Samples and figures: medians, spreads, goals, and what processes used."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles

import psutil


@dataclass
class Samples:
    """Times of one kind of call, in milliseconds."""

    values: list[float] = field(default_factory=list)

    async def take(self, call: Callable[[], Awaitable[object]]) -> None:
        """Add how long `call` takes."""
        begun = time.perf_counter()
        await call()
        self.values.append((time.perf_counter() - begun) * 1000)

    def percentile(self, percent: int) -> float:
        return quantiles(self.values, n=100, method="inclusive")[percent - 1]

    @property
    def p50(self) -> float:
        return self.percentile(50)

    @property
    def spread(self) -> str:
        """What most samples lie between."""
        low, high = self.percentile(10), self.percentile(90)
        return f"p10 {low:.1f}, p90 {high:.1f}, n {len(self.values)}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of the report. `at_most` is its goal, if it has one."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; none without a goal."""
        return None if self.at_most is None else self.value <= self.at_most


async def interleave(rounds: int, calls: Sequence[tuple[Samples, Callable[[], Awaitable[object]]]]) -> None:
    """Time each call once a round, in another order each round: a call pays for what the one before left undone."""
    order, chance = list(calls), Random(0)
    for _ in range(rounds):
        chance.shuffle(order)
        for samples, call in order:
            await samples.take(call)


class CpuMeter:
    """CPU that processes used since it was made, each with its descendants."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._begun = self._now()

    def used_ms(self) -> dict[str, float]:
        """CPU milliseconds, user and system, by name."""
        return {name: (now - self._begun[name]) * 1000 for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: sum(_cpu(p) for p in _family(process)) for name, process in self._processes.items()}


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(psutil.Process(pid).memory_info().rss)


def _family(process: psutil.Process) -> Iterable[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)
