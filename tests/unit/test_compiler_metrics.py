"""What an operator sees of the compiler."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from activities.working_sets.breaker import Breaker
from activities.working_sets.compiler import WorkingSetCompiler
from perdure.working_set import CompilerConfig
from tests.unit.retrieval.fakes import Corpora, Embedder, Index
from workers.compiler_metrics import CompilerMetrics


class Seen:
    """The metrics as a collector gets them."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.metrics = CompilerMetrics(self._provider.get_meter("perdure"))

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Each point of a metric by the values of its attributes."""
        data = self._reader.get_metrics_data()
        assert data is not None
        return {
            tuple((point.attributes or {}).values()): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def values(self, name: str) -> dict[tuple[Any, ...], float]:
        """The same of a counter or a gauge, as numbers."""
        return {attributes: point.value for attributes, point in self.points(name).items()}


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_circuit_is_seen_to_open_and_to_close_and_each_opening_is_counted(seen: Seen) -> None:
    now = [0.0]
    breaker = Breaker(failures=2, cooldown=5, clock=lambda: now[0], on_change=partial(seen.metrics.circuit, "index"))
    assert seen.values("perdure.circuit.open") == {("index",): 0, ("embedder",): 0}
    for _ in range(3):
        breaker.failed()
    assert seen.values("perdure.circuit.open") == {("index",): 1, ("embedder",): 0}
    now[0] = 6
    assert breaker.allow()
    breaker.failed()  # a try that fails is no second opening
    assert seen.values("perdure.circuit.openings") == {("index",): 1}
    breaker.succeeded()
    assert seen.values("perdure.circuit.open") == {("index",): 0, ("embedder",): 0}
    for _ in range(2):
        breaker.failed()
    assert seen.values("perdure.circuit.openings") == {("index",): 2}


async def test_working_sets_are_timed_and_degraded_ones_counted_by_reason(seen: Seen) -> None:
    async def compile_with(compiler: WorkingSetCompiler) -> None:
        await compiler.compile(tenant="default", corpus="docs", query="hello?", config=CompilerConfig())

    whole = WorkingSetCompiler(Corpora(), Index(), Embedder(), on_compiled=seen.metrics.compiled)
    alone = WorkingSetCompiler(Corpora(), None, Embedder(), on_compiled=seen.metrics.compiled)
    broken = WorkingSetCompiler(Corpora(), Index(), Embedder(broken=True), on_compiled=seen.metrics.compiled)
    for compiler in (whole, alone, alone, broken):
        await compile_with(compiler)
    assert seen.values("perdure.compile.degraded") == {("no_index",): 2, ("embedder_failed",): 1}
    durations = seen.points("perdure.compile.duration")
    assert {attributes: point.count for attributes, point in durations.items()} == {(False,): 1, (True,): 3}
    assert 0 < durations[(False,)].sum < 60
