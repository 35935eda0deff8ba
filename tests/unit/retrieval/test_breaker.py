"""The circuit breaker."""

from __future__ import annotations

from activities.working_sets.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_and_lets_one_caller_try_after_the_cooldown() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, cooldown=5, clock=clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    clock.now = 5
    assert [breaker.allow() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert breaker.allow()


def test_a_failed_try_opens_it_again() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, cooldown=5, clock=clock)
    breaker.failed()
    clock.now = 6
    assert breaker.allow()
    breaker.failed()
    clock.now = 10
    assert not breaker.allow()
