"""A Perdure worker as a process of its own, which can be hurt on purpose."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from workers.stack.part import Part

START_TIMEOUT = timedelta(seconds=60)


class WorkerProcess(Part):
    """Usable once it has written a line of JSON with `"ready": true`.

    Args:
        environment: Added to ours; the `environment()` of a stack's addresses leads the worker to that stack.
        log: Receives its output, across restarts.
        module: What `python -m` runs.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        log: Path,
        name: str = "Worker",
        module: str = "workers.worker",
    ) -> None:
        super().__init__(log, START_TIMEOUT)
        self.name = name
        self._environment, self._module = dict(environment), module
        self._log_start = 0

    def command(self) -> Sequence[str | Path]:
        """The present interpreter."""
        return [sys.executable, "-m", self._module]

    def environment(self) -> Mapping[str, str]:
        """Ours, and what finds our modules where this process found them."""
        return {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), **self._environment}

    async def prepare(self) -> None:
        """Count only what this start writes."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    async def probe(self) -> None:
        """Find the line that says ready."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            if not any(_says_ready(line) for line in log):
                raise LookupError("it has not said that it is ready")


def _says_ready(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("ready") is True
