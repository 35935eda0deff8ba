"""The compiler's metrics: circuits, degraded working sets, and how long compiling takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
CIRCUITS = ("index", "embedder")


class CompilerMetrics:
    """Counts through `meter`, which does nothing while metrics are off.

    `perdure.circuit.open` is 1 while the part is left alone, `perdure.circuit.openings` counts how often that began;
    `perdure.compile.duration` is in seconds; `perdure.compile.degraded` counts working sets by `reason`, a
    `activities.working_sets.retrieval.Reason`.
    """

    def __init__(self, meter: Meter) -> None:
        self._openings = meter.create_counter("perdure.circuit.openings", "{opening}", "Times a circuit opened.")
        self._open = meter.create_gauge("perdure.circuit.open", "1", "Whether a part is left alone: 1 or 0.")
        self._degraded = meter.create_counter("perdure.compile.degraded", "{working_set}", "Degraded working sets.")
        self._duration = meter.create_histogram(
            "perdure.compile.duration",
            "s",
            "Time to compile a working set.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        for part in CIRCUITS:
            self._open.set(0, {"part": part})

    def circuit(self, part: str, is_open: bool) -> None:
        """The circuit of `part` opened or closed."""
        self._open.set(int(is_open), {"part": part})
        if is_open:
            self._openings.add(1, {"part": part})

    def compiled(self, seconds: float, degraded: str | None) -> None:
        """A working set was compiled, degraded for that reason or not."""
        self._duration.record(seconds, {"degraded": degraded is not None})
        if degraded is not None:
            self._degraded.add(1, {"reason": degraded})
