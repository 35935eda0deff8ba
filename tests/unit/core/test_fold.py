"""The state of a session is the fold of its events, however it came about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from activities.commit import Completion, Opened, StoredMessage, StoredReceipt, completed
from perdure.contract import (
    AddAssistantMessage,
    AddMessages,
    AddUserMessage,
    Handlers,
    Lifecycle,
    NewMessage,
    UpdateSession,
)
from perdure.errors import PerdureError
from perdure.events import Event, MessageAdded, SessionCreated
from perdure.session import Session, SessionConfig
from perdure.working_set import WorkingSetRef, context_hash
from workflows.carry import restored
from workflows.commit_parts import numbered
from workflows.core.command import AnyCommand, Body, Command, Expire, RecordError, command_of
from workflows.core.decide import decide, receipt_of
from workflows.core.state import RECEIPTS, WINDOW_BYTES, WINDOW_MESSAGES, SessionState, apply, fold

START = datetime(2026, 1, 1, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
long_texts = st.integers(1, 200_000).map(lambda size: "x" * size)
keys = st.integers(0, 30).map(lambda number: f"k{number}")
new_messages = st.builds(NewMessage, role=st.sampled_from(["user", "assistant", "system", "tool"]), content=texts)
bodies = st.one_of(
    st.tuples(st.just(Handlers.ADD_USER_MESSAGE), st.builds(AddUserMessage, content=texts | long_texts)),
    st.tuples(st.just(Handlers.ADD_ASSISTANT_MESSAGE), st.builds(AddAssistantMessage, content=texts)),
    st.tuples(
        st.just(Handlers.ADD_MESSAGES),
        st.lists(new_messages, min_size=1, max_size=5).map(lambda items: AddMessages(messages=items)),
    ),
    st.tuples(
        st.just(Handlers.UPDATE_SESSION),
        st.sampled_from([UpdateSession(title="A title"), UpdateSession(title=None), UpdateSession(metadata={"a": 1})]),
    ),
    st.tuples(st.sampled_from([Handlers.SUSPEND, Handlers.RESUME]), st.just(Lifecycle())),
)
steps = st.lists(st.tuples(keys, bodies) | st.sampled_from(["expire", "error"]), max_size=60)


def created() -> Event:
    session = Session(
        tenant="default",
        session_id="s",
        config=SessionConfig(),
        status="active",
        message_count=0,
        event_sequence=1,
        created_at=START,
        updated_at=START,
    )
    return Event(sequence=1, created_at=START, data=SessionCreated(session=session))


def events_of(state: SessionState, command: AnyCommand) -> list[Event]:
    """What the committer makes of a command, with the activity's completions."""
    if isinstance(command, Command) and receipt_of(state, command) is not None:
        return []
    made = numbered(command, decide(state, command), state.event_sequence)
    added = [event.sequence for event in made if isinstance(event.data, MessageAdded)]
    return completed(made, [Completion(sequence=number, token_count=0, working_set=REFERENCE) for number in added])


REFERENCE = WorkingSetRef(context_hash=context_hash(""), tokens_used=0, span_count=0)


def command_at(step: str | tuple[str, tuple[str, Body]], at: datetime) -> AnyCommand:
    match step:
        case "expire":
            return Expire(at=at, status="active")
        case (str() as key, (str() as name, body)):
            return command_of(name, body, key, at)
        case _:
            key = f"error-{at.isoformat()}"
            return RecordError(key=key, source="user_message", code="InvalidRequest", message="no", at=at)


def lived(script: Sequence[str | tuple[str, tuple[str, Body]]]) -> tuple[SessionState, list[Event]]:
    log = [created()]
    state = apply(None, log[0])
    for number, step in enumerate(script):
        try:
            made = events_of(state, command_at(step, START + timedelta(seconds=number)))
        except PerdureError:
            continue
        for event in made:
            state = apply(state, event)
        log += made
    return state, log


@given(steps)
@settings(max_examples=200, deadline=None)
def test_live_state_is_the_fold_of_the_stored_events(script: list[str | tuple[str, tuple[str, Body]]]) -> None:
    state, log = lived(script)
    stored = [Event.model_validate_json(event.model_dump_json()) for event in log]
    assert fold(None, stored) == state
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))


@given(steps)
@settings(max_examples=100, deadline=None)
def test_state_survives_continue_as_new(script: list[str | tuple[str, tuple[str, Body]]]) -> None:
    state, _ = lived(script)
    assert SessionState.model_validate_json(state.model_dump_json()) == state


@given(steps)
@settings(max_examples=100, deadline=None)
def test_state_restored_from_tables_is_the_live_state(script: list[str | tuple[str, tuple[str, Body]]]) -> None:
    state, log = lived(script)
    added = [event.data for event in log if isinstance(event.data, MessageAdded)][-WINDOW_MESSAGES:]
    keyed = {event.key: event.sequence for event in log if event.key and event.ordinal == 0}
    opened = Opened(
        session=state.session,
        messages=[StoredMessage(message=item.message, working_set=item.working_set) for item in added],
        receipts=[
            StoredReceipt(
                key=key,
                body_hash=log[first - 1].body_hash or "",
                first=first,
                last=max(event.sequence for event in log if event.key == key),
            )
            for key, first in list(keyed.items())[-RECEIPTS:]
        ],
    )
    assert restored(opened) == state


@given(steps)
@settings(max_examples=100, deadline=None)
def test_messages_are_numbered_without_gaps_and_linked(script: list[str | tuple[str, tuple[str, Body]]]) -> None:
    state, log = lived(script)
    messages = [event.data.message for event in log if isinstance(event.data, MessageAdded)]
    assert [m.sequence_number for m in messages] == list(range(len(messages)))
    assert [m.parent_message_id for m in messages] == [None, *(m.message_id for m in messages)][: len(messages)]
    assert state.session.message_count == len(messages)
    assert state.session.active_message_id == (messages[-1].message_id if messages else None)


def test_state_is_bounded_whatever_the_age() -> None:
    state = apply(None, created())
    metadata = {"filler": "m" * 16_000}
    for number in range(400):
        body = AddUserMessage(content="x" * 200_000 if number % 50 == 0 else "y" * 20_000, metadata=metadata)
        command = command_of(Handlers.ADD_USER_MESSAGE, body, f"{number:0128}", START)
        for event in events_of(state, command):
            state = apply(state, event)
        newest = len(state.window[-1].message)
        assert sum(len(item.message) for item in state.window) <= max(WINDOW_BYTES, newest)
        assert len(state.window) >= 1
    assert list(state.receipts) == [f"{number:0128}" for number in range(400 - RECEIPTS, 400)]
    assert len(to_json(state)) < 512 * 1024
