"""The rules of the ledger: what must be true, after any fault, of what was sent, told and stored. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from perdure.history import SEPARATOR, line_of
from perdure.message import Message
from tests.support.ledger import Call, Ledger
from tests.support.observed import Observed
from workflows.core.state import fold


def violations(ledger: Ledger, seen: Mapping[str, Observed]) -> list[str]:
    """Every breach of every rule, in words; none if all were kept."""
    found: list[str] = []
    for session_id in ledger.sessions:
        calls = [call for call in ledger.calls if call.session_id == session_id]
        observed = seen[session_id]
        for rule in (_stored_as_told, _order_kept):
            found += (f"{session_id}: {problem}" for problem in rule(ledger, calls, observed.messages))
        found += (f"{session_id}: {problem}" for problem in _nothing_else_stored(calls, observed.messages))
        found += (f"{session_id}: {problem}" for problem in _read_as_told(ledger, calls, observed.messages))
        found += (f"{session_id}: {problem}" for problem in disagreements(observed))
    return found


def disagreements(observed: Observed) -> list[str]:
    """What is wrong with a session whatever was sent; none if it is whole and all sides tell the same of it."""
    return [problem for law in (_gapless, _one_row_per_key, _all_sides_agree) for problem in law(observed)]


def _stored_as_told(ledger: Ledger, calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[str]:
    """What was acknowledged is there, with its sequence number, role and body; what was refused is not.

    Of an unknown outcome, the message may be there or not; there at all, it is there with its body.
    """
    stored = {message.message_id: message for message in messages}
    accepted = {call.key for call in calls if ledger.outcome(call) == "accepted"}
    for call in calls:
        message = stored.get(call.key)
        match ledger.outcome(call):
            case "accepted" if message is None:
                yield f"{call.key} was acknowledged and is lost"
            case "accepted" if message is not None:
                told = ledger.answers[call.number].sequence_number
                if told is not None and told != message.sequence_number:
                    yield f"{call.key} was acknowledged as {told} and is stored as {message.sequence_number}"
            case "refused" if message is not None and call.key not in accepted:
                error = ledger.answers[call.number].error
                yield f"{call.key} was refused ({error}) and is stored all the same"
        if message is not None and (message.role, message.content) != (call.role, call.content):
            yield f"{call.key} is stored with another role or body"


def _nothing_else_stored(calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[str]:
    keys = {call.key for call in calls}
    for message in messages:
        if message.message_id not in keys:
            yield f"{message.message_id} is stored and nobody sent it"


def _order_kept(ledger: Ledger, calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[str]:
    """A message that was acknowledged before another was sent stands before it: so each writer's order is kept."""
    number = {message.message_id: message.sequence_number for message in messages}
    answered = [
        (answer.at, call.key)
        for call in calls
        if (answer := ledger.answers.get(call.number)) and answer.outcome == "accepted"
    ]
    first_sent: dict[str, float] = {}
    for call in calls:
        first_sent.setdefault(call.key, call.at)
    for key, sent_at in first_sent.items():
        before = [number[other] for at, other in answered if at < sent_at and other in number and other != key]
        if key in number and before and max(before) > number[key]:
            yield f"{key} is stored as {number[key]}, before {max(before)}, which was acknowledged before it was sent"


def _read_as_told(ledger: Ledger, calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[str]:
    """Who asks sees what was known by then, and nothing that is not stored; tells of the first who did not."""
    reads = [read for read in ledger.reads if read.session_id == calls[0].session_id]
    known = [(read.at, read.message_count) for read in reads]
    for call in calls:
        answer = ledger.answers.get(call.number)
        if answer and answer.sequence_number is not None:
            known.append((answer.at, answer.sequence_number + 1))
    for read in reads:
        least = max((count for at, count in known if at < read.asked_at), default=0)
        if not least <= read.message_count <= len(messages):
            yield f"a reader saw {read.message_count} messages of {len(messages)} when {least} were known to be there"
            return


def _gapless(observed: Observed) -> Iterator[str]:
    if [m.sequence_number for m in observed.messages] != list(range(len(observed.messages))):
        yield "the messages' sequence numbers are not 0, 1, 2, ..."
    if [e.sequence for e in observed.events] != list(range(1, len(observed.events) + 1)):
        yield "the events' sequence numbers are not 1, 2, 3, ..."


def _one_row_per_key(observed: Observed) -> Iterator[str]:
    rows: dict[str, int] = defaultdict(int)
    for message in observed.messages:
        rows[message.message_id] += 1
    commands: dict[tuple[str, int], int] = defaultdict(int)
    for event in observed.events:
        if event.key is not None:
            commands[event.key, event.ordinal] += 1
    yield from (f"{key} has {count} rows" for key, count in rows.items() if count > 1)
    yield from (f"{key} has {count} events {ordinal}" for (key, ordinal), count in commands.items() if count > 1)


def _all_sides_agree(observed: Observed) -> Iterator[str]:
    """Replay, history, the events and the open run tell of the same conversation."""
    if observed.replayed != observed.messages:
        yield "replay shows other messages than Postgres"
    if observed.history != SEPARATOR.join(map(line_of, observed.messages)):
        yield "history shows another text than Postgres"
    added = [event.data.message for event in observed.events if event.data.type == "message_added"]
    if added != observed.messages:
        yield "the events tell of other messages than there are"
    if observed.state is not None and fold(None, observed.events) != observed.state:
        yield "the fold of the events is not the state of the run"
