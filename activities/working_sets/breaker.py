"""A circuit breaker: a server that fails is left alone for a while, so that its callers do not pile up."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` in a row, for `cooldown` seconds; then one caller tries, and the rest stay refused.

    After an `allow()` that says yes, `succeeded()` or `failed()` tell what came of it, if that tells anything of the
    server. `on_change` is told whenever it opens (true) or closes (false); a try that fails keeps it open.
    """

    def __init__(
        self,
        *,
        failures: int = 3,
        cooldown: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._limit = failures
        self._cooldown = cooldown
        self._clock = clock
        self._on_change = on_change
        self._in_a_row = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether callers are refused, but for the one that tries."""
        return self._open_until is not None

    def allow(self) -> bool:
        """Whether to call."""
        if self._open_until is None:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + self._cooldown  # this caller tries; if it never reports, another will
        return True

    def succeeded(self) -> None:
        """The call answered."""
        was_open = self.is_open
        self._in_a_row, self._open_until = 0, None
        if was_open:
            self._on_change(False)

    def failed(self) -> None:
        """The call failed or was late."""
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            was_open = self.is_open
            self._open_until = self._clock() + self._cooldown
            if not was_open:
                self._on_change(True)
