"""The checker sees each kind of breach, one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perdure.events import Event, MessageAdded, SessionCreated
from perdure.history import SEPARATOR, line_of
from perdure.message import Message
from perdure.session import Session, SessionConfig
from tests.support.ledger import Ledger
from tests.support.observed import Observed
from tests.support.rules import violations
from workflows.core.state import fold

AT = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = "s0"


def _message(number: int, key: str) -> Message:
    return Message(
        message_id=key, session_id=SESSION, role="user", content=f"{key}!", sequence_number=number, created_at=AT
    )


def _seen(*keys: str) -> Observed:
    """A session that holds these messages, whole on every side."""
    messages = [_message(number, key) for number, key in enumerate(keys)]
    session = Session(
        tenant="t",
        session_id=SESSION,
        config=SessionConfig(),
        status="active",
        message_count=0,
        event_sequence=1,
        created_at=AT,
        updated_at=AT,
    )
    events = [Event(sequence=1, created_at=AT, data=SessionCreated(session=session))] + [
        Event(sequence=n, key=m.message_id, body_hash="h", created_at=AT, data=MessageAdded(message=m))
        for n, m in enumerate(messages, 2)
    ]
    text = SEPARATOR.join(map(line_of, messages))
    return Observed(messages=messages, events=events, replayed=messages, history=text, state=fold(None, events))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Of two accepted messages, one after the other, a refused one, and one whose outcome is unknown."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number, key in enumerate(("a", "b")):
        ledger.told(ledger.invoked(SESSION, "w", key, "user", f"{key}!"), "accepted", sequence_number=number)
    ledger.told(ledger.invoked(SESSION, "w", "c", "user", "c!"), "refused", error="HeadMoved")
    ledger.told(ledger.invoked(SESSION, "w", "d", "user", "d!"), "unknown")
    yield ledger
    ledger.close()


@pytest.mark.parametrize("keys", [("a", "b"), ("a", "b", "d")])
def test_what_was_told_and_kept_is_no_breach(ledger: Ledger, keys: tuple[str, ...]) -> None:
    assert violations(ledger, {SESSION: _seen(*keys)}) == []


BREACHES: dict[str, tuple[Callable[[], Observed], str]] = {
    "lost": (lambda: _seen("a"), "b was acknowledged and is lost"),
    "doubled": (lambda: _seen("a", "b", "b"), "b has 2 rows"),
    "reordered": (lambda: _seen("b", "a"), "b is stored as 0, before 1"),
    "moved": (lambda: _seen("d", "a", "b"), "a was acknowledged as 0 and is stored as 1"),
    "refused and stored": (lambda: _seen("a", "b", "c"), "c was refused (HeadMoved) and is stored"),
    "unknown and doubled": (lambda: _seen("a", "b", "d", "d"), "d has 2 rows"),
    "never sent": (lambda: _seen("a", "b", "x"), "x is stored and nobody sent it"),
    "another body": (
        lambda: replace(
            _seen("a", "b"), messages=[_message(0, "a"), _message(1, "b").model_copy(update={"content": "?"})]
        ),
        "b is stored with another role or body",
    ),
    "another role": (
        lambda: replace(
            _seen("a", "b"), messages=[_message(0, "a"), _message(1, "b").model_copy(update={"role": "system"})]
        ),
        "b is stored with another role or body",
    ),
    "an event doubled": (
        lambda: replace(_seen("a", "b"), events=_seen("a", "b", "b").events),
        "b has 2 events",
    ),
    "a gap": (lambda: replace(_seen("a", "b"), messages=[_message(0, "a"), _message(2, "b")]), "are not 0, 1, 2"),
    "a gap in the events": (
        lambda: replace(_seen("a", "b"), events=[*_seen("a").events, _seen("a", "x", "b").events[-1]]),
        "are not 1, 2, 3",
    ),
    "another replay": (lambda: replace(_seen("a", "b"), replayed=[]), "replay shows other messages"),
    "another history": (lambda: replace(_seen("a", "b"), history=""), "history shows another text"),
    "other events": (lambda: replace(_seen("a", "b"), events=_seen("a").events), "the events tell of other messages"),
    "another state": (lambda: replace(_seen("a", "b"), state=_seen("a").state), "the fold of the events is not"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_is_seen(ledger: Ledger, breach: str) -> None:
    seen, words = BREACHES[breach]
    assert any(words in problem for problem in violations(ledger, {SESSION: seen()}))


def test_a_signal_that_was_taken_before_another_was_sent_stands_before_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for key in ("a", "b"):
        ledger.told(ledger.invoked(SESSION, "w", key, "user", f"{key}!"), "accepted")  # and nobody says which number
    ledger.close()
    assert violations(ledger, {SESSION: _seen("a", "b")}) == []
    [problem] = violations(ledger, {SESSION: _seen("b", "a")})
    assert problem == f"{SESSION}: b is stored as 0, before 1, which was acknowledged before it was sent"


def test_a_fault_is_among_posts_only_while_one_is_in_flight(ledger: Ledger) -> None:
    ledger.fault("after the last answer")
    assert (ledger.among_posts(), ledger.disturbed()) == (0, 0)
    post = ledger.invoked(SESSION, "w", "e", "user", "e!")
    ledger.fault("before the next one")
    ledger.told(post, "accepted", sequence_number=2)
    ledger.fault("after it")
    assert (ledger.among_posts(), ledger.disturbed()) == (1, 1)


@pytest.mark.parametrize("seen", [1, 3])
def test_a_reader_who_sees_less_than_was_acknowledged_or_more_than_is_stored_is_a_breach(
    ledger: Ledger, seen: int
) -> None:
    ledger.read(SESSION, 2, asked_at=0.0)  # before anything was acknowledged: it may see it, and need not
    ledger.read(SESSION, 2, asked_at=time.monotonic())
    assert violations(ledger, {SESSION: _seen("a", "b")}) == []
    ledger.read(SESSION, seen, asked_at=time.monotonic())
    assert violations(ledger, {SESSION: _seen("a", "b")}) == [
        f"{SESSION}: a reader saw {seen} messages of 2 when 2 were known to be there"
    ]


def test_a_reader_who_sees_less_than_was_seen_before_is_a_breach(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.told(ledger.invoked(SESSION, "w", "a", "user", "a!"), "unknown")
    ledger.read(SESSION, 1, asked_at=time.monotonic())
    ledger.read(SESSION, 0, asked_at=time.monotonic())
    ledger.close()
    [problem] = violations(ledger, {SESSION: _seen("a")})
    assert problem.endswith("saw 0 messages of 1 when 1 were known to be there")
